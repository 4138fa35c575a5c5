package strictjson_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ballast-compute/ballast/internal/strictjson"
)

func TestNoNameOfASecretBodyIsRepeated(t *testing.T) {
	t.Parallel()
	type row struct {
		Code string `json:"code"`
	}
	for body, want := range map[string]string{
		`{"NW-7F3K-SECRET":1}`:                        "?",
		`{"nwsecret":"a"}`:                            "?",
		`{"NW-7F3K":null}`:                            "?",
		`{"NW-7F3K":tru}`:                             "?",
		`{"NW-7F3K":[[{"a":"\u0000"}]]}`:              "?[0][0].?",
		`{"codes":["a"],"codes":["b"]}`:               "codes",
		`{"codes":{"NW-7F3K":1}}`:                     "codes",
		`{"codes":[1]}`:                               "codes[0]",
		`{"rows":[{"code":"a"},{"NW-7F3K":"b"}]}`:     "rows[1].?",
		`{"rows":[{"code":7}]}`:                       "rows[0].code",
		`{"labels":{"NW-7F3K":7}}`:                    "labels.?",
		`{"` + strings.Repeat("NW-7F3K", 20) + `":1}`: "?",
	} {
		var into struct {
			Codes  []string          `json:"codes"`
			Rows   []row             `json:"rows"`
			Labels map[string]string `json:"labels"`
		}
		e, ok := errors.AsType[*strictjson.Error](strictjson.DecodeSecret(strings.NewReader(body), 1000, &into))
		if !ok || e.Field != want || strings.Contains(e.Error()+e.Detail, "NW-7F3K") {
			t.Errorf("%s: %v, want %s", body, e, want)
		}
	}
	var into row
	if err := strictjson.DecodeSecret(strings.NewReader(`{"code":"a"}`), 1000, &into); err != nil || into.Code != "a" {
		t.Errorf("a good body: %v, %+v", err, into)
	}
}
