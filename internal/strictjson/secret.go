package strictjson

import (
	"io"
	"reflect"
	"strings"
)

// DecodeSecret is Decode for a body that has secrets in it. Its errors name only fields that into has: whoever puts a secret where a name belongs does
// not find it in an answer, nor in what keeps answers. Other names are "?".
func DecodeSecret(r io.Reader, limit int64, into any) error {
	err := Decode(r, limit, into)
	if e, ok := err.(*Error); ok { //nolint:errorlint // Decode returns nothing else.
		names := map[string]bool{}
		namesOf(reflect.TypeOf(into), names)
		e.keep(names)
	}
	return err
}

// keep leaves no other names than these in the path.
func (e *Error) keep(names map[string]bool) {
	if e.Field == "" {
		return
	}
	parts := strings.Split(e.Field, ".")
	for i, part := range parts {
		name, index, found := strings.Cut(part, "[")
		if found {
			index = "[" + index
		}
		if name != "" && !names[name] {
			parts[i] = "?" + index
		}
	}
	e.Field = strings.Join(parts, ".")
}

// namesOf adds the names that JSON gives to the fields of a type, and of what it is made of. Keys of maps are no names.
func namesOf(t reflect.Type, names map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		namesOf(t.Elem(), names)
	case reflect.Struct:
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" || name == "-" || names[name] {
				continue
			}
			names[name] = true
			namesOf(field.Type, names)
		}
	default:
	}
}
