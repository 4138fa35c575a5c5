package httpapi_test

import "testing"

// A parameter that a call does not have is refused: answered as if it were not there, it would be taken for something that it is not.
func TestUnknownParametersAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, path := range []string{
		"/v1/accounts?at=2020-01-01T00:00:00Z", "/v1/accounts?at_seq=1", "/v1/reports/trial-balance?at_seq=1",
		"/v1/pledges?statsu=active", "/v1/transactions?Limit=5", "/v1/holds?limit=5&x",
	} {
		if got := s.get("operator", path).send(); got.status != 400 || got.body["code"] != "invalid_request" {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
}
