package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// poller takes redemptions from Ballast's queue, for providers whom nobody can call from outside. What it takes is leased to it: no other poller
// of this provider gets it meanwhile, and if this one dies it is offered again.
type poller struct {
	ballast *ballast
	grants  *Grants
	every   time.Duration
	log     *slog.Logger
}

const (
	leaseLimit   = 50
	leaseSeconds = 60
)

type leased struct {
	Data []struct {
		ID        string `json:"id"`
		GPUClass  string `json:"gpu_class"`
		Hours     string `json:"hours"`
		Recipient *struct {
			ProviderAccount string `json:"provider_account"`
		} `json:"recipient"`
	} `json:"data"`
}

// run polls until ctx ends.
func (p *poller) run(ctx context.Context) {
	for ctx.Err() == nil {
		done, err := p.once(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("polling failed, and is tried again", slog.Any("error", err))
		}
		if done == leaseLimit {
			continue // There may be more.
		}
		select {
		case <-ctx.Done():
		case <-time.After(p.every):
		}
	}
}

// once leases what there is, grants it, and says so. A crash at any place is harmless: the same redemption comes again, and its grant
// is found.
func (p *poller) once(ctx context.Context) (int, error) {
	var queue leased
	err := p.ballast.json(ctx, http.MethodPost, "/v1/provider/redemptions/lease", uuid.NewString(), map[string]any{"limit": leaseLimit, "seconds": leaseSeconds}, &queue)
	if err != nil {
		return 0, err
	}
	var failed []error
	for _, one := range queue.Data {
		given, err := p.grants.Once(one.ID, func() Grant {
			g := Grant{Status: "issued", ID: "grant_" + uuid.NewString(), Hours: one.Hours, Granted: one.Hours, Class: one.GPUClass}
			if one.Recipient != nil {
				g.Account = one.Recipient.ProviderAccount
			}
			return g
		})
		if err != nil {
			return 0, err
		}
		if err := p.tell(ctx, given); stops(err) {
			return 0, err
		} else if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", one.ID, err))
		}
	}
	return len(queue.Data), errors.Join(failed...)
}

// stops says whether the rest would fare alike: Ballast cannot be reached, or has had enough for now. What else it answers is about the one redemption,
// which it offers again, and no reason to leave the others.
func stops(err error) bool {
	var refused *refusal
	return err != nil && (!errors.As(err, &refused) || refused.Status == http.StatusTooManyRequests)
}

func (p *poller) tell(ctx context.Context, g Grant) error {
	path, body := "/issue", map[string]any{"provider_grant_id": g.ID}
	if g.Status == "rejected" { // By an earlier run that was told to.
		path, body = "/reject", map[string]any{"reason": g.Reason}
	}
	err := p.ballast.json(ctx, http.MethodPost, "/v1/provider/redemptions/"+g.RedemptionID+path, "grant-"+g.RedemptionID, body, nil)
	var refused *refusal
	if errors.As(err, &refused) && refused.Status == http.StatusConflict {
		p.log.Error("Ballast says otherwise", slog.String("redemption", g.RedemptionID), slog.String("code", refused.Code))
		return nil
	}
	return err
}
