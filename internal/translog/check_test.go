package translog

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// Whatever is changed of what is published, or of the rows that it was made of, the check finds it.
func TestTheCheckComparesTheLogWithItsRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check := func() (ok bool, detail string) {
		t.Helper()
		found, err := Check(t.Context(), w.db.Pool, w.store, w.key.Verifier)
		if err != nil || len(found) != 1 {
			t.Fatalf("%v (%v)", found, err)
		}
		return found[0].OK, found[0].Detail
	}
	if ok, detail := check(); !ok {
		t.Errorf("nothing is published: %s", detail)
	}
	in := w.integrator()
	for range 3 {
		w.together(200)
		w.integrate(in)
	}
	w.together(10) // In the database, and not in the log.
	if ok, detail := check(); !ok {
		t.Fatalf("nothing was changed: %s", detail)
	}
	file := func(name string, at int) func() func() {
		return func() func() {
			was, err := w.store.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			lied := append([]byte{}, was...)
			lied[at] ^= 1
			w.replace(name, lied)
			return func() { w.replace(name, was) }
		}
	}
	last := w.count(`SELECT max(first_index) FROM log_positions`)
	row := func(change, back string) func() func() {
		return func() func() {
			w.unguarded(change)
			return func() { w.unguarded(back) }
		}
	}
	flip := `UPDATE log_entries SET bundle = set_byte(bundle, 100, get_byte(bundle, 100) # 1) WHERE seq = (SELECT max(seq) FROM log_positions)`
	note := `UPDATE log_positions SET first_index = first_index + %s WHERE seq = (SELECT max(seq) FROM log_positions)`
	whole := tlog.Tile{H: tileHeight, L: -1, N: 0, W: tileWidth}
	hashes := tlog.Tile{H: tileHeight, L: 0, N: 1, W: tileWidth}
	for name, lie := range map[string]struct {
		tell func() func()
		want string
	}{
		"a byte of a bundle":       {file(tilePath(whole), 5000), "is not what row"},
		"a byte of a tile":         {file(tilePath(hashes), 77), "tile"},
		"a byte of the checkpoint": {file("checkpoint", 30), "checkpoint"},
		"a byte of a row":          {row(flip, flip), "is not what row"},
		"the number of a row": {row(`UPDATE log_entries SET entries = entries + 1 WHERE seq = (SELECT max(seq) FROM log_positions)`,
			`UPDATE log_entries SET entries = entries - 1 WHERE seq = (SELECT max(seq) FROM log_positions)`), "and says"},
		"a place": {row(strings.ReplaceAll(note, "%s", "1"), strings.ReplaceAll(note, "%s", "-1")), "are of no row"},
	} {
		undo := lie.tell()
		if ok, detail := check(); ok || !strings.Contains(detail, lie.want) {
			t.Errorf("%s (of %d entries): %t, %s", name, last, ok, detail)
		}
		undo()
		if ok, detail := check(); !ok {
			t.Fatalf("%s, undone: %s", name, detail)
		}
	}
	w.unguarded(`INSERT INTO log_positions (seq, first_index) SELECT max(e.seq), (SELECT max(first_index) + 200 FROM log_positions) FROM log_entries e`)
	if ok, detail := check(); ok || !strings.Contains(detail, "and not published") {
		t.Errorf("a row that is noted before it is published: %t, %s", ok, detail)
	}
	w.unguarded(`DELETE FROM log_entries WHERE seq = (SELECT seq FROM log_positions WHERE first_index = 0)`)
	if ok, detail := check(); ok || !strings.Contains(detail, "not there") {
		t.Errorf("a row that is gone: %t, %s", ok, detail)
	}
}

func (w *world) replace(name string, data []byte) {
	w.t.Helper()
	if err := w.store.Publish(name, data); err != nil {
		w.t.Fatal(err)
	}
}

// unguarded changes what the guards of the database let nobody change.
func (w *world) unguarded(sql string) {
	w.t.Helper()
	w.exec(`ALTER TABLE log_entries DISABLE TRIGGER ALL`)
	w.exec(`ALTER TABLE log_positions DISABLE TRIGGER ALL`)
	w.exec(sql)
	w.exec(`ALTER TABLE log_entries ENABLE TRIGGER ALL`)
	w.exec(`ALTER TABLE log_positions ENABLE TRIGGER ALL`)
}
