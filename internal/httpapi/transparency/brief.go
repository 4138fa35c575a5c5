package transparency

import (
	"context"
	"sync"
	"time"
)

// brief keeps a page for a moment, and lets one caller at a time make it anew.
type brief struct {
	making chan struct{}

	mu      sync.Mutex
	content []byte
	until   time.Time
}

func newBrief() *brief { return &brief{making: make(chan struct{}, 1)} }

// get returns what is kept, or else what again returns, and keeps that for so long. Others wait meanwhile, until their context ends. An error is not kept.
func (b *brief) get(ctx context.Context, keep time.Duration, again func(context.Context) ([]byte, error)) ([]byte, error) {
	if content := b.fresh(); content != nil {
		return content, nil
	}
	select {
	case b.making <- struct{}{}:
		defer func() { <-b.making }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if content := b.fresh(); content != nil { // Somebody else has made it meanwhile.
		return content, nil
	}
	content, err := again(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.content, b.until = content, time.Now().Add(keep)
	return content, nil
}

// fresh returns what is kept, or nil if there is nothing, or nothing of now.
func (b *brief) fresh() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Now().After(b.until) {
		return nil
	}
	return b.content
}
