package sumtree

// Leaf is what a place of a tree has, for a test that computes the root in another way.
type Leaf struct {
	Account string // Empty for padding.
	Salt    [HashBytes]byte
	Amount  int64
}

// Leaves returns all leaves of a tree, from the left.
func (t *Tree) Leaves() []Leaf {
	d := t.secrets.deriver()
	leaves := make([]Leaf, 1<<t.root.Depth)
	for n := range t.accounts * MaxParts {
		name, balance, _ := t.source.account(n / MaxParts)
		amounts, count := d.partsOf(n/MaxParts, balance)
		leaf := &leaves[d.place(n, t.root.Depth)]
		if int(n%MaxParts) < count {
			leaf.Account, leaf.Amount = name, amounts[n%MaxParts]
		}
	}
	for place := range leaves {
		leaves[place].Salt = d.saltOf(d.leafAt(uint64(place), t.root.Depth))
	}
	return leaves
}

// Places returns where each leaf of a tree of this depth lies.
func Places(seed [HashBytes]byte, depth int) (places, back []uint64) {
	secrets, err := newSecrets(seed, "SCH")
	if err != nil {
		panic(err)
	}
	d := secrets.deriver()
	for leaf := range uint64(1) << depth {
		place := d.place(leaf, depth)
		places, back = append(places, place), append(back, d.leafAt(place, depth))
	}
	return places, back
}
