//go:build unix

package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/db"
	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	// templateFormat changes when templates are built differently, so that old ones are not taken for new.
	templateFormat = "2"

	// templateLock is the advisory lock, on the administration database, under which templates are built.
	templateLock = 0x7067746573740001
)

// template is a database that others are cloned from.
type template struct {
	name   string
	hasApp bool // The migrations made the role ballast_app.
}

// preparation is one template's building, by whichever test of this process needs it first.
type preparation struct {
	once     sync.Once
	template template
	err      error
}

// template returns the template for o, and builds it if no process has yet. One that is seeded is a copy of one that is not, since its migrations are those of
// all packages, and its seed is of one.
func (h *host) template(ctx context.Context, o options) (template, error) {
	name, err := templateName(o)
	if err != nil {
		return template{}, err
	}
	var source template
	if o.seed != nil {
		unseeded := o
		unseeded.seed, unseeded.seedName = nil, ""
		if source, err = h.template(ctx, unseeded); err != nil {
			return template{}, err
		}
	}
	h.mu.Lock()
	p := h.templates[name]
	if p == nil {
		p = &preparation{}
		h.templates[name] = p
	}
	h.mu.Unlock()
	p.once.Do(func() {
		// The test that happens to come first may be cancelled; the others still need the template.
		p.template, p.err = h.prepare(context.WithoutCancel(ctx), name, source, o)
	})
	return p.template, p.err
}

func templateName(o options) (string, error) {
	sum := sha256.New()
	field(sum, templateFormat)
	if o.migrations != nil {
		if err := hashFiles(sum, o.migrations); err != nil {
			return "", err
		}
	}
	if o.jobs {
		field(sum, "jobs", db.JobsSource())
	}
	if o.seed != nil {
		binary, err := binaryHash()
		if err != nil {
			return "", err
		}
		field(sum, o.seedName, binary)
	}
	return "ballast_template_" + hex.EncodeToString(sum.Sum(nil))[:24], nil
}

// field adds values so that their ends are known.
func field(sum hash.Hash, values ...string) {
	for _, value := range values {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(value), value) // A hash takes everything.
	}
}

func hashFiles(sum hash.Hash, files fs.FS) error {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return err
	}
	for _, name := range names { // Glob sorts.
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		field(sum, name, string(text))
	}
	return nil
}

// binaryHash tells one build of a test binary, and so of its seeds, from another.
var binaryHash = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
})

// prepare builds the template unless it is there, one process at a time. It appears under its name only when
// complete: what a killed process leaves behind has another name.
func (h *host) prepare(ctx context.Context, name string, source template, o options) (template, error) {
	conn, err := pgx.Connect(ctx, h.base.String())
	if err != nil {
		return template{}, err
	}
	defer func() { _ = conn.Close(ctx) }() // Also gives up the lock.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(templateLock)); err != nil {
		return template{}, err
	}
	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil {
		return template{}, err
	}
	if !exists {
		if err := h.build(ctx, conn, name, source, o); err != nil {
			return template{}, err
		}
	}
	hasApp, err := h.ensureAppLogin(ctx, conn, o)
	return template{name: name, hasApp: hasApp}, err
}

func (h *host) build(ctx context.Context, conn *pgx.Conn, name string, source template, o options) error {
	building := name + "_new"
	if _, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(building)+" WITH (FORCE)"); err != nil {
		return err
	}
	if err := h.fill(ctx, conn, building, source, o); err != nil {
		return err
	}
	for _, sql := range []string{
		"ALTER DATABASE " + quote(building) + " WITH ALLOW_CONNECTIONS false", // A connection would be in the way of cloning.
		"ALTER DATABASE " + quote(building) + " RENAME TO " + quote(name),
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) fill(ctx context.Context, conn *pgx.Conn, building string, source template, o options) error {
	if o.seed != nil {
		if err := h.clone(ctx, source, building); err != nil {
			return err
		}
		return o.sow(ctx, h.url(building, "", ""))
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+quote(building)+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
		return err
	}
	return o.migrate(ctx, h.url(building, "", ""))
}

func (o *options) migrate(ctx context.Context, url string) error {
	if o.migrations == nil {
		return nil
	}
	var opts []db.Option
	if o.jobs {
		opts = append(opts, db.WithJobs())
	}
	migrator, err := db.OpenMigrator(ctx, url, o.migrations, nil, opts...)
	if err != nil {
		return err
	}
	return errors.Join(migrator.Up(ctx), migrator.Close())
}

func (o *options) sow(ctx context.Context, url string) error {
	pool, err := pg.Open(ctx, pg.Config{URL: url, MaxConns: adminConns})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := o.seed(ctx, pool); err != nil {
		return fmt.Errorf("seed %q: %w", o.seedName, err)
	}
	return nil
}

// ensureAppLogin makes the login that has only ballast_app's rights, and reports whether there is such a role. It runs
// under the template lock.
func (h *host) ensureAppLogin(ctx context.Context, conn *pgx.Conn, o options) (bool, error) {
	var role, login bool
	err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ballast_app'),
		EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, appLogin).Scan(&role, &login)
	if err != nil || !role || o.migrations == nil {
		return false, err
	}
	verb := "CREATE"
	if login {
		verb = "ALTER"
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("%s ROLE %s LOGIN PASSWORD '%s'; GRANT ballast_app TO %s",
		verb, appLogin, h.appPassword(), appLogin))
	return true, err
}

// clone copies the template with its rights on the database itself, which CREATE DATABASE leaves out.
func (h *host) clone(ctx context.Context, source template, name string) error {
	_, err := h.admin.Exec(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(source.name)+" STRATEGY file_copy")
	if err != nil {
		return err
	}
	rows, err := h.admin.Query(ctx, `SELECT format('GRANT %s ON DATABASE %I TO %s', acl.privilege_type, $2::text,
			CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END)
		FROM pg_database d, aclexplode(d.datacl) acl
		WHERE d.datname = $1 AND d.datacl IS NOT NULL`, source.name, name)
	if err != nil {
		return err
	}
	grants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(grants) == 0 {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue("REVOKE ALL ON DATABASE " + quote(name) + " FROM PUBLIC")
	for _, grant := range grants {
		batch.Queue(grant)
	}
	return h.admin.SendBatch(ctx, batch).Close()
}
