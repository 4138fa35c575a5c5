package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/pg/embedded"
)

const (
	devDatabase = "ballast"
	ownerRole   = "ballast_owner"
	apiRole     = "ballast_api"
	appRole     = "ballast_app"
)

// devPostgres is the database that dev works with: one of its own, or one that exists.
type devPostgres struct {
	owner string // Where to migrate.
	api   login
	// server and dir are of a Postgres of its own, and nil and empty otherwise.
	server *embedded.Server
	dir    dataDir
}

// openDevPostgres starts a Postgres, or takes the one of DATABASE_URL. Either way the API gets no more rights than it needs.
func openDevPostgres(ctx context.Context, p *program) (*devPostgres, error) {
	if url := p.settings.DatabaseURL; url != "" {
		return &devPostgres{owner: url, api: login{url: url, role: appRole}}, nil
	}
	server, err := embedded.Start(ctx, embedded.Options{DataDir: p.settings.dataDir(), Log: progressLog(p.stderr)})
	if err != nil {
		return nil, err
	}
	d := &devPostgres{server: server, dir: dataDir(server.DataDir())}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	return d, nil
}

// prepare makes the database and two logins: the owner of the schema, who is no superuser, and the API's.
func (d *devPostgres) prepare(ctx context.Context) error {
	ownerPassword, err := d.dir.secret(ownerPasswordFile)
	if err != nil {
		return err
	}
	apiPassword, err := d.dir.secret(apiPasswordFile)
	if err != nil {
		return err
	}
	if err := d.makeRoles(ctx, ownerPassword, apiPassword); err != nil {
		return fmt.Errorf("prepare the database: %w", err)
	}
	d.owner = d.server.URL(devDatabase, ownerRole, ownerPassword)
	d.api = login{url: d.server.URL(devDatabase, apiRole, apiPassword)}
	if err := d.dir.write(ownerURLFile, d.owner+"\n"); err != nil {
		return err
	}
	return d.dir.write(apiURLFile, d.api.url+"\n")
}

// makeRoles may be repeated: what is there stays, but for the passwords, which become those of the files.
func (d *devPostgres) makeRoles(ctx context.Context, ownerPassword, apiPassword string) error {
	conn, err := pgx.Connect(ctx, d.server.SuperuserURL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, role := range []string{appRole, ownerRole, apiRole} {
		if err := makeUnlessThere(ctx, conn, "SELECT FROM pg_roles WHERE rolname = $1", role, "CREATE ROLE "+role); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, fmt.Sprintf(`ALTER ROLE %s LOGIN PASSWORD '%s'; ALTER ROLE %s LOGIN PASSWORD '%s'; GRANT %s TO %s`,
		ownerRole, ownerPassword, apiRole, apiPassword, appRole, apiRole))
	if err != nil {
		return err
	}
	return makeUnlessThere(ctx, conn, "SELECT FROM pg_database WHERE datname = $1", devDatabase,
		"CREATE DATABASE "+devDatabase+" OWNER "+ownerRole)
}

func makeUnlessThere(ctx context.Context, conn *pgx.Conn, query, name, statement string) error {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS ("+query+")", name).Scan(&there); err != nil || there {
		return err
	}
	_, err := conn.Exec(ctx, statement)
	return err
}

// admit lets a login that is not a superuser act as the application's role, once migrations have made that.
func (d *devPostgres) admit(ctx context.Context) error {
	if d.api.role == "" {
		return nil
	}
	conn, err := pgx.Connect(ctx, d.owner)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "SET ROLE "+d.api.role); err == nil {
		return nil
	}
	if _, err := conn.Exec(ctx, "GRANT "+d.api.role+" TO CURRENT_USER"); err != nil {
		return fmt.Errorf("the login of DATABASE_URL can neither act as %s nor be made to (GRANT %s to it): %w", d.api.role, d.api.role, err)
	}
	return nil
}

// lost is closed when a Postgres of its own is gone for good.
func (d *devPostgres) lost() <-chan struct{} {
	if d.server == nil {
		return nil
	}
	return d.server.Done()
}

// close stops a Postgres of its own, and removes what told others how to reach it.
func (d *devPostgres) close(ctx context.Context) error {
	if d.server == nil {
		return nil
	}
	for _, file := range []string{ownerURLFile, apiURLFile} {
		_ = os.Remove(d.dir.path(file)) // A stale one only makes for a worse message.
	}
	return d.server.Stop(context.WithoutCancel(ctx))
}
