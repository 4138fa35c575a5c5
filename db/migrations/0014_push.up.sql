-- How redemptions are brought to providers that are called: what is to be sent or asked next, what came of each attempt, and the secrets
-- that both sides sign with. ADR 0021 says why.

-- The key of digests that must not change, sealed under a key of the environment. There is one.
CREATE TABLE vault_digest_keys (
    id         uuid PRIMARY KEY CONSTRAINT vault_digest_keys_is_one CHECK (id = '00000000-0000-7000-8000-000000000001'),
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT ballast_now()
);
CREATE TRIGGER vault_digest_keys_are_never_deleted BEFORE DELETE OR TRUNCATE ON vault_digest_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a provider's messages are signed with, in both directions, by all that are active. One that was revoked is forgotten.
CREATE TABLE provider_secrets (
    id          uuid PRIMARY KEY,
    provider_id uuid NOT NULL REFERENCES providers,
    sealed      bytea,
    created_at  timestamptz NOT NULL DEFAULT ballast_now(),
    created_by  uuid NOT NULL,
    -- Null while no other has come after it.
    expires_at  timestamptz,
    revoked_at  timestamptz,
    revoked_by  uuid,
    CONSTRAINT provider_secrets_revoked_are_forgotten CHECK ((sealed IS NULL) = (revoked_at IS NOT NULL)),
    CONSTRAINT provider_secrets_revoked_by_somebody CHECK ((revoked_by IS NULL) = (revoked_at IS NULL))
);
CREATE INDEX provider_secrets_provider_idx ON provider_secrets (provider_id, id);
CREATE TRIGGER provider_secrets_are_never_deleted BEFORE DELETE OR TRUNCATE ON provider_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION refuse_secret_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'secret %: whose it is stays, what was revoked stays revoked, and its end comes no later', OLD.id
        USING ERRCODE = 'BL013', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER provider_secrets_only_end BEFORE UPDATE ON provider_secrets FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL
        OR (OLD.id, OLD.provider_id, OLD.created_at, OLD.created_by) IS DISTINCT FROM (NEW.id, NEW.provider_id, NEW.created_at, NEW.created_by)
        OR OLD.expires_at IS NOT NULL AND (NEW.expires_at IS NULL OR NEW.expires_at > OLD.expires_at))
    EXECUTE FUNCTION refuse_secret_change();

-- What is to be done next about a redemption that is pushed, while there is something: sending it, or asking what became of it. A process
-- that does it has a lease. One that lapsed is of a process that went away in the middle.
CREATE TABLE redemption_dispatches (
    redemption_id uuid PRIMARY KEY REFERENCES redemptions,
    provider_id   uuid NOT NULL REFERENCES providers,
    phase         text NOT NULL CONSTRAINT redemption_dispatches_phase_check CHECK (phase IN ('send', 'query')),
    -- Attempts that came to nothing, by phase: the pauses between them grow. Queries are counted anew each time it becomes unknown.
    sends         integer NOT NULL DEFAULT 0 CHECK (sends >= 0),
    queries       integer NOT NULL DEFAULT 0 CHECK (queries >= 0),
    -- Null once all attempts are used up: then it waits for the provider or for operators.
    next_at       timestamptz,
    lease_id      uuid,
    leased_until  timestamptz,
    CONSTRAINT redemption_dispatches_leases_end CHECK ((lease_id IS NULL) = (leased_until IS NULL))
);
CREATE INDEX redemption_dispatches_due_idx ON redemption_dispatches (provider_id, next_at);
CREATE INDEX redemption_dispatches_leased_idx ON redemption_dispatches (provider_id, leased_until) WHERE leased_until IS NOT NULL;

-- The row follows the redemption in the same transaction, whoever changes it: there is nothing to do any more about what has its
-- end, and no end that a row forgotten could undo.
CREATE FUNCTION follow_redemption() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO redemption_dispatches (redemption_id, provider_id, phase, next_at) VALUES (NEW.id, NEW.provider_id, 'send', ballast_now());
    ELSIF NEW.settled_by IS NOT NULL THEN
        DELETE FROM redemption_dispatches WHERE redemption_id = NEW.id;
    ELSIF NEW.status = 'unknown' AND OLD.status <> 'unknown' THEN
        UPDATE redemption_dispatches SET phase = 'query', queries = 0, next_at = ballast_now(), lease_id = NULL, leased_until = NULL
        WHERE redemption_id = NEW.id;
    ELSIF NEW.status = 'dispatched' AND OLD.status = 'unknown' THEN
        UPDATE redemption_dispatches SET phase = 'send', next_at = ballast_now(), lease_id = NULL, leased_until = NULL
        WHERE redemption_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemptions_are_dispatched AFTER INSERT OR UPDATE ON redemptions FOR EACH ROW
    WHEN (NEW.transport = 'push') EXECUTE FUNCTION follow_redemption();

-- The delivery log: one row for each call of a provider. It has nothing that was sent or received.
CREATE TABLE redemption_attempts (
    n             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    redemption_id uuid NOT NULL REFERENCES redemptions,
    phase         text NOT NULL CONSTRAINT redemption_attempts_phase_check CHECK (phase IN ('send', 'query')),
    outcome       text NOT NULL CONSTRAINT redemption_attempts_outcome_check CHECK (outcome IN (
        'issued', 'accepted', 'rejected', 'not_found', 'gone', 'not_accepted', 'not_sent', 'unclear', 'cut_off')),
    -- Null where there was no answer.
    http_status   smallint CONSTRAINT redemption_attempts_http_status_check CHECK (http_status BETWEEN 100 AND 999),
    milliseconds  integer NOT NULL CONSTRAINT redemption_attempts_took_time CHECK (milliseconds >= 0),
    error_class   text CONSTRAINT redemption_attempts_error_class_check CHECK (error_class ~ '^[a-z_]{1,40}$'),
    at            timestamptz NOT NULL DEFAULT ballast_now()
);
CREATE INDEX redemption_attempts_redemption_idx ON redemption_attempts (redemption_id, n);
CREATE TRIGGER redemption_attempts_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redemption_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

INSERT INTO redemption_dispatches (redemption_id, provider_id, phase, next_at)
SELECT id, provider_id, CASE status WHEN 'unknown' THEN 'query' ELSE 'send' END, ballast_now()
FROM redemptions WHERE transport = 'push' AND settled_by IS NULL;

GRANT SELECT, INSERT ON vault_digest_keys, provider_secrets, redemption_attempts TO ballast_app;
GRANT UPDATE (sealed) ON vault_digest_keys TO ballast_app;
GRANT UPDATE (sealed, expires_at, revoked_at, revoked_by) ON provider_secrets TO ballast_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON redemption_dispatches TO ballast_app;
