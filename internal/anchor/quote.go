package anchor

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/ballast-compute/ballast/internal/money"
)

// The limits of a quote. They are far beyond what is asked anywhere, and keep what is absurd out.
const (
	// MaxQuotes is how many quotes a batch has at most.
	MaxQuotes = 100_000
	// maxQuoteFaults is how many faults a QuotesError names at most.
	maxQuoteFaults = 1000
	maxGPUs        = 1024
	maxQuoteText   = 200
	maxPricePlaces = 18
)

var (
	// maxInstancePrice and minGPUPrice are in USD an hour.
	maxInstancePrice = decimal.NewFromInt(10_000_000)
	minGPUPrice      = decimal.New(1, -4)
	firstObservation = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	sourceForm       = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
)

// NewQuote is a quote as somebody hands it in, in the words of its source.
type NewQuote struct {
	Quote
	// Line is where it stands in its file, or its number in its request, from 1.
	Line int
	// Seller is who runs the machine: empty for the source itself.
	Seller string
	// PricePerGPU is PriceUSD for one GPU, where the file has it: it is only compared. Six decimals, rounded.
	PricePerGPU string
	// ObservedAt is when the source asked that, RFC 3339: empty for the time at which the quote is entered.
	ObservedAt string
}

// QuoteFault is what is wrong with one field of one quote.
type QuoteFault struct {
	// Line is NewQuote.Line.
	Line int
	// Field is the field's name in the file and on the wire.
	Field string
	// Code is stable and in snake_case, and Detail for people.
	Code, Detail string
}

// QuotesError names everything that is wrong with a batch of quotes, of which nothing was taken.
type QuotesError struct {
	// Faults are in the order of lines, at most 1,000 of them.
	Faults []QuoteFault
}

// Error has one line for each fault.
func (e *QuotesError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = fmt.Sprintf("line %d: %s: %s", f.Line, f.Field, f.Detail)
	}
	return strings.Join(lines, "\n")
}

func (e *QuotesError) add(line int, field, code, detail string) {
	if len(e.Faults) < maxQuoteFaults {
		e.Faults = append(e.Faults, QuoteFault{line, field, code, detail})
	}
}

// or returns the error if there is a fault.
func (e *QuotesError) or() error {
	if len(e.Faults) == 0 {
		return nil
	}
	return e
}

// ask is a quote that makes sense.
type ask struct {
	line                         int
	source, seller, class        string
	gpus                         int
	instanceType, region, commit string
	// price and spot are in USD, for an hour of the whole instance. One of them may be null.
	price, spot decimal.NullDecimal
	observedAt  time.Time
}

// reading is the look at one quote. It collects every fault of it.
type reading struct {
	line   int
	faults *QuotesError
}

func (r *reading) add(field, code, detail string) { r.faults.add(r.line, field, code, detail) }

// parseAsks checks a batch against the classes that there are and the time that it is, and adds what is wrong to the faults.
// The same thing said twice is there once.
func parseAsks(quotes []NewQuote, classes map[string]bool, now time.Time, faults *QuotesError) []ask {
	if len(quotes) > MaxQuotes {
		faults.add(0, "quotes", "too_many", fmt.Sprintf("A batch has at most %d quotes.", MaxQuotes))
		return nil
	}
	asks := make([]ask, 0, len(quotes))
	said := make(map[offer]int, len(quotes))
	for i := range quotes {
		r := reading{line: quotes[i].Line, faults: faults}
		a := r.ask(&quotes[i], classes, now)
		if at, before := said[a.offer()]; !before {
			said[a.offer()] = len(asks)
			asks = append(asks, a)
		} else if !a.agrees(&asks[at]) {
			r.add("price_usd_per_hour", "contradiction", fmt.Sprintf("Line %d quotes the same offer at the same time at another price.", asks[at].line))
		}
	}
	return asks
}

// offer is what a price is asked for, and when.
type offer struct {
	source, class, instanceType, region string
	gpus                                int
	observedAt                          time.Time
}

func (a *ask) offer() offer {
	return offer{a.source, a.class, a.instanceType, a.region, a.gpus, a.observedAt}
}

// agrees tells whether two quotes of one offer say the same.
func (a *ask) agrees(b *ask) bool {
	return a.seller == b.seller && equalOrNull(a.price, b.price) && equalOrNull(a.spot, b.spot)
}

func equalOrNull(a, b decimal.NullDecimal) bool {
	return a.Valid == b.Valid && (!a.Valid || a.Decimal.Equal(b.Decimal))
}

func (r *reading) ask(q *NewQuote, classes map[string]bool, now time.Time) ask {
	a := ask{line: q.Line, source: r.name("source", q.Source), class: q.GPUClass, gpus: r.gpus(q.GPUCount)}
	if !classes[q.GPUClass] {
		r.add("gpu_class", "unknown_class", "There is no such GPU class.")
	}
	a.seller = sellerOf(q)
	if a.seller != q.Source {
		a.seller = r.name("seller", a.seller)
	}
	a.instanceType, a.region = r.text("instance_type", q.InstanceType, 1), r.text("region", q.Region, 1)
	a.commit = r.text("catalog_commit", q.Commit, 0)
	a.price, a.spot = r.price("price_usd_per_hour", q.PriceUSD, a.gpus), r.price("spot_usd_per_hour", q.SpotUSD, a.gpus)
	if q.PriceUSD == "" && q.SpotUSD == "" {
		r.add("price_usd_per_hour", "required", "A quote has a price, or at least a spot price.")
	}
	r.checkPerGPU(q.PricePerGPU, a.price, a.gpus)
	a.observedAt = r.moment(q.ObservedAt, now)
	return a
}

func (r *reading) name(field, text string) string {
	if !sourceForm.MatchString(text) {
		r.add(field, "invalid_name", "A name is 1 to 64 of a–z, 0–9, '.', '_' and '-', and begins with a letter or a digit.")
	}
	return text
}

func (r *reading) text(field, text string, least int) string {
	runes := utf8.RuneCountInString(text)
	if runes < least || runes > maxQuoteText || !utf8.ValidString(text) || strings.ContainsFunc(text, isControl) {
		r.add(field, "invalid_text", fmt.Sprintf("The text is %d to %d characters, none of them a control character.", least, maxQuoteText))
	}
	return text
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

func (r *reading) gpus(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxGPUs || strconv.Itoa(n) != text {
		r.add("gpu_count", "invalid_count", fmt.Sprintf("An instance has 1 to %d GPUs, a whole number.", maxGPUs))
		return 0
	}
	return n
}

// price reads an amount of USD. An empty one is null.
func (r *reading) price(field, text string, gpus int) decimal.NullDecimal {
	if text == "" {
		return decimal.NullDecimal{}
	}
	d, err := money.ParseRate(text)
	switch {
	case err != nil:
		r.add(field, "invalid_price", "A price is digits with at most one point: no sign, no exponent, at most 32 characters.")
	case d.Sign() == 0:
		r.add(field, "not_positive", "A price is greater than zero.")
	case d.GreaterThan(maxInstancePrice) || -d.Exponent() > maxPricePlaces:
		r.add(field, "out_of_range", fmt.Sprintf("A price is at most %s USD, with at most %d decimals.", maxInstancePrice, maxPricePlaces))
	case gpus > 0 && d.LessThan(minGPUPrice.Mul(decimal.NewFromInt(int64(gpus)))):
		r.add(field, "out_of_range", fmt.Sprintf("A price is at least %s USD for a GPU.", minGPUPrice))
	}
	return decimal.NewNullDecimal(d)
}

// checkPerGPU refuses a row whose figures contradict each other: one of them is broken, and nobody knows which.
func (r *reading) checkPerGPU(text string, price decimal.NullDecimal, gpus int) {
	if text == "" {
		return
	}
	d, err := money.ParseRate(text)
	if err != nil {
		r.add("price_usd_per_gpu_hour", "invalid_price", "A price is digits with at most one point: no sign, no exponent, at most 32 characters.")
		return
	}
	if gpus == 0 || !price.Valid {
		return
	}
	want := price.Decimal.DivRound(decimal.NewFromInt(int64(gpus)), maxPricePlaces)
	if d.Sub(want).Abs().GreaterThan(decimal.New(1, -factorPlaces)) {
		r.add("price_usd_per_gpu_hour", "contradiction", "The price for a GPU is not the price divided by the number of GPUs.")
	}
}

func (r *reading) moment(text string, now time.Time) time.Time {
	if text == "" {
		return now
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	t = t.UTC().Truncate(time.Microsecond)
	switch {
	case err != nil:
		r.add("observed_at", "invalid_time", "A time is RFC 3339, such as 2026-11-22T12:00:00Z.")
	case t.After(now):
		r.add("observed_at", "in_the_future", "The quote would have been observed in the future.")
	case t.Before(firstObservation):
		r.add("observed_at", "too_old", "A quote is from this century.")
	}
	return t
}
