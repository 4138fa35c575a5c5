-- Quotes, which lock what a redemption is worth and whose hours it takes for a moment; and what becomes of a redemption that its
-- provider is late with. docs/adr/0024 says why it looks like this.

-- What was promised, and until when. A quote never changes: whether it was used, redemptions.quote_id says, and whether it has
-- expired, the clock.
CREATE TABLE redemption_quotes (
    id          uuid PRIMARY KEY,
    account_id  uuid NOT NULL REFERENCES accounts,
    holder_id   uuid NOT NULL REFERENCES holders,
    provider_id uuid NOT NULL REFERENCES providers,
    gpu_class   text NOT NULL REFERENCES gpu_classes,
    amount      bigint NOT NULL CHECK (amount > 0),
    hours       bigint NOT NULL CHECK (hours > 0),
    k           numeric NOT NULL CHECK (k > 0),
    epoch_id    uuid NOT NULL REFERENCES epochs,
    transport   text NOT NULL CHECK (transport IN ('pull', 'push', 'voucher')),
    created_by  uuid NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    CONSTRAINT redemption_quotes_lines_key UNIQUE (id, expires_at),
    -- amount / k rounded down, without dividing.
    CONSTRAINT redemption_quotes_hours_are_what_the_amount_is_worth CHECK (hours * k <= amount AND (hours + 1) * k > amount),
    -- Nobody keeps hours from others for long.
    CONSTRAINT redemption_quotes_are_short CHECK (expires_at > created_at AND expires_at <= created_at + interval '10 minutes')
);
CREATE INDEX redemption_quotes_holder_idx ON redemption_quotes (holder_id, expires_at);

-- Which pledges' hours are kept for a quote while it lasts. No balance moves: whoever takes hours for a redemption leaves these.
CREATE TABLE redemption_quote_lines (
    quote_id   uuid NOT NULL,
    pledge_id  uuid NOT NULL REFERENCES pledges,
    hours      bigint NOT NULL CHECK (hours > 0),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (quote_id, pledge_id),
    CONSTRAINT redemption_quote_lines_end_with_their_quote FOREIGN KEY (quote_id, expires_at) REFERENCES redemption_quotes (id, expires_at)
);
CREATE INDEX redemption_quote_lines_pledge_idx ON redemption_quote_lines (pledge_id, expires_at);
CREATE INDEX redemption_quote_lines_live_idx ON redemption_quote_lines (expires_at);

CREATE TRIGGER redemption_quotes_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redemption_quotes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER redemption_quote_lines_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redemption_quote_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The quote that a redemption was made by; by when it should be delivered; what its holder wants if it is not; and the redemption
-- whose place it took, when that came to nothing in time.
ALTER TABLE redemptions
    ADD COLUMN quote_id      uuid REFERENCES redemption_quotes,
    ADD COLUMN on_delay      text NOT NULL DEFAULT 'wait' CHECK (on_delay IN ('wait', 'refund', 'reroute')),
    ADD COLUMN deliver_by    timestamptz,
    ADD COLUMN rerouted_from uuid REFERENCES redemptions;
ALTER TABLE redemptions DISABLE TRIGGER USER;
UPDATE redemptions SET deliver_by = created_at + interval '86400 seconds';
ALTER TABLE redemptions ENABLE TRIGGER USER;
ALTER TABLE redemptions
    ALTER COLUMN deliver_by SET NOT NULL,
    ADD CONSTRAINT redemptions_deliver_by_check CHECK (deliver_by > created_at);
CREATE UNIQUE INDEX redemptions_quote_key ON redemptions (quote_id) WHERE quote_id IS NOT NULL;
CREATE UNIQUE INDEX redemptions_rerouted_from_key ON redemptions (rerouted_from) WHERE rerouted_from IS NOT NULL;
CREATE INDEX redemptions_deliver_by_idx ON redemptions (deliver_by) WHERE settled_by IS NULL;

CREATE TRIGGER redemptions_terms_are_fixed BEFORE UPDATE ON redemptions FOR EACH ROW
    WHEN ((OLD.quote_id, OLD.on_delay, OLD.deliver_by, OLD.rerouted_from)
        IS DISTINCT FROM (NEW.quote_id, NEW.on_delay, NEW.deliver_by, NEW.rerouted_from))
    EXECUTE FUNCTION refuse_redemption_change('what was asked for stays');

-- That a redemption is late: from then on its holder's choice is followed, as far as surely nothing was granted.
CREATE TABLE redemption_escalations (
    redemption_id uuid PRIMARY KEY REFERENCES redemptions,
    escalated_at  timestamptz NOT NULL DEFAULT ballast_now()
);
CREATE TRIGGER redemption_escalations_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redemption_escalations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Millionths of an hour of a pledge that live quotes keep at a moment, but for one of them.
CREATE FUNCTION pledge_reserved_hours(of_pledge uuid, at_time timestamptz, except_quote uuid) RETURNS bigint LANGUAGE plpgsql STABLE
    SET enable_seqscan = off AS $$
BEGIN
    RETURN (
        SELECT COALESCE(sum(l.hours), 0)::bigint FROM redemption_quote_lines l
        WHERE l.pledge_id = of_pledge AND l.expires_at > at_time AND l.quote_id IS DISTINCT FROM except_quote
          AND (SELECT r.id FROM redemptions r WHERE r.quote_id = l.quote_id) IS NULL);
END
$$;

-- A quote is at the k that was in force, for hours that its lines add up to; and a holder has but a few at a time.
CREATE FUNCTION check_redemption_quote() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    wrong text;
BEGIN
    SELECT CASE
        WHEN NOT EXISTS (
            SELECT FROM (SELECT id FROM epochs WHERE effective_at <= NEW.created_at ORDER BY effective_at DESC LIMIT 1) AS e
            JOIN epoch_factors f ON f.epoch_id = e.id
            WHERE e.id = NEW.epoch_id AND f.gpu_class = NEW.gpu_class AND f.k = NEW.k)
            THEN 'redemption_quotes_have_the_k_in_force'
        WHEN NOT EXISTS (SELECT FROM accounts a WHERE a.id = NEW.account_id AND a.holder_id = NEW.holder_id AND a.kind = 'holder')
            THEN 'redemption_quotes_are_of_the_account'
        WHEN NEW.hours IS DISTINCT FROM (SELECT sum(l.hours) FROM redemption_quote_lines l WHERE l.quote_id = NEW.id)
            THEN 'redemption_quote_lines_are_its_hours'
        WHEN 5 < (SELECT count(*) FROM redemption_quotes q WHERE q.holder_id = NEW.holder_id AND q.expires_at > NEW.created_at
                  AND (SELECT r.id FROM redemptions r WHERE r.quote_id = q.id) IS NULL)
            THEN 'redemption_quotes_are_few'
    END INTO wrong;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'redemption quote %: %', NEW.id, wrong USING ERRCODE = 'BL015', CONSTRAINT = wrong;
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER redemption_quotes_are_whole AFTER INSERT ON redemption_quotes
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_redemption_quote();

-- What quotes keep of a pledge is there: behind tokens, and still to come when the quote ends.
CREATE FUNCTION check_quote_line() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM redemption_quotes q
        JOIN pledges p ON p.id = NEW.pledge_id AND p.provider_id = q.provider_id AND p.gpu_class = q.gpu_class
        JOIN accounts b ON b.pledge_id = p.id AND b.kind = 'pledge_backing'
        JOIN accounts e ON e.pledge_id = p.id AND e.kind = 'pledge_earmarked'
        WHERE q.id = NEW.quote_id AND pledge_reserved_hours(p.id, q.created_at, NULL)
              <= LEAST(b.balance, pledge_hours_to_come(p.id, q.expires_at) - e.balance)) THEN
        RAISE EXCEPTION 'redemption quote %: pledge % has not these hours to keep', NEW.quote_id, NEW.pledge_id
            USING ERRCODE = 'BL015', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER redemption_quote_lines_are_there AFTER INSERT ON redemption_quote_lines
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_quote_line();

-- A redemption leaves what others were promised, in all and of the day. At commit, when all of its group are written: the quotes among
-- them that were used keep nothing any more.
CREATE FUNCTION check_reserved_hours() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    asked_at timestamptz := (SELECT r.created_at FROM redemptions r WHERE r.id = NEW.redemption_id);
    kept bigint := pledge_reserved_hours(NEW.pledge_id, asked_at, NULL);
BEGIN
    IF kept > 0 AND (
        kept > (SELECT balance FROM accounts WHERE pledge_id = NEW.pledge_id AND kind = 'pledge_backing')
        OR kept + (SELECT sum(l.hours) FROM redemption_lines l JOIN redemptions r ON r.id = l.redemption_id AND r.status <> 'refunded'
                   WHERE l.pledge_id = NEW.pledge_id AND l.requested_on = NEW.requested_on)
           > (SELECT max_daily_hours FROM pledges WHERE id = NEW.pledge_id)) THEN
        RAISE EXCEPTION 'redemption %: it takes hours of pledge % that are kept for others', NEW.redemption_id, NEW.pledge_id
            USING ERRCODE = 'BL015', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER redemption_lines_leave_what_is_kept AFTER INSERT ON redemption_lines
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_reserved_hours();

-- What is late: not before its time; and only then, and only by its holder's choice, does a redemption expire.
CREATE FUNCTION check_redemption_is_late() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM redemptions r WHERE r.id = NEW.redemption_id AND r.deliver_by <= NEW.escalated_at) THEN
        RAISE EXCEPTION 'redemption %: it is not late', NEW.redemption_id
            USING ERRCODE = 'BL015', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemption_escalations_are_of_what_is_late AFTER INSERT ON redemption_escalations
    FOR EACH ROW EXECUTE FUNCTION check_redemption_is_late();

-- It is told as the steps of a redemption are.
CREATE FUNCTION tell_of_escalation() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM tell('redemption.escalated', 'redemption', r.id, r.holder_id, r.provider_id,
        jsonb_build_object('account_id', r.account_id, 'provider_id', r.provider_id, 'status', r.status, 'gpu_class', r.gpu_class,
                           'amount', r.amount, 'hours', r.hours, 'epoch_id', r.epoch_id, 'transport', r.transport,
                           'detail', 'The provider is late.', 'provider_grant_id', NULL, 'delivered_hours', NULL, 'refunded_amount', NULL),
        NEW.escalated_at)
    FROM redemptions r WHERE r.id = NEW.redemption_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemption_escalations_are_told AFTER INSERT ON redemption_escalations
    FOR EACH ROW EXECUTE FUNCTION tell_of_escalation();

CREATE FUNCTION check_redemption_may_expire() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM redemptions r JOIN redemption_escalations e ON e.redemption_id = r.id
        WHERE r.id = NEW.redemption_id AND r.on_delay <> 'wait' AND e.escalated_at <= NEW.at) THEN
        RAISE EXCEPTION 'redemption %: it is not late, or its holder waits', NEW.redemption_id
            USING ERRCODE = 'BL015', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemptions_expire_when_they_are_late AFTER INSERT ON redemption_events
    FOR EACH ROW WHEN (NEW.status = 'expired') EXECUTE FUNCTION check_redemption_may_expire();

-- What takes the place of another is the same but for its provider, and the other came to nothing for being late.
CREATE FUNCTION check_reroute() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM redemptions r
        WHERE r.id = NEW.rerouted_from AND r.on_delay = 'reroute' AND r.status = 'refunded'
          AND (r.account_id, r.holder_id, r.gpu_class, r.amount, r.on_delay) = (NEW.account_id, NEW.holder_id, NEW.gpu_class, NEW.amount, NEW.on_delay)
          AND r.provider_id <> NEW.provider_id AND NEW.quote_id IS NULL
          AND EXISTS (SELECT FROM redemption_events e WHERE e.redemption_id = r.id AND e.status = 'expired')) THEN
        RAISE EXCEPTION 'redemption %: it cannot take the place of %', NEW.id, NEW.rerouted_from
            USING ERRCODE = 'BL015', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemptions_are_rerouted_when_late AFTER INSERT ON redemptions FOR EACH ROW
    WHEN (NEW.rerouted_from IS NOT NULL)
    EXECUTE FUNCTION check_reroute();

-- A redemption has its steps, its lines, the k of its quote or else of the epoch that was in force, and the transaction that put the amount in escrow.
CREATE OR REPLACE FUNCTION check_redemption_is_whole() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
        WHEN NEW.quote_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM redemption_quotes q
            WHERE q.id = NEW.quote_id AND q.created_at <= NEW.created_at AND q.expires_at > NEW.created_at
              AND (q.account_id, q.holder_id, q.provider_id, q.gpu_class, q.amount, q.hours, q.k, q.epoch_id)
                = (NEW.account_id, NEW.holder_id, NEW.provider_id, NEW.gpu_class, NEW.amount, NEW.hours, NEW.k, NEW.epoch_id))
            THEN 'the terms of its quote, in time'
        WHEN NEW.quote_id IS NULL AND NOT EXISTS (
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

GRANT SELECT, INSERT ON redemption_quotes, redemption_quote_lines, redemption_escalations TO ballast_app;
