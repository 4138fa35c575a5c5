DROP TRIGGER pledges_change_status_by_the_rules ON pledges;
CREATE TRIGGER pledges_change_status_by_the_rules BEFORE UPDATE ON pledges FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND (OLD.status, NEW.status) NOT IN (
        ('pending', 'active'), ('pending', 'rejected'),
        ('active', 'exhausted'), ('active', 'expired'), ('active', 'defaulted'), ('active', 'released')))
    EXECUTE FUNCTION refuse_pledge_change('it cannot pass from that status to this one');

CREATE OR REPLACE FUNCTION check_redemption_step() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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

CREATE OR REPLACE FUNCTION check_redemption_settlement() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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

DROP TRIGGER redemptions_end_is_fixed ON redemptions;
CREATE TRIGGER redemptions_end_is_fixed BEFORE UPDATE ON redemptions FOR EACH ROW
    WHEN (OLD.settled_by IS NOT NULL
        AND (OLD.settled_by, OLD.provider_grant_id, OLD.reason) IS DISTINCT FROM (NEW.settled_by, NEW.provider_grant_id, NEW.reason))
    EXECUTE FUNCTION refuse_redemption_change('how it ended stays');

DROP TABLE corrected_lines, redemption_corrections, redemption_resolutions, delivered_lines, redemption_leases, provider_delivery_changes,
    provider_deliveries;
DROP FUNCTION check_corrected_line(), check_correction(), check_correction_proposal(), check_resolution_proposal(), refuse_proposal_change(),
    check_delivered_lines(), check_redemption_lease(), record_delivery_change();
ALTER TABLE redemptions DROP COLUMN delivered_hours, DROP COLUMN burned_amount;

ALTER TABLE redemption_transitions DISABLE TRIGGER redemption_transitions_is_append_only;
DELETE FROM redemption_transitions WHERE (from_status, to_status) IN (('unknown', 'rejected'), ('unknown', 'dispatched'));
ALTER TABLE redemption_transitions ENABLE TRIGGER redemption_transitions_is_append_only;

ALTER TABLE transactions DROP CONSTRAINT transactions_kind_check;
ALTER TABLE transactions ADD CONSTRAINT transactions_kind_check CHECK (kind IN (
    'transfer', 'mint', 'hold', 'hold_capture', 'hold_void', 'reversal', 'pledge_activation', 'pledge_release',
    'pledge_lapse', 'pledge_substitution', 'redemption_request', 'redemption_issue', 'redemption_refund'));
