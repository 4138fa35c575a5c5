-- Redemptions: tokens on their way to become a provider's credits. The tokens wait in an escrow account and the hours behind
-- them in the earmarked accounts of pledges; the rows here say which, and how far each redemption has come.

-- What a redemption's status may become. internal/redeem has the same table, and a test that they are the same.
CREATE TABLE redemption_transitions (
    from_status text NOT NULL,
    to_status   text NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO redemption_transitions (from_status, to_status) VALUES
    ('requested', 'reserved'), ('requested', 'cancelled'), ('requested', 'expired'),
    ('reserved', 'dispatched'), ('reserved', 'cancelled'), ('reserved', 'expired'),
    ('dispatched', 'issued'), ('dispatched', 'rejected'), ('dispatched', 'cancelled'), ('dispatched', 'expired'), ('dispatched', 'unknown'),
    ('unknown', 'issued'), ('unknown', 'refunded'),
    ('issued', 'acknowledged'),
    ('rejected', 'refunded'), ('cancelled', 'refunded'), ('expired', 'refunded');

CREATE TABLE redemptions (
    id                uuid PRIMARY KEY,
    account_id        uuid NOT NULL REFERENCES accounts,
    holder_id         uuid NOT NULL REFERENCES holders,
    escrow_account    uuid NOT NULL REFERENCES accounts,
    provider_id       uuid NOT NULL REFERENCES providers,
    gpu_class         text NOT NULL REFERENCES gpu_classes,
    amount            bigint NOT NULL CHECK (amount > 0),
    hours             bigint NOT NULL CHECK (hours > 0),
    k                 numeric NOT NULL CHECK (k > 0),
    epoch_id          uuid NOT NULL REFERENCES epochs,
    transport         text NOT NULL CHECK (transport IN ('pull', 'push', 'voucher')),
    recipient_account text CHECK (char_length(recipient_account) BETWEEN 1 AND 200),
    status            text NOT NULL,
    provider_grant_id text CHECK (char_length(provider_grant_id) BETWEEN 1 AND 200),
    reason            text CHECK (char_length(reason) BETWEEN 1 AND 500),
    metadata          jsonb CHECK (jsonb_typeof(metadata) = 'object'),
    requested_by      uuid NOT NULL CONSTRAINT redemptions_requested_by_key UNIQUE REFERENCES transactions (id),
    settled_by        uuid CONSTRAINT redemptions_settled_by_key UNIQUE REFERENCES transactions (id),
    created_at        timestamptz NOT NULL,
    -- One grant of credits ends one redemption.
    CONSTRAINT redemptions_grant_key UNIQUE (provider_id, provider_grant_id),
    -- amount / k rounded down, without dividing.
    CONSTRAINT redemptions_hours_are_what_the_amount_is_worth CHECK (hours * k <= amount AND (hours + 1) * k > amount),
    CONSTRAINT redemptions_settled_at_their_end CHECK ((settled_by IS NOT NULL) = (status IN ('issued', 'acknowledged', 'refunded'))),
    CONSTRAINT redemptions_issued_name_their_grant CHECK ((provider_grant_id IS NOT NULL) = (status IN ('issued', 'acknowledged')))
);
CREATE INDEX redemptions_provider_idx ON redemptions (provider_id, status, id);
CREATE INDEX redemptions_holder_idx ON redemptions (holder_id, id);
CREATE INDEX redemptions_account_idx ON redemptions (account_id, id);

-- Which pledges' hours are earmarked for a redemption.
CREATE TABLE redemption_lines (
    redemption_id uuid NOT NULL REFERENCES redemptions,
    pledge_id     uuid NOT NULL REFERENCES pledges,
    hours         bigint NOT NULL CHECK (hours > 0),
    PRIMARY KEY (redemption_id, pledge_id)
);
CREATE INDEX redemption_lines_pledge_idx ON redemption_lines (pledge_id);

-- The timeline: every step that a redemption made, counted from 1. actor is the principal who asked for it.
CREATE TABLE redemption_events (
    redemption_id uuid NOT NULL REFERENCES redemptions,
    n             smallint NOT NULL CHECK (n > 0),
    status        text NOT NULL,
    at            timestamptz NOT NULL,
    actor         uuid NOT NULL,
    detail        text CHECK (char_length(detail) BETWEEN 1 AND 1000),
    PRIMARY KEY (redemption_id, n)
);

-- Guards. A redemption, its lines and its steps are written by one statement, at whose end these see all of it.

CREATE TRIGGER redemption_transitions_is_append_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON redemption_transitions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER redemptions_are_never_deleted BEFORE DELETE OR TRUNCATE ON redemptions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER redemption_lines_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redemption_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER redemption_events_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redemption_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_redemption_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'redemption %: %', OLD.id, TG_ARGV[0]
        USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER redemptions_identity_is_fixed BEFORE UPDATE ON redemptions FOR EACH ROW
    WHEN ((OLD.id, OLD.account_id, OLD.holder_id, OLD.escrow_account, OLD.provider_id, OLD.gpu_class, OLD.amount, OLD.hours, OLD.k,
           OLD.epoch_id, OLD.transport, OLD.recipient_account, OLD.metadata, OLD.requested_by, OLD.created_at)
        IS DISTINCT FROM
          (NEW.id, NEW.account_id, NEW.holder_id, NEW.escrow_account, NEW.provider_id, NEW.gpu_class, NEW.amount, NEW.hours, NEW.k,
           NEW.epoch_id, NEW.transport, NEW.recipient_account, NEW.metadata, NEW.requested_by, NEW.created_at))
    EXECUTE FUNCTION refuse_redemption_change('what was asked for stays');
CREATE TRIGGER redemptions_end_is_fixed BEFORE UPDATE ON redemptions FOR EACH ROW
    WHEN (OLD.settled_by IS NOT NULL
        AND (OLD.settled_by, OLD.provider_grant_id, OLD.reason) IS DISTINCT FROM (NEW.settled_by, NEW.provider_grant_id, NEW.reason))
    EXECUTE FUNCTION refuse_redemption_change('how it ended stays');

-- The functions below look rows up by key. A plan made while the tables were small must not scan them when they are large.

-- A step follows from the one before it, and the last one is the redemption's status.
CREATE FUNCTION check_redemption_step() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NEW.n = 1 AND NEW.status <> 'requested'
       OR NEW.n > 1 AND NOT EXISTS (
            SELECT FROM redemption_events e
            JOIN redemption_transitions t ON t.from_status = e.status AND t.to_status = NEW.status
            WHERE e.redemption_id = NEW.redemption_id AND e.n = NEW.n - 1 AND e.at <= NEW.at) THEN
        RAISE EXCEPTION 'redemption %: it cannot become % now', NEW.redemption_id, NEW.status
            USING ERRCODE = 'BL007', CONSTRAINT = 'redemption_events_follow_the_rules';
    END IF;
    IF (SELECT r.status FROM redemptions r WHERE r.id = NEW.redemption_id)
       <> (SELECT e.status FROM redemption_events e WHERE e.redemption_id = NEW.redemption_id ORDER BY e.n DESC LIMIT 1) THEN
        RAISE EXCEPTION 'redemption %: its status is not its last step', NEW.redemption_id
            USING ERRCODE = 'BL007', CONSTRAINT = 'redemption_events_tell_the_status';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemption_events_follow_the_rules AFTER INSERT ON redemption_events
    FOR EACH ROW EXECUTE FUNCTION check_redemption_step();

-- The lines are hours of the provider's pledges of that class, each earmarked by the transaction that requested the redemption,
-- and amount to its hours.
CREATE FUNCTION check_redemption_lines() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF (SELECT sum(l.hours) FROM redemption_lines l WHERE l.redemption_id = NEW.redemption_id)
       <> (SELECT r.hours FROM redemptions r WHERE r.id = NEW.redemption_id) THEN
        RAISE EXCEPTION 'redemption %: its lines are not its hours', NEW.redemption_id
            USING ERRCODE = 'BL007', CONSTRAINT = 'redemption_lines_are_its_hours';
    END IF;
    IF NOT EXISTS (
        SELECT FROM redemptions r
        JOIN pledges p ON p.id = NEW.pledge_id AND p.provider_id = r.provider_id AND p.gpu_class = r.gpu_class
        JOIN transactions t ON t.id = r.requested_by
        JOIN accounts b ON b.pledge_id = p.id AND b.kind = 'pledge_backing'
        JOIN accounts e ON e.pledge_id = p.id AND e.kind = 'pledge_earmarked'
        JOIN postings m ON m.seq = t.seq AND m.from_account = b.id AND m.to_account = e.id AND m.amount = NEW.hours
        WHERE r.id = NEW.redemption_id) THEN
        RAISE EXCEPTION 'redemption %: the hours of pledge % are not earmarked for it', NEW.redemption_id, NEW.pledge_id
            USING ERRCODE = 'BL007', CONSTRAINT = 'redemption_lines_are_earmarked';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemption_lines_are_earmarked AFTER INSERT ON redemption_lines
    FOR EACH ROW EXECUTE FUNCTION check_redemption_lines();

-- A redemption has its steps, its lines, the k of the epoch that was in force, and the transaction that put the amount in escrow.
CREATE FUNCTION check_redemption_is_whole() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    missing text;
BEGIN
    SELECT CASE
        WHEN NEW.status IS DISTINCT FROM
             (SELECT e.status FROM redemption_events e WHERE e.redemption_id = NEW.id ORDER BY e.n DESC LIMIT 1)
            THEN 'a step to its status'
        WHEN TG_OP = 'UPDATE' THEN NULL
        WHEN NOT EXISTS (SELECT FROM redemption_lines l WHERE l.redemption_id = NEW.id)
            THEN 'lines'
        WHEN NOT EXISTS (
            SELECT FROM (SELECT id FROM epochs WHERE effective_at <= NEW.created_at ORDER BY effective_at DESC LIMIT 1) AS e
            JOIN epoch_factors f ON f.epoch_id = e.id
            WHERE e.id = NEW.epoch_id AND f.gpu_class = NEW.gpu_class AND f.k = NEW.k)
            THEN 'the k of the epoch in force'
        WHEN NOT EXISTS (
            SELECT FROM transactions t
            JOIN postings p ON p.seq = t.seq AND p.from_account = NEW.account_id AND p.to_account = NEW.escrow_account AND p.amount = NEW.amount
            JOIN accounts e ON e.id = NEW.escrow_account AND e.kind = 'escrow' AND e.parent_id = NEW.account_id AND e.holder_id = NEW.holder_id
            WHERE t.id = NEW.requested_by AND t.kind = 'redemption_request' AND t.subject_id = NEW.id
              AND t.epoch_id = NEW.epoch_id AND t.created_at = NEW.created_at)
            THEN 'the transaction that requested it'
    END INTO missing;
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'redemption %: it lacks %', NEW.id, missing
            USING ERRCODE = 'BL007', CONSTRAINT = 'redemptions_are_whole';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemptions_are_whole AFTER INSERT OR UPDATE ON redemptions
    FOR EACH ROW EXECUTE FUNCTION check_redemption_is_whole();

-- A settled redemption has the transaction that took the amount out of escrow and the hours of every line with it: burned and
-- delivered where credits were issued, and else back where they came from.
CREATE FUNCTION check_redemption_settlement() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    issued boolean := NEW.status <> 'refunded';
    at_seq bigint;
BEGIN
    SELECT t.seq INTO at_seq
    FROM transactions t
    JOIN postings p ON p.seq = t.seq AND p.from_account = NEW.escrow_account AND p.amount = NEW.amount
    JOIN accounts a ON a.id = p.to_account
    WHERE t.id = NEW.settled_by AND t.subject_id = NEW.id
      AND CASE WHEN issued THEN t.kind = 'redemption_issue' AND a.kind = 'issuance' AND a.provider_id = NEW.provider_id
               ELSE t.kind = 'redemption_refund' AND a.id = NEW.account_id END;
    IF NOT FOUND OR EXISTS (
        SELECT FROM redemption_lines l
        JOIN accounts e ON e.pledge_id = l.pledge_id AND e.kind = 'pledge_earmarked'
        JOIN accounts d ON d.pledge_id = l.pledge_id AND d.kind = CASE WHEN issued THEN 'pledge_delivered' ELSE 'pledge_backing' END
        WHERE l.redemption_id = NEW.id AND NOT EXISTS (
            SELECT FROM postings p
            WHERE p.seq = at_seq AND p.from_account = e.id AND p.to_account = d.id AND p.amount = l.hours)) THEN
        RAISE EXCEPTION 'redemption %: the journal did not settle it so', NEW.id
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemptions_settle_in_the_journal AFTER INSERT OR UPDATE ON redemptions FOR EACH ROW
    WHEN (NEW.settled_by IS NOT NULL)
    EXECUTE FUNCTION check_redemption_settlement();

GRANT SELECT ON redemption_transitions TO ballast_app;
GRANT SELECT, INSERT ON redemptions, redemption_lines, redemption_events TO ballast_app;
GRANT UPDATE (status, provider_grant_id, reason, settled_by) ON redemptions TO ballast_app;
