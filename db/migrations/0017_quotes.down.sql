-- What 0005 said.
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

DROP TRIGGER redemptions_are_rerouted_when_late ON redemptions;
DROP TRIGGER redemptions_expire_when_they_are_late ON redemption_events;
DROP TRIGGER redemption_lines_leave_what_is_kept ON redemption_lines;
DROP TRIGGER redemptions_terms_are_fixed ON redemptions;
DROP TABLE redemption_escalations;
ALTER TABLE redemptions DROP COLUMN quote_id, DROP COLUMN on_delay, DROP COLUMN deliver_by, DROP COLUMN rerouted_from;
DROP TABLE redemption_quote_lines, redemption_quotes;
DROP FUNCTION tell_of_escalation(), check_reroute(), check_redemption_may_expire(), check_redemption_is_late(), check_reserved_hours(), check_quote_line(),
    check_redemption_quote(), pledge_reserved_hours(uuid, timestamptz, uuid);
