//go:build linux

package main_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/pg/embedded"
)

// smallDisk is a file system of its own with little room, which needs root. It is unmounted with the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Getenv("BALLAST_LONG") != "1" {
		t.Skip("it takes a minute: set BALLAST_LONG=1")
	}
	dir, err := embedded.MakeTempDir("ballast-small-disk-")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=0755"); errors.Is(err, syscall.EPERM) {
		t.Skip("only root may mount a file system")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(syscall.Unmount(dir, syscall.MNT_DETACH), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A full disk makes transfers fail, and none of those that were acknowledged is lost; once there is room again, the clients go on
// without anybody's help.
func TestAFullDiskIsNoFalseSuccess(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "260m")
	server, err := embedded.Start(t.Context(), embedded.Options{
		DataDir: filepath.Join(disk, "postgres"),
		Params:  map[string]string{"max_wal_size": "64MB", "min_wal_size": "32MB", "shared_buffers": "32MB", "dynamic_shared_memory_type": "mmap"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.StopNow() })
	env := []string{"DATABASE_URL=" + server.SuperuserURL("postgres")}
	runBinary(t, env, "migrate", "up").want(t, 0)
	owner, err := pg.Open(t.Context(), pg.Config{URL: server.SuperuserURL("postgres")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(owner.Close)
	execute(t, owner, `CREATE ROLE small_disk_api LOGIN PASSWORD 'on-loopback-only' IN ROLE ballast_app`)
	api := startServe(t, server.URL("postgres", "small_disk_api", "on-loopback-only"))
	p := startPayers(t, owner, api.url)
	for range 3 {
		p.awaitProgress(50)
		filler := filepath.Join(disk, "filler")
		p.fillDisk(filler)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		p.awaitProgress(50)
	}
	p.settle(owner)
}

// fillDisk takes all the room that is left, and goes on until transfers fail.
func (p *payers) fillDisk(filler string) {
	p.t.Helper()
	f, err := os.Create(filler)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	chunk := bytes.Repeat([]byte{1}, 64<<10)
	before := p.broken.Load()
	for deadline := time.Now().Add(2 * patience); p.broken.Load() < before+20; {
		if time.Now().After(deadline) {
			p.t.Fatalf("the disk is full, and transfers go on: %d failed", p.broken.Load()-before)
		}
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			time.Sleep(10 * time.Millisecond)
		} else if err != nil {
			p.t.Fatal(err)
		}
	}
}
