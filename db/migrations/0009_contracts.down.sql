DROP TRIGGER redemption_lines_keep_the_daily_hours ON redemption_lines;
DROP FUNCTION check_daily_hours();
DROP INDEX redemption_lines_day_idx;
ALTER TABLE redemption_lines DROP COLUMN requested_on;

DROP TRIGGER mints_follow_the_journal ON mints;
DROP FUNCTION check_mints_follow_journal();
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

DROP TABLE substitutions, rollover_calls, pledge_shortfalls;
DROP FUNCTION check_substitution_follows_journal(), refuse_rollover_call_change(), check_shortfall_follows_journal();
DROP FUNCTION pledge_hours_to_come(uuid, timestamptz);

DROP TRIGGER pledges_have_windows ON pledges;
DROP FUNCTION check_pledge_has_windows();
DROP TABLE pledge_windows;
DROP FUNCTION check_windows_are_the_pledge();

DROP TRIGGER pledges_terms_are_fixed ON pledges;
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
DROP INDEX pledges_document_key;
ALTER TABLE pledges
    DROP CONSTRAINT pledges_four_eyes,
    DROP COLUMN datacenter, DROP COLUMN form_factor, DROP COLUMN memory_gb, DROP COLUMN interconnect, DROP COLUMN node_size,
    DROP COLUMN firmness, DROP COLUMN max_concurrency, DROP COLUMN max_daily_hours, DROP COLUMN notice_hours, DROP COLUMN remedy,
    DROP COLUMN encumbrance;
