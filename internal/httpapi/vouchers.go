package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/problem"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/strictjson"
	"github.com/ballast-compute/ballast/internal/voucher"
)

// loadVouchers takes a list of codes as JSON or a file of them as CSV. What is kept to know the request again has no code in it.
func (a *API) loadVouchers(w http.ResponseWriter, r *http.Request) error {
	n, err := readLoad(r)
	if err != nil {
		return err
	}
	n.ProviderID, n.Caller = principalOf(r.Context()).ProviderID, principalOf(r.Context()).ID
	fingerprint, err := a.Vouchers.Fingerprint(r.Context(), n)
	if err != nil {
		return err
	}
	return a.create(w, r, fingerprint, func(ctx context.Context, tx pgx.Tx) (creation, error) {
		b, err := a.Vouchers.LoadTx(ctx, tx, n)
		if err != nil {
			return creation{}, err
		}
		answer := wire.VoucherBatch{
			ID: id.Format(id.VoucherBatch, b.ID), ProviderID: id.Format(id.Provider, b.ProviderID),
			Vouchers: int32(b.Vouchers), LoadedAt: b.LoadedAt, //nolint:gosec // At most 10,000.
		}
		return creation{first: answer, kept: answer}, nil
	})
}

func readLoad(r *http.Request) (voucher.NewLoad, error) {
	if isCSV(r.Header["Content-Type"]) {
		return readVoucherFile(r)
	}
	var req wire.LoadVouchersRequest
	if err := decodeSecret(r, &req); err != nil {
		return voucher.NewLoad{}, err
	}
	var f faults
	class := f.matches("gpu_class", req.GPUClass, gpuClassForm)
	hours, expires := f.quantity("hours", req.Hours), f.optionalTime("expires_at", req.ExpiresAt)
	if err := f.err(); err != nil {
		return voucher.NewLoad{}, err
	}
	if err := positive(hours); err != nil {
		return voucher.NewLoad{}, err
	}
	n := voucher.NewLoad{Vouchers: make([]voucher.NewVoucher, len(req.Codes))}
	for i, code := range req.Codes {
		n.Vouchers[i] = voucher.NewVoucher{Line: i + 1, Code: code, GPUClass: class, Hours: hours, ExpiresAt: expires}
	}
	return n, nil
}

// readVoucherFile marks what is wrong with it as of the file's lines.
func readVoucherFile(r *http.Request) (n voucher.NewLoad, err error) {
	file, err := io.ReadAll(io.LimitReader(r.Body, maxBatchBytes+1))
	if err != nil || len(file) > maxBatchBytes {
		return n, &strictjson.Error{Code: strictjson.TooLarge, Detail: "The body is larger than this call accepts."}
	}
	n.File = true
	n.Vouchers, n.Malformed, err = voucher.ParseCSV(file)
	return n, err
}

func (a *API) getVoucherStock(w http.ResponseWriter, r *http.Request) error {
	provider, err := queryOf(r).providerOf(principalOf(r.Context()))
	if err != nil {
		return err
	}
	return a.answerStock(w, r, provider)
}

func (a *API) answerStock(w http.ResponseWriter, r *http.Request, provider uuid.UUID) error {
	s, err := a.Vouchers.Stock(r.Context(), provider)
	if err != nil {
		return err
	}
	encoded := wire.VoucherStock{
		ProviderID: id.Format(id.Provider, s.ProviderID), LowStock: int32(s.LowStock), Data: make([]wire.VoucherKind, len(s.Kinds)), //nolint:gosec // At most a million.
	}
	for i, k := range s.Kinds {
		encoded.Data[i] = wire.VoucherKind{
			GPUClass: k.GPUClass, Hours: millionths(k.Hours), Loaded: k.Loaded, Free: k.Free, Used: k.Used, Voided: k.Voided, Expired: k.Expired, Low: k.Low,
		}
	}
	return answer(w, http.StatusOK, encoded)
}

// setLowStock watches the stock at once, so that whoever sets a threshold above it is told; if that fails, a sweep does it.
func (a *API) setLowStock(w http.ResponseWriter, r *http.Request) error {
	var req wire.SetLowStockRequest
	if err := decode(r, &req); err != nil {
		return err
	}
	if req.LowStock == nil {
		return invalid("low_stock", "required", "This field is needed.")
	}
	p := principalOf(r.Context())
	if err := a.Vouchers.SetLowStock(r.Context(), p.ProviderID, p.ID, int(*req.LowStock)); err != nil {
		return err
	}
	a.watchStock(r.Context())
	return a.answerStock(w, r, p.ProviderID)
}

// voidVouchers needs no idempotency key: to void again changes nothing.
func (a *API) voidVouchers(w http.ResponseWriter, r *http.Request) error {
	var req wire.VoidVouchersRequest
	if err := decodeSecret(r, &req); err != nil {
		return err
	}
	var f faults
	p := principalOf(r.Context())
	v := voucher.VoidRequest{Caller: p.ID, ProviderID: p.ProviderID, BatchID: f.optionalID(id.VoucherBatch, "batch_id", req.BatchID), Codes: req.Codes}
	if err := f.err(); err != nil {
		return err
	}
	voided, err := a.Vouchers.Void(r.Context(), v)
	if err != nil {
		return err
	}
	a.watchStock(r.Context())
	return answer(w, http.StatusOK, wire.VoidedVouchers{Voided: voided})
}

// showRedemption encodes a redemption with its code, for the holder whose it is, once it is issued. Nobody else is ever shown one.
func (a *API) showRedemption(ctx context.Context, r *redeem.Redemption) (wire.Redemption, error) {
	encoded := encodeRedemption(r)
	if r.Transport != redeem.TransportVoucher || r.HolderID != principalOf(ctx).HolderID || r.Status != redeem.Issued && r.Status != redeem.Acknowledged {
		return encoded, nil
	}
	code, expiresAt, err := a.Vouchers.Code(ctx, r.ID)
	if err != nil {
		return encoded, err
	}
	encoded.VoucherCode, encoded.VoucherExpiresAt = &code, timeOrNull(expiresAt)
	return encoded, nil
}

// voucherFaults names the codes of a list, or the lines of a file. What all codes of a list have in common is named once.
func voucherFaults(e *voucher.LinesError) []problem.FieldError {
	var fields []problem.FieldError
	named := map[string]bool{}
	for _, f := range e.Faults {
		field := voucherField(f, e.File)
		if !named[field] {
			fields = append(fields, problem.FieldError{Field: field, Code: f.Code, Detail: f.Detail})
		}
		named[field] = true
	}
	return fields
}

func voucherField(f voucher.Fault, ofFile bool) string {
	switch line := strconv.Itoa(f.Line); {
	case ofFile && f.Field == "":
		return "line " + line
	case ofFile:
		return "line " + line + ": " + f.Field
	case f.Field == "code":
		return "codes[" + strconv.Itoa(f.Line-1) + "]"
	}
	return f.Field
}

// watchStock has the provider told at once of what a request did to its stock: the request is answered whether or not that succeeds, since the next
// sweep does it too.
func (a *API) watchStock(ctx context.Context) {
	if _, err := a.Vouchers.WatchStock(ctx); err != nil {
		a.logger.WarnContext(ctx, "stock was not watched with a request", slog.Any("error", err))
	}
}
