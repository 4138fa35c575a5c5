package translog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/uuid"

	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/sumtree"
)

// liabilityProof is what a holder checks, with its members in the order of docs/transparency-log.md.
type liabilityProof struct {
	V       string        `json:"v"`
	Type    string        `json:"type"`
	Account string        `json:"account"`
	Asset   string        `json:"asset"`
	Balance string        `json:"balance"`
	Receipt string        `json:"receipt"`
	Proof   sumtree.Proof `json:"proof"`
}

// Proof returns the document by which its holder checks that an account is counted in the newest proof of liabilities that is published. It returns
// ErrNoLiabilities where there is none, and ErrNotCounted where that one does not have the account: it was opened later, is closed, or has never held the token.
func (l *Liabilities) Proof(ctx context.Context, account uuid.UUID) ([]byte, error) {
	newest, err := oneLiability(ctx, l.pool, publishedLiabilitiesSQL)
	if err != nil {
		return nil, err
	}
	name := id.Format(id.Account, account)
	proof, err := l.trees.prove(newest, name)
	if err != nil {
		return nil, err
	}
	receipt, err := l.receiptOf(ctx, newest)
	if err != nil {
		return nil, err
	}
	return json.Marshal(liabilityProof{
		V: "1", Type: "liability-proof", Account: name, Asset: newest.Asset, Balance: strconv.FormatInt(proof.Balance(), 10),
		Receipt: string(receipt), Proof: proof,
	})
}

func (t trees) prove(l Liability, account string) (sumtree.Proof, error) {
	file, err := t.open(l)
	if err != nil {
		return sumtree.Proof{}, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	proof, err := file.Prove(account)
	if errors.Is(err, sumtree.ErrUnknownAccount) {
		return sumtree.Proof{}, ErrNotCounted
	}
	if err != nil {
		return sumtree.Proof{}, fmt.Errorf("translog: prove a liability: %w", err)
	}
	return proof, nil
}

// receiptOf returns the tlog-proof of the entry of a proof of liabilities.
func (l *Liabilities) receiptOf(ctx context.Context, of Liability) ([]byte, error) {
	p, err := l.receipts.find(ctx, of.seq, func(entry []byte) bool { return bytes.Contains(entry, []byte(`"type":"liabilities"`)) }, nil)
	if err != nil {
		return nil, err
	}
	receipt, err := l.receipts.receipt(p, nil)
	if err != nil {
		return nil, err
	}
	if receipt.Proof == nil { // It was noted as published, and the checkpoint is an older one: nobody could check it.
		return nil, ErrNoLiabilities
	}
	return receipt.Proof, nil
}

// Forget removes the trees that have one of these accounts: after their holder was erased, nobody is to find them there. If the newest is
// among them, the next proof is due. It may be called again.
func (l *Liabilities) Forget(accounts ...uuid.UUID) error {
	names, err := l.trees.list()
	if err != nil || len(accounts) == 0 {
		return err
	}
	var errs []error
	for _, name := range names {
		path := filepath.Join(l.trees.dir, name)
		has, err := hasAny(path, accounts)
		if err != nil || has { // What is damaged cannot be searched, and is of no use either.
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}

// hasAny tells whether the file of a tree has one of these accounts.
func hasAny(path string, accounts []uuid.UUID) (bool, error) {
	file, err := sumtree.OpenAnyFile(path)
	if err != nil {
		return false, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	for _, account := range accounts {
		_, err := file.Prove(id.Format(id.Account, account))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, sumtree.ErrUnknownAccount) {
			return false, err
		}
	}
	return false, nil
}
