package main

import (
	"fmt"
	"runtime/debug"

	"github.com/ballast-compute/ballast/db"
)

// release is set by the linker (-X main.release=v1.2.3) when a release is built.
var release string

// version names this build: the release, or the commit it was built from, or "dev".
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) > 12 {
			return s.Value[:12]
		}
	}
	return "dev"
}

type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintf(p.stdout, "ballast %s (schema version %d)\n", version(), db.Latest())
	return err
}
