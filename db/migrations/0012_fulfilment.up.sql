-- What happens to a redemption between the request and its end: how its provider is reached, leases of a queue that is polled, credits
-- for a part of it, what is put right afterwards, and what operators decide where nobody else can. ADR 0020 says why.

ALTER TABLE transactions DROP CONSTRAINT transactions_kind_check;
ALTER TABLE transactions ADD CONSTRAINT transactions_kind_check CHECK (kind IN (
    'transfer', 'mint', 'hold', 'hold_capture', 'hold_void', 'reversal', 'pledge_activation', 'pledge_release',
    'pledge_lapse', 'pledge_substitution', 'redemption_request', 'redemption_issue', 'redemption_refund', 'redemption_correction'));

-- A provider that is asked what became of a redemption may say that it refuses it, or that it never heard of it: then it is sent again.
ALTER TABLE redemption_transitions DISABLE TRIGGER redemption_transitions_is_append_only;
INSERT INTO redemption_transitions (from_status, to_status) VALUES ('unknown', 'rejected'), ('unknown', 'dispatched');
ALTER TABLE redemption_transitions ENABLE TRIGGER redemption_transitions_is_append_only;

-- How a provider gets to know of its redemptions. One without a row polls.
CREATE TABLE provider_deliveries (
    provider_id     uuid PRIMARY KEY REFERENCES providers,
    transport       text NOT NULL CONSTRAINT provider_deliveries_transport_check CHECK (transport IN ('pull', 'push', 'voucher')),
    endpoint        text CONSTRAINT provider_deliveries_endpoint_check CHECK (char_length(endpoint) BETWEEN 1 AND 2000),
    -- While it is disabled, nothing is asked of the provider.
    status          text NOT NULL DEFAULT 'active' CONSTRAINT provider_deliveries_status_check CHECK (status IN ('active', 'disabled')),
    disabled_reason text CONSTRAINT provider_deliveries_reason_check CHECK (char_length(disabled_reason) BETWEEN 1 AND 500),
    -- How long a redemption may take.
    sla_seconds     integer NOT NULL DEFAULT 86400 CONSTRAINT provider_deliveries_sla_check CHECK (sla_seconds BETWEEN 60 AND 2592000),
    updated_at      timestamptz NOT NULL DEFAULT ballast_now(),
    updated_by      uuid NOT NULL,
    CONSTRAINT provider_deliveries_push_somewhere CHECK ((endpoint IS NOT NULL) = (transport = 'push')),
    CONSTRAINT provider_deliveries_disabled_why CHECK ((disabled_reason IS NOT NULL) = (status = 'disabled'))
);
CREATE TABLE provider_delivery_changes (
    n               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_id     uuid NOT NULL REFERENCES providers,
    transport       text NOT NULL,
    endpoint        text,
    status          text NOT NULL,
    disabled_reason text,
    sla_seconds     integer NOT NULL,
    at              timestamptz NOT NULL,
    actor           uuid NOT NULL
);
CREATE INDEX provider_delivery_changes_provider_idx ON provider_delivery_changes (provider_id, n);
CREATE TRIGGER provider_deliveries_are_never_deleted BEFORE DELETE OR TRUNCATE ON provider_deliveries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER provider_delivery_changes_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON provider_delivery_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- The history is written by the database, with the rights of its owner: the run-time role can neither add to it nor leave it out.
CREATE FUNCTION record_delivery_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO provider_delivery_changes (provider_id, transport, endpoint, status, disabled_reason, sla_seconds, at, actor)
    VALUES (NEW.provider_id, NEW.transport, NEW.endpoint, NEW.status, NEW.disabled_reason, NEW.sla_seconds, NEW.updated_at, NEW.updated_by);
    RETURN NULL;
END
$$;
CREATE TRIGGER provider_deliveries_have_a_history AFTER INSERT OR UPDATE ON provider_deliveries
    FOR EACH ROW EXECUTE FUNCTION record_delivery_change();

-- A provider that polls takes redemptions for a while, in which no other of its pollers gets them. What was once leased may have been
-- granted, whatever became of the lease.
CREATE TABLE redemption_leases (
    redemption_id uuid NOT NULL REFERENCES redemptions,
    lease_id      uuid NOT NULL,
    leased_at     timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    actor         uuid NOT NULL,
    PRIMARY KEY (redemption_id, lease_id),
    CONSTRAINT redemption_leases_end_after_they_begin CHECK (expires_at > leased_at)
);
CREATE INDEX redemption_leases_latest_idx ON redemption_leases (redemption_id, expires_at);
CREATE TRIGGER redemption_leases_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON redemption_leases
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- The lock on the redemption's escrow account keeps others from leasing or settling it meanwhile.
CREATE FUNCTION check_redemption_lease() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM redemptions r WHERE r.id = NEW.redemption_id AND r.transport = 'pull' AND r.status = 'dispatched')
       OR EXISTS (SELECT FROM redemption_leases l
                  WHERE l.redemption_id = NEW.redemption_id AND l.lease_id <> NEW.lease_id AND l.expires_at > NEW.leased_at) THEN
        RAISE EXCEPTION 'redemption %: it is not there to be leased', NEW.redemption_id
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemption_leases_are_one_at_a_time AFTER INSERT ON redemption_leases
    FOR EACH ROW EXECUTE FUNCTION check_redemption_lease();

-- A provider may give credits for a part of the hours. The tokens for the rest go back, and the rest of the hours backs tokens again.
ALTER TABLE redemptions ADD COLUMN delivered_hours bigint, ADD COLUMN burned_amount bigint;
ALTER TABLE redemptions DISABLE TRIGGER USER;
UPDATE redemptions
SET delivered_hours = CASE WHEN provider_grant_id IS NULL THEN 0 ELSE hours END,
    burned_amount = CASE WHEN provider_grant_id IS NULL THEN 0 ELSE amount END
WHERE settled_by IS NOT NULL;
ALTER TABLE redemptions ENABLE TRIGGER USER;
ALTER TABLE redemptions
    ADD CONSTRAINT redemptions_deliver_at_their_end
        CHECK ((delivered_hours IS NOT NULL) = (settled_by IS NOT NULL) AND (burned_amount IS NOT NULL) = (settled_by IS NOT NULL)),
    -- Nothing, all, or for a part delivered_hours · k rounded up to a millionth. What is not burned is returned.
    ADD CONSTRAINT redemptions_burn_what_is_delivered CHECK (CASE delivered_hours
        WHEN 0 THEN burned_amount = 0
        WHEN hours THEN burned_amount = amount
        ELSE delivered_hours > 0 AND delivered_hours < hours AND burned_amount = ceil(delivered_hours * k) END),
    ADD CONSTRAINT redemptions_name_the_grant_of_what_is_delivered CHECK ((delivered_hours > 0) = (provider_grant_id IS NOT NULL));

-- Of which pledges' hours an issued redemption was delivered.
CREATE TABLE delivered_lines (
    redemption_id uuid NOT NULL,
    pledge_id     uuid NOT NULL,
    hours         bigint NOT NULL CHECK (hours > 0),
    PRIMARY KEY (redemption_id, pledge_id),
    FOREIGN KEY (redemption_id, pledge_id) REFERENCES redemption_lines
);
CREATE INDEX delivered_lines_pledge_idx ON delivered_lines (pledge_id);
INSERT INTO delivered_lines (redemption_id, pledge_id, hours)
SELECT l.redemption_id, l.pledge_id, l.hours FROM redemption_lines l JOIN redemptions r ON r.id = l.redemption_id WHERE r.provider_grant_id IS NOT NULL;
CREATE TRIGGER delivered_lines_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON delivered_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION check_delivered_lines() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF (SELECT sum(d.hours) FROM delivered_lines d WHERE d.redemption_id = NEW.redemption_id)
       IS DISTINCT FROM (SELECT r.delivered_hours FROM redemptions r WHERE r.id = NEW.redemption_id) THEN
        RAISE EXCEPTION 'redemption %: the lines delivered are not the hours delivered', NEW.redemption_id
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER delivered_lines_are_its_hours AFTER INSERT ON delivered_lines
    FOR EACH ROW EXECUTE FUNCTION check_delivered_lines();

DROP TRIGGER redemptions_end_is_fixed ON redemptions;
CREATE TRIGGER redemptions_end_is_fixed BEFORE UPDATE ON redemptions FOR EACH ROW
    WHEN (OLD.settled_by IS NOT NULL
        AND (OLD.settled_by, OLD.provider_grant_id, OLD.reason, OLD.delivered_hours, OLD.burned_amount)
            IS DISTINCT FROM (NEW.settled_by, NEW.provider_grant_id, NEW.reason, NEW.delivered_hours, NEW.burned_amount))
    EXECUTE FUNCTION refuse_redemption_change('how it ended stays');

-- A settled redemption has the transaction that took the amount out of escrow and the hours of every line with it: burned and
-- delivered as far as credits were issued, and else back where they came from.
CREATE OR REPLACE FUNCTION check_redemption_settlement() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    at_seq bigint;
BEGIN
    SELECT t.seq INTO at_seq FROM transactions t
    WHERE t.id = NEW.settled_by AND t.subject_id = NEW.id
      AND t.kind = CASE WHEN NEW.delivered_hours > 0 THEN 'redemption_issue' ELSE 'redemption_refund' END;
    IF NOT FOUND
       OR NEW.delivered_hours <> (SELECT COALESCE(sum(d.hours), 0) FROM delivered_lines d WHERE d.redemption_id = NEW.id)
       OR NEW.amount <> (SELECT COALESCE(sum(p.amount), 0) FROM postings p WHERE p.seq = at_seq AND p.from_account = NEW.escrow_account)
       OR NEW.burned_amount <> (
            SELECT COALESCE(sum(p.amount), 0) FROM postings p JOIN accounts a ON a.id = p.to_account
            WHERE p.seq = at_seq AND p.from_account = NEW.escrow_account AND a.kind = 'issuance' AND a.provider_id = NEW.provider_id)
       OR NEW.amount - NEW.burned_amount <> (
            SELECT COALESCE(sum(p.amount), 0) FROM postings p
            WHERE p.seq = at_seq AND p.from_account = NEW.escrow_account AND p.to_account = NEW.account_id)
       OR EXISTS (
            SELECT FROM redemption_lines l
            LEFT JOIN delivered_lines g ON g.redemption_id = l.redemption_id AND g.pledge_id = l.pledge_id
            JOIN accounts e ON e.pledge_id = l.pledge_id AND e.kind = 'pledge_earmarked'
            JOIN accounts d ON d.pledge_id = l.pledge_id AND d.kind = 'pledge_delivered'
            JOIN accounts b ON b.pledge_id = l.pledge_id AND b.kind = 'pledge_backing'
            WHERE l.redemption_id = NEW.id AND (
                COALESCE(g.hours, 0) <> (SELECT COALESCE(sum(p.amount), 0) FROM postings p
                                         WHERE p.seq = at_seq AND p.from_account = e.id AND p.to_account = d.id)
                OR l.hours - COALESCE(g.hours, 0) <> (SELECT COALESCE(sum(p.amount), 0) FROM postings p
                                                      WHERE p.seq = at_seq AND p.from_account = e.id AND p.to_account = b.id))) THEN
        RAISE EXCEPTION 'redemption %: the journal did not settle it so', NEW.id
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;

-- Where neither the provider nor its silence says what became of a redemption, one operator says it and another agrees.
CREATE TABLE redemption_resolutions (
    redemption_id     uuid NOT NULL REFERENCES redemptions,
    n                 smallint NOT NULL CHECK (n > 0),
    outcome           text NOT NULL CHECK (outcome IN ('issued', 'refunded', 'dispatched')),
    provider_grant_id text CHECK (char_length(provider_grant_id) BETWEEN 1 AND 200),
    -- Null for all of them.
    hours             bigint CHECK (hours > 0),
    evidence          text NOT NULL CHECK (char_length(evidence) BETWEEN 1 AND 500),
    proposed_by       uuid NOT NULL,
    proposed_at       timestamptz NOT NULL DEFAULT ballast_now(),
    approved_by       uuid,
    approved_at       timestamptz,
    PRIMARY KEY (redemption_id, n),
    CONSTRAINT redemption_resolutions_issued_name_their_grant
        CHECK ((provider_grant_id IS NOT NULL) = (outcome = 'issued') AND (hours IS NULL OR outcome = 'issued')),
    CONSTRAINT redemption_resolutions_approved_when CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
    CONSTRAINT redemption_resolutions_four_eyes CHECK (approved_by <> proposed_by)
);
CREATE TRIGGER redemption_resolutions_are_never_deleted BEFORE DELETE OR TRUNCATE ON redemption_resolutions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Credits that were said to be given and were not: hours back to what backs tokens, and tokens to the account that they came from.
CREATE TABLE redemption_corrections (
    redemption_id  uuid NOT NULL REFERENCES redemptions,
    n              smallint NOT NULL CHECK (n > 0),
    hours          bigint NOT NULL CHECK (hours > 0),
    -- hours · k, rounded down to a millionth.
    amount         bigint NOT NULL CHECK (amount > 0),
    reason         text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 500),
    proposed_by    uuid NOT NULL,
    proposed_at    timestamptz NOT NULL DEFAULT ballast_now(),
    approved_by    uuid,
    approved_at    timestamptz,
    transaction_id uuid CONSTRAINT redemption_corrections_transaction_key UNIQUE REFERENCES transactions (id),
    PRIMARY KEY (redemption_id, n),
    CONSTRAINT redemption_corrections_approved_when
        CHECK ((approved_by IS NULL) = (approved_at IS NULL) AND (approved_by IS NULL) = (transaction_id IS NULL)),
    CONSTRAINT redemption_corrections_four_eyes CHECK (approved_by <> proposed_by)
);
CREATE TRIGGER redemption_corrections_are_never_deleted BEFORE DELETE OR TRUNCATE ON redemption_corrections
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TABLE corrected_lines (
    redemption_id uuid NOT NULL,
    n             smallint NOT NULL,
    pledge_id     uuid NOT NULL,
    hours         bigint NOT NULL CHECK (hours > 0),
    PRIMARY KEY (redemption_id, n, pledge_id),
    FOREIGN KEY (redemption_id, n) REFERENCES redemption_corrections,
    FOREIGN KEY (redemption_id, pledge_id) REFERENCES delivered_lines
);
CREATE INDEX corrected_lines_pledge_idx ON corrected_lines (pledge_id);
CREATE TRIGGER corrected_lines_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON corrected_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_proposal_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'redemption %: what was proposed stays, and is approved once', OLD.redemption_id
        USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER redemption_resolutions_are_fixed BEFORE UPDATE ON redemption_resolutions FOR EACH ROW
    WHEN (OLD.approved_by IS NOT NULL
        OR (OLD.redemption_id, OLD.n, OLD.outcome, OLD.provider_grant_id, OLD.hours, OLD.evidence, OLD.proposed_by, OLD.proposed_at)
            IS DISTINCT FROM (NEW.redemption_id, NEW.n, NEW.outcome, NEW.provider_grant_id, NEW.hours, NEW.evidence, NEW.proposed_by, NEW.proposed_at))
    EXECUTE FUNCTION refuse_proposal_change();
CREATE TRIGGER redemption_corrections_are_fixed BEFORE UPDATE ON redemption_corrections FOR EACH ROW
    WHEN (OLD.approved_by IS NOT NULL
        OR (OLD.redemption_id, OLD.n, OLD.hours, OLD.amount, OLD.reason, OLD.proposed_by, OLD.proposed_at)
            IS DISTINCT FROM (NEW.redemption_id, NEW.n, NEW.hours, NEW.amount, NEW.reason, NEW.proposed_by, NEW.proposed_at))
    EXECUTE FUNCTION refuse_proposal_change();

-- What is proposed has numbers without a gap, begins unapproved, and is of use where it stands.
CREATE FUNCTION check_resolution_proposal() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NEW.approved_by IS NOT NULL
       OR NEW.n <> (SELECT COALESCE(max(o.n), 0) + 1 FROM redemption_resolutions o WHERE o.redemption_id = NEW.redemption_id)
       OR NOT EXISTS (SELECT FROM redemptions r
                      WHERE r.id = NEW.redemption_id AND r.status = 'unknown' AND COALESCE(NEW.hours, r.hours) <= r.hours) THEN
        RAISE EXCEPTION 'redemption %: there is nothing to resolve in this way', NEW.redemption_id
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER redemption_resolutions_are_of_the_unknown BEFORE INSERT ON redemption_resolutions
    FOR EACH ROW EXECUTE FUNCTION check_resolution_proposal();
CREATE FUNCTION check_correction_proposal() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NEW.approved_by IS NOT NULL
       OR NEW.n <> (SELECT COALESCE(max(o.n), 0) + 1 FROM redemption_corrections o WHERE o.redemption_id = NEW.redemption_id)
       OR NOT EXISTS (SELECT FROM redemptions r
                      WHERE r.id = NEW.redemption_id AND r.delivered_hours >= NEW.hours AND NEW.amount = floor(NEW.hours * r.k)) THEN
        RAISE EXCEPTION 'redemption %: it cannot be corrected in this way', NEW.redemption_id
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER redemption_corrections_are_of_the_delivered BEFORE INSERT ON redemption_corrections
    FOR EACH ROW EXECUTE FUNCTION check_correction_proposal();

-- An approved correction is what the journal says, and all of them together take back no more than was delivered and burned.
CREATE FUNCTION check_correction() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    of redemptions;
    at_seq bigint;
BEGIN
    SELECT * INTO of FROM redemptions r WHERE r.id = NEW.redemption_id;
    SELECT t.seq INTO at_seq FROM transactions t
    WHERE t.id = NEW.transaction_id AND t.kind = 'redemption_correction' AND t.subject_id = NEW.redemption_id AND t.created_at = NEW.approved_at;
    IF NOT FOUND
       OR NEW.amount IS DISTINCT FROM (
            SELECT sum(p.amount) FROM postings p JOIN accounts a ON a.id = p.from_account
            WHERE p.seq = at_seq AND p.to_account = of.account_id AND a.kind = 'issuance' AND a.provider_id = of.provider_id)
       OR NEW.hours IS DISTINCT FROM (
            SELECT sum(l.hours) FROM corrected_lines l WHERE l.redemption_id = NEW.redemption_id AND l.n = NEW.n)
       OR EXISTS (
            SELECT FROM corrected_lines l
            JOIN accounts d ON d.pledge_id = l.pledge_id AND d.kind = 'pledge_delivered'
            JOIN accounts b ON b.pledge_id = l.pledge_id AND b.kind = 'pledge_backing'
            WHERE l.redemption_id = NEW.redemption_id AND l.n = NEW.n
              AND l.hours IS DISTINCT FROM (SELECT sum(p.amount) FROM postings p
                                            WHERE p.seq = at_seq AND p.from_account = d.id AND p.to_account = b.id))
       OR EXISTS (
            SELECT FROM delivered_lines d
            WHERE d.redemption_id = NEW.redemption_id
              AND d.hours < (SELECT sum(l.hours) FROM corrected_lines l WHERE l.redemption_id = d.redemption_id AND l.pledge_id = d.pledge_id))
       OR of.burned_amount < (
            SELECT sum(c.amount) FROM redemption_corrections c WHERE c.redemption_id = NEW.redemption_id AND c.transaction_id IS NOT NULL) THEN
        RAISE EXCEPTION 'redemption %: the journal did not correct it so', NEW.redemption_id
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemption_corrections_are_in_the_journal AFTER UPDATE ON redemption_corrections
    FOR EACH ROW EXECUTE FUNCTION check_correction();
CREATE FUNCTION check_corrected_line() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF (SELECT sum(l.hours) FROM corrected_lines l WHERE l.redemption_id = NEW.redemption_id AND l.n = NEW.n)
       IS DISTINCT FROM (SELECT c.hours FROM redemption_corrections c
                         WHERE c.redemption_id = NEW.redemption_id AND c.n = NEW.n AND c.transaction_id IS NOT NULL) THEN
        RAISE EXCEPTION 'redemption %: its corrected lines are not the correction', NEW.redemption_id
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER corrected_lines_are_the_correction AFTER INSERT ON corrected_lines
    FOR EACH ROW EXECUTE FUNCTION check_corrected_line();

-- A step follows from the one before it, and the last one is the redemption's status. What is unknown is refunded only as two operators say.
CREATE OR REPLACE FUNCTION check_redemption_step() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NEW.n = 1 AND NEW.status <> 'requested'
       OR NEW.n > 1 AND NOT EXISTS (
            SELECT FROM redemption_events e
            JOIN redemption_transitions t ON t.from_status = e.status AND t.to_status = NEW.status
            WHERE e.redemption_id = NEW.redemption_id AND e.n = NEW.n - 1 AND e.at <= NEW.at
              AND (e.status <> 'unknown' OR NEW.status <> 'refunded' OR EXISTS (
                    SELECT FROM redemption_resolutions o
                    WHERE o.redemption_id = NEW.redemption_id AND o.outcome = 'refunded' AND o.approved_by IS NOT NULL))) THEN
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

-- Hours that were not delivered after all are the pledge's again, and lapse or are redeemed as others are.
DROP TRIGGER pledges_change_status_by_the_rules ON pledges;
CREATE TRIGGER pledges_change_status_by_the_rules BEFORE UPDATE ON pledges FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'active'), ('pending', 'rejected'),
        ('active', 'exhausted'), ('active', 'expired'), ('active', 'defaulted'), ('active', 'released'),
        ('exhausted', 'active'), ('expired', 'active'), ('released', 'active')))
    EXECUTE FUNCTION refuse_pledge_change('it cannot pass from that status to this one');

GRANT SELECT, INSERT ON provider_deliveries, redemption_leases, delivered_lines, redemption_resolutions, redemption_corrections, corrected_lines
    TO ballast_app;
GRANT SELECT ON provider_delivery_changes TO ballast_app;
GRANT UPDATE (transport, endpoint, status, disabled_reason, sla_seconds, updated_at, updated_by) ON provider_deliveries TO ballast_app;
GRANT UPDATE (delivered_hours, burned_amount) ON redemptions TO ballast_app;
GRANT UPDATE (approved_by, approved_at) ON redemption_resolutions TO ballast_app;
GRANT UPDATE (approved_by, approved_at, transaction_id) ON redemption_corrections TO ballast_app;
