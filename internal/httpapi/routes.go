package httpapi

import (
	"net/http"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/httpapi/transparency"
)

// Who may call what. Which of the things that a role may act on are its own, the handlers say.
var (
	anybody         []access.Role
	operators       = []access.Role{access.RoleOperator}
	holdersOnly     = []access.Role{access.RoleHolder}
	providersOnly   = []access.Role{access.RoleProvider}
	holdersAndOps   = []access.Role{access.RoleHolder, access.RoleOperator}
	providersAndOps = []access.Role{access.RoleProvider, access.RoleOperator}
	partiesAndOps   = []access.Role{access.RoleHolder, access.RoleProvider, access.RoleOperator}
	auditorsAndOps  = []access.Role{access.RoleAuditor, access.RoleOperator}
	staff           = []access.Role{access.RoleOperator, access.RoleFinance, access.RoleAuditor}
	holdersAndStaff = []access.Role{access.RoleHolder, access.RoleOperator, access.RoleFinance, access.RoleAuditor}
	providersStaff  = []access.Role{access.RoleProvider, access.RoleOperator, access.RoleFinance, access.RoleAuditor}
	everybody       = []access.Role{access.RoleHolder, access.RoleProvider, access.RoleOperator, access.RoleFinance, access.RoleAuditor}
)

// routes is the table of everything that can be asked for. A test compares it with the contract, in both directions.
func (a *API) routes(t Transport) []route {
	const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	return []route{
		{method: post, pattern: "/v1/transfers", roles: holdersAndOps, handler: a.createTransfer, idempotent: true},
		{method: post, pattern: "/v1/transfers/batch", roles: holdersAndOps, handler: a.createTransferBatch, maxBodyBytes: maxBatchBytes},
		{method: get, pattern: "/v1/accounts", roles: everybody, handler: a.listAccounts},
		{method: post, pattern: "/v1/accounts", roles: holdersAndOps, handler: a.createAccount, idempotent: true},
		{method: get, pattern: "/v1/accounts/{account_id}", roles: everybody, handler: a.getAccount},
		{method: get, pattern: "/v1/accounts/{account_id}/postings", roles: everybody, handler: a.listAccountPostings},
		{method: get, pattern: "/v1/accounts/{account_id}/backing", roles: holdersAndStaff, handler: a.getAccountBacking},
		{method: get, pattern: "/v1/accounts/{account_id}/liability-proof", roles: holdersAndStaff, handler: a.getLiabilityProof},
		{method: post, pattern: "/v1/accounts/{account_id}/freeze", roles: operators, handler: a.freezeAccount},
		{method: post, pattern: "/v1/accounts/{account_id}/unfreeze", roles: operators, handler: a.unfreezeAccount},
		{method: post, pattern: "/v1/accounts/{account_id}/close", roles: operators, handler: a.closeAccount},
		{method: get, pattern: "/v1/holds", roles: holdersAndStaff, handler: a.listHolds},
		{method: post, pattern: "/v1/holds", roles: holdersAndOps, handler: a.createHold, idempotent: true},
		{method: get, pattern: "/v1/holds/{hold_id}", roles: holdersAndStaff, handler: a.getHold},
		{method: post, pattern: "/v1/holds/{hold_id}/capture", roles: holdersAndOps, handler: a.captureHold, idempotent: true},
		{method: post, pattern: "/v1/holds/{hold_id}/void", roles: holdersAndOps, handler: a.voidHold, idempotent: true},
		{method: get, pattern: "/v1/transactions", roles: everybody, handler: a.listTransactions},
		{method: get, pattern: "/v1/transactions/{transaction_id}", roles: everybody, handler: a.getTransaction},
		{method: get, pattern: "/v1/transactions/{transaction_id}/receipt", roles: everybody, handler: a.getReceipt},
		{method: post, pattern: "/v1/transactions/{transaction_id}/reverse", roles: operators, handler: a.reverseTransaction, idempotent: true},
		{method: get, pattern: "/v1/pledges", roles: providersStaff, handler: a.listPledges},
		{
			method: post, pattern: "/v1/pledges", roles: providersAndOps, handler: a.createPledge, idempotent: true,
			maxBodyBytes: maxPledgeBytes,
		},
		{method: post, pattern: "/v1/pledges/statement", roles: providersAndOps, handler: a.statePledge, maxBodyBytes: maxPledgeBytes},
		{method: get, pattern: "/v1/pledges/{pledge_id}", roles: providersStaff, handler: a.getPledge},
		{method: post, pattern: "/v1/pledges/{pledge_id}/verify", roles: operators, handler: a.verifyPledge, idempotent: true},
		{method: post, pattern: "/v1/pledges/{pledge_id}/reject", roles: operators, handler: a.rejectPledge},
		{method: post, pattern: "/v1/pledges/{pledge_id}/release", roles: providersOnly, handler: a.releasePledge, idempotent: true},
		{method: post, pattern: "/v1/pledges/{pledge_id}/substitute", roles: providersAndOps, handler: a.substitutePledge, idempotent: true},
		{method: get, pattern: "/v1/rollover-calls", roles: providersStaff, handler: a.listRolloverCalls},
		{method: post, pattern: "/v1/mints", roles: providersAndOps, handler: a.createMint, idempotent: true},
		{method: get, pattern: "/v1/redemptions", roles: everybody, handler: a.listRedemptions},
		{method: post, pattern: "/v1/redemptions", roles: holdersOnly, handler: a.createRedemption, idempotent: true},
		{method: get, pattern: "/v1/redemption-offers", roles: holdersAndStaff, handler: a.listRedemptionOffers},
		{method: post, pattern: "/v1/redemption-quotes", roles: holdersOnly, handler: a.createRedemptionQuote, idempotent: true},
		{method: get, pattern: "/v1/redemption-quotes/{quote_id}", roles: holdersAndStaff, handler: a.getRedemptionQuote},
		{method: get, pattern: "/v1/redemptions/{redemption_id}", roles: everybody, handler: a.getRedemption},
		{method: post, pattern: "/v1/redemptions/{redemption_id}/cancel", roles: holdersOnly, handler: a.cancelRedemption, idempotent: true},
		{method: get, pattern: "/v1/provider/redemptions", roles: providersOnly, handler: a.listProviderRedemptions},
		{method: post, pattern: "/v1/provider/redemptions/{redemption_id}/issue", roles: providersOnly, handler: a.issueRedemption, idempotent: true},
		{method: post, pattern: "/v1/provider/redemptions/{redemption_id}/reject", roles: providersOnly, handler: a.rejectRedemption, idempotent: true},
		{method: get, pattern: "/v1/provider/vouchers", roles: providersStaff, handler: a.getVoucherStock},
		{
			method: post, pattern: "/v1/provider/vouchers", roles: providersOnly, handler: a.loadVouchers, idempotent: true,
			maxBodyBytes: maxBatchBytes, csv: true,
		},
		{method: put, pattern: "/v1/provider/vouchers/low-stock", roles: providersOnly, handler: a.setLowStock},
		{method: post, pattern: "/v1/provider/vouchers/void", roles: providersOnly, handler: a.voidVouchers, maxBodyBytes: maxBatchBytes},
		{method: get, pattern: "/v1/provider/settlements", roles: providersStaff, handler: a.getSettlement},
		{method: post, pattern: "/v1/redemptions/{redemption_id}/acknowledge", roles: holdersOnly, handler: a.acknowledgeRedemption},
		{method: get, pattern: "/v1/redemptions/{redemption_id}/corrections", roles: staff, handler: a.listCorrections},
		{method: post, pattern: "/v1/redemptions/{redemption_id}/corrections", roles: operators, handler: a.proposeCorrection, idempotent: true},
		{method: post, pattern: "/v1/redemptions/{redemption_id}/corrections/{correction}/approve", roles: operators, handler: a.approveCorrection},
		{method: get, pattern: "/v1/redemptions/{redemption_id}/resolutions", roles: staff, handler: a.listResolutions},
		{method: post, pattern: "/v1/redemptions/{redemption_id}/resolve", roles: operators, handler: a.proposeResolution, idempotent: true},
		{method: post, pattern: "/v1/redemptions/{redemption_id}/resolve/approve", roles: operators, handler: a.approveResolution},
		{method: post, pattern: "/v1/provider/redemptions/lease", roles: providersOnly, handler: a.leaseRedemptions},
		{method: get, pattern: "/v1/provider/delivery", roles: providersOnly, handler: a.getDelivery},
		{method: put, pattern: "/v1/provider/delivery", roles: providersOnly, handler: a.setDelivery},
		{method: get, pattern: "/v1/provider/signing-key", roles: providersOnly, handler: a.getSigningKey},
		{method: put, pattern: "/v1/provider/signing-key", roles: providersOnly, handler: a.setSigningKey},
		{method: del, pattern: "/v1/provider/signing-key", roles: providersOnly, handler: a.revokeSigningKey},
		{method: get, pattern: "/v1/provider/delivery/secrets", roles: providersOnly, handler: a.listProviderSecrets},
		{method: post, pattern: "/v1/provider/delivery/secrets", roles: providersOnly, handler: a.createProviderSecret, idempotent: true},
		{method: post, pattern: "/v1/provider/delivery/secrets/{secret_id}/revoke", roles: providersOnly, handler: a.revokeProviderSecret},
		{method: post, pattern: "/v1/provider-callbacks/{provider_id}", roles: anybody, handler: a.takeCallback},
		{method: get, pattern: "/v1/redemptions/{redemption_id}/attempts", roles: providersStaff, handler: a.listAttempts},
		{method: post, pattern: "/v1/redemptions/{redemption_id}/replay", roles: providersAndOps, handler: a.replayRedemption},
		{method: get, pattern: "/v1/coverage", roles: providersStaff, handler: a.getCoverage},
		{method: get, pattern: "/v1/coverage/events", roles: providersStaff, handler: a.listCoverageEvents},
		{method: get, pattern: "/v1/margin-calls", roles: providersStaff, handler: a.listMarginCalls},
		{method: get, pattern: "/v1/policies", roles: staff, handler: a.listPolicies},
		{method: post, pattern: "/v1/policies", roles: operators, handler: a.createPolicy, idempotent: true},
		{method: post, pattern: "/v1/policies/{policy_id}/approve", roles: operators, handler: a.approvePolicy},
		{method: get, pattern: "/v1/gpu-classes", roles: anybody, handler: a.listGPUClasses},
		{method: get, pattern: "/v1/gpu-classes/{gpu_class}/sunset", roles: staff, handler: a.getSunset},
		{method: post, pattern: "/v1/gpu-classes/{gpu_class}/sunset", roles: operators, handler: a.proposeSunset, idempotent: true},
		{method: post, pattern: "/v1/gpu-classes/{gpu_class}/sunset/approve", roles: operators, handler: a.approveSunset},
		{method: post, pattern: "/v1/gpu-classes/{gpu_class}/sunset/withdraw", roles: operators, handler: a.withdrawSunset},
		{method: get, pattern: "/v1/anchor", roles: anybody, handler: a.getAnchor},
		{method: get, pattern: "/v1/anchor/epochs", roles: everybody, handler: a.listEpochs},
		{method: post, pattern: "/v1/anchor/epochs", roles: operators, handler: a.createEpoch, idempotent: true},
		{method: get, pattern: "/v1/anchor/epochs/{epoch_id}", roles: everybody, handler: a.getEpoch},
		{method: post, pattern: "/v1/anchor/epochs/{epoch_id}/preview", roles: staff, handler: a.previewEpoch},
		{method: post, pattern: "/v1/anchor/epochs/{epoch_id}/approve", roles: operators, handler: a.approveEpoch},
		{method: post, pattern: "/v1/anchor/epochs/{epoch_id}/announce", roles: operators, handler: a.announceEpoch},
		{method: post, pattern: "/v1/anchor/epochs/{epoch_id}/withdraw", roles: operators, handler: a.withdrawEpoch},
		{method: post, pattern: "/v1/quotes", roles: operators, handler: a.enterQuotes, idempotent: true, maxBodyBytes: maxBatchBytes},
		{method: get, pattern: "/v1/index", roles: anybody, handler: a.getIndex},
		{method: get, pattern: "/v1/index/{gpu_class}", roles: anybody, handler: a.getIndexHistory},
		{method: get, pattern: "/v1/supply", roles: anybody, handler: a.getSupply},
		{method: get, pattern: "/v1/supply/history", roles: anybody, handler: a.getSupplyHistory},
		{method: get, pattern: "/v1/events", roles: everybody, handler: a.listEvents},
		{method: get, pattern: "/v1/webhook-endpoints", roles: partiesAndOps, handler: a.listWebhookEndpoints},
		{method: post, pattern: "/v1/webhook-endpoints", roles: partiesAndOps, handler: a.createWebhookEndpoint, idempotent: true},
		{method: get, pattern: "/v1/webhook-endpoints/{webhook_endpoint_id}", roles: partiesAndOps, handler: a.getWebhookEndpoint},
		{method: post, pattern: "/v1/webhook-endpoints/{webhook_endpoint_id}", roles: partiesAndOps, handler: a.updateWebhookEndpoint},
		{method: post, pattern: "/v1/webhook-endpoints/{webhook_endpoint_id}/disable", roles: partiesAndOps, handler: a.disableWebhookEndpoint},
		{method: post, pattern: "/v1/webhook-endpoints/{webhook_endpoint_id}/enable", roles: partiesAndOps, handler: a.enableWebhookEndpoint},
		{method: post, pattern: "/v1/webhook-endpoints/{webhook_endpoint_id}/rotate", roles: partiesAndOps, handler: a.rotateWebhookSecret, idempotent: true},
		{method: post, pattern: "/v1/webhook-endpoints/{webhook_endpoint_id}/test", roles: partiesAndOps, handler: a.testWebhookEndpoint, idempotent: true},
		{method: get, pattern: "/v1/webhook-endpoints/{webhook_endpoint_id}/deliveries", roles: partiesAndOps, handler: a.listWebhookDeliveries},
		{
			method: post, pattern: "/v1/webhook-endpoints/{webhook_endpoint_id}/deliveries/{webhook_delivery_id}/replay", roles: partiesAndOps,
			handler: a.replayWebhookDelivery,
		},
		{method: get, pattern: "/v1/reports/trial-balance", roles: staff, handler: a.getTrialBalance},
		{method: get, pattern: "/v1/holders", roles: holdersAndStaff, handler: a.listHolders},
		{method: post, pattern: "/v1/holders", roles: operators, handler: a.createHolder, idempotent: true},
		{method: get, pattern: "/v1/holders/{holder_id}", roles: holdersAndStaff, handler: a.getHolder},
		{method: post, pattern: "/v1/holders/{holder_id}/erase", roles: operators, handler: a.eraseHolder},
		{method: get, pattern: "/v1/providers", roles: providersStaff, handler: a.listProviders},
		{method: post, pattern: "/v1/providers", roles: operators, handler: a.createProvider, idempotent: true},
		{method: get, pattern: "/v1/providers/{provider_id}", roles: providersStaff, handler: a.getProvider},
		{method: post, pattern: "/v1/providers/{provider_id}/tier", roles: operators, handler: a.setProviderTier},
		{method: get, pattern: "/v1/api-keys", roles: operators, handler: a.listAPIKeys},
		{method: post, pattern: "/v1/api-keys", roles: operators, handler: a.createAPIKey, idempotent: true},
		{method: get, pattern: "/v1/api-keys/{key_id}", roles: operators, handler: a.getAPIKey},
		{method: post, pattern: "/v1/api-keys/{key_id}/revoke", roles: operators, handler: a.revokeAPIKey},
		{method: post, pattern: "/v1/api-keys/{key_id}/rotate", roles: operators, handler: a.rotateAPIKey, idempotent: true},
		{method: get, pattern: "/v1/log/liabilities", roles: anybody, handler: a.listLiabilities},
		{method: post, pattern: "/v1/log/liabilities", roles: operators, handler: a.publishLiabilities, idempotent: true, patience: liabilitiesPatience},
		{method: get, pattern: "/v1/log/view", roles: auditorsAndOps, handler: a.getLogView, patience: viewPatience},
		{method: get, pattern: "/log/checkpoint", roles: anybody, handler: a.getLogFile},
		{method: get, pattern: "/log/checkpoint.witnessed", roles: anybody, handler: a.getLogFile},
		{method: get, pattern: "/log/vkey", roles: anybody, handler: a.getLogFile},
		{method: get, pattern: "/log/tile/{tile_path}", roles: anybody, handler: a.getLogFile},
		{method: get, pattern: "/transparency", roles: anybody, handler: a.getTransparency},
		{method: get, pattern: "/transparency/page.css", roles: anybody, handler: transparency.ServeAsset},
		{method: get, pattern: "/transparency/page.js", roles: anybody, handler: transparency.ServeAsset},
		{method: get, pattern: "/transparency/log.js", roles: anybody, handler: transparency.ServeAsset},
		{method: get, pattern: "/healthz", roles: anybody, handler: t.Health.alive, probe: true},
		{method: get, pattern: "/readyz", roles: anybody, handler: t.Health.ready, probe: true},
		{method: get, pattern: "/metrics", roles: anybody, handler: t.Metrics.handler, probe: true},
		{method: get, pattern: "/openapi.yaml", roles: anybody, handler: getOpenAPI},
		{method: get, pattern: "/docs", roles: anybody, handler: getDocs},
		{method: get, pattern: "/docs/rapidoc-min.js", roles: anybody, handler: getDocs},
	}
}
