//go:build unix

package pgtest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/pg"
)

const (
	appLogin   = "ballast_test_app"
	adminConns = 4
)

// host is a server that databases are made on.
type host struct {
	base      *url.URL // Of the superuser, to the database that administration goes through.
	admin     *pgxpool.Pool
	mayBeGone bool // A private server, which the test may have stopped before its databases are dropped.

	mu        sync.Mutex
	templates map[string]*preparation
}

func newHost(ctx context.Context, superuserURL string) (*host, error) {
	base, err := url.Parse(superuserURL)
	if err != nil || base.User == nil || !strings.HasPrefix(base.Scheme, "postgres") {
		return nil, fmt.Errorf("the test server's connection string must look like postgres://user:password@host:port/postgres")
	}
	admin, err := pg.Open(ctx, pg.Config{URL: superuserURL, MaxConns: adminConns})
	if err != nil {
		return nil, err
	}
	return &host{base: base, admin: admin, templates: map[string]*preparation{}}, nil
}

// url returns the connection string of a database, for the superuser unless a login is given.
func (h *host) url(database, user, password string) string {
	u := *h.base
	u.Path = "/" + database
	if user != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}

// appPassword is derived from the superuser's, so that every process that shares the server knows it.
func (h *host) appPassword() string {
	mac := hmac.New(sha256.New, []byte(h.base.User.String()))
	mac.Write([]byte(appLogin))
	return hex.EncodeToString(mac.Sum(nil))
}

// quote makes a name of ours an SQL identifier.
func quote(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
