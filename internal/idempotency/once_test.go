package idempotency_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/pg/pgtest"
)

var (
	someKey      = idempotency.Key{Caller: uuid.UUID{1}, Key: "k"}
	someRequest  = idempotency.RequestDigest("POST /v1/holders", []byte("a"))
	otherRequest = idempotency.RequestDigest("POST /v1/holders", []byte("b"))
)

func TestOnceRepeatsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).App
	first := idempotency.Answer{Status: 201, Body: []byte(`{"id":"1"}`)}
	for i, wantReplayed := range []bool{false, true, true} {
		got, replayed, err := idempotency.Once(t.Context(), db, someKey, someRequest, func(pgx.Tx) (idempotency.Answer, error) {
			if i > 0 {
				t.Error("the effect ran again")
			}
			return first, nil
		})
		if diff := cmp.Diff(first, got); diff != "" || replayed != wantReplayed || err != nil {
			t.Errorf("call %d: replayed %t, %v %s", i, replayed, err, diff)
		}
	}
	_, _, err := idempotency.Once(t.Context(), db, someKey, otherRequest, nil)
	if !errors.Is(err, idempotency.ErrReused) {
		t.Errorf("another request with the key: %v", err)
	}
}

func TestKeysOfTwoCallersDoNotMeet(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).App
	for i := range 2 {
		k := idempotency.Key{Caller: uuid.UUID{byte(i)}, Key: "k"}
		_, replayed, err := idempotency.Once(t.Context(), db, k, someRequest, func(pgx.Tx) (idempotency.Answer, error) {
			return idempotency.Answer{Status: 201, Body: []byte{}}, nil
		})
		if replayed || err != nil {
			t.Errorf("caller %d: replayed %t, %v", i, replayed, err)
		}
	}
}

func TestARefusalKeepsNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t).App
	refusal := errors.New("refused")
	for _, want := range []error{refusal, nil} {
		_, replayed, err := idempotency.Once(t.Context(), db, someKey, someRequest, func(pgx.Tx) (idempotency.Answer, error) {
			return idempotency.Answer{Status: 201, Body: []byte{}}, want
		})
		if replayed || !errors.Is(err, want) {
			t.Errorf("replayed %t, %v; want %v", replayed, err, want)
		}
	}
}

// The effect leaves a row of its own, so that effects are counted by what was committed, not by what was tried.
func TestRacingCallersHaveOneEffect(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	if _, err := database.Pool.Exec(t.Context(), `CREATE TABLE effects (n int); GRANT INSERT ON effects TO ballast_app`); err != nil {
		t.Fatal(err)
	}
	const callers = 40
	var next atomic.Int64
	answers := make([]string, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			a, _, err := idempotency.Once(t.Context(), database.App, someKey, someRequest, func(tx pgx.Tx) (idempotency.Answer, error) {
				n := next.Add(1)
				_, err := tx.Exec(t.Context(), `INSERT INTO effects VALUES ($1)`, n)
				return idempotency.Answer{Status: 201, Body: fmt.Append(nil, n)}, err
			})
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
			answers[i] = string(a.Body)
		})
	}
	wg.Wait()
	var effects int
	if err := database.Pool.QueryRow(t.Context(), `SELECT count(*) FROM effects`).Scan(&effects); err != nil || effects != 1 {
		t.Errorf("%d effects, %v", effects, err)
	}
	for i, a := range answers {
		if a != answers[0] {
			t.Errorf("caller %d was told %s, caller 0 %s", i, a, answers[0])
		}
	}
}
