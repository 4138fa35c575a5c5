package providers_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/providers"
)

func newSigningKey(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func (w *world) sign(n providers.NewPledge, key ed25519.PrivateKey) providers.NewPledge {
	w.t.Helper()
	statement, err := n.Statement()
	if err != nil {
		w.t.Fatal(err)
	}
	n.Signature = ed25519.Sign(key, statement)
	return n
}

func TestAStatementIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newPledge(h100, 100*hour+5)
	plain := fmt.Sprintf("ballast-pledge/v1\n{\"expires_at\":%q,\"firmness\":\"firm\",\"gpu_class\":%q,\"hours\":\"100.000005\",\"provider\":%q,\"region\":\"eu-central-1\",\"starts_at\":%q}\n",
		n.ExpiresAt.Format("2006-01-02T15:04:05.000000Z"), h100, id.Format(id.Provider, w.provider), n.StartsAt.Format("2006-01-02T15:04:05.000000Z"))
	if got, err := n.Statement(); err != nil || string(got) != plain {
		t.Errorf("%s, %v; want %s", got, err, plain)
	}
	n.DocumentSHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	signed := "ballast-pledge/v1\n{\"document_sha256\":\"" + n.DocumentSHA256 + "\"," + plain[len("ballast-pledge/v1\n{"):]
	if got, err := n.Statement(); err != nil || string(got) != signed {
		t.Errorf("%s, %v; want %s", got, err, signed)
	}
	n.Region = "a b"
	_, err := n.Statement()
	invalid(t, "a region that is none", err, "region", "malformed")
}

func TestPledgesAreSignedOnceThereIsAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	public, private := newSigningKey(t)
	n := w.newPledge(h100, 100*hour)
	create := func(what string, n providers.NewPledge, want error) providers.Pledge {
		t.Helper()
		p, err := w.store.CreatePledge(t.Context(), n)
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		return p
	}
	if p := create("before there is a key", n, nil); p.Signature != nil || p.SignedWith != nil {
		t.Errorf("%+v", p)
	}
	create("signed before there is a key", w.sign(n, private), providers.ErrSignatureInvalid)
	if _, err := w.store.SigningKey(t.Context(), w.provider); !errors.Is(err, providers.ErrNoSigningKey) {
		t.Error(err)
	}
	if _, err := w.store.SetSigningKey(t.Context(), w.provider, id.New(), public); !errors.Is(err, providers.ErrProviderNotFound) {
		t.Error(err)
	}
	_, err := w.store.SetSigningKey(t.Context(), w.provider, w.provider, public[1:])
	invalid(t, "a key too short", err, "public_key", "malformed")
	for range 2 { // To set it again changes nothing.
		k, err := w.store.SetSigningKey(t.Context(), w.provider, w.provider, public)
		if err != nil || !k.PublicKey.Equal(public) {
			t.Fatalf("%+v, %v", k, err)
		}
	}
	create("without a signature", n, providers.ErrSignatureRequired)
	p := create("signed", w.sign(n, private), nil)
	if got := w.get(p.ID); string(got.Signature) != string(p.Signature) || string(got.SignedWith) != string(public) || len(p.Signature) != 64 {
		t.Errorf("%+v", got)
	}
	signed := w.sign(n, private)
	for i := range 512 {
		forged := signed
		forged.Signature = append([]byte(nil), signed.Signature...)
		forged.Signature[i/8] ^= 1 << (i % 8)
		create(fmt.Sprintf("with bit %d of the signature flipped", i), forged, providers.ErrSignatureInvalid)
	}
	for what, change := range map[string]func(*providers.NewPledge){
		"more hours": func(n *providers.NewPledge) { n.Hours = w.newPledge(h100, 101*hour).Hours }, "another class": func(n *providers.NewPledge) { n.GPUClass = mi300 },
		"another region": func(n *providers.NewPledge) { n.Region = "us" }, "a later end": func(n *providers.NewPledge) { n.ExpiresAt = n.ExpiresAt.Add(1000) },
		"an earlier start": func(n *providers.NewPledge) { n.StartsAt = n.StartsAt.Add(-1000) }, "less firm": func(n *providers.NewPledge) { n.Firmness = providers.Interruptible },
		"a document": func(n *providers.NewPledge) {
			n.DocumentSHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
		},
		"63 bytes": func(n *providers.NewPledge) { n.Signature = n.Signature[:63] }, "no bytes": func(n *providers.NewPledge) { n.Signature = []byte{} },
	} {
		other := signed
		change(&other)
		create(what, other, providers.ErrSignatureInvalid)
	}
	next, nextPrivate := newSigningKey(t)
	if _, err := w.store.SetSigningKey(t.Context(), w.provider, w.provider, next); err != nil {
		t.Fatal(err)
	}
	create("with the key before", signed, providers.ErrSignatureInvalid)
	create("with the next key", w.sign(n, nextPrivate), nil)
	if _, err := w.store.SetSigningKey(t.Context(), w.provider, w.provider, public); !errors.Is(err, providers.ErrSigningKeyRevoked) {
		t.Errorf("the first key again: %v", err)
	}
	for range 2 { // To revoke it again changes nothing.
		if err := w.store.RevokeSigningKey(t.Context(), w.provider); err != nil {
			t.Error(err)
		}
	}
	if err := w.store.RevokeSigningKey(t.Context(), id.New()); !errors.Is(err, providers.ErrProviderNotFound) {
		t.Error(err)
	}
	create("after the key was revoked", n, nil)
	var logged []string
	rows, err := w.Pool.Query(t.Context(), `SELECT convert_from(substring(bundle FROM 3), 'UTF8')::jsonb ->> 'event' FROM log_entries
		WHERE position('"type":"key"'::bytea IN bundle) > 0 ORDER BY seq`)
	if err == nil {
		logged, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if fmt.Sprint(logged) != "[added revoked added revoked]" || err != nil {
		t.Errorf("the log tells of %v, %v", logged, err)
	}
}

// However a change of the key and pledges race, each pledge is signed with the key that the log told of last before it.
func TestPledgesRaceChangesOfTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newPledge(h100, hour)
	var racing sync.WaitGroup
	for range 4 {
		racing.Go(func() {
			for range 8 {
				if _, err := w.store.CreatePledge(t.Context(), n); err != nil && !errors.Is(err, providers.ErrSignatureRequired) {
					t.Error(err)
				}
			}
		})
	}
	for range 6 {
		public, private := newSigningKey(t)
		if _, err := w.store.SetSigningKey(t.Context(), w.provider, w.provider, public); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.CreatePledge(t.Context(), w.sign(n, private)); err != nil {
			t.Error(err)
		}
		if err := w.store.RevokeSigningKey(t.Context(), w.provider); err != nil {
			t.Error(err)
		}
	}
	racing.Wait()
	const entriesSQL = `SELECT e ->> 'type', COALESCE(e ->> 'event', ''), COALESCE(e ->> 'public_key', '') FROM (
		SELECT seq, convert_from(substring(bundle FROM 3), 'UTF8')::jsonb AS e FROM log_entries) AS all_entries ORDER BY seq`
	rows, err := w.Pool.Query(t.Context(), entriesSQL)
	if err != nil {
		t.Fatal(err)
	}
	var kind, event, key, current string
	if _, err := pgx.ForEachRow(rows, []any{&kind, &event, &key}, func() error {
		switch {
		case kind == "key" && event == "added":
			current = key
		case kind == "key":
			current = ""
		case kind == "pledge" && key != current:
			t.Errorf("a pledge is signed with %q, while the log's key is %q", key, current)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// The database refuses an unsigned pledge to everybody.
func TestGuardOfSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	public, _ := newSigningKey(t)
	p := w.pledge(h100, hour)
	if _, err := w.store.SetSigningKey(t.Context(), w.provider, w.provider, public); err != nil {
		t.Fatal(err)
	}
	_, err := w.Pool.Exec(t.Context(), `INSERT INTO pledges (id, provider_id, gpu_class, hours, region, starts_at, expires_at, created_by)
		SELECT $1, provider_id, gpu_class, hours, region, starts_at, expires_at, created_by FROM pledges WHERE id = $2`, id.New(), p.ID)
	if pg.ConstraintName(err) != "pledges_are_signed" {
		t.Error(err)
	}
}
