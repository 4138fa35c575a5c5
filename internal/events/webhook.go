package events

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/vault"
)

// MaxEndpoints is how many webhook endpoints of one owner may be enabled.
const MaxEndpoints = 20

// SealedSecrets is where the secrets of endpoints are kept.
var SealedSecrets = vault.Column{Table: "webhook_secrets", Name: "sealed"}

// The ways in which a call about webhooks is refused. Nothing has changed when one is returned.
var (
	// ErrEndpointNotFound means that there is no such endpoint, or none of the caller's.
	ErrEndpointNotFound = errors.New("no such webhook endpoint")
	// ErrTooManyEndpoints means that the owner has MaxEndpoints that are enabled.
	ErrTooManyEndpoints = errors.New("too many webhook endpoints are enabled")
	// ErrEndpointDisabled means that nothing is sent to the endpoint.
	ErrEndpointDisabled = errors.New("webhook endpoint is disabled")
	// ErrDeliveryNotFound means that there is no such delivery to the endpoint.
	ErrDeliveryNotFound = errors.New("no such delivery")
)

// EndpointStatus says whether an endpoint is sent to.
type EndpointStatus string

// The statuses of endpoints.
const (
	EndpointEnabled  EndpointStatus = "enabled"
	EndpointDisabled EndpointStatus = "disabled"
)

// DisabledReason says why an endpoint is disabled.
type DisabledReason string

// The reasons. Its owner asked for it; it answered 410; or a delivery was given up when none had succeeded for days.
const (
	DisabledByOwner DisabledReason = "requested"
	DisabledGone    DisabledReason = "gone"
	DisabledFailing DisabledReason = "failing"
)

// Endpoint is where somebody wants events sent.
type Endpoint struct {
	ID uuid.UUID
	// Owner is whose events are sent: a holder's, a provider's, or, of the operators', all.
	Owner       Viewer
	URL         string
	Description string
	// Types are words as Select takes them; none stand for all.
	Types  []string
	Status EndpointStatus
	// DisabledReason and DisabledAt are zero while it is enabled.
	DisabledReason DisabledReason
	DisabledAt     time.Time
	// FailingSince is when a delivery failed after which none has succeeded, or zero.
	FailingSince time.Time
	CreatedAt    time.Time
	// Secrets are those that sign, oldest first.
	Secrets []EndpointSecret
}

// EndpointSecret is what is known of a secret, without the secret.
type EndpointSecret struct {
	ID        uuid.UUID
	CreatedAt time.Time
	// ExpiresAt is when it signs no more, or zero for never.
	ExpiresAt time.Time
}

// Webhooks keeps endpoints and their deliveries. It may be used from many goroutines.
type Webhooks struct {
	db    *pgxpool.Pool
	feed  *Feed
	vault *vault.Vault
}

// NewWebhooks returns the webhooks in the database of db, for what feed tells.
func NewWebhooks(db *pgxpool.Pool, feed *Feed, secrets *vault.Vault) *Webhooks {
	return &Webhooks{db: db, feed: feed, vault: secrets}
}

// NewEndpoint is an endpoint to be made.
type NewEndpoint struct {
	Owner       Viewer
	CreatedBy   uuid.UUID
	URL         string
	Description string
	Types       []string
	// Secret is what its deliveries are signed with.
	Secret string
}

// CreateTx makes an endpoint, which is sent what happens from now on. The URL and the types must have been judged. It returns
// ErrTooManyEndpoints, or an error of the vault.
func (w *Webhooks) CreateTx(ctx context.Context, tx pgx.Tx, n NewEndpoint) (*Endpoint, error) {
	from, err := w.feed.Latest(ctx)
	if err != nil {
		return nil, err
	}
	if err := mayEnable(ctx, tx, n.Owner); err != nil {
		return nil, err
	}
	endpoint := id.New()
	if _, err := tx.Exec(ctx, insertEndpointSQL, endpoint, orNull(n.Owner.HolderID), orNull(n.Owner.ProviderID), n.CreatedBy, n.URL,
		orNull(n.Description), noneAsEmpty(n.Types), from); err != nil {
		return nil, fmt.Errorf("events: create endpoint: %w", err)
	}
	if err := w.addSecret(ctx, tx, endpoint, n.Secret); err != nil {
		return nil, err
	}
	return selectEndpoint(ctx, tx, n.Owner, endpoint)
}

func (w *Webhooks) addSecret(ctx context.Context, tx pgx.Tx, endpoint uuid.UUID, secret string) error {
	row := id.New()
	sealed, err := w.vault.Seal([]byte(secret), SealedSecrets.Row(row))
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, insertSealedSQL, row, endpoint, sealed); err != nil {
		return fmt.Errorf("events: keep secret: %w", err)
	}
	return nil
}

// RotateTx gives an endpoint another secret. Those that it has go on signing too until the overlap is over, or they expire. It returns
// ErrEndpointNotFound, or an error of the vault.
func (w *Webhooks) RotateTx(ctx context.Context, tx pgx.Tx, owner Viewer, endpoint uuid.UUID, secret string, overlap time.Duration) (*Endpoint, error) {
	if _, err := lockEndpoint(ctx, tx, owner, endpoint); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, expireSealedSQL, endpoint, overlap); err != nil {
		return nil, fmt.Errorf("events: rotate: %w", err)
	}
	if err := w.addSecret(ctx, tx, endpoint, secret); err != nil {
		return nil, err
	}
	return selectEndpoint(ctx, tx, owner, endpoint)
}

// TestTx has a webhook.test event told and sent to the endpoint, whatever types it wants, and returns the delivery. It returns
// ErrEndpointNotFound or ErrEndpointDisabled.
func (w *Webhooks) TestTx(ctx context.Context, tx pgx.Tx, owner Viewer, endpoint, by uuid.UUID) (*Delivery, error) {
	e, err := lockEndpoint(ctx, tx, owner, endpoint)
	if err != nil {
		return nil, err
	}
	if e.Status != EndpointEnabled {
		return nil, ErrEndpointDisabled
	}
	delivery := id.New()
	if _, err := tx.Exec(ctx, insertTestSQL, id.New(), endpoint, by); err != nil {
		return nil, fmt.Errorf("events: test: %w", err)
	}
	if _, err := tx.Exec(ctx, deliverTestSQL, delivery, endpoint); err != nil {
		return nil, fmt.Errorf("events: test: %w", err)
	}
	return selectDelivery(ctx, tx, endpoint, delivery)
}

// Endpoint returns one of the owner's endpoints, or ErrEndpointNotFound.
func (w *Webhooks) Endpoint(ctx context.Context, owner Viewer, endpoint uuid.UUID) (*Endpoint, error) {
	return selectEndpoint(ctx, w.db, owner, endpoint)
}

// Endpoints returns up to limit of the owner's endpoints, newest first, that come before one; the nil UUID begins at the newest.
func (w *Webhooks) Endpoints(ctx context.Context, owner Viewer, before uuid.UUID, limit int) ([]*Endpoint, error) {
	return selectEndpoints(ctx, w.db, owner, before, limit)
}

// Change is what becomes of an endpoint; nil leaves what is.
type Change struct {
	URL, Description *string
	Types            *[]string
	Status           *EndpointStatus
	// SkipMissed, on enabling, begins with what happens from now on, instead of where it stopped.
	SkipMissed bool
}

// Update changes an endpoint. What is under way is sent as it is after the change. The URL and the types must have been judged. It returns
// ErrEndpointNotFound or ErrTooManyEndpoints.
func (w *Webhooks) Update(ctx context.Context, owner Viewer, endpoint uuid.UUID, c Change) (e *Endpoint, err error) {
	latest, err := w.feed.Latest(ctx)
	if err != nil {
		return nil, err
	}
	err = pg.InTx(ctx, w.db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		was, err := lockEndpoint(ctx, tx, owner, endpoint)
		if err != nil {
			return err
		}
		if c.enables(was.Status) {
			if err := mayEnable(ctx, tx, owner); err != nil {
				return err
			}
		}
		if err := c.write(ctx, tx, was, latest); err != nil {
			return err
		}
		e, err = selectEndpoint(ctx, tx, owner, endpoint)
		return err
	})
	return e, err
}

func (c Change) enables(was EndpointStatus) bool {
	return c.Status != nil && *c.Status == EndpointEnabled && was == EndpointDisabled
}

func (c Change) write(ctx context.Context, tx pgx.Tx, was *Endpoint, latest int64) error {
	var types any
	if c.Types != nil {
		types = noneAsEmpty(*c.Types)
	}
	b := &pgx.Batch{}
	b.Queue(updateEndpointSQL, was.ID, c.URL, c.Description, types)
	switch {
	case c.enables(was.Status):
		b.Queue(enableEndpointSQL, was.ID)
		if c.SkipMissed {
			b.Queue(skipMissedSQL, was.ID, latest)
			b.Queue(dropPendingSQL, was.ID)
		}
	case c.Status != nil && *c.Status == EndpointDisabled && was.Status == EndpointEnabled:
		b.Queue(disableEndpointSQL, was.ID, DisabledByOwner)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("events: update endpoint: %w", err)
	}
	return nil
}

func noneAsEmpty(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}
