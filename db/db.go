// Package db carries the schema of Ballast: the migrations, in plain SQL, and the means to apply them.
package db

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations returns the migrations that this program was built with: files NNNN_title.up.sql and .down.sql.
func Migrations() fs.FS {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(fmt.Sprintf("db: %v", err)) // The name is a constant and valid.
	}
	return files
}

// Latest returns the version that the schema has once all of Migrations are applied.
func Latest() uint {
	versions, err := Versions(Migrations())
	if err != nil {
		panic(fmt.Sprintf("db: %v", err)) // A test of this package reads the same files.
	}
	return versions[len(versions)-1]
}

var fileName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.(up|down)\.sql$`)

// Versions returns the numbers of the migrations in files, which must run 1, 2, 3, … without a gap, each with
// one file up and one down. A number that was merged below one already applied would be skipped in silence, so a gap
// or a double is an error.
func Versions(files fs.FS) ([]uint, error) {
	directions := map[uint][]string{}
	names, err := fs.Glob(files, "*")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	for _, name := range names {
		match := fileName.FindStringSubmatch(name)
		if match == nil {
			return nil, fmt.Errorf("migration %s: the name is not NNNN_title.up.sql or .down.sql", name)
		}
		version, err := strconv.ParseUint(match[1], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		directions[uint(version)] = append(directions[uint(version)], match[2])
	}
	if len(directions) == 0 {
		return nil, fmt.Errorf("no migrations: %w", fs.ErrNotExist)
	}
	return inOrder(directions)
}

func inOrder(directions map[uint][]string) ([]uint, error) {
	versions := make([]uint, 0, len(directions))
	for version, found := range directions {
		slices.SortFunc(found, cmp.Compare[string])
		if !slices.Equal(found, []string{"down", "up"}) {
			return nil, fmt.Errorf("migration %04d has the files %v instead of one up and one down", version, found)
		}
		versions = append(versions, version)
	}
	slices.Sort(versions)
	for i, version := range versions {
		if want := uint(i) + 1; version != want {
			return nil, fmt.Errorf("migration %04d is missing before %04d", want, version)
		}
	}
	return versions, nil
}
