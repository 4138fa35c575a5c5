package anchor

import "strings"

// resellers are the catalogues that sell other people's machines and say in the instance type whose, before this separator. A
// quote may also name its seller itself.
var resellers = map[string]string{"shadeform": "_", "primeintellect": "__"}

// sellerNames are what resellers call sellers who call themselves otherwise.
var sellerNames = map[string]string{"lambdalabs": "lambda", "datacrunch": "verda", "crusoecloud": "crusoe"}

// sellerOf says who runs the machine of a quote.
func sellerOf(q *NewQuote) string {
	if q.Seller != "" {
		return q.Seller
	}
	separator, resold := resellers[q.Source]
	if !resold {
		return q.Source
	}
	name, _, named := strings.Cut(q.InstanceType, separator)
	if !named || name == "" {
		return q.Source
	}
	if known, ok := sellerNames[name]; ok {
		return known
	}
	return name
}
