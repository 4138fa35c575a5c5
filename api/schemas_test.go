package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// schemaFaults lists what is loose in a schema: a text without an end, a list without an end, an object that takes
// anything, a field that says nothing.
func schemaFaults(name string, s *openapi3.Schema) []string {
	var faults []string
	if s.Description == "" {
		faults = append(faults, name+": no description")
	}
	if s.Type.Includes("string") && s.MaxLength == nil && s.Pattern == "" && s.Format == "" && len(s.Enum) == 0 {
		faults = append(faults, name+": a string without limit")
	}
	if s.Type.Includes("array") && s.MaxItems == nil {
		faults = append(faults, name+": an array without limit")
	}
	if s.Type.Includes("integer") && s.Min == nil {
		faults = append(faults, name+": an integer without a least value")
	}
	if s.Type.Includes("object") {
		closed := s.AdditionalProperties.Has != nil && !*s.AdditionalProperties.Has
		if !closed && s.AdditionalProperties.Schema == nil {
			faults = append(faults, name+": an object that takes anything")
		}
	}
	for field, property := range s.Properties {
		if property.Ref == "" {
			faults = append(faults, schemaFaults(name+"."+field, property.Value)...)
		}
	}
	return faults
}

func TestSchemasAreTight(t *testing.T) {
	t.Parallel()
	for name, schema := range load(t).Components.Schemas {
		if name == "ProviderAnswer" { // Somebody else's, of which some is read.
			continue
		}
		for _, fault := range schemaFaults(name, schema.Value) {
			t.Error(fault)
		}
	}
}

// In answers every field is always there, null where there is nothing to say, so that clients need one check and not two.
// The exceptions are where a field makes no sense at all.
func TestAnswersLeaveNothingOut(t *testing.T) {
	t.Parallel()
	mayBeAbsent := []string{
		"Problem.instance", "Problem.errors", "Problem.request_id", "FieldError.detail", "RedemptionEvent.detail",
		"TransferResult.replayed", "TransferResult.leaf_hash", "TransferResult.transfer", "TransferResult.error",
		"Pledge.delivery_curve", // It may have a thousand windows, and lists leave it out.
		// Hardware is in answers as the provider described it.
		"Hardware.form_factor", "Hardware.memory_gb", "Hardware.interconnect", "Hardware.node_size",
	}
	requestOnly := []string{
		"BatchTransfer", "NewQuote", "Recipient", "ProviderCallbackData",
		"ProviderAnswer", // It is what is answered to this server.
	}
	for name, schema := range load(t).Components.Schemas {
		if strings.HasSuffix(name, "Request") || slices.Contains(requestOnly, name) {
			continue
		}
		for field := range schema.Value.Properties {
			if !slices.Contains(schema.Value.Required, field) && !slices.Contains(mayBeAbsent, name+"."+field) {
				t.Errorf("%s.%s may be left out", name, field)
			}
		}
	}
}
