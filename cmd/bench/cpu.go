package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the kernel's process times on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime is what the API, Postgres and the load have used so far; the load is this process, and pgbench once it has ended. Unlike rates,
// it depends little on what else the machine does.
type cpuTime struct{ api, postgres, load time.Duration }

func (r *rig) cpu() (c cpuTime, err error) {
	if c.api, _, err = processTime(r.api.Process.Pid); err != nil {
		return c, err
	}
	if c.load, _, err = processTime(os.Getpid()); err != nil {
		return c, err
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return c, err
	}
	for _, stat := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil {
			return c, err
		}
		used, parent, err := processTime(pid)
		if err == nil && (pid == r.server.PID() || parent == r.server.PID()) { // A process may have ended meanwhile.
			c.postgres += used
		}
	}
	return c, nil
}

// processTime returns what a process and its children that have ended have used, and its parent.
func processTime(pid int) (used time.Duration, parent int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest) // From the third field of proc(5) on.
	if len(fields) < 15 {
		return 0, 0, fmt.Errorf("process %d: no times", pid)
	}
	if parent, err = strconv.Atoi(fields[1]); err != nil {
		return 0, 0, err
	}
	for _, field := range fields[11:15] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return 0, 0, err
		}
		used += time.Duration(ticks) * clockTick
	}
	return used, parent, nil
}

// perTransfer returns the difference divided by a number of transfers.
func (c cpuTime) perTransfer(before cpuTime, transfers float64) cpuTime {
	share := func(d time.Duration) time.Duration { return time.Duration(float64(d) / max(transfers, 1)) }
	return cpuTime{share(c.api - before.api), share(c.postgres - before.postgres), share(c.load - before.load)}
}

func (c cpuTime) String() string {
	const step = 100 * time.Nanosecond
	return fmt.Sprintf("CPU a transfer: API %s, Postgres %s, load %s", c.api.Round(step), c.postgres.Round(step), c.load.Round(step))
}
