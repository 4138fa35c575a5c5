package transparency

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// The plot's own units, which the browser stretches to the room that there is.
const (
	plotWidth  = 1000
	plotHeight = 300
	// plotTicks is how many steps the axis has at most, and plotDots up to how many points each has a dot.
	plotTicks = 5
	plotDots  = 40
	// shortSpan is up to when the axis has times besides days.
	shortSpan = 72 * time.Hour
)

// plot is the ratio of collateral to supply over time, as paths of an SVG. Text stands beside it, in HTML, where it keeps its size on a phone.
type plot struct {
	Width, Height int
	// Line goes through the points, Area is below it, Dots marks them.
	Line, Area, Dots string
	// Par is the height of 100 %, Grid those of Ticks, which are in percent from the top down.
	Par   string
	Grid  []string
	Ticks []string
	// From and To are the days at the ends, Span both in words, and Summary what the plot shows, for who cannot see it.
	From, To, Span, Summary string
	Points                  []Point
	Latest                  []pointView
}

type pointView struct {
	Index              int64
	At                 time.Time
	Supply, Collateral amount
	Ratio              string
}

// axis is from zero to the top, in steps that people count in.
type axis struct{ step, top decimal.Decimal }

// axisFor returns an axis on which 100 % and the highest ratio have their place.
func axisFor(highest decimal.Decimal) axis {
	needed := decimal.Max(highest, decimal.New(125, -2))
	for unit := decimal.New(1, -2); ; unit = unit.Shift(1) {
		for _, n := range []int64{1, 2, 5} {
			step := unit.Mul(decimal.NewFromInt(n))
			if steps := needed.DivRound(step, 9).Ceil(); steps.LessThanOrEqual(decimal.NewFromInt(plotTicks)) {
				return axis{step, step.Mul(steps)}
			}
		}
	}
}

// y is where a ratio is, in the plot's units from the top, with two places.
func (a axis) y(ratio decimal.Decimal) string {
	height := decimal.NewFromInt(plotHeight)
	return height.Sub(ratio.Mul(height).DivRound(a.top, 2)).StringFixed(2)
}

func plotOf(f *Facts) plot {
	p := plot{Width: plotWidth, Height: plotHeight}
	from, form := f.From, "2 Jan 2006"
	if len(f.History) > 0 { // A young log fills the plot too.
		from = f.History[0].At
	}
	if f.To.Sub(from) < shortSpan {
		form = "2 Jan 2006, 15:04"
	}
	p.From, p.To = from.Format(form), f.To.Format(form)
	p.Span = p.From + " to " + p.To
	var highest, last decimal.Decimal
	for _, point := range f.History {
		if point.Ratio.Valid {
			p.Points = append(p.Points, point)
			highest, last = decimal.Max(highest, point.Ratio.Decimal), point.Ratio.Decimal
		}
	}
	if len(p.Points) == 0 {
		return p
	}
	a := axisFor(highest)
	for ratio := a.top; ratio.Sign() >= 0; ratio = ratio.Sub(a.step) {
		p.Grid, p.Ticks = append(p.Grid, a.y(ratio)), append(p.Ticks, ratio.Shift(2).String())
	}
	p.Par = a.y(decimal.NewFromInt(1))
	p.draw(a, from, f.To)
	p.Summary = fmt.Sprintf("Collateral by supply from %s, in %d points; the last is %s percent.", p.Span, len(p.Points), percent(decimal.NewNullDecimal(last)))
	for _, point := range slices.Backward(f.History[max(0, len(f.History)-latest):]) {
		p.Latest = append(p.Latest, pointView{point.Index, point.At, amountOf(point.Supply), amountOf(point.Collateral), percent(point.Ratio)})
	}
	return p
}

// draw writes the paths. A dot is a line of no length with round ends, which stays round however the plot is stretched.
func (p *plot) draw(a axis, from, to time.Time) {
	var line, dots strings.Builder
	first, last := "", ""
	for i, point := range p.Points {
		x, y := xOf(point.At, from, to), a.y(point.Ratio.Decimal)
		if i == 0 {
			first = x
			fmt.Fprintf(&line, "M%s %s", x, y)
		} else {
			fmt.Fprintf(&line, "L%s %s", x, y)
		}
		if len(p.Points) <= plotDots || i == len(p.Points)-1 {
			fmt.Fprintf(&dots, "M%s %sh0", x, y)
		}
		last = x
	}
	p.Line, p.Dots = line.String(), dots.String()
	p.Area = fmt.Sprintf("%sL%s %dL%s %dZ", p.Line, last, plotHeight, first, plotHeight)
}

// xOf is where a time is between two others, in the plot's units, with two places.
func xOf(at, from, to time.Time) string {
	span := max(to.Sub(from).Milliseconds(), 1)
	hundredths := at.Sub(from).Milliseconds() * plotWidth * 100 / span
	return strconv.FormatInt(hundredths/100, 10) + fmt.Sprintf(".%02d", hundredths%100)
}
