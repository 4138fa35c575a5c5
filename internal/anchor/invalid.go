package anchor

// InvalidError is a field of a request that may not be as it is.
type InvalidError struct {
	// Field is the field's name on the wire, and Code a stable word for its fault.
	Field, Code string
	// Detail is a sentence for people.
	Detail string
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Detail }
