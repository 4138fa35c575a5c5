package anchor

// voicesByClass is how many sources have a voice about each class.
func voicesByClass(list []listed) map[string]int {
	n := make(map[string]int)
	for _, v := range voicesOf(list) {
		n[v.class]++
	}
	return n
}

// sourcesByClass is how many sources about each class can be named such that each speaks for a seller of its own: however many resell one
// machine, they are one. It is the size of a maximum matching of sources and sellers, found by augmenting paths (H. W. Kuhn, "The
// Hungarian Method for the Assignment Problem", 1955).
func sourcesByClass(list []listed) map[string]int {
	sellers := make(map[string]map[string][]string)
	for key := range askedOf(list) {
		if sellers[key.class] == nil {
			sellers[key.class] = make(map[string][]string)
		}
		sellers[key.class][key.source] = append(sellers[key.class][key.source], key.seller)
	}
	n := make(map[string]int, len(sellers))
	for class, of := range sellers {
		m := matching{sellers: of, source: make(map[string]string)}
		for source := range of {
			if m.place(source, make(map[string]bool)) {
				n[class]++
			}
		}
	}
	return n
}

// matching gives sellers to sources that sell for them, each to one.
type matching struct {
	sellers map[string][]string
	// source is whose a seller is.
	source map[string]string
}

// place finds a seller for a source, if need be by finding other ones for those that have its sellers. It tries no seller twice.
func (m *matching) place(source string, tried map[string]bool) bool {
	for _, seller := range m.sellers[source] {
		if tried[seller] {
			continue
		}
		tried[seller] = true
		if holder, held := m.source[seller]; !held || m.place(holder, tried) {
			m.source[seller] = source
			return true
		}
	}
	return false
}
