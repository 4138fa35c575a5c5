package access

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
)

func newHolder(t testing.TB, s *Store) Holder {
	t.Helper()
	h, err := s.CreateHolder(t.Context(), NewHolder{Name: "Ada"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newKey(t testing.TB, s *Store, k NewKey) (Key, string) {
	t.Helper()
	if k.Name == "" {
		k.Name = "test"
	}
	key, secret, err := s.CreateKey(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	return key, secret
}

func TestKeyBelongsToTheOwnerOfItsRole(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	h := newHolder(t, s)
	provider := id.New()
	if _, err := s.db.Exec(t.Context(), `INSERT INTO providers (id, name) VALUES ($1, 'P')`, provider); err != nil {
		t.Fatal(err)
	}
	holderKey, _ := newKey(t, s, NewKey{Role: RoleHolder, HolderID: h.ID})
	providerKey, _ := newKey(t, s, NewKey{Role: RoleProvider, ProviderID: provider})
	if holderKey.PrincipalID != h.ID || holderKey.HolderID != h.ID || providerKey.PrincipalID != provider || providerKey.ProviderID != provider {
		t.Errorf("holder's key %+v, provider's key %+v", holderKey, providerKey)
	}
	one, _ := newKey(t, s, NewKey{Role: RoleOperator})
	two, _ := newKey(t, s, NewKey{Role: RoleOperator})
	if one.PrincipalID == two.PrincipalID {
		t.Error("two operators are one principal")
	}
	got, err := s.GetKey(t.Context(), holderKey.ID)
	if diff := cmp.Diff(holderKey, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestKeysThatMayNotBe(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	past := time.Now().Add(-time.Second)
	for field, k := range map[string]NewKey{
		"role":        {Role: "admin", Name: "n"},
		"holder_id":   {Role: RoleHolder, Name: "n"},
		"provider_id": {Role: RoleProvider, Name: "n"},
		"name":        {Role: RoleAuditor},
		"expires_at":  {Role: RoleAuditor, Name: "n", ExpiresAt: &past},
	} {
		_, _, err := s.CreateKey(t.Context(), k)
		if e, ok := errors.AsType[*InvalidError](err); !ok || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for field, k := range map[string]NewKey{
		"holder_id":   {Role: RoleOperator, Name: "n", HolderID: id.New()},
		"provider_id": {Role: RoleFinance, Name: "n", ProviderID: id.New()},
	} {
		_, _, err := s.CreateKey(t.Context(), k)
		if e, ok := errors.AsType[*InvalidError](err); !ok || e.Field != field {
			t.Errorf("%s of another role: %v", field, err)
		}
	}
	for _, k := range []NewKey{{Role: RoleHolder, Name: "n", HolderID: id.New()}, {Role: RoleProvider, Name: "n", ProviderID: id.New()}} {
		if _, _, err := s.CreateKey(t.Context(), k); !errors.Is(err, ErrNotFound) {
			t.Errorf("a key for nobody: %v", err)
		}
	}
}

func TestOnlyTheHashOfAKeyIsStored(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	_, secret := newKey(t, s, NewKey{Role: RoleOperator})
	var row string
	if err := s.db.QueryRow(t.Context(), `SELECT k::text FROM api_keys k`).Scan(&row); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(row, secret[:PrefixLen]) || strings.Contains(row, secret[PrefixLen+1:]) {
		t.Errorf("the row is %s", row)
	}
}

func TestListKeysGoesFromNewestToOldest(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	var want []uuid.UUID
	for range 5 {
		k, _ := newKey(t, s, NewKey{Role: RoleAuditor})
		want = append([]uuid.UUID{k.ID}, want...)
	}
	var got []uuid.UUID
	for before := uuid.Nil; ; before = got[len(got)-1] {
		page, err := s.ListKeys(t.Context(), before, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, k := range page {
			got = append(got, k.ID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRotationKeepsThePrincipal(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	end := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	old, oldSecret := newKey(t, s, NewKey{Role: RoleFinance, Name: "books"})
	next, secret, err := s.RotateKey(t.Context(), Rotation{KeyID: old.ID, Overlap: time.Minute, ExpiresAt: &end})
	if err != nil {
		t.Fatal(err)
	}
	if next.PrincipalID != old.PrincipalID || next.Role != old.Role || next.Name != old.Name || secret == oldSecret || next.ID == old.ID {
		t.Errorf("the successor is %+v", next)
	}
	if next.ExpiresAt == nil || !next.ExpiresAt.Equal(end) {
		t.Errorf("the successor ends at %v instead of %s", next.ExpiresAt, end)
	}
	old, err = s.GetKey(t.Context(), old.ID)
	if err != nil || old.ReplacedBy != next.ID {
		t.Errorf("the old key is %+v, %v", old, err)
	}
	if left := time.Until(*old.ExpiresAt); left < 55*time.Second || left > 61*time.Second {
		t.Errorf("the old key lives on for %s", left)
	}
}

func TestRotationNeverProlongsAKey(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	end := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	old, _ := newKey(t, s, NewKey{Role: RoleFinance, ExpiresAt: &end})
	if _, _, err := s.RotateKey(t.Context(), Rotation{KeyID: old.ID, Overlap: 2 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if old, _ = s.GetKey(t.Context(), old.ID); !old.ExpiresAt.Equal(end) {
		t.Errorf("the old key expires at %s instead of %s", old.ExpiresAt, end)
	}
}

func TestKeysThatCannotBeRotated(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	replaced, _ := newKey(t, s, NewKey{Role: RoleFinance})
	if _, _, err := s.RotateKey(t.Context(), Rotation{KeyID: replaced.ID, Overlap: time.Hour}); err != nil {
		t.Fatal(err)
	}
	revoked, _ := newKey(t, s, NewKey{Role: RoleFinance})
	if _, err := s.RevokeKey(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	for want, keyID := range map[error]uuid.UUID{ErrConflict: revoked.ID, ErrNotFound: id.New()} {
		if _, _, err := s.RotateKey(t.Context(), Rotation{KeyID: keyID}); !errors.Is(err, want) {
			t.Errorf("RotateKey = %v, want %v", err, want)
		}
	}
	if _, _, err := s.RotateKey(t.Context(), Rotation{KeyID: replaced.ID}); !errors.Is(err, ErrConflict) {
		t.Errorf("the second rotation of one key = %v", err)
	}
	past := time.Now().Add(-time.Second)
	for _, r := range []Rotation{{Overlap: -1}, {Overlap: MaxOverlap + 1}, {ExpiresAt: &past}} {
		_, _, err := s.RotateKey(t.Context(), r)
		if _, ok := errors.AsType[*InvalidError](err); !ok {
			t.Errorf("%+v = %v", r, err)
		}
	}
}

// The second rotation starts while the first has not committed, and must wait to see what became of it.
func TestRacingRotationsMakeOneSuccessor(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	old, _ := newKey(t, s, NewKey{Role: RoleOperator})
	rotation := Rotation{KeyID: old.ID, Overlap: time.Hour}
	tx, err := s.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, _, err := s.RotateKeyTx(t.Context(), tx, rotation); err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		_, _, err := s.RotateKey(t.Context(), rotation)
		second <- err
	}()
	for waiting := 0; waiting == 0; {
		err := s.db.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-second; !errors.Is(err, ErrConflict) {
		t.Errorf("the second rotation = %v", err)
	}
	if keys, err := s.ListKeys(t.Context(), uuid.Nil, 100); len(keys) != 2 || err != nil {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestRevokingTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	k, _ := newKey(t, s, NewKey{Role: RoleOperator})
	first, err := s.RevokeKey(t.Context(), k.ID)
	if err != nil || first.RevokedAt == nil {
		t.Fatalf("RevokeKey = %+v, %v", first, err)
	}
	second, err := s.RevokeKey(t.Context(), k.ID)
	if diff := cmp.Diff(first, second); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := s.RevokeKey(t.Context(), id.New()); !errors.Is(err, ErrNotFound) {
		t.Errorf("RevokeKey of no key = %v", err)
	}
}

func TestOperatorKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	secret := strings.Repeat("operator_", 4)
	ids := make([]uuid.UUID, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := s.EnsureOperatorKey(t.Context(), secret)
			if err != nil || k.Role != RoleOperator {
				t.Errorf("EnsureOperatorKey = %+v, %v", k, err)
			}
			ids[i] = k.ID
		})
	}
	wg.Wait()
	keys, err := s.ListKeys(t.Context(), uuid.Nil, 10)
	if err != nil || len(keys) != 1 || keys[0].ID != ids[0] {
		t.Errorf("the keys are %+v, %v", keys, err)
	}
	if _, err := s.RevokeKey(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EnsureOperatorKey(t.Context(), secret); !errors.Is(err, ErrConflict) {
		t.Errorf("a revoked key came back: %v", err)
	}
	_, err = s.EnsureOperatorKey(t.Context(), "short")
	if _, ok := errors.AsType[*InvalidError](err); !ok {
		t.Errorf("a short key = %v", err)
	}
}

// With a key of another principal, an operator would be the second one whom four eyes need.
func TestAnOperatorIsNotTwo(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	one, _ := newKey(t, s, NewKey{Role: RoleOperator})
	two, _ := newKey(t, s, NewKey{Role: RoleOperator})
	if one.CreatedBy != uuid.Nil {
		t.Errorf("made here, and by %s", one.CreatedBy)
	}
	another, _ := newKey(t, s, NewKey{Role: RoleOperator, MadeBy: one.PrincipalID})
	if another.PrincipalID != one.PrincipalID || another.CreatedBy != one.PrincipalID {
		t.Errorf("%s made themselves a key of %s, by %s", one.PrincipalID, another.PrincipalID, another.CreatedBy)
	}
	auditor, _ := newKey(t, s, NewKey{Role: RoleAuditor, MadeBy: one.PrincipalID})
	if auditor.PrincipalID == one.PrincipalID || auditor.CreatedBy != one.PrincipalID {
		t.Errorf("the auditor is %s, made by %s", auditor.PrincipalID, auditor.CreatedBy)
	}
	if _, _, err := s.RotateKey(t.Context(), Rotation{KeyID: two.ID, MadeBy: one.PrincipalID}); !errors.Is(err, ErrOthersKey) {
		t.Errorf("the successor of another operator's key: %v", err)
	}
	for of, by := range map[uuid.UUID]uuid.UUID{another.ID: one.PrincipalID, auditor.ID: two.PrincipalID, two.ID: uuid.Nil} {
		if next, _, err := s.RotateKey(t.Context(), Rotation{KeyID: of, MadeBy: by}); err != nil || next.CreatedBy != by {
			t.Errorf("rotated by %s: made by %s, %v", by, next.CreatedBy, err)
		}
	}
}

// The database refuses it as well, whatever the program does.
func TestNoOperatorsKeyIsMadeByAnother(t *testing.T) {
	t.Parallel()
	s := NewStore(newPool(t))
	one, _ := newKey(t, s, NewKey{Role: RoleOperator})
	insert := func(role string, principal uuid.UUID) error {
		_, err := s.db.Exec(t.Context(), `INSERT INTO api_keys (id, principal_id, role, name, prefix, hash, created_by)
			SELECT gen_random_uuid(), $1, $2, 'k', prefix, hash, principal_id FROM api_keys WHERE id = $3`, principal, role, one.ID)
		return err
	}
	if err := insert("operator", id.New()); pg.ConstraintName(err) != "api_keys_of_operators_are_their_makers" {
		t.Errorf("a key of another operator: %v", err)
	}
	if err := errors.Join(insert("operator", one.PrincipalID), insert("finance", id.New())); err != nil {
		t.Error(err)
	}
}
