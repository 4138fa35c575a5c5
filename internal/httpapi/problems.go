package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/ballast-compute/ballast/internal/access"
	"github.com/ballast-compute/ballast/internal/anchor"
	"github.com/ballast-compute/ballast/internal/coverage"
	"github.com/ballast-compute/ballast/internal/dispatch"
	"github.com/ballast-compute/ballast/internal/events"
	"github.com/ballast-compute/ballast/internal/httpapi/wire"
	"github.com/ballast-compute/ballast/internal/id"
	"github.com/ballast-compute/ballast/internal/idempotency"
	"github.com/ballast-compute/ballast/internal/ledger"
	"github.com/ballast-compute/ballast/internal/money"
	"github.com/ballast-compute/ballast/internal/pg"
	"github.com/ballast-compute/ballast/internal/problem"
	"github.com/ballast-compute/ballast/internal/providers"
	"github.com/ballast-compute/ballast/internal/push"
	"github.com/ballast-compute/ballast/internal/redeem"
	"github.com/ballast-compute/ballast/internal/settlement"
	"github.com/ballast-compute/ballast/internal/strictjson"
	"github.com/ballast-compute/ballast/internal/translog"
	"github.com/ballast-compute/ballast/internal/vault"
	"github.com/ballast-compute/ballast/internal/voucher"
	"github.com/ballast-compute/ballast/internal/webhook"
)

// kind is an error of the contract. It has one status.
type kind struct {
	status int
	code   wire.ErrorCode
	// detail is what is said of it unless there is more to say.
	detail string
}

var (
	invalidRequest         = kind{http.StatusBadRequest, wire.ErrorCodeInvalidRequest, "The request is malformed."}
	unauthenticated        = kind{http.StatusUnauthorized, wire.ErrorCodeUnauthenticated, "Send a valid API key as Authorization: Bearer <key>."}
	forbidden              = kind{http.StatusForbidden, wire.ErrorCodeForbidden, "This key may not do this."}
	fourEyes               = kind{http.StatusForbidden, wire.ErrorCodeFourEyes, "A second operator must do this, not the one who made it."}
	missing                = kind{http.StatusNotFound, wire.ErrorCodeNotFound, "There is no such thing, or none that this key may see."}
	documentPledged        = kind{http.StatusConflict, wire.ErrorCodeDocumentPledged, "The signed document stands behind another pledge."}
	conflict               = kind{http.StatusConflict, wire.ErrorCodeConflict, "The thing is in a state in which this cannot be done."}
	inProgress             = kind{http.StatusConflict, wire.ErrorCodeIdempotencyInProgress, "A request with this idempotency key is still running. Send it again in a moment."}
	batchAborted           = kind{http.StatusConflict, wire.ErrorCodeBatchAborted, "Another transfer of the batch was refused, so none took effect."}
	notReversible          = kind{http.StatusConflict, wire.ErrorCodeNotReversible, "A transaction of this kind cannot be reversed."}
	alreadyReversed        = kind{http.StatusConflict, wire.ErrorCodeAlreadyReversed, "The transaction was reversed before."}
	payloadTooLarge        = kind{http.StatusRequestEntityTooLarge, wire.ErrorCodePayloadTooLarge, "The body is larger than this call accepts."}
	insufficientFunds      = kind{http.StatusUnprocessableEntity, wire.ErrorCodeInsufficientFunds, "The account has less than the amount."}
	insufficientCollateral = kind{http.StatusUnprocessableEntity, wire.ErrorCodeInsufficientCollateral, "The pledge has fewer hours available than this needs."}
	accountFrozen          = kind{http.StatusUnprocessableEntity, wire.ErrorCodeAccountFrozen, "An account is frozen."}
	accountClosed          = kind{http.StatusUnprocessableEntity, wire.ErrorCodeAccountClosed, "An account is closed."}
	assetMismatch          = kind{http.StatusUnprocessableEntity, wire.ErrorCodeAssetMismatch, "The account does not hold the asset that this needs."}
	sameAccount            = kind{http.StatusUnprocessableEntity, wire.ErrorCodeSameAccount, "The amount would go to the account that it comes from."}
	amountOutOfRange       = kind{http.StatusUnprocessableEntity, wire.ErrorCodeAmountOutOfRange, "The amount, or a balance after it, is out of range."}
	pledgeNotActive        = kind{http.StatusUnprocessableEntity, wire.ErrorCodePledgeNotActive, "The pledge is not active."}
	classSunset            = kind{http.StatusUnprocessableEntity, wire.ErrorCodeClassSunset, "The sunset of this GPU class is announced."}
	noCapacity             = kind{http.StatusUnprocessableEntity, wire.ErrorCodeNoCapacity, "The provider has too few hours of this class that back tokens."}
	indexStale             = kind{http.StatusUnprocessableEntity, wire.ErrorCodeIndexStale, "The index of this GPU class has been stale or thin for too long. Redemption stays open."}
	coverageTooLow         = kind{http.StatusUnprocessableEntity, wire.ErrorCodeCoverageTooLow, "The provider's collateral would not cover what it has out, or a margin call is overdue."}
	quoteUsed              = kind{http.StatusConflict, wire.ErrorCodeQuoteUsed, "A redemption was made by this quote before."}
	quoteExpired           = kind{http.StatusUnprocessableEntity, wire.ErrorCodeQuoteExpired, "The time of the quote is over."}
	tooManyQuotes          = kind{http.StatusUnprocessableEntity, wire.ErrorCodeTooManyQuotes, "The holder has as many open quotes as anybody may have."}
	keyReused              = kind{http.StatusUnprocessableEntity, wire.ErrorCodeIdempotencyKeyReused, "The idempotency key was used for another request."}
	internal               = kind{http.StatusInternalServerError, wire.ErrorCodeInternal, "The server failed. Quote the request id when asking for help."}
	overloaded             = kind{http.StatusServiceUnavailable, wire.ErrorCodeOverloaded, "The server has too much to do. Nothing was done; wait as long as Retry-After says."}
	unavailable            = kind{http.StatusServiceUnavailable, wire.ErrorCodeUnavailable, "The database cannot be reached. Nothing was done; wait as long as Retry-After says."}
	noLiabilityProof       = kind{http.StatusNotFound, wire.ErrorCodeNoLiabilityProof, "No proof of liabilities that is published has the account."}
	signatureRequired      = kind{http.StatusUnprocessableEntity, wire.ErrorCodeSignatureRequired, "The provider has a signing key, and the pledge no signature."}
	signatureInvalid       = kind{http.StatusUnprocessableEntity, wire.ErrorCodeSignatureInvalid, "The signature is not one of the provider's key over this pledge."}
	notPublished           = kind{http.StatusConflict, wire.ErrorCodeNotPublished, "It is not in a checkpoint of the log yet. Ask again in a second."}
	logNotConfigured       = kind{http.StatusServiceUnavailable, wire.ErrorCodeLogNotConfigured, "The server was started without a transparency log."}
	secretsNotConfigured   = kind{http.StatusServiceUnavailable, wire.ErrorCodeSecretsNotConfigured, "The server was started without the keys that this needs. Its operators know which."}
	outcomeUnknown         = kind{http.StatusServiceUnavailable, wire.ErrorCodeOutcomeUnknown, "The request may or may not have taken effect. Send it again with the same idempotency key to learn which."}
)

func (k kind) saying(detail string) kind {
	k.detail = detail
	return k
}

// problem returns the kind as an answer's document.
func (k kind) problem(fields ...problem.FieldError) problem.Problem {
	return problem.New(k.status, string(k.code), k.detail, fields...)
}

// errorTable is the one place that knows how the domain's errors are answered. A test proves that every sentinel that a
// domain package exports has a row.
var errorTable = []struct {
	err error
	kind
}{
	{ledger.ErrAccountNotFound, missing},
	{ledger.ErrAccountFrozen, accountFrozen},
	{ledger.ErrAccountClosed, accountClosed},
	{ledger.ErrAccountNotEmpty, conflict.saying("The account still has a balance, a hold or a redemption.")},
	{ledger.ErrAccountKind, conflict.saying("The account is not a holder's own, so this cannot be done with it.")},
	{ledger.ErrAssetMismatch, assetMismatch},
	{ledger.ErrAssetUnknown, missing.saying("There is no such asset.")},
	{ledger.ErrHolderErased, conflict.saying("The holder was erased.")},
	{ledger.ErrSameAccount, sameAccount},
	{ledger.ErrInsufficientFunds, insufficientFunds},
	{ledger.ErrAmountOutOfRange, amountOutOfRange},
	{ledger.ErrSeqNotReached, invalidRequest.saying("The journal has not reached that seq yet.")},
	{ledger.ErrTransactionNotFound, missing},
	{ledger.ErrAlreadyReversed, alreadyReversed},
	{ledger.ErrNotReversible, notReversible},
	{ledger.ErrHoldNotFound, missing},
	{ledger.ErrHoldSettled, conflict.saying("The hold was captured, voided or expired before.")},
	{ledger.ErrHoldExpired, conflict.saying("The hold has expired.")},
	{ledger.ErrHoldAmount, insufficientFunds.saying("The hold has less than the amount.")},
	{ledger.ErrBatchAborted, batchAborted},
	{ledger.ErrOverloaded, overloaded},
	{ledger.ErrUnavailable, unavailable},
	{ledger.ErrOutcomeUnknown, outcomeUnknown},
	{ledger.ErrShuttingDown, unavailable.saying("The server is shutting down. Nothing was done; wait as long as Retry-After says.")},

	{money.ErrSyntax, invalidRequest},
	{money.ErrScale, invalidRequest.saying("The amount has more decimals than its asset.")},
	{money.ErrNotPositive, amountOutOfRange.saying("The amount must be greater than zero.")},
	{money.ErrRange, amountOutOfRange},
	{money.ErrRate, invalidRequest},

	{access.ErrUnauthenticated, unauthenticated},
	{access.ErrUnavailable, unavailable},
	{access.ErrNotFound, missing},
	{access.ErrConflict, conflict},
	{access.ErrAccountsOpen, conflict.saying("Not all accounts of the holder are closed.")},
	{access.ErrOthersKey, forbidden.saying("The key is another operator's: they rotate it themselves, or on the machine that runs the database a new one is made. It can be revoked.")},
	{access.ErrErased, conflict.saying("The holder was erased.")},

	{idempotency.ErrMissing, invalidRequest.saying("This call needs the header Idempotency-Key.")},
	{idempotency.ErrMalformed, invalidRequest.saying("The idempotency key is not 1 to 255 printable ASCII characters.")},
	{idempotency.ErrReused, keyReused},
	{idempotency.ErrInProgress, inProgress},
	{idempotency.ErrRaced, inProgress},

	{providers.ErrProviderNotFound, missing},
	{providers.ErrPledgeNotFound, missing},
	{providers.ErrPledgeNotPending, conflict.saying("The pledge was verified or rejected before.")},
	{providers.ErrPledgeNotActive, pledgeNotActive},
	{providers.ErrPledgeLapsed, pledgeNotActive.saying("The time of the pledge is over.")},
	{providers.ErrInsufficientCollateral, insufficientCollateral},
	{providers.ErrSubstituteLapses, insufficientCollateral.saying("The substitute's hours lapse no later than those that they would replace.")},
	{providers.ErrInsufficientBacking, insufficientCollateral.saying("The pledge has fewer hours behind tokens than this replaces.")},
	{providers.ErrBackingLapsed, pledgeNotActive.saying("Hours of the pledge that were behind tokens have lapsed, which is a default.")},
	{providers.ErrDocumentPledged, documentPledged},
	{providers.ErrSignatureRequired, signatureRequired},
	{providers.ErrSignatureInvalid, signatureInvalid},
	{providers.ErrNoSigningKey, missing},
	{providers.ErrSigningKeyRevoked, conflict.saying("The key was revoked before. Make another.")},
	{providers.ErrSamePerson, fourEyes.saying("Who entered the pledge may not verify it: a second operator must.")},

	{coverage.ErrCoverageTooLow, coverageTooLow},
	{coverage.ErrSamePerson, fourEyes.saying("A second operator must approve the policy.")},
	{coverage.ErrPolicyNotFound, missing},
	{coverage.ErrPolicyApproved, conflict.saying("The policy was approved before.")},
	{coverage.ErrPolicySuperseded, conflict.saying("Another policy came first.")},
	{coverage.ErrProviderNotFound, missing},
	{coverage.ErrNotAToken, assetMismatch.saying("The account does not hold the token, which hours back.")},
	{coverage.ErrInEscrow, conflict.saying("Tokens in escrow have hours of their own.")},

	{redeem.ErrNotFound, missing},
	{redeem.ErrNoCapacity, noCapacity},
	{redeem.ErrConflict, conflict},
	{redeem.ErrLeased, conflict.saying("Another lease of the redemption came after this one.")},
	{redeem.ErrSamePerson, fourEyes.saying("Who proposed it may not approve it: a second operator must.")},
	{redeem.ErrOvercorrected, conflict.saying("Corrections would take back more hours than were delivered.")},
	{redeem.ErrQuoteNotFound, missing},
	{redeem.ErrQuoteUsed, quoteUsed},
	{redeem.ErrQuoteExpired, quoteExpired},
	{redeem.ErrTooManyQuotes, tooManyQuotes},
	{redeem.ErrGrantUsed, conflict.saying("Another redemption was issued with this grant.")},

	{settlement.ErrProviderNotFound, missing},
	{voucher.ErrProviderNotFound, missing},
	{voucher.ErrBatchNotFound, missing},
	{voucher.ErrNone, missing},

	{anchor.ErrNoEpoch, unavailable.saying("No epoch is in force, so nothing can be valued.")},
	{anchor.ErrNoFactor, pledgeNotActive.saying("The epoch in force does not value this GPU class.")},
	{anchor.ErrInputs, internal},
	{anchor.ErrReferenceUnpriced, conflict.saying("The index has no price for the reference class that an epoch could rest on.")},
	{anchor.ErrEpochNotFound, missing},
	{anchor.ErrEpochStatus, conflict.saying("The epoch has come too far, or not far enough, for this.")},
	{anchor.ErrEpochOutdated, conflict.saying("The draft is out of date: another epoch was announced since, it is too old, or the policy of now lets k fall less far. Draft it again.")},
	{anchor.ErrSamePerson, fourEyes},
	{anchor.ErrClassSunset, classSunset},
	{anchor.ErrNoClass, missing.saying("There is no such GPU class.")},
	{anchor.ErrSunsetNotFound, missing},
	{anchor.ErrSunsetStatus, conflict.saying("A sunset of this class is proposed or announced, or this one is withdrawn.")},
	{anchor.ErrReferenceSunset, conflict.saying("The others are measured by this class. Move the reference to another first.")},
	{anchor.ErrIndexStale, indexStale},

	{dispatch.ErrNotRetryable, conflict.saying("The redemption is not pushed, has its end, or is being worked on.")},
	{push.ErrSecretNotFound, missing},
	{push.ErrTooManySecrets, conflict.saying("Five secrets are active. Revoke one, or leave no overlap.")},
	{push.ErrLastSecret, conflict.saying("It is the only secret that does not end by itself. Make another first.")},
	{webhook.ErrForged, unauthenticated.saying("The message is not signed as it has to be.")},
	{webhook.ErrNoSecret, conflict.saying("No secret is active, so nothing can be signed.")},
	{events.ErrEndpointNotFound, missing},
	{events.ErrDeliveryNotFound, missing},
	{events.ErrEndpointDisabled, conflict.saying("The endpoint is disabled, so that nothing is sent to it.")},
	{events.ErrTooManyEndpoints, conflict.saying("Twenty webhook endpoints are enabled already. Disable one first.")},

	{translog.ErrNoLog, logNotConfigured},
	{translog.ErrNotPublished, notPublished},
	{translog.ErrNothingPublished, notPublished.saying("Nothing is in a checkpoint of the log yet. Ask again in a second.")},
	{translog.ErrNoLiabilities, noLiabilityProof.saying("No proof of liabilities is published yet. The next one comes within the hour.")},
	{translog.ErrNotCounted, noLiabilityProof.saying("The newest proof of liabilities does not have this account: it was opened later, is closed, or does not hold the token.")},
	{translog.ErrLiabilitiesBusy, conflict.saying("Another proof of liabilities is being made. Ask again when it is there.")},
	{translog.ErrNotExact, conflict.saying("What holders have is not what was minted and not burned. Nothing was published; the server's log has the figures.")},
	{translog.ErrNoFile, missing.saying("The log has no such file.")},
	// What the integrator alone meets, and what should never be.
	{translog.ErrBusy, internal},
	{translog.ErrHeadMoved, internal},
	{translog.ErrDatabaseBehind, internal},
	{translog.ErrStoreBehind, internal},
	{translog.ErrTilesLost, internal},
	{translog.ErrNotLogged, internal},
	{translog.ErrKey, internal},
	{vault.ErrNotConfigured, secretsNotConfigured},
	{vault.ErrUnknownKey, secretsNotConfigured},
	{vault.ErrBroken, internal},

	{id.ErrMalformed, missing},

	// What the database says of itself is asked last.
	{context.DeadlineExceeded, overloaded},
	{context.Canceled, overloaded},
}

// kindBySentinel finds an error that is not wrapped at once.
var kindBySentinel = func() map[error]kind {
	m := make(map[error]kind, len(errorTable))
	for _, row := range errorTable {
		m[row.err] = row.kind
	}
	return m
}()

// kindOf returns how an error is answered; internal for one that nobody expected.
func kindOf(err error) kind {
	if k, ok := kindBySentinel[err]; ok { // Only a short cut: what is wrapped is found below.
		return k
	}
	if pg.IsAmbiguous(err) {
		return outcomeUnknown
	}
	for _, row := range errorTable {
		if errors.Is(err, row.err) {
			return row.kind
		}
	}
	if pg.IsUnavailable(err) {
		return unavailable
	}
	return internal
}

// CodeOf returns the contract's error code of a domain's error, for metrics; "internal" for one that nobody expected.
func CodeOf(err error) string { return string(kindOf(err).code) }

// fieldsOf returns the fields at fault of an error about the form of a request.
func fieldsOf(err error) ([]problem.FieldError, bool) {
	if e, ok := errors.AsType[*invalidError](err); ok {
		return e.fields, true
	}
	if e, ok := errors.AsType[*access.InvalidError](err); ok {
		return []problem.FieldError{{Field: e.Field, Code: e.Code, Detail: e.Detail}}, true
	}
	if e, ok := errors.AsType[*providers.InvalidError](err); ok {
		return []problem.FieldError{{Field: e.Field, Code: e.Code, Detail: e.Detail}}, true
	}
	if e, ok := errors.AsType[*anchor.InvalidError](err); ok {
		return []problem.FieldError{{Field: e.Field, Code: e.Code, Detail: e.Detail}}, true
	}
	if e, ok := errors.AsType[*coverage.InvalidError](err); ok {
		return []problem.FieldError{{Field: e.Field, Code: e.Code, Detail: e.Detail}}, true
	}
	if e, ok := errors.AsType[*redeem.InvalidError](err); ok {
		return []problem.FieldError{{Field: e.Field, Code: e.Code, Detail: e.Detail}}, true
	}
	if e, ok := errors.AsType[*voucher.InvalidError](err); ok {
		return []problem.FieldError{{Field: e.Field, Code: e.Code, Detail: e.Detail}}, true
	}
	if e, ok := errors.AsType[*voucher.LinesError](err); ok {
		return voucherFaults(e), true
	}
	if e, ok := errors.AsType[*settlement.InvalidError](err); ok {
		return []problem.FieldError{{Field: e.Field, Code: e.Code, Detail: e.Detail}}, true
	}
	if e, ok := errors.AsType[*anchor.QuotesError](err); ok {
		return quoteFaults(e), true
	}
	if e, ok := errors.AsType[*strictjson.Error](err); ok {
		field := e.Field
		if field == "" {
			field = "body"
		}
		return []problem.FieldError{{Field: field, Code: string(e.Code), Detail: e.Detail}}, true
	}
	return nil, false
}

// writeError answers a request whose handler has failed. What is the server's fault is logged with its cause, and only
// there.
func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if e, ok := errors.AsType[*strictjson.Error](err); ok && e.Code == strictjson.TooLarge {
		problem.Write(w, r, payloadTooLarge.problem())
		return
	}
	if fields, ok := fieldsOf(err); ok {
		problem.Write(w, r, invalidRequest.problem(fields...))
		return
	}
	a.logFault(r.Context(), err)
	problem.Write(w, r, kindOf(err).problem())
}

// logFault logs an error that is not the caller's doing.
func (a *API) logFault(ctx context.Context, err error) {
	switch kindOf(err).status {
	case http.StatusInternalServerError:
		a.logger.LogAttrs(ctx, slog.LevelError, "a request failed", slog.Any("error", err))
	case http.StatusServiceUnavailable:
		a.logger.LogAttrs(ctx, slog.LevelWarn, "a request could not be served", slog.Any("error", err))
	}
}
