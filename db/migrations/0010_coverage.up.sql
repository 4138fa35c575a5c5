-- Coverage: by which policy collateral is valued, how much of it there is, what state each provider is in, and what is
-- done about it. docs/adr/0017 says why it looks like this.

-- What a provider's collateral is worth depends on how well the provider is known. The column follows provider_tiers.
ALTER TABLE providers ADD COLUMN tier text NOT NULL DEFAULT 'standard' CHECK (tier IN ('prime', 'standard', 'basic'));

CREATE TABLE provider_tiers (
    n           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_id uuid NOT NULL REFERENCES providers,
    tier        text NOT NULL CHECK (tier IN ('prime', 'standard', 'basic')),
    set_by      uuid NOT NULL,
    at          timestamptz NOT NULL DEFAULT ballast_now()
);
CREATE INDEX provider_tiers_provider_idx ON provider_tiers (provider_id, n);

-- Policies. Each is whole, never changes, and is in force from its approval's effective_at until the next one's.

CREATE FUNCTION is_ladder(steps numeric[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(bool_and((step > before) IS TRUE), true)
    FROM (SELECT step, lag(step, 1, -1::numeric) OVER (ORDER BY n) AS before FROM unnest(steps) WITH ORDINALITY AS s (step, n)) AS rungs
$$;
CREATE FUNCTION are_haircuts(haircuts numeric[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(bool_and((h >= 0 AND h < 1 AND scale(h) <= 6) IS TRUE), true) FROM unnest(haircuts) AS h
$$;

CREATE TABLE policies (
    version                     integer PRIMARY KEY CHECK (version > 0),
    id                          uuid NOT NULL CONSTRAINT policies_id_key UNIQUE,
    -- Coverage below which a provider is to be watched, is called, is in default.
    watch_below                 numeric NOT NULL,
    call_below                  numeric NOT NULL,
    default_below               numeric NOT NULL,
    -- What a mint must leave beyond 1.
    mint_buffer                 numeric NOT NULL CHECK (mint_buffer >= 0 AND mint_buffer <= 10),
    margin_call_seconds         bigint NOT NULL CHECK (margin_call_seconds BETWEEN 0 AND 315360000),
    escalation_grace_seconds    bigint NOT NULL CHECK (escalation_grace_seconds BETWEEN 0 AND 315360000),
    rollover_notice_seconds     bigint NOT NULL CHECK (rollover_notice_seconds BETWEEN 0 AND 315360000),
    announcement_notice_seconds bigint NOT NULL CHECK (announcement_notice_seconds BETWEEN 0 AND 315360000),
    sunset_notice_seconds       bigint NOT NULL CHECK (sunset_notice_seconds BETWEEN 0 AND 315360000),
    draft_life_seconds          bigint NOT NULL CHECK (draft_life_seconds BETWEEN 1 AND 315360000),
    max_decrease                numeric NOT NULL CHECK (max_decrease > 0 AND max_decrease < 1),
    index_min_sources           integer NOT NULL CHECK (index_min_sources BETWEEN 1 AND 1000),
    index_max_age_seconds       bigint NOT NULL CHECK (index_max_age_seconds BETWEEN 1 AND 315360000),
    index_carry_seconds         bigint NOT NULL CHECK (index_carry_seconds BETWEEN 0 AND 315360000),
    index_mint_stop_seconds     bigint NOT NULL CHECK (index_mint_stop_seconds BETWEEN 0 AND 315360000),
    prime_haircut               numeric NOT NULL,
    standard_haircut            numeric NOT NULL,
    basic_haircut               numeric NOT NULL,
    interruptible_haircut       numeric NOT NULL,
    -- Ladders: the haircut beside the highest step that is exceeded.
    concentration_above         numeric[] NOT NULL,
    concentration_haircuts      numeric[] NOT NULL,
    delivery_beyond_days        integer[] NOT NULL,
    delivery_haircuts           numeric[] NOT NULL,
    note                        text NOT NULL CHECK (char_length(note) BETWEEN 1 AND 500),
    -- Null for the first, which comes with the program.
    drafted_by                  uuid,
    drafted_at                  timestamptz NOT NULL DEFAULT ballast_now(),
    CONSTRAINT policies_have_an_author CHECK ((drafted_by IS NULL) = (version = 1)),
    CONSTRAINT policies_author_key UNIQUE (version, drafted_by),
    CONSTRAINT policies_thresholds_are_ordered CHECK (
        default_below > 0 AND default_below <= call_below AND call_below <= watch_below AND watch_below <= 100
        AND scale(default_below) <= 6 AND scale(call_below) <= 6 AND scale(watch_below) <= 6 AND scale(mint_buffer) <= 6),
    CONSTRAINT policies_haircuts_in_range CHECK (
        are_haircuts(ARRAY[prime_haircut, standard_haircut, basic_haircut, interruptible_haircut])
        AND are_haircuts(concentration_haircuts) AND are_haircuts(delivery_haircuts)),
    CONSTRAINT policies_ladders_rise CHECK (
        is_ladder(concentration_above) AND is_ladder(delivery_beyond_days::numeric[])
        AND cardinality(concentration_above) = cardinality(concentration_haircuts)
        AND cardinality(delivery_beyond_days) = cardinality(delivery_haircuts)
        AND cardinality(concentration_above) <= 20 AND cardinality(delivery_beyond_days) <= 20)
);

-- Two people make a policy. The approvals are a chain: each names the one before it, and none has two successors.
CREATE TABLE policy_approvals (
    version      integer PRIMARY KEY,
    replaces     integer CONSTRAINT policy_approvals_replace_once UNIQUE REFERENCES policy_approvals,
    drafted_by   uuid,
    approved_by  uuid,
    approved_at  timestamptz NOT NULL DEFAULT ballast_now(),
    effective_at timestamptz NOT NULL CONSTRAINT policy_approvals_effective_at_key UNIQUE,
    CONSTRAINT policy_approvals_of_a_draft FOREIGN KEY (version) REFERENCES policies,
    CONSTRAINT policy_approvals_of_its_author FOREIGN KEY (version, drafted_by) REFERENCES policies (version, drafted_by),
    CONSTRAINT policy_approvals_by_another CHECK (
        CASE WHEN version = 1 THEN drafted_by IS NULL AND approved_by IS NULL
             ELSE drafted_by IS NOT NULL AND approved_by IS NOT NULL AND approved_by <> drafted_by END),
    CONSTRAINT policy_approvals_go_forward CHECK ((replaces IS NULL) = (version = 1) AND replaces < version)
);

CREATE FUNCTION check_policy_approval() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version > 1 AND (NEW.effective_at < ballast_now() - (clock_timestamp() - now())
        OR NEW.effective_at <= (SELECT effective_at FROM policy_approvals WHERE version = NEW.replaces)) THEN
        RAISE EXCEPTION 'policy %: it is retroactive, or does not follow the one before it', NEW.version
            USING ERRCODE = 'BL010', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER policy_approvals_follow_each_other BEFORE INSERT ON policy_approvals
    FOR EACH ROW EXECUTE FUNCTION check_policy_approval();

INSERT INTO policies (version, id, watch_below, call_below, default_below, mint_buffer, margin_call_seconds, escalation_grace_seconds,
    rollover_notice_seconds, announcement_notice_seconds, sunset_notice_seconds, draft_life_seconds, max_decrease, index_min_sources, index_max_age_seconds, index_carry_seconds,
    index_mint_stop_seconds, prime_haircut, standard_haircut, basic_haircut, interruptible_haircut, concentration_above,
    concentration_haircuts, delivery_beyond_days, delivery_haircuts, note)
VALUES (1, '01900000-0000-7000-8000-000000000001', 1.05, 1.00, 0.90, 0, 259200, 0, 1209600, 604800, 7776000, 1209600, 0.2, 3, 2592000, 604800, 604800,
    0, 0, 0, 0, '{}', '{}', '{}', '{}', 'The policy that comes with the program.');
INSERT INTO policy_approvals (version, effective_at) VALUES (1, 'epoch');

-- The policy in force at a time.
CREATE FUNCTION policy_at(at_time timestamptz) RETURNS SETOF policies LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT p.* FROM policies p JOIN (
        SELECT version FROM policy_approvals WHERE effective_at <= at_time ORDER BY effective_at DESC LIMIT 1) AS a ON a.version = p.version
$$;

-- A provider's share of all collateral is taken when it is assessed; the haircut that it costs is in force until the next row.
CREATE TABLE concentration_haircuts (
    n              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_id    uuid NOT NULL REFERENCES providers,
    share          numeric NOT NULL CHECK (share >= 0 AND share <= 1),
    haircut        numeric NOT NULL CHECK (haircut >= 0 AND haircut < 1 AND scale(haircut) <= 6),
    policy_version integer NOT NULL REFERENCES policies,
    at             timestamptz NOT NULL DEFAULT ballast_now()
);
CREATE INDEX concentration_haircuts_provider_idx ON concentration_haircuts (provider_id, n);

-- Where the hours of each pledge are that can back tokens, beside the terms by which they are valued: coverage of ten thousand
-- pledges is one scan of this table. Triggers keep it equal to the accounts, and nobody else can write it.
CREATE TABLE pledge_positions (
    pledge_id     uuid PRIMARY KEY REFERENCES pledges,
    provider_id   uuid NOT NULL,
    gpu_class     text COLLATE "C" NOT NULL,
    interruptible boolean NOT NULL,
    -- As agreed when the pledge was verified; null until then.
    haircut       numeric,
    -- When the last window of the pledge closes.
    closes_at     timestamptz,
    available     bigint NOT NULL DEFAULT 0,
    backing       bigint NOT NULL DEFAULT 0,
    earmarked     bigint NOT NULL DEFAULT 0,
    -- Until then none of the hours lapse. From then on, the windows must be asked how many have.
    due_at        timestamptz NOT NULL DEFAULT 'infinity',
    live          boolean NOT NULL GENERATED ALWAYS AS (available > 0 OR backing > 0) STORED,
    -- What is left of the hours after the haircut that was agreed.
    agreed_hours  numeric NOT NULL GENERATED ALWAYS AS ((available + backing) * (1 - COALESCE(haircut, 0))) STORED
) WITH (fillfactor = 70);
CREATE INDEX pledge_positions_live_idx ON pledge_positions (provider_id) WHERE live;
CREATE INDEX pledge_positions_due_idx ON pledge_positions (due_at) WHERE live;

CREATE FUNCTION set_position_times(pledge uuid, at_time timestamptz) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE pledge_positions p
    SET closes_at = w.closes_at,
        due_at = CASE WHEN p.available + p.backing = 0 THEN 'infinity'
                      WHEN p.available + p.backing + p.earmarked > w.hours THEN '-infinity'
                      ELSE w.next_at END
    FROM (SELECT pledge_hours_to_come(pledge, at_time) AS hours, max(ends_at) AS closes_at,
                 COALESCE(min(ends_at) FILTER (WHERE ends_at > at_time), '-infinity') AS next_at
          FROM pledge_windows WHERE pledge_id = pledge) AS w
    WHERE p.pledge_id = pledge;
END
$$;

-- The functions that write positions run with the rights of their owner: the run-time role has none to do so.
CREATE FUNCTION begin_pledge_position() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO pledge_positions (pledge_id, provider_id, gpu_class, interruptible)
    VALUES (NEW.id, NEW.provider_id, NEW.gpu_class, NEW.firmness = 'interruptible');
    RETURN NULL;
END
$$;
CREATE FUNCTION set_position_haircut() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE pledge_positions SET haircut = NEW.haircut WHERE pledge_id = NEW.id;
    RETURN NULL;
END
$$;
-- Once for all the accounts of a statement, and then one row, found by its key, for each pledge among them. A mint moves hours of a pledge
-- from available to backing: as many are held as before, so that none of them is due earlier or later, and the windows need not be asked.
CREATE FUNCTION follow_pledge_accounts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    m record;
    due timestamptz;
BEGIN
    FOR m IN
        SELECT pledge_id, max(posted_at) AS at,
               max(balance) FILTER (WHERE kind = 'pledge_available') AS available,
               max(balance) FILTER (WHERE kind = 'pledge_backing') AS backing,
               max(balance) FILTER (WHERE kind = 'pledge_earmarked') AS earmarked
        FROM moved WHERE kind IN ('pledge_available', 'pledge_backing', 'pledge_earmarked')
        GROUP BY pledge_id
    LOOP
        UPDATE pledge_positions p
        SET available = COALESCE(m.available, p.available),
            backing = COALESCE(m.backing, p.backing),
            earmarked = COALESCE(m.earmarked, p.earmarked),
            due_at = CASE WHEN p.due_at > m.at AND COALESCE(m.earmarked, p.earmarked) = p.earmarked
                               AND COALESCE(m.available, p.available) + COALESCE(m.backing, p.backing) = p.available + p.backing
                          THEN p.due_at ELSE '-infinity' END
        WHERE p.pledge_id = m.pledge_id
        RETURNING p.due_at INTO due;
        IF due = '-infinity' THEN
            PERFORM set_position_times(m.pledge_id, m.at);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER pledges_have_positions AFTER INSERT ON pledges
    FOR EACH ROW EXECUTE FUNCTION begin_pledge_position();
CREATE TRIGGER pledges_give_positions_haircuts AFTER UPDATE ON pledges FOR EACH ROW
    WHEN (NEW.haircut IS DISTINCT FROM OLD.haircut)
    EXECUTE FUNCTION set_position_haircut();
-- Transfers, which are most of what is written, pay for one look at the rows of their group, which balances_have_postings keeps anyway.
CREATE TRIGGER accounts_move_positions AFTER UPDATE ON accounts
    REFERENCING NEW TABLE AS moved FOR EACH STATEMENT EXECUTE FUNCTION follow_pledge_accounts();

INSERT INTO pledge_positions (pledge_id, provider_id, gpu_class, interruptible, haircut, available, backing, earmarked)
SELECT p.id, p.provider_id, p.gpu_class, p.firmness = 'interruptible', p.haircut, a.balance, b.balance, e.balance
FROM pledges p
JOIN accounts a ON a.pledge_id = p.id AND a.kind = 'pledge_available'
JOIN accounts b ON b.pledge_id = p.id AND b.kind = 'pledge_backing'
JOIN accounts e ON e.pledge_id = p.id AND e.kind = 'pledge_earmarked';
SELECT set_position_times(pledge_id, ballast_now()) FROM pledge_positions;

CREATE FUNCTION refuse_position_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'positions follow the accounts and are not written otherwise'
        USING ERRCODE = 'BL010', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER pledge_positions_follow_accounts BEFORE INSERT OR UPDATE OR DELETE ON pledge_positions FOR EACH STATEMENT
    WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse_position_change();
CREATE TRIGGER pledge_positions_are_never_emptied BEFORE TRUNCATE ON pledge_positions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a provider's tokens in escrow amount to is asked for with each group of mints.
CREATE INDEX redemptions_open_idx ON redemptions (provider_id) INCLUDE (amount) WHERE settled_by IS NULL;
-- What the journal did to collateral since the last assessment; transfers and holds are none of it.
CREATE INDEX transactions_collateral_idx ON transactions (seq)
    WHERE kind NOT IN ('transfer', 'hold', 'hold_capture', 'hold_void');

-- The assessor's notebook. One row, whose lock is what assessors take turns by.
CREATE TABLE coverage_assessment (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    at             timestamptz NOT NULL,
    epoch_id       uuid REFERENCES epochs,
    policy_version integer NOT NULL REFERENCES policies,
    -- What the journal had at marked_at, and what it had at the mark before: by now all of that has been assessed.
    marked_seq     bigint NOT NULL DEFAULT 0,
    marked_at      timestamptz NOT NULL,
    assessed_seq   bigint NOT NULL DEFAULT 0
);
INSERT INTO coverage_assessment (at, policy_version, marked_at) VALUES ('epoch', 1, 'epoch');

-- What the last assessment found, of each provider, and in all where provider_id is null.
CREATE TABLE coverage_states (
    provider_id   uuid CONSTRAINT coverage_states_key UNIQUE NULLS NOT DISTINCT REFERENCES providers,
    state         text NOT NULL CHECK (state IN ('healthy', 'watch', 'call', 'default')),
    -- SCH. coverage is null while nothing is outstanding.
    sch           numeric NOT NULL,
    outstanding   numeric NOT NULL,
    coverage      numeric,
    tier          text,
    concentration numeric NOT NULL DEFAULT 0,
    -- The last of the journal that moved its collateral.
    seq           bigint NOT NULL DEFAULT 0,
    since         timestamptz NOT NULL,
    at            timestamptz NOT NULL
);

CREATE TABLE margin_calls (
    id             uuid PRIMARY KEY,
    provider_id    uuid NOT NULL REFERENCES providers,
    status         text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'escalated', 'cured')),
    opened_at      timestamptz NOT NULL,
    deadline       timestamptz NOT NULL CHECK (deadline >= opened_at),
    -- As found when it was opened, in SCH; and as hours of the class by which the epoch measures.
    coverage       numeric NOT NULL,
    required_sch   numeric NOT NULL CHECK (required_sch > 0),
    required_hours numeric NOT NULL CHECK (required_hours > 0),
    gpu_class      text NOT NULL REFERENCES gpu_classes,
    cause          text NOT NULL,
    policy_version integer NOT NULL REFERENCES policies,
    escalated_at   timestamptz,
    cured_at       timestamptz,
    cure           text,
    CONSTRAINT margin_calls_escalated_when CHECK (CASE status WHEN 'open' THEN escalated_at IS NULL WHEN 'escalated' THEN escalated_at IS NOT NULL ELSE true END),
    CONSTRAINT margin_calls_cured_when CHECK ((status = 'cured') = (cured_at IS NOT NULL) AND (cured_at IS NULL) = (cure IS NULL)),
    CONSTRAINT margin_calls_escalate_after_the_deadline CHECK (escalated_at >= deadline)
);
CREATE UNIQUE INDEX margin_calls_one_at_a_time ON margin_calls (provider_id) WHERE status <> 'cured';
CREATE INDEX margin_calls_provider_idx ON margin_calls (provider_id, id);

CREATE TABLE coverage_events (
    event          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_id    uuid REFERENCES providers,
    from_state     text NOT NULL CHECK (from_state IN ('healthy', 'watch', 'call', 'default')),
    to_state       text NOT NULL CHECK (to_state IN ('healthy', 'watch', 'call', 'default')),
    cause          text NOT NULL CHECK (cause IN (
        'epoch', 'policy', 'haircut', 'lapse', 'mint', 'release', 'redemption', 'pledge', 'substitution', 'reversal', 'deadline')),
    -- What each cause did since the assessment before: [{cause, sch, outstanding}], the most telling first.
    effects        jsonb NOT NULL CHECK (jsonb_typeof(effects) = 'array'),
    sch            numeric NOT NULL,
    outstanding    numeric NOT NULL,
    coverage       numeric,
    epoch_id       uuid NOT NULL REFERENCES epochs,
    policy_version integer NOT NULL REFERENCES policies,
    margin_call_id uuid REFERENCES margin_calls,
    seq            bigint NOT NULL,
    at             timestamptz NOT NULL,
    CONSTRAINT coverage_events_are_changes CHECK (from_state <> to_state)
);
CREATE INDEX coverage_events_provider_idx ON coverage_events (provider_id, event);

CREATE TRIGGER provider_tiers_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON provider_tiers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policies_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON policies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER policy_approvals_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON policy_approvals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER concentration_haircuts_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON concentration_haircuts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER coverage_events_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON coverage_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER margin_calls_are_never_deleted BEFORE DELETE OR TRUNCATE ON margin_calls
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A provider's tier is what was last set.
CREATE FUNCTION set_provider_tier() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE providers SET tier = NEW.tier WHERE id = NEW.provider_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER provider_tiers_are_in_force AFTER INSERT ON provider_tiers
    FOR EACH ROW EXECUTE FUNCTION set_provider_tier();

CREATE FUNCTION refuse_margin_call_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'margin call %: %', OLD.id, TG_ARGV[0]
        USING ERRCODE = 'BL010', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER margin_calls_terms_are_fixed BEFORE UPDATE ON margin_calls FOR EACH ROW
    WHEN ((OLD.id, OLD.provider_id, OLD.opened_at, OLD.deadline, OLD.coverage, OLD.required_sch, OLD.required_hours, OLD.gpu_class, OLD.cause,
           OLD.policy_version)
        IS DISTINCT FROM
          (NEW.id, NEW.provider_id, NEW.opened_at, NEW.deadline, NEW.coverage, NEW.required_sch, NEW.required_hours, NEW.gpu_class, NEW.cause,
           NEW.policy_version)
        OR (OLD.escalated_at IS NOT NULL AND OLD.escalated_at IS DISTINCT FROM NEW.escalated_at))
    EXECUTE FUNCTION refuse_margin_call_change('what was called for stays');
CREATE TRIGGER margin_calls_change_status_by_the_rules BEFORE UPDATE ON margin_calls FOR EACH ROW
    WHEN ((OLD.status, NEW.status) NOT IN (('open', 'escalated'), ('open', 'cured'), ('escalated', 'cured')))
    EXECUTE FUNCTION refuse_margin_call_change('it cannot pass from that status to this one');

-- The events of a provider are a chain from healthy to the state that was last found.
CREATE FUNCTION check_coverage_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.from_state IS DISTINCT FROM COALESCE((
        SELECT e.to_state FROM coverage_events e
        WHERE e.provider_id IS NOT DISTINCT FROM NEW.provider_id AND e.event < NEW.event ORDER BY e.event DESC LIMIT 1), 'healthy') THEN
        RAISE EXCEPTION 'coverage event %: it does not follow the one before it', NEW.event
            USING ERRCODE = 'BL010', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER coverage_events_follow_each_other AFTER INSERT ON coverage_events
    FOR EACH ROW EXECUTE FUNCTION check_coverage_event();
CREATE FUNCTION check_coverage_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IS DISTINCT FROM COALESCE((
        SELECT e.to_state FROM coverage_events e
        WHERE e.provider_id IS NOT DISTINCT FROM NEW.provider_id ORDER BY e.event DESC LIMIT 1), 'healthy') THEN
        RAISE EXCEPTION 'coverage of %: no event tells of the state %', COALESCE(NEW.provider_id::text, 'all'), NEW.state
            USING ERRCODE = 'BL010', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER coverage_states_have_their_events AFTER INSERT OR UPDATE ON coverage_states
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_coverage_state();

GRANT SELECT ON pledge_positions TO ballast_app;
GRANT SELECT, INSERT ON provider_tiers, policies, policy_approvals, concentration_haircuts, coverage_events, coverage_states, margin_calls
    TO ballast_app;
GRANT SELECT, UPDATE ON coverage_assessment TO ballast_app;
GRANT UPDATE (state, sch, outstanding, coverage, tier, concentration, seq, since, at) ON coverage_states TO ballast_app;
GRANT UPDATE (status, escalated_at, cured_at, cure) ON margin_calls TO ballast_app;
