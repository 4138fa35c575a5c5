package wire_test

import (
	stdjson "encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/ballast-compute/ballast/api"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
)

func TestGeneratedTypesAreUpToDate(t *testing.T) {
	t.Parallel()
	fresh := filepath.Join(t.TempDir(), "wire.gen.go")
	cmd := exec.CommandContext(t.Context(), "go", "tool", "oapi-codegen", "-config", "config.yaml", "-o", fresh, "../../../api/openapi.yaml")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("wire.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run go generate ./internal/httpapi/wire (-fresh +committed):\n%s", diff)
	}
}

// typeOf gives the generated type of every schema that is a whole body.
var typeOf = map[string]reflect.Type{
	"Account":                      reflect.TypeFor[wire.Account](),
	"AccountBacking":               reflect.TypeFor[wire.AccountBacking](),
	"AccountPage":                  reflect.TypeFor[wire.AccountPage](),
	"Anchor":                       reflect.TypeFor[wire.Anchor](),
	"AnnounceEpochRequest":         reflect.TypeFor[wire.AnnounceEpochRequest](),
	"ApiKey":                       reflect.TypeFor[wire.APIKey](),
	"ApiKeyPage":                   reflect.TypeFor[wire.APIKeyPage](),
	"ApiKeyWithSecret":             reflect.TypeFor[wire.APIKeyWithSecret](),
	"ApprovePolicyRequest":         reflect.TypeFor[wire.ApprovePolicyRequest](),
	"ApproveResolutionRequest":     reflect.TypeFor[wire.ApproveResolutionRequest](),
	"AttemptPage":                  reflect.TypeFor[wire.AttemptPage](),
	"CaptureHoldRequest":           reflect.TypeFor[wire.CaptureHoldRequest](),
	"CorrectionList":               reflect.TypeFor[wire.CorrectionList](),
	"Coverage":                     reflect.TypeFor[wire.Coverage](),
	"CoverageEventPage":            reflect.TypeFor[wire.CoverageEventPage](),
	"CreateAccountRequest":         reflect.TypeFor[wire.CreateAccountRequest](),
	"CreateApiKeyRequest":          reflect.TypeFor[wire.CreateAPIKeyRequest](),
	"CreateEpochRequest":           reflect.TypeFor[wire.CreateEpochRequest](),
	"CreateHolderRequest":          reflect.TypeFor[wire.CreateHolderRequest](),
	"CreateHoldRequest":            reflect.TypeFor[wire.CreateHoldRequest](),
	"CreateMintRequest":            reflect.TypeFor[wire.CreateMintRequest](),
	"CreatePledgeRequest":          reflect.TypeFor[wire.CreatePledgeRequest](),
	"CreatePolicyRequest":          reflect.TypeFor[wire.CreatePolicyRequest](),
	"CreateProviderRequest":        reflect.TypeFor[wire.CreateProviderRequest](),
	"CreateProviderSecretRequest":  reflect.TypeFor[wire.CreateProviderSecretRequest](),
	"CreateRedemptionQuoteRequest": reflect.TypeFor[wire.CreateRedemptionQuoteRequest](),
	"CreateRedemptionRequest":      reflect.TypeFor[wire.CreateRedemptionRequest](),
	"CreateTransferBatchRequest":   reflect.TypeFor[wire.CreateTransferBatchRequest](),
	"CreateTransferRequest":        reflect.TypeFor[wire.CreateTransferRequest](),
	"CreateWebhookEndpointRequest": reflect.TypeFor[wire.CreateWebhookEndpointRequest](),
	"EmptyRequest":                 reflect.TypeFor[wire.EmptyRequest](),
	"EnableWebhookEndpointRequest": reflect.TypeFor[wire.EnableWebhookEndpointRequest](),
	"EnterQuotesRequest":           reflect.TypeFor[wire.EnterQuotesRequest](),
	"Epoch":                        reflect.TypeFor[wire.Epoch](),
	"SupplyHistory":                reflect.TypeFor[wire.SupplyHistory](),
	"EpochPage":                    reflect.TypeFor[wire.EpochPage](),
	"EpochPreview":                 reflect.TypeFor[wire.EpochPreview](),
	"EventPage":                    reflect.TypeFor[wire.EventPage](),
	"GpuClassList":                 reflect.TypeFor[wire.GPUClassList](),
	"Hold":                         reflect.TypeFor[wire.Hold](),
	"Holder":                       reflect.TypeFor[wire.Holder](),
	"HolderPage":                   reflect.TypeFor[wire.HolderPage](),
	"HoldPage":                     reflect.TypeFor[wire.HoldPage](),
	"IndexPage":                    reflect.TypeFor[wire.IndexPage](),
	"IssueRedemptionRequest":       reflect.TypeFor[wire.IssueRedemptionRequest](),
	"LeaseRedemptionsRequest":      reflect.TypeFor[wire.LeaseRedemptionsRequest](),
	"Liabilities":                  reflect.TypeFor[wire.Liabilities](),
	"LiabilitiesPage":              reflect.TypeFor[wire.LiabilitiesPage](),
	"LiabilityProof":               reflect.TypeFor[wire.LiabilityProof](),
	"LoadVouchersRequest":          reflect.TypeFor[wire.LoadVouchersRequest](),
	"LogViewLine":                  reflect.TypeFor[wire.LogViewLine](),
	"MarginCallPage":               reflect.TypeFor[wire.MarginCallPage](),
	"Mint":                         reflect.TypeFor[wire.Mint](),
	"Pledge":                       reflect.TypeFor[wire.Pledge](),
	"PledgePage":                   reflect.TypeFor[wire.PledgePage](),
	"PledgeStatement":              reflect.TypeFor[wire.PledgeStatement](),
	"Policy":                       reflect.TypeFor[wire.Policy](),
	"PolicyPage":                   reflect.TypeFor[wire.PolicyPage](),
	"PostingPage":                  reflect.TypeFor[wire.PostingPage](),
	"PriceIndex":                   reflect.TypeFor[wire.PriceIndex](),
	"Problem":                      reflect.TypeFor[wire.Problem](),
	"ProposeCorrectionRequest":     reflect.TypeFor[wire.ProposeCorrectionRequest](),
	"ProposeResolutionRequest":     reflect.TypeFor[wire.ProposeResolutionRequest](),
	"ProposeSunsetRequest":         reflect.TypeFor[wire.ProposeSunsetRequest](),
	"Provider":                     reflect.TypeFor[wire.Provider](),
	"ProviderCallback":             reflect.TypeFor[wire.ProviderCallback](),
	"ProviderCallbackReceipt":      reflect.TypeFor[wire.ProviderCallbackReceipt](),
	"ProviderDelivery":             reflect.TypeFor[wire.ProviderDelivery](),
	"ProviderPage":                 reflect.TypeFor[wire.ProviderPage](),
	"ProviderSecretList":           reflect.TypeFor[wire.ProviderSecretList](),
	"ProviderSecretWithText":       reflect.TypeFor[wire.ProviderSecretWithText](),
	"QuoteBatch":                   reflect.TypeFor[wire.QuoteBatch](),
	"Receipt":                      reflect.TypeFor[wire.Receipt](),
	"Redemption":                   reflect.TypeFor[wire.Redemption](),
	"RedemptionCorrection":         reflect.TypeFor[wire.RedemptionCorrection](),
	"RedemptionLease":              reflect.TypeFor[wire.RedemptionLease](),
	"RedemptionOfferList":          reflect.TypeFor[wire.RedemptionOfferList](),
	"RedemptionPage":               reflect.TypeFor[wire.RedemptionPage](),
	"RedemptionQuote":              reflect.TypeFor[wire.RedemptionQuote](),
	"RedemptionResolution":         reflect.TypeFor[wire.RedemptionResolution](),
	"RejectPledgeRequest":          reflect.TypeFor[wire.RejectPledgeRequest](),
	"RejectRedemptionRequest":      reflect.TypeFor[wire.RejectRedemptionRequest](),
	"ReleasePledgeRequest":         reflect.TypeFor[wire.ReleasePledgeRequest](),
	"Replay":                       reflect.TypeFor[wire.Replay](),
	"ResolutionList":               reflect.TypeFor[wire.ResolutionList](),
	"ReverseTransactionRequest":    reflect.TypeFor[wire.ReverseTransactionRequest](),
	"RolloverCallPage":             reflect.TypeFor[wire.RolloverCallPage](),
	"RotateApiKeyRequest":          reflect.TypeFor[wire.RotateAPIKeyRequest](),
	"RotateWebhookSecretRequest":   reflect.TypeFor[wire.RotateWebhookSecretRequest](),
	"ServiceStatus":                reflect.TypeFor[wire.ServiceStatus](),
	"SetDeliveryRequest":           reflect.TypeFor[wire.SetDeliveryRequest](),
	"SetLowStockRequest":           reflect.TypeFor[wire.SetLowStockRequest](),
	"SetProviderTierRequest":       reflect.TypeFor[wire.SetProviderTierRequest](),
	"SetSigningKeyRequest":         reflect.TypeFor[wire.SetSigningKeyRequest](),
	"Settlement":                   reflect.TypeFor[wire.Settlement](),
	"SigningKey":                   reflect.TypeFor[wire.SigningKey](),
	"SubstitutePledgeRequest":      reflect.TypeFor[wire.SubstitutePledgeRequest](),
	"Substitution":                 reflect.TypeFor[wire.Substitution](),
	"Sunset":                       reflect.TypeFor[wire.Sunset](),
	"SunsetRequest":                reflect.TypeFor[wire.SunsetRequest](),
	"Supply":                       reflect.TypeFor[wire.Supply](),
	"Transaction":                  reflect.TypeFor[wire.Transaction](),
	"TransactionPage":              reflect.TypeFor[wire.TransactionPage](),
	"Transfer":                     reflect.TypeFor[wire.Transfer](),
	"TransferBatch":                reflect.TypeFor[wire.TransferBatch](),
	"TrialBalance":                 reflect.TypeFor[wire.TrialBalance](),
	"UpdateWebhookEndpointRequest": reflect.TypeFor[wire.UpdateWebhookEndpointRequest](),
	"VerifyPledgeRequest":          reflect.TypeFor[wire.VerifyPledgeRequest](),
	"VoidedVouchers":               reflect.TypeFor[wire.VoidedVouchers](),
	"VoidVouchersRequest":          reflect.TypeFor[wire.VoidVouchersRequest](),
	"VoucherBatch":                 reflect.TypeFor[wire.VoucherBatch](),
	"VoucherStock":                 reflect.TypeFor[wire.VoucherStock](),
	"WebhookDelivery":              reflect.TypeFor[wire.WebhookDelivery](),
	"WebhookDeliveryPage":          reflect.TypeFor[wire.WebhookDeliveryPage](),
	"WebhookEndpoint":              reflect.TypeFor[wire.WebhookEndpoint](),
	"WebhookEndpointPage":          reflect.TypeFor[wire.WebhookEndpointPage](),
	"WebhookEndpointWithSecret":    reflect.TypeFor[wire.WebhookEndpointWithSecret](),
}

// roundTrip decodes a document strictly into its type, encodes that again, and returns what came out.
func roundTrip(t *testing.T, typ reflect.Type, document any) any {
	t.Helper()
	text, err := stdjson.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	value := reflect.New(typ)
	if err := json.Unmarshal(text, value.Interface(), json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	again, err := json.Marshal(value.Interface())
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	var out any
	if err := stdjson.Unmarshal(again, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func checkContent(t *testing.T, content openapi3.Content) (checked int) {
	t.Helper()
	for mediaType, body := range content {
		if !strings.HasSuffix(mediaType, "json") {
			continue
		}
		name := strings.TrimPrefix(body.Schema.Ref, "#/components/schemas/")
		typ, ok := typeOf[name]
		if !ok {
			t.Errorf("no type for schema %q", name)
			continue
		}
		for _, example := range body.Examples {
			checked++
			if diff := cmp.Diff(example.Value.Value, roundTrip(t, typ, example.Value.Value)); diff != "" {
				t.Errorf("%s: what was read is not what is written (-example +written):\n%s", name, diff)
			}
		}
	}
	return checked
}

// Every field, null and time of every example survives its generated type, and none is lost or renamed.
func TestExamplesSurviveTheTypes(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody != nil {
				checked += checkContent(t, op.RequestBody.Value.Content)
			}
			for _, res := range op.Responses.Map() {
				checked += checkContent(t, res.Value.Content)
			}
		}
	}
	if checked < 500 {
		t.Errorf("only %d examples were checked", checked)
	}
}
