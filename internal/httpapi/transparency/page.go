package transparency

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

//go:embed page.html
var pageText string

// page escapes whatever is put into it, by where it stands. It is the only writer of the page.
var page = template.Must(template.New("page").Parse(pageText))

// Facts are what the page says, as the server knows it.
type Facts struct {
	AsOf time.Time
	// Supply, Minted, Burned, Escrowed and Backing are in SCH.
	Supply, Minted, Burned, Escrowed, Backing decimal.Decimal
	// Coverage is Backing by what has to be covered, after haircuts; null while nothing is out. State is the policy's word for it.
	Coverage decimal.NullDecimal
	State    string
	// Epoch is the number of the epoch in force.
	Epoch   int
	Classes []Class
	Checks  []Check
	// Log is nil where there is none to show; LogState then says why.
	Log      *Log
	LogState string
	// From and To are the span of History, which is by time.
	From, To time.Time
	History  []Point
}

// Class is the collateral of one GPU class.
type Class struct {
	Name string
	// Hours are pledged and not used; K is SCH in one of them; SCH is what they can back, after haircuts.
	Hours, K, SCH decimal.Decimal
}

// Check is a rule of the books, as the server has recomputed it.
type Check struct {
	Name, Detail string
	OK           bool
}

// Log is the last checkpoint.
type Log struct {
	Origin, Root, Key string
	Size              int64
	SignedAt          time.Time
	Cosigners         []string
	// Note is the checkpoint as it is served.
	Note string
}

// Point is one proof of liabilities: at Index in the log, so much was out and so much stood behind it, in SCH, before haircuts.
type Point struct {
	At                 time.Time
	Index              int64
	Supply, Collateral decimal.Decimal
	// Ratio is Collateral / Supply; null while nothing was out.
	Ratio decimal.NullDecimal
}

const (
	// cached is how long a page is shown again rather than made again. Whatever comes in meanwhile costs no query.
	cached = 2 * time.Second
	// latest is how many points stand below the plot as figures.
	latest = 12
)

// Page makes the page from what read returns, at most once in two seconds, however many ask. It may be used from many goroutines.
type Page struct {
	read  func(ctx context.Context) (Facts, error)
	brief *brief
}

// NewPage returns a page of the facts that read returns.
func NewPage(read func(ctx context.Context) (Facts, error)) *Page {
	return &Page{read: read, brief: newBrief()}
}

// Serve answers with the page, to GET and HEAD. It returns the errors of read.
func (p *Page) Serve(w http.ResponseWriter, r *http.Request) error {
	content, err := p.brief.get(r.Context(), cached, func(ctx context.Context) ([]byte, error) {
		facts, err := p.read(ctx)
		if err != nil {
			return nil, err
		}
		return render(&facts)
	})
	if err != nil {
		return err
	}
	h := w.Header()
	protect(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	serve(w, r, content, fmt.Sprintf("public, max-age=%d", int(cached.Seconds())))
	return nil
}

func render(f *Facts) ([]byte, error) {
	var b bytes.Buffer
	if err := page.Execute(&b, viewOf(f)); err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return b.Bytes(), nil
}

// amount is a number as people read it: thousands apart, and the fraction by itself.
type amount struct{ Whole, Fraction string }

// amountOf keeps two to six places: those that say something.
func amountOf(d decimal.Decimal) amount {
	whole, fraction, _ := strings.Cut(d.StringFixed(6), ".")
	return amount{grouped(whole), fraction[:2] + strings.TrimRight(fraction[2:], "0")}
}

// grouped writes a whole number with commas between its thousands.
func grouped(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}

// percent writes a ratio in percent with one place, rounded down: 99.99 % is not 100.
func percent(ratio decimal.NullDecimal) string {
	if !ratio.Valid {
		return ""
	}
	whole, fraction, _ := strings.Cut(ratio.Decimal.Shift(2).RoundDown(1).StringFixed(1), ".")
	return grouped(whole) + "." + fraction
}

// view is Facts as the template writes them.
type view struct {
	Facts
	Supply, Minted, Burned, Backing amount
	Escrowed, Coverage, StateWord   string
	Classes                         []classView
	Log                             *logView
	Plot                            plot
}

type classView struct {
	Name, K    string
	Hours, SCH amount
	// Share is its part of all, in percent.
	Share string
}

type logView struct {
	Log
	Size amount
}

func viewOf(f *Facts) *view {
	v := &view{
		Facts: *f, Supply: amountOf(f.Supply), Minted: amountOf(f.Minted), Burned: amountOf(f.Burned), Backing: amountOf(f.Backing),
		Coverage: percent(f.Coverage), StateWord: stateWord(f.State), Plot: plotOf(f),
	}
	if f.Escrowed.Sign() > 0 {
		a := amountOf(f.Escrowed)
		v.Escrowed = a.Whole + "." + a.Fraction
	}
	for _, c := range f.Classes {
		v.Classes = append(v.Classes, classView{c.Name, c.K.String(), amountOf(c.Hours), amountOf(c.SCH), shareOf(c.SCH, f.Backing)})
	}
	if f.Log != nil {
		v.Log = &logView{*f.Log, amount{Whole: grouped(fmt.Sprint(f.Log.Size))}}
	}
	return v
}

// stateWord begins a sentence.
func stateWord(state string) string {
	if state == "" {
		return ""
	}
	return strings.ToUpper(state[:1]) + state[1:]
}

func shareOf(part, all decimal.Decimal) string {
	if all.Sign() <= 0 {
		return "0.0"
	}
	return part.Shift(2).DivRound(all, 1).StringFixed(1)
}
