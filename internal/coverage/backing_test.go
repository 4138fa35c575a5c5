package coverage

import (
	"math"
	"math/big"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ballast-compute/ballast/internal/id"
)

// drawBackers returns pledges of a few classes, in the order of these, and what their hours amount to.
func drawBackers(t *rapid.T) []backer {
	var all []backer
	for _, class := range []string{"A", "B", "C"} {
		for range rapid.IntRange(0, 8).Draw(t, "pledges of "+class) {
			hours := rapid.Int64Range(1, 1<<rapid.IntRange(1, 62).Draw(t, "size")).Draw(t, "hours")
			worth := new(big.Int).Mul(big.NewInt(hours), big.NewInt(rapid.Int64Range(0, 3_000_000).Draw(t, "k")))
			all = append(all, backer{Pledge: id.New(), Provider: uuid.Nil, Class: class, Hours: hours, Worth: worth})
		}
	}
	return all
}

// The parts of a balance add up to it exactly, each within a millionth of its exact share; and hours to the account's part of each class.
func TestBackingAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		backers := drawBackers(t)
		circulating := rapid.Int64Range(1, math.MaxInt64).Draw(t, "circulating")
		balance := rapid.Int64Range(0, circulating).Draw(t, "balance")
		b := split(balance, circulating, backers)
		mustBeWorth(t, b, circulating, backers)
		total := new(big.Int)
		byPledge := map[uuid.UUID]backer{}
		for _, of := range backers {
			total.Add(total, of.Worth)
			byPledge[of.Pledge] = of
		}
		sum, hours, most := b.Unbacked, map[string]*big.Int{}, map[string]*big.Int{}
		for _, of := range backers {
			hours[of.Class], most[of.Class] = new(big.Int), new(big.Int)
		}
		for _, of := range backers {
			most[of.Class].Add(most[of.Class], big.NewInt(of.Hours))
		}
		for _, share := range b.Shares {
			of := byPledge[share.PledgeID]
			sum += share.SCH
			hours[of.Class].Add(hours[of.Class], big.NewInt(share.Hours))
			exact := new(big.Rat).SetFrac(new(big.Int).Mul(of.Worth, big.NewInt(balance)), total)
			if off := new(big.Rat).Sub(exact, new(big.Rat).SetInt64(share.SCH)); off.Abs(off).Cmp(big.NewRat(1, 1)) >= 0 {
				t.Fatalf("%d SCH for %s", share.SCH, exact.FloatString(6))
			}
			if share.Hours > of.Hours || share.Hours < 0 || share.SCH < 0 || share.SCH == 0 && share.Hours == 0 {
				t.Fatalf("%d hours of %d, %d SCH", share.Hours, of.Hours, share.SCH)
			}
		}
		if sum != balance || b.Balance != balance || b.Unbacked != 0 && len(b.Shares) > 0 {
			t.Fatalf("the parts add up to %d of %d, %d without backing", sum, balance, b.Unbacked)
		}
		if len(b.Shares) == 0 {
			return
		}
		for class, got := range hours {
			want := new(big.Int).Mul(most[class], big.NewInt(balance))
			if want.Quo(want, big.NewInt(circulating)).Cmp(got) != 0 {
				t.Fatalf("%s hours of class %s, want %s", got, class, want)
			}
		}
	})
}

// mustBeWorth computes in fractions what split computes in whole numbers.
func mustBeWorth(t *rapid.T, b Backing, circulating int64, backers []backer) {
	t.Helper()
	exact := new(big.Rat)
	for _, of := range backers {
		exact.Add(exact, new(big.Rat).SetFrac(of.Worth, big.NewInt(1_000_000_000_000)))
	}
	exact.Mul(exact, big.NewRat(b.Balance, circulating))
	if lost := exact.Sub(exact, b.Worth.Rat()); lost.Sign() < 0 || lost.Cmp(big.NewRat(1, 1_000_000)) >= 0 {
		t.Fatalf("worth %s, which is off by %s", b.Worth, lost.FloatString(12))
	}
}

// Where too few hours are left, a pledge's part of the balance is no measure of what it is worth, and Worth is.
func TestBackingTellsWhatItIsWorth(t *testing.T) {
	t.Parallel()
	backers := []backer{{Pledge: id.New(), Class: "A", Hours: 1_000_000, Worth: big.NewInt(900_000_000_000)}}
	b := split(250_000_000, 1_000_000_000, backers)
	if b.Unbacked != 0 || len(b.Shares) != 1 || b.Shares[0].SCH != 250_000_000 || b.Worth.String() != "0.225" {
		t.Errorf("a quarter of what an hour at a tenth less backs: %+v", b)
	}
}

// Whoever has all tokens is told of all hours.
func TestBackingOfEverything(t *testing.T) {
	t.Parallel()
	backers := []backer{
		{Pledge: id.New(), Class: "A", Hours: 7, Worth: big.NewInt(7)},
		{Pledge: id.New(), Class: "A", Hours: 1, Worth: big.NewInt(1)},
		{Pledge: id.New(), Class: "B", Hours: 3, Worth: big.NewInt(0)},
	}
	b := split(10, 10, backers)
	if len(b.Shares) != 3 || b.Shares[0].Hours != 7 || b.Shares[1].Hours != 1 || b.Shares[2].Hours != 3 || b.Shares[0].SCH != 9 || b.Shares[1].SCH != 1 {
		t.Errorf("%+v", b)
	}
	if b := split(10, 10, nil); b.Unbacked != 10 || len(b.Shares) != 0 {
		t.Errorf("without any: %+v", b)
	}
	if b := split(0, 10, backers); b.Unbacked != 0 || len(b.Shares) != 0 {
		t.Errorf("of nothing: %+v", b)
	}
}
