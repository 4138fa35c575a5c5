package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/ballast-compute/ballast/internal/verify/fault"
	"github.com/ballast-compute/ballast/internal/witness"
)

// witnessCommands make a witness and run it.
type witnessCommands struct {
	Init witnessInitCommand `cmd:"" help:"Make the key of a witness, and print its verifier key for those who rely on it."`
	Run  witnessRunCommand  `cmd:"" default:"withargs" help:"Cosign checkpoints of these logs (C2SP tlog-witness)."`
}

// witnessInitCommand makes a key.
type witnessInitCommand struct {
	Dir  string `arg:"" help:"The witness's directory. Back up its key only: never restore its state from an old backup."`
	Name string `arg:"" help:"The witness's name, such as witness.example/w1."`
}

// Run makes the key, once.
func (c *witnessInitCommand) Run(p *program) error {
	key, err := witness.CreateKey(c.Dir, c.Name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, key)
	return err
}

// witnessRunCommand is a witness.
type witnessRunCommand struct {
	Dir     string   `arg:"" help:"The witness's directory, which witness init has made."`
	Listen  string   `help:"The address to listen on." default:"127.0.0.1:8465"`
	Log     []string `help:"The verifier key of a log to cosign; may be repeated." placeholder:"VKEY" sep:"none"`
	LogFile []string `help:"A file with the verifier keys of logs, one a line." placeholder:"FILE"`
}

// Run serves until it is told to stop.
func (c *witnessRunCommand) Run(ctx context.Context, p *program) error {
	logs := c.Log
	for _, file := range c.LogFile {
		text, err := readFile(file, maxLeavesBytes)
		if err != nil {
			return err
		}
		logs = append(logs, strings.Fields(string(text))...)
	}
	if len(logs) == 0 {
		return fault.New(fault.Incomplete, "usage", "a witness needs a log to watch: --log or --log-file")
	}
	w, err := witness.Open(c.Dir, logs, slog.New(slog.NewTextHandler(p.stderr, nil)))
	if os.IsNotExist(err) {
		return fault.New(fault.Incomplete, "usage", "there is no witness in %s: make one with witness init", c.Dir)
	}
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.stderr, "witness %s\nlistening on http://%s, evidence in %s\n", w.VerifierKey(), listener.Addr(), w.EvidenceDir())
	return w.Serve(ctx, listener)
}
