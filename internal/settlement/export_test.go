package settlement

// HasLine tells whether a kind of transaction can change what a provider owes.
func HasLine(kind string) bool {
	into, _ := new(Figures).lineOf(kind)
	return into != nil
}
