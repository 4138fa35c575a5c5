package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/vault"
)

// apiThatCallsLoopback is the API as `dev` runs it on a database that there is: the only way in which it sends to addresses of this machine.
// It logs what `serve` logs, its connections have the rights of the application's role, and it loads no demo data.
func (r *rig) apiThatCallsLoopback(ctx context.Context) *exec.Cmd {
	api := exec.CommandContext(ctx, r.binary(), "dev", "--no-demo") //nolint:gosec // our own program
	api.Env = append(os.Environ(), "DATABASE_URL="+r.server.SuperuserURL("ballast"), "BALLAST_ADDR="+r.addr,
		"BALLAST_DATA_DIR="+filepath.Join(r.dir, "dev"), "BALLAST_SECRET_KEYS="+vault.NewKey(), "BALLAST_LOG_FORMAT=json", "BALLAST_LOG_LEVEL=info")
	return api
}

// openPayees makes a holder of its own for those who are paid, where events are measured: then each transfer is an event for two.
func (r *rig) openPayees(ctx context.Context, store *access.Store) error {
	r.payees = r.holder
	if !r.opts.Events {
		return nil
	}
	holder, err := store.CreateHolder(ctx, access.NewHolder{Name: "bench payees"})
	if err != nil {
		return err
	}
	r.payees = holder.ID
	_, r.payeesKey, err = store.CreateKey(ctx, access.NewKey{Role: access.RoleHolder, HolderID: holder.ID, Name: "bench payees"})
	return err
}

// holderOf says whose the i-th account is: pick pays from the first half into the second.
func (r *rig) holderOf(i int) uuid.UUID {
	if i < r.opts.Accounts/2 {
		return r.holder
	}
	return r.payees
}

// sink takes whatever is sent to it, and counts.
type sink struct {
	url    string
	server *http.Server
	// taken counts events of transfers; odd counts everything else.
	taken, odd atomic.Int64
}

func openSink(ctx context.Context) (*sink, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + l.Addr().String() + "/"}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.server.Serve(l) }() // Its end is that of the run.
	return s, nil
}

func (s *sink) close() { _ = s.server.Close() }

var aTransfer = []byte(`"type":"transfer.created"`)

// ServeHTTP says yes to every message. It looks at no more than what tells an event from anything else: what receivers do with events is not
// what is measured.
func (s *sink) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil || req.Header.Get("Webhook-Signature") == "" || !bytes.Contains(body, aTransfer) {
		s.odd.Add(1)
	} else {
		s.taken.Add(1)
	}
	w.WriteHeader(http.StatusNoContent)
}

// hook is a webhook endpoint and the key of its owner.
type hook struct{ id, key string }

// subscribe has the transfers of payers and payees sent to a sink.
func (r *rig) subscribe(ctx context.Context, s *sink) ([]hook, error) {
	var hooks []hook
	for _, key := range []string{r.key, r.payeesKey} {
		body := fmt.Sprintf(`{"url":%q,"event_types":["transfer.created"]}`, s.url)
		var made struct{ ID string }
		if err := r.post(ctx, key, "/v1/webhook-endpoints", body, &made); err != nil {
			return nil, err
		}
		hooks = append(hooks, hook{id: made.ID, key: key})
	}
	return hooks, nil
}

// switchAll has events sent, from now on, or not. What is under way then is given the time to end.
func (r *rig) switchAll(ctx context.Context, hooks []hook, on bool) error {
	call, body := "/disable", `{}`
	if on {
		call, body = "/enable", `{"from":"now"}`
	}
	for _, h := range hooks {
		if err := r.post(ctx, h.key, "/v1/webhook-endpoints/"+h.id+call, body, nil); err != nil {
			return err
		}
	}
	return r.awaitRest(ctx)
}

// awaitRest waits until no process has an endpoint to send to.
func (r *rig) awaitRest(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var busy bool
		if err := r.owner.QueryRow(ctx, `SELECT EXISTS (SELECT FROM webhook_endpoints WHERE leased_until > clock_timestamp())`).Scan(&busy); err != nil || !busy {
			return err
		}
	}
	return errors.New("webhooks are still being sent after a minute")
}

// post makes a call of the API, and decodes its answer into out unless that is nil.
func (r *rig) post(ctx context.Context, key, path, body string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.addr+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", uuid.NewString())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	answer, err := io.ReadAll(res.Body)
	if err != nil || out == nil && res.StatusCode == http.StatusOK {
		return err
	}
	if out == nil || res.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s answered %d: %s", path, res.StatusCode, answer)
	}
	return json.Unmarshal(answer, out)
}
