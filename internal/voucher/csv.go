package voucher

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ballast-compute/ballast/internal/money"
)

// header is the first line of a file of vouchers.
var header = []string{"code", "gpu_class", "hours", "expires_at"}

const byteOrderMark = "\ufeff"

// ParseCSV reads a file of vouchers (RFC 4180, UTF-8) with the header code,gpu_class,hours,expires_at; expires_at is RFC 3339, or empty for never.
// Lines are counted as an editor does, so that the first voucher is on line 2. It returns the vouchers that it could make out and what is
// malformed, both for [NewLoad]; and an [*InvalidError] for what is no such file at all.
func ParseCSV(file []byte) (vouchers []NewVoucher, malformed []Fault, err error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte(byteOrderMark))))
	r.FieldsPerRecord = -1 // So that a line of another length is named like any other fault.
	r.ReuseRecord = true
	first, err := r.Read()
	if err != nil || !slices.Equal(first, header) {
		return nil, nil, &InvalidError{Field: "body", Code: "malformed_csv", Detail: "The first line must be code,gpu_class,hours,expires_at."}
	}
	var e LinesError
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return vouchers, e.Faults, nil
		}
		if syntax, ok := errors.AsType[*csv.ParseError](err); ok { // Where quotes are wrong, nobody knows where the next line begins.
			e.add(syntax.Line, "", "malformed_csv", "The quotes on this line are not as RFC 4180 has them.")
			return vouchers, e.Faults, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if len(vouchers) == MaxVouchers {
			return nil, nil, &InvalidError{Field: "body", Code: "out_of_range", Detail: "A file has 1 to 10,000 vouchers."}
		}
		line, _ := r.FieldPos(0)
		if v, ok := parseRecord(line, record, &e); ok {
			vouchers = append(vouchers, v)
		}
	}
}

// parseRecord returns a voucher, and whether the line is one at all.
func parseRecord(line int, record []string, e *LinesError) (NewVoucher, bool) {
	v := NewVoucher{Line: line}
	if len(record) != len(header) {
		e.add(line, "", "malformed_csv", "A line has four fields: code, gpu_class, hours and expires_at.")
		return v, false
	}
	v.Code, v.GPUClass = strings.Clone(record[0]), strings.Clone(record[1])
	var err error
	if v.Hours, err = money.ParseQuantity(record[2]); err != nil && !errors.Is(err, money.ErrNotPositive) {
		e.add(line, "hours", "invalid_value", "The hours are a number greater than zero with at most six decimals.")
	}
	if record[3] == "" {
		return v, true
	}
	if v.ExpiresAt, err = time.Parse(time.RFC3339Nano, record[3]); err != nil || v.ExpiresAt.Year() > 9999 || v.ExpiresAt.Year() < 1 {
		e.add(line, "expires_at", "invalid_value", "The time has the form 2027-01-31T00:00:00Z.")
	}
	v.ExpiresAt = v.ExpiresAt.UTC().Truncate(time.Microsecond)
	return v, true
}
