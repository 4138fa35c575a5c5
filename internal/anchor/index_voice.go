package anchor

import (
	"maps"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"
)

// listed is a price on demand that counts at some time.
type listed struct {
	source, seller, class, instanceType, region string
	gpus                                        int
	// price is in USD for an hour of the whole instance, and spot too; spot may be null.
	price decimal.Decimal
	spot  decimal.NullDecimal
}

func (l *listed) perGPU() decimal.Decimal {
	return l.price.DivRound(decimal.NewFromInt(int64(l.gpus)), indexPlaces)
}

// said keys prices by source, class and seller.
type said struct{ source, class, seller string }

// voicesOf gives each source one voice about each class that it sells: the median over sellers of the median of the seller's
// prices for one GPU. For a source that sells its own machines that is one median. A reseller speaks for the sellers that do not
// speak for themselves: what it asks for the machines of one that does is the same machine again. Auction floors have no voice.
// The voices are in the order of source and class.
func voicesOf(list []listed) []observation {
	asked := askedOf(list)
	bySource, own := make(map[said][]decimal.Decimal), make(map[said]bool)
	for key, prices := range asked {
		voice := said{source: key.source, class: key.class}
		own[voice] = own[voice] || key.seller == key.source
		bySource[voice] = append(bySource[voice], median(prices))
	}
	voices := make([]observation, 0, len(bySource))
	for key, prices := range bySource {
		voices = append(voices, observation{source: key.source, class: key.class, price: median(prices).Round(indexPlaces), own: own[key]})
	}
	slices.SortFunc(voices, observation.compare)
	return voices
}

// askedOf has what is asked for one GPU, without auction floors and what resellers ask for the machines of sellers that speak.
func askedOf(list []listed) map[said][]decimal.Decimal {
	floors := auctionFloors(list)
	speaks := make(map[said]bool)
	for i := range list {
		if l := &list[i]; l.seller == l.source && !floors[l.source] {
			speaks[said{l.source, l.class, l.source}] = true
		}
	}
	asked := make(map[said][]decimal.Decimal)
	for i := range list {
		l := &list[i]
		if floors[l.source] || (l.seller != l.source && speaks[said{l.seller, l.class, l.seller}]) {
			continue
		}
		key := said{l.source, l.class, l.seller}
		asked[key] = append(asked[key], l.perGPU())
	}
	return asked
}

// auctionFloors are the sources that ask one price for GPUs of several classes, which is their spot price too: bids begin
// there, and nobody sells at it.
func auctionFloors(list []listed) map[string]bool {
	asked := make(map[string]map[string][]decimal.Decimal)
	floors := make(map[string]bool)
	for i := range list {
		l := &list[i]
		if asked[l.source] == nil {
			asked[l.source], floors[l.source] = make(map[string][]decimal.Decimal), true
		}
		asked[l.source][l.class] = append(asked[l.source][l.class], l.perGPU())
		floors[l.source] = floors[l.source] && l.spot.Valid && l.spot.Decimal.Equal(l.price)
	}
	maps.DeleteFunc(floors, func(source string, spotIsPrice bool) bool { return !spotIsPrice || !onePriceForAll(asked[source]) })
	return floors
}

func (l *listed) input() quoteInput {
	q := quoteInput{Seller: l.seller, Quote: Quote{
		Source: l.source, GPUClass: l.class, GPUCount: strconv.Itoa(l.gpus), InstanceType: l.instanceType, Region: l.region, PriceUSD: l.price.String(),
	}}
	if l.spot.Valid {
		q.SpotUSD = l.spot.Decimal.String()
	}
	return q
}
