-- Pledges as contracts: when their hours are delivered, on what hardware and on what terms; what happens when the time for
-- hours passes; and how other hours take their place. ADR 0016 says why.

-- The terms. A pledge that leaves them out is firm, without limits, and delivered at any time between its start and its end.
ALTER TABLE pledges
    ADD COLUMN datacenter      text CONSTRAINT pledges_datacenter_check CHECK (char_length(datacenter) BETWEEN 1 AND 100),
    ADD COLUMN form_factor     text CONSTRAINT pledges_form_factor_check CHECK (char_length(form_factor) BETWEEN 1 AND 100),
    ADD COLUMN memory_gb       numeric CONSTRAINT pledges_memory_check CHECK (memory_gb > 0),
    ADD COLUMN interconnect    text CONSTRAINT pledges_interconnect_check CHECK (char_length(interconnect) BETWEEN 1 AND 500),
    -- GPUs in one machine.
    ADD COLUMN node_size       integer CONSTRAINT pledges_node_size_check CHECK (node_size > 0),
    ADD COLUMN firmness        text NOT NULL DEFAULT 'firm' CONSTRAINT pledges_firmness_check CHECK (firmness IN ('firm', 'interruptible')),
    -- GPUs at once.
    ADD COLUMN max_concurrency integer CONSTRAINT pledges_max_concurrency_check CHECK (max_concurrency > 0),
    -- Millionths of an hour that redemptions may take in a day of UTC.
    ADD COLUMN max_daily_hours bigint CONSTRAINT pledges_max_daily_hours_check CHECK (max_daily_hours > 0),
    ADD COLUMN notice_hours    integer NOT NULL DEFAULT 0 CONSTRAINT pledges_notice_check CHECK (notice_hours BETWEEN 0 AND 8784),
    ADD COLUMN remedy          text CONSTRAINT pledges_remedy_check CHECK (char_length(remedy) BETWEEN 1 AND 2000),
    ADD COLUMN encumbrance     text CONSTRAINT pledges_encumbrance_check CHECK (char_length(encumbrance) BETWEEN 1 AND 2000),
    ADD CONSTRAINT pledges_four_eyes CHECK (verified_by <> created_by);

-- A signed document stands behind one pledge. What was turned down may be handed in again.
CREATE UNIQUE INDEX pledges_document_key ON pledges (document_sha256) WHERE document_sha256 IS NOT NULL AND status <> 'rejected';

DROP TRIGGER pledges_terms_are_fixed ON pledges;
CREATE TRIGGER pledges_terms_are_fixed BEFORE UPDATE ON pledges FOR EACH ROW
    WHEN ((OLD.id, OLD.provider_id, OLD.gpu_class, OLD.hours, OLD.region, OLD.starts_at, OLD.expires_at, OLD.sla_percent,
           OLD.document_sha256, OLD.metadata, OLD.created_by, OLD.created_at,
           OLD.datacenter, OLD.form_factor, OLD.memory_gb, OLD.interconnect, OLD.node_size, OLD.firmness, OLD.max_concurrency,
           OLD.max_daily_hours, OLD.notice_hours, OLD.remedy, OLD.encumbrance)
        IS DISTINCT FROM
          (NEW.id, NEW.provider_id, NEW.gpu_class, NEW.hours, NEW.region, NEW.starts_at, NEW.expires_at, NEW.sla_percent,
           NEW.document_sha256, NEW.metadata, NEW.created_by, NEW.created_at,
           NEW.datacenter, NEW.form_factor, NEW.memory_gb, NEW.interconnect, NEW.node_size, NEW.firmness, NEW.max_concurrency,
           NEW.max_daily_hours, NEW.notice_hours, NEW.remedy, NEW.encumbrance)
        OR (OLD.status <> 'pending'
            AND (OLD.haircut, OLD.verified_by, OLD.verified_at, OLD.reject_reason)
                IS DISTINCT FROM (NEW.haircut, NEW.verified_by, NEW.verified_at, NEW.reject_reason)))
    EXECUTE FUNCTION refuse_pledge_change('what was pledged and agreed stays');

-- The delivery curve: windows one after another, in which so many GPUs are delivered. Their hours are whole millionths that add up
-- to the pledge's. gpus is null for a pledge that says only by when. later_hours is what the windows after this one have, so that
-- the hours still to come at a moment are in one row.
CREATE TABLE pledge_windows (
    pledge_id   uuid NOT NULL REFERENCES pledges,
    n           smallint NOT NULL CHECK (n > 0),
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    gpus        integer CHECK (gpus > 0),
    hours       bigint NOT NULL CHECK (hours > 0),
    later_hours bigint NOT NULL CHECK (later_hours >= 0),
    PRIMARY KEY (pledge_id, n),
    CONSTRAINT pledge_windows_end_after_they_start CHECK (ends_at > starts_at),
    -- An hour is 3,600 million microseconds, and so a millionth of it 3,600.
    CONSTRAINT pledge_windows_hours_are_what_they_deliver
        CHECK (abs(extract(epoch FROM ends_at - starts_at) * 1000000 * gpus - hours::numeric * 3600) < 3600)
);
CREATE UNIQUE INDEX pledge_windows_end_key ON pledge_windows (pledge_id, ends_at);

INSERT INTO pledge_windows (pledge_id, n, starts_at, ends_at, hours, later_hours) SELECT id, 1, starts_at, expires_at, hours, 0 FROM pledges;

CREATE TRIGGER pledge_windows_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pledge_windows
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- All windows of a pledge are written by one statement, after which none can be added: they are what was pledged already.
CREATE FUNCTION check_windows_are_the_pledge() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    culprit uuid;
BEGIN
    SELECT pledge_id INTO culprit
    FROM (
        SELECT w.*, p.hours AS pledged, p.starts_at AS pledge_starts, p.expires_at, p.max_concurrency,
               row_number() OVER ahead AS place, lag(w.ends_at) OVER ahead AS before, lead(w.hours + w.later_hours, 1, 0::bigint) OVER ahead AS later
        FROM (SELECT DISTINCT pledge_id FROM fresh) AS f
        CROSS JOIN LATERAL (SELECT * FROM pledge_windows WHERE pledge_windows.pledge_id = f.pledge_id OFFSET 0) AS w
        CROSS JOIN LATERAL (SELECT * FROM pledges WHERE pledges.id = f.pledge_id OFFSET 0) AS p
        WINDOW ahead AS (PARTITION BY w.pledge_id ORDER BY w.n)
    ) AS w
    WHERE n <> place OR starts_at < before OR starts_at < pledge_starts OR ends_at > expires_at OR gpus > max_concurrency
       OR later_hours <> later OR n = 1 AND hours::numeric + later_hours <> pledged
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'pledge %: its windows are not what was pledged', culprit
            USING ERRCODE = 'BL005', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER pledge_windows_are_the_pledge AFTER INSERT ON pledge_windows
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_windows_are_the_pledge();

CREATE FUNCTION check_pledge_has_windows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pledge_windows WHERE pledge_id = NEW.id) THEN
        RAISE EXCEPTION 'pledge %: it does not say when it is delivered', NEW.id
            USING ERRCODE = 'BL005', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER pledges_have_windows AFTER INSERT ON pledges
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_pledge_has_windows();

-- Hours of a pledge that are still to come at a moment: those of windows that have not closed, and none once the class is sunset.
-- A function of SQL would be planned anew by each statement that calls it, which costs more than it does; so this one is not.
CREATE FUNCTION pledge_hours_to_come(of_pledge uuid, at_time timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN (
        SELECT CASE
            WHEN class_sunset_at(p.gpu_class) <= at_time THEN 0
            ELSE COALESCE((SELECT w.later_hours FROM pledge_windows w WHERE w.pledge_id = p.id AND w.ends_at <= at_time
                           ORDER BY w.ends_at DESC LIMIT 1), p.hours)
        END
        FROM pledges p WHERE p.id = of_pledge);
END
$$;

-- Hours behind tokens that lapsed and were needed, because nothing took their place in time: a default. sch is what they were to back.
CREATE TABLE pledge_shortfalls (
    seq         bigint PRIMARY KEY,
    pledge_id   uuid NOT NULL REFERENCES pledges,
    hours       bigint NOT NULL CHECK (hours > 0),
    k           numeric NOT NULL CHECK (k > 0),
    haircut     numeric NOT NULL CHECK (haircut >= 0 AND haircut < 1),
    epoch_id    uuid NOT NULL REFERENCES epochs,
    sch         numeric NOT NULL,
    recorded_at timestamptz NOT NULL,
    -- hours · k · (1 − haircut), rounded up to a millionth.
    CONSTRAINT pledge_shortfalls_are_what_the_hours_were_to_back CHECK (sch = ceil(hours * k * (1 - haircut)))
);
CREATE INDEX pledge_shortfalls_pledge_idx ON pledge_shortfalls (pledge_id, seq);
CREATE TRIGGER pledge_shortfalls_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pledge_shortfalls
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION check_shortfall_follows_journal() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM transactions t
        JOIN postings lost ON lost.seq = t.seq AND lost.amount >= NEW.hours
        JOIN accounts backing ON backing.id = lost.from_account AND backing.kind = 'pledge_backing' AND backing.pledge_id = NEW.pledge_id
        JOIN accounts expired ON expired.id = lost.to_account AND expired.kind = 'pledge_expired'
        JOIN pledges p ON p.id = NEW.pledge_id
        JOIN epoch_factors f ON f.epoch_id = NEW.epoch_id AND f.gpu_class = p.gpu_class
        WHERE t.seq = NEW.seq AND t.kind = 'pledge_lapse' AND t.subject_id = NEW.pledge_id AND t.created_at = NEW.recorded_at
          AND p.haircut = NEW.haircut AND p.status = 'defaulted' AND f.k = NEW.k
    ) THEN
        RAISE EXCEPTION 'shortfall %: the journal, the pledge or the epoch says otherwise', NEW.seq
            USING ERRCODE = 'BL009', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER pledge_shortfalls_follow_the_journal AFTER INSERT ON pledge_shortfalls
    FOR EACH ROW EXECUTE FUNCTION check_shortfall_follows_journal();

-- A call to a provider to put other hours behind tokens, ahead of the closing at which those behind them begin to lapse. hours is what
-- lapses by the end of the notice; while a call is open, it and closes_at follow the pledge.
CREATE TABLE rollover_calls (
    id        uuid PRIMARY KEY,
    pledge_id uuid NOT NULL REFERENCES pledges,
    closes_at timestamptz NOT NULL,
    hours     bigint NOT NULL CHECK (hours > 0),
    status    text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'answered', 'defaulted')),
    opened_at timestamptz NOT NULL DEFAULT ballast_now(),
    closed_at timestamptz,
    CONSTRAINT rollover_calls_closed_at_their_end CHECK ((closed_at IS NOT NULL) = (status <> 'open'))
);
CREATE UNIQUE INDEX rollover_calls_open_key ON rollover_calls (pledge_id) WHERE status = 'open';
CREATE INDEX rollover_calls_pledge_idx ON rollover_calls (pledge_id, id);
CREATE INDEX rollover_calls_status_idx ON rollover_calls (status, id);
CREATE TRIGGER rollover_calls_are_never_deleted BEFORE DELETE OR TRUNCATE ON rollover_calls
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION refuse_rollover_call_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rollover call %: it has ended, or would be another', OLD.id
        USING ERRCODE = 'BL009', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER rollover_calls_end_once BEFORE UPDATE ON rollover_calls FOR EACH ROW
    WHEN (OLD.status <> 'open' OR (OLD.id, OLD.pledge_id, OLD.opened_at) IS DISTINCT FROM (NEW.id, NEW.pledge_id, NEW.opened_at))
    EXECUTE FUNCTION refuse_rollover_call_change();

-- Hours behind tokens that others took the place of, with all by which to see that those are worth as much.
CREATE TABLE substitutions (
    seq           bigint PRIMARY KEY,
    old_pledge_id uuid NOT NULL,
    new_pledge_id uuid NOT NULL,
    old_hours     bigint NOT NULL CHECK (old_hours > 0),
    new_hours     bigint NOT NULL CHECK (new_hours > 0),
    old_k         numeric NOT NULL CHECK (old_k > 0),
    new_k         numeric NOT NULL CHECK (new_k > 0),
    old_haircut   numeric NOT NULL CHECK (old_haircut >= 0 AND old_haircut < 1),
    new_haircut   numeric NOT NULL CHECK (new_haircut >= 0 AND new_haircut < 1),
    -- A class that the epoch in force no longer values keeps the k of the last that did.
    old_epoch_id  uuid NOT NULL,
    new_epoch_id  uuid NOT NULL,
    CONSTRAINT substitutions_are_between_two CHECK (old_pledge_id <> new_pledge_id),
    CONSTRAINT substitutions_are_worth_as_much CHECK (new_hours * new_k * (1 - new_haircut) >= old_hours * old_k * (1 - old_haircut))
);
CREATE INDEX substitutions_old_idx ON substitutions (old_pledge_id, seq);
CREATE INDEX substitutions_new_idx ON substitutions (new_pledge_id, seq);
CREATE TRIGGER substitutions_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON substitutions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A substitution is what the journal says, between two pledges of one provider, at the k that holds; and the hours that came behind the
-- tokens are still to come, as those of a mint are.
CREATE FUNCTION check_substitution_follows_journal() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM transactions t
        JOIN postings freed ON freed.seq = t.seq AND freed.line = 0 AND freed.amount = NEW.old_hours
        JOIN postings backed ON backed.seq = t.seq AND backed.line = 1 AND backed.amount = NEW.new_hours
        JOIN pledges o ON o.id = NEW.old_pledge_id
        JOIN pledges s ON s.id = NEW.new_pledge_id AND s.provider_id = o.provider_id
        JOIN accounts ob ON ob.id = freed.from_account AND ob.kind = 'pledge_backing' AND ob.pledge_id = o.id
        JOIN accounts oa ON oa.id = freed.to_account AND oa.kind = 'pledge_available' AND oa.pledge_id = o.id
        JOIN accounts sa ON sa.id = backed.from_account AND sa.kind = 'pledge_available' AND sa.pledge_id = s.id
        JOIN accounts sb ON sb.id = backed.to_account AND sb.kind = 'pledge_backing' AND sb.pledge_id = s.id
        JOIN accounts se ON se.pledge_id = s.id AND se.kind = 'pledge_earmarked'
        JOIN epoch_factors nf ON nf.epoch_id = NEW.new_epoch_id AND nf.gpu_class = s.gpu_class AND nf.k = NEW.new_k
        JOIN epoch_factors f ON f.epoch_id = NEW.old_epoch_id AND f.gpu_class = o.gpu_class AND f.k = NEW.old_k
        WHERE t.seq = NEW.seq AND t.kind = 'pledge_substitution' AND t.lines = 2 AND t.subject_id = o.id AND t.epoch_id = NEW.new_epoch_id
          AND s.status = 'active' AND s.haircut <= NEW.new_haircut AND o.haircut <= NEW.old_haircut
          AND sb.balance + se.balance <= pledge_hours_to_come(s.id, t.created_at)
          AND NEW.new_epoch_id = (SELECT id FROM epochs WHERE effective_at <= t.created_at ORDER BY effective_at DESC LIMIT 1)
          AND NEW.old_epoch_id = (SELECT e.id FROM epochs e JOIN epoch_factors v ON v.epoch_id = e.id AND v.gpu_class = o.gpu_class
                                  WHERE e.effective_at <= t.created_at ORDER BY e.effective_at DESC LIMIT 1)
    ) THEN
        RAISE EXCEPTION 'substitution %: the journal, a pledge or an epoch says otherwise', NEW.seq
            USING ERRCODE = 'BL009', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER substitutions_follow_the_journal AFTER INSERT ON substitutions
    FOR EACH ROW EXECUTE FUNCTION check_substitution_follows_journal();

-- The guard of mints, a statement at a time: what each mint says is compared with the journal, and then, once for each pledge, what
-- they agree on with the pledge, its accounts and the epoch. A policy may ask for more than the haircut that was agreed. And what backs
-- tokens is still to come.
DROP TRIGGER mints_follow_the_journal ON mints;
DROP FUNCTION check_mint_follows_journal();
CREATE FUNCTION check_mints_follow_journal() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    culprit bigint;
BEGIN
    WITH posted AS MATERIALIZED (
        SELECT f.seq, f.pledge_id, f.epoch_id, f.k, f.haircut, t.created_at,
               issued.from_account AS issuance, backed.from_account AS available, backed.to_account AS backing,
               t.id = f.transaction_id AND t.kind = 'mint' AND t.lines = 2 AND t.subject_id = f.pledge_id AND t.epoch_id = f.epoch_id
               AND issued.to_account = f.account_id AND issued.amount = f.amount AND backed.amount = f.backing_hours AS told
        FROM fresh f
        LEFT JOIN LATERAL (SELECT * FROM transactions WHERE transactions.seq = f.seq OFFSET 0) AS t ON true
        LEFT JOIN LATERAL (SELECT * FROM postings WHERE postings.seq = f.seq AND line = 0 OFFSET 0) AS issued ON true
        LEFT JOIN LATERAL (SELECT * FROM postings WHERE postings.seq = f.seq AND line = 1 OFFSET 0) AS backed ON true
    ), terms AS MATERIALIZED (
        SELECT min(seq) AS seq, pledge_id, epoch_id, k, haircut, created_at, issuance, available, backing, bool_and(told IS TRUE) AS told
        FROM posted GROUP BY pledge_id, epoch_id, k, haircut, created_at, issuance, available, backing
    )
    SELECT terms.seq INTO culprit
    FROM terms
    LEFT JOIN LATERAL (SELECT * FROM pledges WHERE pledges.id = terms.pledge_id OFFSET 0) AS p ON true
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE accounts.id = terms.issuance OFFSET 0) AS i ON true
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE accounts.id = terms.available OFFSET 0) AS a ON true
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE accounts.id = terms.backing OFFSET 0) AS b ON true
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE accounts.pledge_id = terms.pledge_id AND kind = 'pledge_earmarked' OFFSET 0) AS e ON true
    LEFT JOIN LATERAL (SELECT epochs.id FROM epochs WHERE effective_at <= terms.created_at ORDER BY effective_at DESC LIMIT 1) AS in_force ON true
    LEFT JOIN LATERAL (SELECT epoch_factors.k FROM epoch_factors
                       WHERE epoch_factors.epoch_id = terms.epoch_id AND epoch_factors.gpu_class = p.gpu_class OFFSET 0) AS f ON true
    WHERE (terms.told AND in_force.id = terms.epoch_id AND f.k = terms.k
           AND i.kind = 'issuance' AND i.provider_id = p.provider_id
           AND a.kind = 'pledge_available' AND a.pledge_id = p.id AND b.kind = 'pledge_backing' AND b.pledge_id = p.id
           AND p.status = 'active' AND p.expires_at > terms.created_at AND p.haircut <= terms.haircut
           AND b.balance + e.balance <= pledge_hours_to_come(p.id, terms.created_at)) IS NOT TRUE
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'mint %: the journal, the pledge or the epoch says otherwise', culprit
            USING ERRCODE = 'BL006', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER mints_follow_the_journal AFTER INSERT ON mints
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_mints_follow_journal();

-- The day of UTC on which a redemption was requested, beside its hours: a pledge may say how many it gives in a day.
ALTER TABLE redemption_lines ADD COLUMN requested_on date;
ALTER TABLE redemption_lines DISABLE TRIGGER redemption_lines_is_append_only;
UPDATE redemption_lines l SET requested_on = (SELECT (r.created_at AT TIME ZONE 'UTC')::date FROM redemptions r WHERE r.id = l.redemption_id);
ALTER TABLE redemption_lines ENABLE TRIGGER redemption_lines_is_append_only;
ALTER TABLE redemption_lines ALTER COLUMN requested_on SET NOT NULL;
CREATE INDEX redemption_lines_day_idx ON redemption_lines (pledge_id, requested_on);

CREATE FUNCTION check_daily_hours() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    daily bigint;
BEGIN
    IF NEW.requested_on <> (SELECT (r.created_at AT TIME ZONE 'UTC')::date FROM redemptions r WHERE r.id = NEW.redemption_id) THEN
        RAISE EXCEPTION 'redemption %: it was not requested on that day', NEW.redemption_id
            USING ERRCODE = 'BL007', CONSTRAINT = 'redemption_lines_name_their_day';
    END IF;
    SELECT p.max_daily_hours INTO daily FROM pledges p WHERE p.id = NEW.pledge_id;
    IF daily IS NULL THEN
        RETURN NULL;
    END IF;
    -- What was refunded is not counted. The lock on the pledge's accounts keeps others from adding to the day meanwhile.
    IF daily < (SELECT sum(l.hours) FROM redemption_lines l JOIN redemptions r ON r.id = l.redemption_id AND r.status <> 'refunded'
                WHERE l.pledge_id = NEW.pledge_id AND l.requested_on = NEW.requested_on) THEN
        RAISE EXCEPTION 'redemption %: pledge % gives fewer hours in a day', NEW.redemption_id, NEW.pledge_id
            USING ERRCODE = 'BL007', CONSTRAINT = 'redemption_lines_keep_the_daily_hours';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER redemption_lines_keep_the_daily_hours AFTER INSERT ON redemption_lines
    FOR EACH ROW EXECUTE FUNCTION check_daily_hours();

GRANT SELECT, INSERT ON pledge_windows, pledge_shortfalls, rollover_calls, substitutions TO ballast_app;
GRANT UPDATE (status, closes_at, hours, closed_at) ON rollover_calls TO ballast_app;
