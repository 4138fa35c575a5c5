package httpapi_test

import "testing"

// Four eyes are two people's: what an operator gets from the API for themselves does not count as a second one.
func TestAnOperatorMakesNoSecondOne(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	made := s.post("operator", "/v1/api-keys", `{"role":"operator","name":"another key of mine"}`).want(201)
	if made.string("principal_id") != s.names["operator"] || made.string("created_by") != s.names["operator"] {
		t.Errorf("the key is of %s, made by %s", made.string("principal_id"), made.string("created_by"))
	}
	s.names["key.mine"] = made.string("key")
	s.names["mine"] = s.post("operator", "/v1/pledges", substituteBody).want(201).string("id")
	s.post("mine", "/v1/pledges/{mine}/verify", `{}`).want(403, "four_eyes")
	s.names["policy"] = s.post("operator", "/v1/policies", `{"mint_buffer":"0.01","note":"n"}`).want(201).string("id")
	s.post("mine", "/v1/policies/{policy}/approve", `{}`).want(403, "four_eyes")
	s.post("second", "/v1/policies/{policy}/approve", `{}`).want(200)
	s.post("second", "/v1/pledges/{mine}/verify", `{}`).want(200)
}

// Another operator's key cannot be taken over by replacing it. It can be revoked, since that is urgent.
func TestAnotherOperatorsKeyIsOnlyRevoked(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.rows()
	s.post("operator", "/v1/api-keys/{second_key}/rotate", `{}`).want(403, "forbidden")
	sameRows(t, before, s.rows())
	if of := s.get("operator", "/v1/api-keys/{second_key}").want(200).body["created_by"]; of != nil {
		t.Errorf("a key that was made on the machine is of %v", of)
	}
	next := s.post("second", "/v1/api-keys/{second_key}/rotate", `{}`).want(201)
	if next.string("principal_id") != s.names["second_operator"] || next.string("created_by") != s.names["second_operator"] {
		t.Errorf("the successor is of %s, made by %s", next.string("principal_id"), next.string("created_by"))
	}
	rotated := s.post("second", "/v1/api-keys/{api_key}/rotate", `{}`).want(201)
	if rotated.string("principal_id") != s.names["alice"] || rotated.string("created_by") != s.names["second_operator"] {
		t.Errorf("Alice's successor is of %s, made by %s", rotated.string("principal_id"), rotated.string("created_by"))
	}
	s.post("operator", "/v1/api-keys/{second_key}/revoke", nil).want(200)
}
