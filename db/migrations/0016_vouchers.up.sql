-- Vouchers: codes for hours that a provider loads ahead, each handed to exactly one redemption. ADR 0022 says why.

-- Codes that were loaded together.
CREATE TABLE voucher_batches (
    id          uuid PRIMARY KEY,
    provider_id uuid NOT NULL REFERENCES providers,
    vouchers    integer NOT NULL CHECK (vouchers BETWEEN 1 AND 10000),
    loaded_by   uuid NOT NULL,
    loaded_at   timestamptz NOT NULL DEFAULT ballast_now(),
    CONSTRAINT voucher_batches_provider_key UNIQUE (id, provider_id)
);
CREATE INDEX voucher_batches_provider_idx ON voucher_batches (provider_id, id);

-- The classes and hours of which a provider has ever loaded any.
CREATE TABLE voucher_kinds (
    provider_id uuid NOT NULL REFERENCES providers,
    gpu_class   text NOT NULL REFERENCES gpu_classes,
    -- Millionths of an hour.
    hours       bigint NOT NULL CHECK (hours > 0),
    PRIMARY KEY (provider_id, gpu_class, hours)
);

CREATE TABLE vouchers (
    id            uuid PRIMARY KEY,
    batch_id      uuid NOT NULL,
    -- Which of its batch it is, from 1: with the batch, what the provider knows the voucher by.
    n             integer NOT NULL CHECK (n > 0),
    provider_id   uuid NOT NULL,
    gpu_class     text NOT NULL,
    hours         bigint NOT NULL,
    -- The code, which only the process can read, and what tells whether two are the same, for those who have its keys.
    code_sealed   bytea NOT NULL CHECK (octet_length(code_sealed) BETWEEN 1 AND 1000),
    code_digest   bytea NOT NULL CHECK (octet_length(code_digest) = 32),
    -- When the provider takes it no longer; null for never.
    expires_at    timestamptz,
    voided_at     timestamptz,
    voided_by     uuid,
    redemption_id uuid CONSTRAINT vouchers_redemption_key UNIQUE REFERENCES redemptions,
    CONSTRAINT vouchers_batch_key UNIQUE (batch_id, n),
    CONSTRAINT vouchers_code_key UNIQUE (provider_id, code_digest),
    CONSTRAINT vouchers_batch_fkey FOREIGN KEY (batch_id, provider_id) REFERENCES voucher_batches (id, provider_id),
    CONSTRAINT vouchers_kind_fkey FOREIGN KEY (provider_id, gpu_class, hours) REFERENCES voucher_kinds,
    CONSTRAINT vouchers_voided_by_somebody CHECK ((voided_at IS NULL) = (voided_by IS NULL)),
    CONSTRAINT vouchers_used_or_voided CHECK (redemption_id IS NULL OR voided_at IS NULL)
);
-- What is there to be handed out, in the order in which it is.
CREATE INDEX vouchers_free_idx ON vouchers (provider_id, gpu_class, hours, expires_at, id) WHERE redemption_id IS NULL AND voided_at IS NULL;

-- Vouchers of a provider for exactly so many hours of a class that may be handed out at a moment, those that expire first first, and
-- no more than so many (all, for NULL). One that has less than an hour left is of no use to anybody.
CREATE FUNCTION free_vouchers(of_provider uuid, of_class text, of_hours bigint, at_time timestamptz, at_most bigint)
    RETURNS SETOF uuid LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
    found_some bigint;
BEGIN
    RETURN QUERY
        SELECT v.id FROM vouchers v
        WHERE v.provider_id = of_provider AND v.gpu_class = of_class AND v.hours = of_hours AND v.redemption_id IS NULL AND v.voided_at IS NULL
          AND v.expires_at > at_time + interval '1 hour'
        ORDER BY v.expires_at, v.id LIMIT at_most;
    GET DIAGNOSTICS found_some = ROW_COUNT;
    RETURN QUERY
        SELECT v.id FROM vouchers v
        WHERE v.provider_id = of_provider AND v.gpu_class = of_class AND v.hours = of_hours AND v.redemption_id IS NULL AND v.voided_at IS NULL
          AND v.expires_at IS NULL
        ORDER BY v.id LIMIT at_most - found_some;
END
$$;

CREATE TRIGGER voucher_batches_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON voucher_batches
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER voucher_kinds_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON voucher_kinds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER vouchers_are_never_deleted BEFORE DELETE OR TRUNCATE ON vouchers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_voucher_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'voucher %: %', NEW.id, TG_ARGV[0]
        USING ERRCODE = 'BL015', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER vouchers_begin_free BEFORE INSERT ON vouchers FOR EACH ROW
    WHEN (NEW.redemption_id IS NOT NULL OR NEW.voided_at IS NOT NULL)
    EXECUTE FUNCTION refuse_voucher_change('it begins free');
-- Only the envelope of the code may be another, when the keys change.
CREATE TRIGGER vouchers_are_what_was_loaded BEFORE UPDATE ON vouchers FOR EACH ROW
    WHEN ((OLD.id, OLD.batch_id, OLD.n, OLD.provider_id, OLD.gpu_class, OLD.hours, OLD.code_digest, OLD.expires_at)
        IS DISTINCT FROM (NEW.id, NEW.batch_id, NEW.n, NEW.provider_id, NEW.gpu_class, NEW.hours, NEW.code_digest, NEW.expires_at))
    EXECUTE FUNCTION refuse_voucher_change('what was loaded stays');
CREATE TRIGGER vouchers_are_used_once BEFORE UPDATE ON vouchers FOR EACH ROW
    WHEN (OLD.redemption_id IS NOT NULL AND NEW.redemption_id IS DISTINCT FROM OLD.redemption_id
        OR OLD.voided_at IS NOT NULL AND (NEW.voided_at, NEW.voided_by, NEW.redemption_id) IS DISTINCT FROM (OLD.voided_at, OLD.voided_by, OLD.redemption_id))
    EXECUTE FUNCTION refuse_voucher_change('it was handed out, or voided, for good');

-- The functions below look rows up by key. A plan made while the tables were small must not scan them when they are large.

-- A voucher is handed to a redemption of exactly its hours, at its provider, which waits for it; and has not expired.
CREATE FUNCTION check_voucher_fits() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM redemptions r
        WHERE r.id = NEW.redemption_id AND r.transport = 'voucher' AND r.status = 'dispatched'
          AND r.provider_id = NEW.provider_id AND r.gpu_class = NEW.gpu_class AND r.hours = NEW.hours
          AND (NEW.expires_at IS NULL OR NEW.expires_at > r.created_at)) THEN
        RAISE EXCEPTION 'voucher %: it is not what its redemption is for', NEW.id
            USING ERRCODE = 'BL015', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER vouchers_fit_their_redemption AFTER UPDATE OF redemption_id ON vouchers FOR EACH ROW
    WHEN (NEW.redemption_id IS NOT NULL AND OLD.redemption_id IS NULL)
    EXECUTE FUNCTION check_voucher_fits();

-- At commit: a redemption by voucher has one.
CREATE FUNCTION check_redemption_has_voucher() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM vouchers v WHERE v.redemption_id = NEW.id) THEN
        RAISE EXCEPTION 'redemption %: no voucher is set aside for it', NEW.id
            USING ERRCODE = 'BL015', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER redemptions_have_their_voucher AFTER INSERT ON redemptions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.transport = 'voucher')
    EXECUTE FUNCTION check_redemption_has_voucher();

-- A code that was set aside may be known to its holder: such a redemption is issued, whole, and never refunded.
CREATE TRIGGER redemptions_by_voucher_are_issued BEFORE UPDATE ON redemptions FOR EACH ROW
    WHEN (NEW.transport = 'voucher' AND (NEW.status NOT IN ('dispatched', 'issued', 'acknowledged') OR NEW.delivered_hours <> NEW.hours))
    EXECUTE FUNCTION refuse_redemption_change('a voucher was handed to it');

-- From how few vouchers on, of one class and number of hours, a provider wants to be told. A provider without a row has 0: never.
CREATE TABLE voucher_settings (
    provider_id uuid PRIMARY KEY REFERENCES providers,
    low_stock   integer NOT NULL CHECK (low_stock BETWEEN 0 AND 1000000),
    updated_at  timestamptz NOT NULL DEFAULT ballast_now(),
    updated_by  uuid NOT NULL
);
CREATE TRIGGER voucher_settings_are_never_deleted BEFORE DELETE OR TRUNCATE ON voucher_settings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What was found when stock had fallen to the threshold, or had risen above it again.
CREATE TABLE voucher_stock_events (
    event       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_id uuid NOT NULL,
    gpu_class   text NOT NULL,
    hours       bigint NOT NULL,
    state       text NOT NULL CHECK (state IN ('low', 'ample')),
    free        integer NOT NULL CHECK (free >= 0),
    low_stock   integer NOT NULL CHECK (low_stock >= 0),
    at          timestamptz NOT NULL DEFAULT ballast_now(),
    CONSTRAINT voucher_stock_events_kind_fkey FOREIGN KEY (provider_id, gpu_class, hours) REFERENCES voucher_kinds,
    CONSTRAINT voucher_stock_events_cross_the_threshold CHECK ((state = 'low') = (free <= low_stock AND low_stock > 0))
);
CREATE INDEX voucher_stock_events_provider_idx ON voucher_stock_events (provider_id, gpu_class, hours, event);
CREATE TRIGGER voucher_stock_events_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON voucher_stock_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The provider is told of it as of other events.
CREATE FUNCTION tell_of_voucher_stock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tell('voucher_stock.' || NEW.state, 'provider', NEW.provider_id, NULL, NEW.provider_id,
        jsonb_build_object('provider_id', NEW.provider_id, 'gpu_class', NEW.gpu_class, 'hours', NEW.hours, 'state', NEW.state,
                           'free', NEW.free, 'low_stock', NEW.low_stock), NEW.at);
    RETURN NULL;
END
$$;
CREATE TRIGGER voucher_stock_events_are_told AFTER INSERT ON voucher_stock_events
    FOR EACH ROW EXECUTE FUNCTION tell_of_voucher_stock();

-- What has been handed a voucher and is to be issued yet.
CREATE INDEX redemptions_by_voucher_idx ON redemptions (id) WHERE transport = 'voucher' AND status = 'dispatched';

GRANT SELECT, INSERT ON voucher_batches, voucher_kinds, vouchers, voucher_settings, voucher_stock_events TO ballast_app;
GRANT UPDATE (code_sealed, voided_at, voided_by, redemption_id) ON vouchers TO ballast_app;
GRANT UPDATE (low_stock, updated_at, updated_by) ON voucher_settings TO ballast_app;
