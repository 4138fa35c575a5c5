package ledger

import (
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/leaf"
)

// identities remembers how accounts stand in the log: under which public name, or by which key. Neither ever changes, and a key is
// destroyed only when nothing can be posted to its account any more; so what was found once need not be looked up again. It
// forgets at random what it has no room for.
type identities struct {
	mu    sync.Mutex
	known map[uuid.UUID]*leaf.Account
}

// maxIdentities bounds them, at about 150 bytes each.
const maxIdentities = 1 << 16

func newIdentities() *identities { return &identities{known: make(map[uuid.UUID]*leaf.Account)} }

// find returns those of ids that are known, by their ids, and the others.
func (k *identities) find(ids uuids) (found map[uuid.UUID]*leaf.Account, unknown uuids) {
	found = make(map[uuid.UUID]*leaf.Account, len(ids))
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, account := range ids {
		if a, ok := k.known[account]; ok {
			found[account] = a
		} else {
			unknown = append(unknown, account)
		}
	}
	return found, unknown
}

func (k *identities) add(a *leaf.Account) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) >= maxIdentities {
		for account := range k.known {
			delete(k.known, account)
			break
		}
	}
	k.known[a.ID] = a
}

const identifySQL = `
SELECT a.id, a.kind, a.asset, COALESCE(a.pledge_id, a.provider_id), k.key
FROM unnest($1::uuid[]) AS wanted (id)
CROSS JOIN LATERAL (SELECT * FROM accounts WHERE accounts.id = wanted.id OFFSET 0) AS a
LEFT JOIN LATERAL (SELECT key FROM account_keys WHERE account_keys.account_id = wanted.id OFFSET 0) AS k ON true`

// identify returns how accounts stand in the log, by their ids. It queues a lookup of those that this process has not had before: in the long run there are few.
func (a *application) identify(b *pgx.Batch, ids uuids) map[uuid.UUID]*leaf.Account {
	found, unknown := a.identities.find(ids)
	if len(unknown) > 0 {
		b.Queue(identifySQL, unknown.column()).Query(func(rows pgx.Rows) error {
			looked, err := scanIdentities(rows)
			for _, account := range looked {
				found[account.ID] = account
				a.identities.add(account)
			}
			return err
		})
	}
	return found
}

// scanIdentities reads the rows of identifySQL.
func scanIdentities(rows pgx.Rows) ([]*leaf.Account, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*leaf.Account, error) {
		account := &leaf.Account{}
		var kind AccountKind
		var asset string
		var owner pgtype.UUID
		var key []byte
		err := row.Scan((*[16]byte)(&account.ID), (*string)(&kind), &asset, &owner, &key)
		account.Name = publicName(kind, asset, owner.Bytes)
		copy(account.Key[:], key)
		return account, err
	})
}

// publicPlaces are the kinds of account of a pledge as they are named in the log.
var publicPlaces = map[AccountKind]string{
	AccountCommitment: "commitment", AccountAvailable: "available", AccountBacking: "backing", AccountEarmarked: "earmarked",
	AccountDelivered: "delivered", AccountExpired: "expired", AccountReleased: "released",
}

// publicName returns how the log names an account that is nobody's private one, and "" for the others.
func publicName(kind AccountKind, asset string, owner uuid.UUID) string {
	if kind == AccountIssuance {
		return "issuance/" + id.Format(id.Provider, owner)
	}
	if kind == AccountRounding {
		return "rounding/" + asset
	}
	if place, ok := publicPlaces[kind]; ok {
		return place + "/" + id.Format(id.Pledge, owner)
	}
	return ""
}
