package anchor

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
)

// MaxQuoteFileBytes is the size of the largest file of quotes that is read.
const MaxQuoteFileBytes = 32 << 20

// quoteColumns are the columns that a file of quotes may have, in any order, and what becomes of them.
var quoteColumns = map[string]func(q *NewQuote, text string){
	"source":                 func(q *NewQuote, text string) { q.Source = text },
	"seller":                 func(q *NewQuote, text string) { q.Seller = text },
	"gpu_class":              func(q *NewQuote, text string) { q.GPUClass = text },
	"form_factor_known":      func(*NewQuote, string) {}, // How the class was found is the file's own affair.
	"gpu_count":              func(q *NewQuote, text string) { q.GPUCount = text },
	"instance_type":          func(q *NewQuote, text string) { q.InstanceType = text },
	"region":                 func(q *NewQuote, text string) { q.Region = text },
	"price_usd_per_hour":     func(q *NewQuote, text string) { q.PriceUSD = text },
	"price_usd_per_gpu_hour": func(q *NewQuote, text string) { q.PricePerGPU = text },
	"spot_usd_per_hour":      func(q *NewQuote, text string) { q.SpotUSD = text },
	"catalog_commit":         func(q *NewQuote, text string) { q.Commit = text },
	"observed_at":            func(q *NewQuote, text string) { q.ObservedAt = text },
}

// neededColumns are those without which there is no quote.
var neededColumns = []string{"source", "gpu_class", "gpu_count", "instance_type", "region", "price_usd_per_hour"}

// ParseQuoteFile reads a CSV file of quotes with a header, in the format of data/gpu-quotes.csv: of its columns the first six
// that make up a quote are needed, and seller and observed_at may be there too. What the fields say is checked when the quotes
// are entered. It returns a *QuotesError that names every line that is no row of the file, and the quotes of the other lines.
func ParseQuoteFile(file []byte) ([]NewQuote, error) {
	faults := &QuotesError{}
	if len(file) > MaxQuoteFileBytes {
		faults.add(1, "file", "too_large", "The file has more than 32 MiB.")
		return nil, faults
	}
	rows := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(file, []byte("\ufeff"))))
	rows.FieldsPerRecord = -1 // Told below, row by row.
	header, err := rows.Read()
	if err != nil {
		faults.add(1, "header", "unreadable", "The file has no header of a CSV file.")
		return nil, faults
	}
	if checkHeader(header, faults); len(faults.Faults) > 0 {
		return nil, faults
	}
	return parseRows(rows, header, faults)
}

func checkHeader(header []string, faults *QuotesError) {
	for i, name := range header {
		switch {
		case quoteColumns[name] == nil:
			faults.add(1, "header", "unknown_column", "The column "+shown(name)+" is not one of a file of quotes.")
		case slices.Contains(header[:i], name):
			faults.add(1, "header", "duplicate_column", "The column "+name+" is there twice.")
		}
	}
	for _, name := range neededColumns {
		if !slices.Contains(header, name) {
			faults.add(1, "header", "missing_column", "The column "+name+" is missing.")
		}
	}
}

// shown is enough of a name to recognise it by.
func shown(name string) string {
	if runes := []rune(name); len(runes) > 40 {
		name = string(runes[:40]) + "…"
	}
	return `"` + name + `"`
}

// parseRows reads on after a row that is broken, so that every one of them is named.
func parseRows(rows *csv.Reader, header []string, faults *QuotesError) ([]NewQuote, error) {
	var quotes []NewQuote
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if broken, ok := errors.AsType[*csv.ParseError](err); ok {
			faults.add(broken.Line, "row", "unreadable", "The row is not CSV: "+broken.Err.Error()+".")
			continue
		}
		line, _ := rows.FieldPos(0)
		if len(row) != len(header) {
			faults.add(line, "row", "wrong_fields", "The row has more or fewer fields than the header.")
			continue
		}
		if len(quotes) == MaxQuotes {
			faults.add(line, "row", "too_many", "The file has more than 100,000 quotes.")
			break
		}
		q := NewQuote{Line: line}
		for i, name := range header {
			quoteColumns[name](&q, row[i])
		}
		quotes = append(quotes, q)
	}
	if len(quotes) == 0 && len(faults.Faults) == 0 {
		faults.add(1, "file", "empty", "The file has no quotes.")
	}
	return quotes, faults.or()
}
