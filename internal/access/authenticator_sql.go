package access

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// liveKeys returns the keys of the wanted prefixes that are not revoked and whose owner is not suspended. Expiry is
// judged at each use instead, by the clock of the process.
func liveKeys(ctx context.Context, db querier, wanted map[prefix]*load) (map[prefix][]liveKey, error) {
	prefixes := make([]string, 0, len(wanted))
	for p := range wanted {
		prefixes = append(prefixes, string(p[:]))
	}
	rows, err := db.Query(ctx, `SELECT k.prefix, k.hash, k.id, k.principal_id, k.role, k.holder_id, k.provider_id, k.expires_at
		FROM api_keys k LEFT JOIN holders h ON h.id = k.holder_id LEFT JOIN providers p ON p.id = k.provider_id
		WHERE k.prefix = ANY($1) AND k.revoked_at IS NULL
			AND coalesce(h.status, 'active') = 'active' AND coalesce(p.status, 'active') = 'active'`, prefixes)
	if err != nil {
		return nil, fmt.Errorf("access: read keys: %w", err)
	}
	found := make(map[prefix][]liveKey, len(wanted))
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		p, k, err := scanLiveKey(row)
		found[p] = append(found[p], k)
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("access: read keys: %w", err)
	}
	return found, nil
}

func scanLiveKey(row pgx.CollectableRow) (prefix, liveKey, error) {
	var start string
	var hash []byte
	var holder, provider *uuid.UUID
	var expiresAt *time.Time
	k := liveKey{used: new(lastUse)}
	err := row.Scan(&start, &hash, &k.principal.KeyID, &k.principal.ID, &k.principal.Role, &holder, &provider, &expiresAt)
	k.principal.HolderID, k.principal.ProviderID = orNil(holder), orNil(provider)
	copy(k.hash[:], hash)
	if expiresAt != nil {
		k.expiresAt = *expiresAt
	}
	var p prefix
	copy(p[:], start)
	return p, k, err
}

// recordUses never moves a last use back, and locks keys in the order of their ids, so that processes which flush at
// once do not deadlock.
func recordUses(ctx context.Context, db querier, ids []uuid.UUID, times []time.Time) error {
	_, err := db.Exec(ctx, `UPDATE api_keys k SET last_used_at = u.at
		FROM (SELECT k.id, u.at FROM api_keys k JOIN unnest($1::uuid[], $2::timestamptz[]) AS u (id, at) ON u.id = k.id
			ORDER BY k.id FOR UPDATE OF k) u
		WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.at)`, ids, times)
	if err != nil {
		return fmt.Errorf("access: record uses: %w", err)
	}
	return nil
}
