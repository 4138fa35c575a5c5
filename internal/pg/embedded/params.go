//go:build unix

package embedded

import (
	"context"
	"maps"
	"os/exec"
	"slices"
	"strconv"
)

// developmentParams are tuned for a laptop's two cores: checkpoints are rare, since each one makes the next
// writes heavier, and commits are durable.
var developmentParams = map[string]string{
	"shared_buffers":          "256MB",
	"max_connections":         "200",
	"max_wal_size":            "4GB",
	"checkpoint_timeout":      "15min",
	"fsync":                   "on",
	"synchronous_commit":      "on",
	"jit":                     "off",
	"timezone":                "UTC",
	"log_timezone":            "UTC",
	"log_line_prefix":         "%m [%p] ",
	"unix_socket_directories": "", // Loopback only: no limit on the length of a path, nothing left behind.
	"cluster_name":            "ballast",
}

// throwAwayParams give up on surviving a crash of the machine, and on replication. Commits still survive a crash of
// the server, since it hands them to the operating system before it answers.
var throwAwayParams = map[string]string{
	"fsync":            "off",
	"full_page_writes": "off",
	"wal_level":        "minimal",
	"max_wal_senders":  "0",
}

// arguments returns postgres's command line: ours, then the caller's parameters over them.
func (s *Server) arguments(ctx context.Context) []string {
	params := maps.Clone(developmentParams)
	if s.opts.FsyncOff {
		maps.Copy(params, throwAwayParams)
	} else {
		params["wal_compression"] = s.walCompression(ctx)
	}
	maps.Copy(params, s.opts.Params)
	params["listen_addresses"] = loopback
	params["port"] = strconv.Itoa(s.port)

	args := []string{"-D", s.dir.cluster()}
	for _, name := range slices.Sorted(maps.Keys(params)) {
		args = append(args, "-c", name+"="+params[name])
	}
	return args
}

// walCompression prefers lz4, which costs a fraction of pglz's time, where the server was built with it.
func (s *Server) walCompression(ctx context.Context) string {
	cmd := s.command(ctx, s.binaries.postgres(), "-D", s.dir.cluster(), "-c", "wal_compression=lz4", "-C", "wal_compression")
	if cmd.Run() == nil {
		return "lz4"
	}
	return "on"
}

// command prepares a child of this process: as the account, in a directory that the account can enter, without the
// PG… variables meant for clients. It is killed when ctx ends.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...) // Found by findBinaries.
	cmd.Dir = "/"
	cmd.Env = serverEnvironment()
	cmd.SysProcAttr = s.account.attributes()
	return cmd
}
