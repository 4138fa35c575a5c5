-- Pledges: GPU-hours that a provider commits, and the tokens that were minted against them. Where each hour of a pledge
-- is now, its seven accounts say.

CREATE TABLE pledges (
    id              uuid PRIMARY KEY,
    provider_id     uuid NOT NULL REFERENCES providers,
    gpu_class       text NOT NULL REFERENCES gpu_classes,
    asset           text NOT NULL GENERATED ALWAYS AS ('GPUH:' || gpu_class) STORED,
    -- Millionths of an hour, as in the books.
    hours           bigint NOT NULL CONSTRAINT pledges_hours_are_positive CHECK (hours > 0),
    region          text NOT NULL CHECK (region ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    starts_at       timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    sla_percent     numeric CHECK (sla_percent BETWEEN 0 AND 100),
    document_sha256 text CHECK (document_sha256 ~ '^[0-9a-f]{64}$'),
    haircut         numeric CONSTRAINT pledges_haircut_in_range CHECK (haircut >= 0 AND haircut < 1 AND scale(haircut) <= 6),
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN (
        'pending', 'active', 'rejected', 'exhausted', 'expired', 'defaulted', 'released')),
    reject_reason   text CHECK (char_length(reject_reason) BETWEEN 1 AND 500),
    metadata        jsonb,
    created_by      uuid NOT NULL,
    verified_by     uuid,
    verified_at     timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pledges_end_after_they_start CHECK (expires_at > starts_at),
    CONSTRAINT pledges_verified_unless_pending_or_rejected CHECK (
        (status NOT IN ('pending', 'rejected')) = (verified_at IS NOT NULL)
        AND (verified_at IS NULL) = (verified_by IS NULL) AND (verified_at IS NULL) = (haircut IS NULL)),
    CONSTRAINT pledges_rejected_for_a_reason CHECK ((status = 'rejected') = (reject_reason IS NOT NULL)),
    CONSTRAINT pledges_account_key UNIQUE (id, provider_id, asset)
);
CREATE INDEX pledges_provider_idx ON pledges (provider_id, id);
CREATE INDEX pledges_status_idx ON pledges (status, id);
CREATE INDEX pledges_class_idx ON pledges (gpu_class, id);

-- A pledge's accounts belong to its provider and hold hours of its class.
ALTER TABLE accounts ADD CONSTRAINT accounts_belong_to_their_pledge
    FOREIGN KEY (pledge_id, provider_id, asset) REFERENCES pledges (id, provider_id, asset);

-- What happened to a pledge, in the order of event. transaction_seq is the journal's, where hours moved.
CREATE TABLE pledge_events (
    event           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pledge_id       uuid NOT NULL REFERENCES pledges,
    status          text NOT NULL CHECK (status IN (
        'pending', 'active', 'rejected', 'exhausted', 'expired', 'defaulted', 'released')),
    at              timestamptz NOT NULL,
    actor           uuid NOT NULL,
    transaction_seq bigint,
    detail          text CHECK (char_length(detail) BETWEEN 1 AND 500)
);
CREATE INDEX pledge_events_pledge_idx ON pledge_events (pledge_id, event);

-- Tokens issued, with all by which to see that the hours behind them were enough. There are no foreign keys: the guard
-- below compares each row with the journal.
CREATE TABLE mints (
    seq            bigint PRIMARY KEY,
    transaction_id uuid NOT NULL CONSTRAINT mints_transaction_key UNIQUE,
    pledge_id      uuid NOT NULL,
    account_id     uuid NOT NULL,
    amount         bigint NOT NULL CHECK (amount > 0),
    backing_hours  bigint NOT NULL CHECK (backing_hours > 0),
    k              numeric NOT NULL CHECK (k > 0),
    haircut        numeric NOT NULL CHECK (haircut >= 0 AND haircut < 1),
    epoch_id       uuid NOT NULL,
    CONSTRAINT mints_are_backed CHECK (backing_hours * k * (1 - haircut) >= amount)
);
CREATE INDEX mints_pledge_idx ON mints (pledge_id, seq);

CREATE TRIGGER pledges_are_never_deleted BEFORE DELETE OR TRUNCATE ON pledges
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER pledge_events_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pledge_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER mints_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_pledge_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'pledge %: %', NEW.id, TG_ARGV[0]
        USING ERRCODE = 'BL005', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER pledges_begin_pending BEFORE INSERT ON pledges FOR EACH ROW
    WHEN (NEW.status <> 'pending')
    EXECUTE FUNCTION refuse_pledge_change('it begins pending');
-- The same table as in internal/providers, which a test compares with this one.
CREATE TRIGGER pledges_change_status_by_the_rules BEFORE UPDATE ON pledges FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'active'), ('pending', 'rejected'),
        ('active', 'exhausted'), ('active', 'expired'), ('active', 'defaulted'), ('active', 'released')))
    EXECUTE FUNCTION refuse_pledge_change('it cannot pass from that status to this one');
CREATE TRIGGER pledges_terms_are_fixed BEFORE UPDATE ON pledges FOR EACH ROW
    WHEN ((OLD.id, OLD.provider_id, OLD.gpu_class, OLD.hours, OLD.region, OLD.starts_at, OLD.expires_at, OLD.sla_percent,
           OLD.document_sha256, OLD.metadata, OLD.created_by, OLD.created_at)
        IS DISTINCT FROM
          (NEW.id, NEW.provider_id, NEW.gpu_class, NEW.hours, NEW.region, NEW.starts_at, NEW.expires_at, NEW.sla_percent,
           NEW.document_sha256, NEW.metadata, NEW.created_by, NEW.created_at)
        OR (OLD.status <> 'pending'
            AND (OLD.haircut, OLD.verified_by, OLD.verified_at, OLD.reject_reason)
                IS DISTINCT FROM (NEW.haircut, NEW.verified_by, NEW.verified_at, NEW.reject_reason)))
    EXECUTE FUNCTION refuse_pledge_change('what was pledged and agreed stays');

-- At commit: a pledge has its seven accounts, and its last event says the status that it has.
CREATE FUNCTION check_pledge_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM accounts WHERE pledge_id = NEW.id) <> 7 THEN
        RAISE EXCEPTION 'pledge %: it has not all its accounts', NEW.id
            USING ERRCODE = 'BL005', CONSTRAINT = 'pledges_have_their_accounts';
    END IF;
    IF (SELECT status FROM pledges WHERE id = NEW.id)
        IS DISTINCT FROM (SELECT status FROM pledge_events WHERE pledge_id = NEW.id ORDER BY event DESC LIMIT 1) THEN
        RAISE EXCEPTION 'pledge %: no event tells of its status', NEW.id
            USING ERRCODE = 'BL005', CONSTRAINT = 'pledges_have_their_events';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER pledges_are_whole AFTER INSERT OR UPDATE OF status ON pledges
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_pledge_is_whole();

-- A mint is what the journal says: issued by the pledge's provider, backed by the pledge's hours, at the k and the haircut
-- that held for it, while the pledge was active.
CREATE FUNCTION check_mint_follows_journal() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM transactions t
        JOIN postings issued ON issued.seq = t.seq AND issued.line = 0
        JOIN postings backed ON backed.seq = t.seq AND backed.line = 1
        JOIN accounts issuance ON issuance.id = issued.from_account AND issuance.kind = 'issuance'
        JOIN accounts available ON available.id = backed.from_account AND available.kind = 'pledge_available'
        JOIN accounts backing ON backing.id = backed.to_account AND backing.kind = 'pledge_backing'
        JOIN pledges p ON p.id = NEW.pledge_id AND p.id = available.pledge_id AND p.id = backing.pledge_id
        JOIN epochs e ON e.id = NEW.epoch_id
        JOIN epoch_factors f ON f.epoch_id = e.id AND f.gpu_class = p.gpu_class
        WHERE t.seq = NEW.seq AND t.id = NEW.transaction_id AND t.kind = 'mint'
          AND t.lines = 2 AND t.subject_id = p.id AND t.epoch_id = e.id
          AND issued.to_account = NEW.account_id AND issued.amount = NEW.amount AND issuance.provider_id = p.provider_id
          AND backed.amount = NEW.backing_hours
          AND p.status = 'active' AND p.expires_at > t.created_at AND p.haircut = NEW.haircut
          AND f.k = NEW.k AND e.effective_at <= t.created_at
          AND NOT EXISTS (SELECT FROM epochs later WHERE later.effective_at > e.effective_at AND later.effective_at <= t.created_at)
    ) THEN
        RAISE EXCEPTION 'mint %: the journal, the pledge or the epoch says otherwise', NEW.seq
            USING ERRCODE = 'BL006', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER mints_follow_the_journal AFTER INSERT ON mints
    FOR EACH ROW EXECUTE FUNCTION check_mint_follows_journal();

GRANT SELECT, INSERT ON pledges, pledge_events, mints TO ballast_app;
GRANT UPDATE (status, haircut, reject_reason, verified_by, verified_at) ON pledges TO ballast_app;
