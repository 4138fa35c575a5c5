package replay

import (
	"strings"
	"testing"
)

// A view that lacks its end, or has something behind it, or another number of accounts, is not read.
func TestAViewHasAnEnd(t *testing.T) {
	t.Parallel()
	const head, end = `{"v":"1","type":"view","origin":"x","size":"3"}` + "\n", `{"accounts":"0","type":"end","v":"1"}` + "\n"
	if _, err := ReadView(strings.NewReader(head + end)); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no end": head, "half an end": head + end[:len(end)-1], "two ends": head + end + end, "more behind": head + end + head,
		"another number": head + strings.Replace(end, `"0"`, `"1"`, 1), "another version": head + strings.Replace(end, `"v":"1"`, `"v":"2"`, 1), "the end first": end + head,
	} {
		if _, err := ReadView(strings.NewReader(text)); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
}
