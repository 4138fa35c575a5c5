-- Events: what happens to somebody's own things, in one order with the journal, to be read as a feed and sent to webhooks.
-- docs/adr/0023 says why it looks like this.

-- Whoever reads in the order of the journal has to know how far it is complete, for which the last value drawn is read.
GRANT SELECT ON SEQUENCE journal_seq TO ballast_app;

-- An id that is ordered by time, as those that the program makes.
CREATE FUNCTION new_event_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send(floor(extract(epoch FROM ballast_now()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- What is an event for somebody and not a transaction of the journal: a step of a redemption, a pledge's status, a margin call. (What is
-- one is read from the journal itself, so that nothing is written for it.) seq is of the journal's own order. Triggers write the rows
-- when what they tell of is written, in the same transaction, and nobody else does. data has ids as UUIDs and amounts in minor units.
CREATE TABLE events (
    seq         bigint PRIMARY KEY DEFAULT nextval('journal_seq'),
    id          uuid NOT NULL DEFAULT new_event_id() CONSTRAINT events_id_key UNIQUE,
    type        text NOT NULL CHECK (type ~ '^[a-z_]{1,40}[.][a-z_]{1,40}$'),
    object_type text NOT NULL CHECK (object_type ~ '^[a-z_]{1,40}$'),
    object_id   uuid NOT NULL,
    -- Whose it is; operators, finance and auditors see all of them.
    holder_id   uuid,
    provider_id uuid,
    data        jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object'),
    created_at  timestamptz NOT NULL DEFAULT ballast_now()
);
CREATE INDEX events_holder_idx ON events (holder_id, seq) WHERE holder_id IS NOT NULL;
CREATE INDEX events_provider_idx ON events (provider_id, seq) WHERE provider_id IS NOT NULL;
CREATE TRIGGER events_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are told by the rows that they tell of'
        USING ERRCODE = 'BL013', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER events_are_told_by_rows BEFORE INSERT ON events FOR EACH STATEMENT
    WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse_event();

-- Tells an event, from a trigger. It draws its seq now, so that whoever calls it holds the locks that order what it tells of. Like all
-- functions that write events it runs with the rights of its owner: the run-time role has none to do so.
CREATE FUNCTION tell(event_type text, about text, about_id uuid, holder uuid, provider uuid, details jsonb, at_time timestamptz)
    RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO events (type, object_type, object_id, holder_id, provider_id, data, created_at)
    VALUES (event_type, about, about_id, holder, provider, details, at_time)
$$;

-- Rows of one statement are told in their own order.
CREATE FUNCTION tell_of_pledges() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO events (type, object_type, object_id, provider_id, data, created_at)
    SELECT 'pledge.' || CASE f.status WHEN 'pending' THEN 'created' WHEN 'active' THEN 'verified' ELSE f.status END,
           'pledge', p.id, p.provider_id,
           jsonb_build_object('provider_id', p.provider_id, 'status', f.status, 'gpu_class', p.gpu_class, 'hours', p.hours,
                              'haircut', p.haircut, 'starts_at', p.starts_at, 'expires_at', p.expires_at, 'detail', f.detail),
           f.at
    FROM fresh f
    CROSS JOIN LATERAL (SELECT * FROM pledges WHERE pledges.id = f.pledge_id OFFSET 0) AS p
    ORDER BY f.event;
    RETURN NULL;
END
$$;
CREATE TRIGGER pledge_events_are_told AFTER INSERT ON pledge_events
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION tell_of_pledges();

CREATE FUNCTION tell_of_redemptions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO events (type, object_type, object_id, holder_id, provider_id, data, created_at)
    SELECT 'redemption.' || f.status, 'redemption', r.id, r.holder_id, r.provider_id,
           jsonb_build_object('account_id', r.account_id, 'provider_id', r.provider_id, 'status', f.status, 'gpu_class', r.gpu_class,
                              'amount', r.amount, 'hours', r.hours, 'epoch_id', r.epoch_id, 'transport', r.transport, 'detail', f.detail,
                              'provider_grant_id', CASE WHEN f.status IN ('issued', 'acknowledged') THEN r.provider_grant_id END,
                              'delivered_hours', CASE WHEN f.status IN ('issued', 'acknowledged', 'refunded') THEN r.delivered_hours END,
                              'refunded_amount', CASE WHEN f.status IN ('issued', 'acknowledged', 'refunded') THEN r.amount - r.burned_amount END),
           f.at
    FROM fresh f
    CROSS JOIN LATERAL (SELECT * FROM redemptions WHERE redemptions.id = f.redemption_id OFFSET 0) AS r
    ORDER BY f.redemption_id, f.n;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemption_events_are_told AFTER INSERT ON redemption_events
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION tell_of_redemptions();

CREATE FUNCTION tell_of_margin_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell('margin_call.' || CASE NEW.status WHEN 'open' THEN 'opened' ELSE NEW.status END, 'margin_call', NEW.id, NULL, NEW.provider_id,
        jsonb_build_object('provider_id', NEW.provider_id, 'status', NEW.status, 'opened_at', NEW.opened_at, 'deadline', NEW.deadline,
                           'coverage', NEW.coverage, 'required_sch', NEW.required_sch, 'required_hours', NEW.required_hours,
                           'gpu_class', NEW.gpu_class, 'cause', NEW.cause, 'cure', NEW.cure),
        CASE NEW.status WHEN 'open' THEN NEW.opened_at WHEN 'escalated' THEN NEW.escalated_at ELSE NEW.cured_at END);
    RETURN NULL;
END
$$;
CREATE TRIGGER margin_calls_are_told AFTER INSERT ON margin_calls
    FOR EACH ROW EXECUTE FUNCTION tell_of_margin_call();
CREATE TRIGGER margin_calls_are_told_on AFTER UPDATE ON margin_calls FOR EACH ROW
    WHEN (NEW.status <> OLD.status)
    EXECUTE FUNCTION tell_of_margin_call();

CREATE FUNCTION tell_of_rollover_call() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    provider uuid;
BEGIN
    SELECT p.provider_id INTO provider FROM pledges p WHERE p.id = NEW.pledge_id;
    PERFORM tell('rollover_call.' || CASE NEW.status WHEN 'open' THEN 'opened' ELSE NEW.status END, 'rollover_call', NEW.id, NULL, provider,
        jsonb_build_object('provider_id', provider, 'pledge_id', NEW.pledge_id, 'status', NEW.status, 'closes_at', NEW.closes_at,
                           'hours', NEW.hours),
        COALESCE(NEW.closed_at, NEW.opened_at));
    RETURN NULL;
END
$$;
CREATE TRIGGER rollover_calls_are_told AFTER INSERT ON rollover_calls
    FOR EACH ROW EXECUTE FUNCTION tell_of_rollover_call();
CREATE TRIGGER rollover_calls_are_told_on AFTER UPDATE ON rollover_calls FOR EACH ROW
    WHEN (NEW.status <> OLD.status)
    EXECUTE FUNCTION tell_of_rollover_call();

-- Of a provider's coverage, or, where provider_id is null, of all: that is for those who see everything.
CREATE FUNCTION tell_of_coverage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell('coverage.changed', 'provider', COALESCE(NEW.provider_id, '00000000-0000-0000-0000-000000000000'), NULL, NEW.provider_id,
        jsonb_build_object('provider_id', NEW.provider_id, 'from', NEW.from_state, 'to', NEW.to_state, 'cause', NEW.cause,
                           'backing_sch', NEW.sch, 'outstanding', NEW.outstanding, 'coverage', NEW.coverage, 'epoch_id', NEW.epoch_id,
                           'margin_call_id', NEW.margin_call_id),
        NEW.at);
    RETURN NULL;
END
$$;
CREATE TRIGGER coverage_events_are_told AFTER INSERT ON coverage_events
    FOR EACH ROW EXECUTE FUNCTION tell_of_coverage();

-- Webhooks: where events are sent. An endpoint is a holder's, a provider's, or, with neither, the operators'.
CREATE TABLE webhook_endpoints (
    id              uuid PRIMARY KEY,
    holder_id       uuid REFERENCES holders,
    provider_id     uuid REFERENCES providers,
    created_by      uuid NOT NULL,
    url             text NOT NULL CHECK (char_length(url) BETWEEN 1 AND 2000),
    description     text CHECK (char_length(description) BETWEEN 1 AND 500),
    -- Empty for all there are.
    event_types     text[] NOT NULL CHECK (cardinality(event_types) <= 100),
    status          text NOT NULL DEFAULT 'enabled' CHECK (status IN ('enabled', 'disabled')),
    disabled_reason text CHECK (disabled_reason IN ('requested', 'gone', 'failing')),
    disabled_at     timestamptz,
    -- Everything up to it has its deliveries.
    position        bigint NOT NULL CHECK (position >= 0),
    -- When it was that a delivery failed after which none has succeeded.
    failing_since   timestamptz,
    -- Until when a process sends to it, or when one last did.
    leased_until    timestamptz NOT NULL DEFAULT '-infinity',
    created_at      timestamptz NOT NULL DEFAULT ballast_now(),
    CONSTRAINT webhook_endpoints_have_one_owner CHECK (holder_id IS NULL OR provider_id IS NULL),
    CONSTRAINT webhook_endpoints_disabled_for_a_reason CHECK (
        (status = 'disabled') = (disabled_reason IS NOT NULL) AND (status = 'disabled') = (disabled_at IS NOT NULL))
);
CREATE INDEX webhook_endpoints_holder_idx ON webhook_endpoints (holder_id, id) WHERE holder_id IS NOT NULL;
CREATE INDEX webhook_endpoints_provider_idx ON webhook_endpoints (provider_id, id) WHERE provider_id IS NOT NULL;

-- Several secrets may be active, so that one can be replaced without losing a delivery. sealed is the secret as internal/vault keeps it.
CREATE TABLE webhook_secrets (
    id          uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoints,
    sealed      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT ballast_now(),
    expires_at  timestamptz
);
CREATE INDEX webhook_secrets_endpoint_idx ON webhook_secrets (endpoint_id, id);

-- One event on its way to one endpoint.
CREATE TABLE webhook_deliveries (
    id           uuid PRIMARY KEY,
    endpoint_id  uuid NOT NULL REFERENCES webhook_endpoints,
    seq          bigint NOT NULL,
    event_id     uuid NOT NULL,
    event_type   text NOT NULL,
    object_id    uuid NOT NULL,
    status       text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts     integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Of those, the ones since it was last asked for, by which the pauses grow. And when it is tried next.
    tries        integer NOT NULL DEFAULT 0 CHECK (tries >= 0 AND tries <= attempts),
    next_at      timestamptz NOT NULL DEFAULT ballast_now(),
    ended_at     timestamptz,
    created_at   timestamptz NOT NULL DEFAULT ballast_now(),
    CONSTRAINT webhook_deliveries_once UNIQUE (endpoint_id, seq),
    CONSTRAINT webhook_deliveries_end CHECK ((status = 'pending') = (ended_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (endpoint_id, next_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_object_idx ON webhook_deliveries (endpoint_id, object_id, seq) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_endpoint_idx ON webhook_deliveries (endpoint_id, id);
CREATE INDEX webhook_deliveries_ended_idx ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

-- The log of what was tried. It has no bodies and no secrets.
CREATE TABLE webhook_attempts (
    delivery_id  uuid NOT NULL REFERENCES webhook_deliveries ON DELETE CASCADE,
    n            integer NOT NULL CHECK (n > 0),
    at           timestamptz NOT NULL DEFAULT ballast_now(),
    outcome      text NOT NULL CHECK (outcome IN ('delivered', 'refused', 'gone', 'not_sent', 'no_answer', 'forbidden')),
    http_status  smallint CHECK (http_status BETWEEN 100 AND 599),
    milliseconds integer NOT NULL CHECK (milliseconds >= 0),
    PRIMARY KEY (delivery_id, n)
);

-- One process at a time looks for what is new and makes deliveries of it: the one that holds this until then.
CREATE TABLE webhook_relay (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    held  uuid,
    until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO webhook_relay DEFAULT VALUES;

-- A test of an endpoint that somebody asked for.
CREATE TABLE webhook_tests (
    id           uuid PRIMARY KEY,
    endpoint_id  uuid NOT NULL REFERENCES webhook_endpoints,
    requested_by uuid NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT ballast_now()
);

CREATE TRIGGER webhook_endpoints_are_never_deleted BEFORE DELETE OR TRUNCATE ON webhook_endpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER webhook_secrets_are_never_deleted BEFORE DELETE OR TRUNCATE ON webhook_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER webhook_attempts_is_a_log BEFORE UPDATE OR TRUNCATE ON webhook_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER webhook_tests_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON webhook_tests
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_webhook_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: %', TG_TABLE_NAME, OLD.id, TG_ARGV[0]
        USING ERRCODE = 'BL013', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER webhook_endpoints_stay_whose_they_are BEFORE UPDATE ON webhook_endpoints FOR EACH ROW
    WHEN ((OLD.id, OLD.holder_id, OLD.provider_id, OLD.created_by, OLD.created_at)
        IS DISTINCT FROM (NEW.id, NEW.holder_id, NEW.provider_id, NEW.created_by, NEW.created_at))
    EXECUTE FUNCTION refuse_webhook_change('whose it is stays');
-- What has been handed over is not handed over again: an endpoint only goes forward, and skips nothing of its own accord.
CREATE TRIGGER webhook_endpoints_go_forward BEFORE UPDATE ON webhook_endpoints FOR EACH ROW
    WHEN (NEW.position < OLD.position)
    EXECUTE FUNCTION refuse_webhook_change('it goes forward');
CREATE TRIGGER webhook_deliveries_stay_what_they_are BEFORE UPDATE ON webhook_deliveries FOR EACH ROW
    WHEN ((OLD.id, OLD.endpoint_id, OLD.seq, OLD.event_id, OLD.event_type, OLD.object_id, OLD.created_at)
        IS DISTINCT FROM (NEW.id, NEW.endpoint_id, NEW.seq, NEW.event_id, NEW.event_type, NEW.object_id, NEW.created_at)
        OR NEW.attempts < OLD.attempts)
    EXECUTE FUNCTION refuse_webhook_change('what is delivered to whom stays');
CREATE TRIGGER webhook_deliveries_are_pruned_at_their_end BEFORE DELETE ON webhook_deliveries FOR EACH ROW
    WHEN (OLD.status = 'pending')
    EXECUTE FUNCTION refuse_webhook_change('it is not at its end');
CREATE TRIGGER webhook_deliveries_are_never_emptied BEFORE TRUNCATE ON webhook_deliveries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Disabling is told to those who look at the feed: the endpoint itself hears no more.
CREATE FUNCTION tell_of_endpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell('webhook_endpoint.disabled', 'webhook_endpoint', NEW.id, NEW.holder_id, NEW.provider_id,
        jsonb_build_object('url', NEW.url, 'reason', NEW.disabled_reason), NEW.disabled_at);
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_endpoints_are_told AFTER UPDATE ON webhook_endpoints FOR EACH ROW
    WHEN (NEW.status = 'disabled' AND OLD.status <> 'disabled')
    EXECUTE FUNCTION tell_of_endpoint();

CREATE FUNCTION tell_of_test() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    e webhook_endpoints;
BEGIN
    SELECT * INTO e FROM webhook_endpoints WHERE id = NEW.endpoint_id;
    PERFORM tell('webhook.test', 'webhook_endpoint', e.id, e.holder_id, e.provider_id, jsonb_build_object('url', e.url), NEW.created_at);
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_tests_are_told AFTER INSERT ON webhook_tests
    FOR EACH ROW EXECUTE FUNCTION tell_of_test();

GRANT SELECT ON events TO ballast_app;
GRANT SELECT, INSERT ON webhook_endpoints, webhook_secrets, webhook_deliveries, webhook_attempts, webhook_tests TO ballast_app;
GRANT UPDATE (url, description, event_types, status, disabled_reason, disabled_at, position, failing_since, leased_until) ON webhook_endpoints TO ballast_app;
GRANT UPDATE (sealed, expires_at) ON webhook_secrets TO ballast_app;
GRANT UPDATE (status, attempts, tries, next_at, ended_at) ON webhook_deliveries TO ballast_app;
GRANT SELECT, UPDATE (held, until) ON webhook_relay TO ballast_app;
GRANT DELETE ON webhook_deliveries TO ballast_app;
