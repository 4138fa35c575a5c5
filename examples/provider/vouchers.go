package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// stock makes voucher codes and honours them: a code is worth its hours to whoever presents it first.
type stock struct {
	grants *Grants
	// key of a code is what its grant is kept under: the code itself is nowhere in the file.
}

// voucherKey is the name under which a code is kept.
func voucherKey(code string) string {
	digest := sha256.Sum256([]byte(strings.TrimSpace(code)))
	return "voucher_" + hex.EncodeToString(digest[:])
}

// load makes n codes of some hours of a class, keeps them, and loads them into Ballast by CSV. A crash between the two leaves codes that nobody has.
func (s *stock) load(ctx context.Context, b *ballast, n int, class, hours string) error {
	var file bytes.Buffer
	rows := csv.NewWriter(&file)
	_ = rows.Write([]string{"code", "gpu_class", "hours", "expires_at"}) // Into memory; Flush has the error.
	for range n {
		code := rand.Text()
		if _, err := s.grants.Once(voucherKey(code), func() Grant {
			return Grant{Status: "voucher", Hours: hours, Granted: hours, Class: class}
		}); err != nil {
			return err
		}
		_ = rows.Write([]string{code, class, hours, ""})
	}
	rows.Flush()
	if err := rows.Error(); err != nil {
		return err
	}
	digest := sha256.Sum256(file.Bytes())
	err := b.call(ctx, http.MethodPost, "/v1/provider/vouchers", "load-"+hex.EncodeToString(digest[:]), "text/csv", file.Bytes(), nil)
	if err != nil {
		return fmt.Errorf("load vouchers: %w", err)
	}
	return nil
}

// claim honours a code once.
func (s *stock) claim(w http.ResponseWriter, r *http.Request) {
	var ask struct {
		Code    string `json:"code"`
		Account string `json:"account"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&ask); err != nil || ask.Code == "" {
		http.Error(w, "no code", http.StatusBadRequest)
		return
	}
	voucher, ok := s.grants.Of(voucherKey(ask.Code))
	if !ok {
		http.Error(w, "no such code", http.StatusNotFound)
		return
	}
	first := false
	given, err := s.grants.Once("claim_"+voucherKey(ask.Code), func() Grant {
		first = true
		return Grant{Status: "issued", ID: "grant_" + rand.Text(), Hours: voucher.Hours, Granted: voucher.Hours, Class: voucher.Class, Account: ask.Account}
	})
	if err != nil {
		http.Error(w, "try again later", http.StatusInternalServerError)
		return
	}
	if !first && given.Account != ask.Account {
		http.Error(w, "the code was used", http.StatusConflict)
		return
	}
	answer(w, http.StatusOK, replyOf(given))
}
