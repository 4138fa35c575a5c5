-- How an epoch comes to be: one operator drafts it, another approves it, it is announced ahead of its time, and then is in force
-- by itself. And how a class of GPUs goes: two operators announce its sunset.

-- A published epoch never changes. link is how many SCH an hour of its reference class is, which the change to another
-- reference moves; bound_by is what made each k as it is, and null where the first method was used, which does not say.
ALTER TABLE epochs ADD COLUMN link numeric NOT NULL DEFAULT 1 CONSTRAINT epochs_link_is_positive CHECK (link > 0);
ALTER TABLE epoch_factors ADD COLUMN bound_by text
    CONSTRAINT epoch_factors_bound_by_is_known CHECK (bound_by IN ('quality', 'price', 'held', 'cap'));

-- A draft is all that the epoch will be, computed and hashed, but for its number and perhaps its time. The epoch has the draft's id.
CREATE TABLE epoch_drafts (
    id              uuid PRIMARY KEY,
    -- The epoch that it was drafted to succeed. Once another succeeds that one, this draft is of no use.
    follows         uuid NOT NULL REFERENCES epochs,
    -- When it is to be in force; null leaves that to the announcement.
    effective_at    timestamptz,
    reference_class text NOT NULL REFERENCES gpu_classes,
    method          text NOT NULL CHECK (char_length(method) BETWEEN 1 AND 1000),
    link            numeric NOT NULL CHECK (link > 0),
    inputs          bytea NOT NULL,
    inputs_sha256   bytea NOT NULL CONSTRAINT epoch_drafts_inputs_have_their_hash CHECK (inputs_sha256 = sha256(inputs)),
    -- [{gpu_class, k, quality, price_ratio, price_usd, bound_by}], decimals as strings, as they will be in epoch_factors.
    factors         jsonb NOT NULL CHECK (jsonb_typeof(factors) = 'array'),
    status          text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'approved', 'announced', 'withdrawn')),
    -- Principals, and when each did it.
    drafted_by      uuid NOT NULL,
    approved_by     uuid CONSTRAINT epoch_drafts_four_eyes CHECK (approved_by <> drafted_by),
    announced_by    uuid,
    withdrawn_by    uuid,
    created_at      timestamptz NOT NULL DEFAULT ballast_now(),
    approved_at     timestamptz,
    announced_at    timestamptz,
    withdrawn_at    timestamptz,
    CONSTRAINT epoch_drafts_say_who_and_when CHECK (
        (approved_by IS NULL) = (approved_at IS NULL) AND (announced_by IS NULL) = (announced_at IS NULL)
        AND (withdrawn_by IS NULL) = (withdrawn_at IS NULL)),
    CONSTRAINT epoch_drafts_have_their_signatures CHECK (
        (status = 'announced') = (announced_by IS NOT NULL) AND (status = 'withdrawn') = (withdrawn_by IS NOT NULL)
        AND CASE status WHEN 'draft' THEN approved_by IS NULL WHEN 'withdrawn' THEN true ELSE approved_by IS NOT NULL END)
);

CREATE TRIGGER epoch_drafts_are_never_deleted BEFORE DELETE OR TRUNCATE ON epoch_drafts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_draft_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of epoch %: %', TG_TABLE_NAME, NEW.id, TG_ARGV[0]
        USING ERRCODE = 'BL008', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER epoch_drafts_begin_as_drafts BEFORE INSERT ON epoch_drafts FOR EACH ROW
    WHEN (NEW.status <> 'draft')
    EXECUTE FUNCTION refuse_draft_change('it begins as a draft');
-- The same table as in internal/anchor, which a test compares with this one.
CREATE TRIGGER epoch_drafts_change_status_by_the_rules BEFORE UPDATE ON epoch_drafts FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND (OLD.status, NEW.status) NOT IN (
        ('draft', 'approved'), ('draft', 'withdrawn'), ('approved', 'announced'), ('approved', 'withdrawn')))
    EXECUTE FUNCTION refuse_draft_change('it cannot pass from that status to this one');
-- A signature stays once it is given, and all of it at the end.
CREATE TRIGGER epoch_drafts_are_fixed BEFORE UPDATE ON epoch_drafts FOR EACH ROW
    WHEN ((OLD.id, OLD.follows, OLD.effective_at, OLD.reference_class, OLD.method, OLD.link, OLD.inputs, OLD.inputs_sha256,
           OLD.factors, OLD.drafted_by, OLD.created_at)
        IS DISTINCT FROM
          (NEW.id, NEW.follows, NEW.effective_at, NEW.reference_class, NEW.method, NEW.link, NEW.inputs, NEW.inputs_sha256,
           NEW.factors, NEW.drafted_by, NEW.created_at)
        OR (OLD.approved_by IS NOT NULL AND (OLD.approved_by, OLD.approved_at) IS DISTINCT FROM (NEW.approved_by, NEW.approved_at))
        OR (OLD.status IN ('announced', 'withdrawn') AND OLD IS DISTINCT FROM NEW))
    EXECUTE FUNCTION refuse_draft_change('what was drafted and signed stays');

-- At commit: what was announced is published.
CREATE FUNCTION check_draft_is_published() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM epochs WHERE id = NEW.id) THEN
        RAISE EXCEPTION 'epoch %: it was announced and not published', NEW.id
            USING ERRCODE = 'BL008', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER epoch_drafts_are_published AFTER UPDATE OF status ON epoch_drafts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'announced') EXECUTE FUNCTION check_draft_is_published();

-- An epoch is what its draft says that two operators signed. Only the first has none: it comes with the schema, from its owner.
CREATE FUNCTION check_epoch_is_as_approved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.number = 1 AND pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT FROM epoch_drafts d JOIN epochs last ON last.id = d.follows
        WHERE d.id = NEW.id AND d.status = 'announced' AND last.number = NEW.number - 1
          AND d.reference_class = NEW.reference_class AND d.method = NEW.method AND d.link = NEW.link AND d.inputs = NEW.inputs
          AND (d.effective_at IS NULL OR d.effective_at = NEW.effective_at)
    ) THEN
        RAISE EXCEPTION 'epoch %: it is not as it was drafted and approved', NEW.number
            USING ERRCODE = 'BL008', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER epochs_are_as_approved BEFORE INSERT ON epochs FOR EACH ROW EXECUTE FUNCTION check_epoch_is_as_approved();

-- At commit: the table is the draft's, no row more or less. And there is still a second to go, which is longer than any group of
-- the write path lasts from reading the rates to its commit: so nobody can have used an older k at a time that this epoch rules.
CREATE FUNCTION check_epoch_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.effective_at < ballast_now() + interval '1 second' THEN
        RAISE EXCEPTION 'epoch %: it is not announced ahead', NEW.number
            USING ERRCODE = 'BL008', CONSTRAINT = 'epochs_are_announced_ahead';
    END IF;
    IF class_sunset_at(NEW.reference_class) < 'infinity' THEN
        RAISE EXCEPTION 'epoch %: the sunset of its reference is announced', NEW.number
            USING ERRCODE = 'BL008', CONSTRAINT = 'epochs_have_a_reference_that_stays';
    END IF;
    IF EXISTS (
        WITH drafted AS (
            SELECT f.* FROM epoch_drafts d, jsonb_to_recordset(d.factors) AS
                f (gpu_class text, k numeric, quality numeric, price_ratio numeric, price_usd numeric, bound_by text)
            WHERE d.id = NEW.id
        ), published AS (
            SELECT gpu_class, k, quality, price_ratio, price_usd, bound_by FROM epoch_factors WHERE epoch_id = NEW.id
        )
        (TABLE drafted EXCEPT TABLE published) UNION ALL (TABLE published EXCEPT TABLE drafted)
    ) THEN
        RAISE EXCEPTION 'epoch %: its factors are not those that were approved', NEW.number
            USING ERRCODE = 'BL008', CONSTRAINT = 'epochs_have_the_factors_approved';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER epochs_are_whole AFTER INSERT ON epochs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.number > 1) EXECUTE FUNCTION check_epoch_is_whole();

-- The end of a class. From its announcement nothing more of it is pledged, from no_mints_from nothing is minted against it, and at
-- sunset_at what hours of it are left are worth nothing.
CREATE TABLE class_sunsets (
    id            uuid PRIMARY KEY,
    gpu_class     text NOT NULL REFERENCES gpu_classes,
    no_mints_from timestamptz NOT NULL,
    sunset_at     timestamptz NOT NULL,
    reason        text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 500),
    status        text NOT NULL DEFAULT 'proposed' CHECK (status IN ('proposed', 'announced', 'withdrawn')),
    proposed_by   uuid NOT NULL,
    approved_by   uuid CONSTRAINT class_sunsets_four_eyes CHECK (approved_by <> proposed_by),
    withdrawn_by  uuid,
    created_at    timestamptz NOT NULL DEFAULT ballast_now(),
    announced_at  timestamptz,
    withdrawn_at  timestamptz,
    CONSTRAINT class_sunsets_end_in_order CHECK (announced_at <= no_mints_from AND no_mints_from <= sunset_at),
    CONSTRAINT class_sunsets_have_their_signatures CHECK (
        (status = 'announced') = (approved_by IS NOT NULL) AND (approved_by IS NULL) = (announced_at IS NULL)
        AND (status = 'withdrawn') = (withdrawn_by IS NOT NULL) AND (withdrawn_by IS NULL) = (withdrawn_at IS NULL))
);
-- One at a time, and none after one that was announced: that is a promise to those who hold what the class backs.
CREATE UNIQUE INDEX class_sunsets_class_key ON class_sunsets (gpu_class) WHERE status <> 'withdrawn';

CREATE TRIGGER class_sunsets_are_never_deleted BEFORE DELETE OR TRUNCATE ON class_sunsets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER class_sunsets_begin_as_proposals BEFORE INSERT ON class_sunsets FOR EACH ROW
    WHEN (NEW.status <> 'proposed')
    EXECUTE FUNCTION refuse_draft_change('it begins as a proposal');
CREATE TRIGGER class_sunsets_are_fixed BEFORE UPDATE ON class_sunsets FOR EACH ROW
    WHEN (OLD.status <> 'proposed'
        OR (OLD.id, OLD.gpu_class, OLD.no_mints_from, OLD.sunset_at, OLD.reason, OLD.proposed_by, OLD.created_at)
            IS DISTINCT FROM
           (NEW.id, NEW.gpu_class, NEW.no_mints_from, NEW.sunset_at, NEW.reason, NEW.proposed_by, NEW.created_at))
    EXECUTE FUNCTION refuse_draft_change('what was proposed or decided stays');

-- At commit, for the same reason as epochs: there is a second to go until mints end. And the class by which the others are measured stays.
CREATE FUNCTION check_sunset_is_ahead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.no_mints_from < ballast_now() + interval '1 second' THEN
        RAISE EXCEPTION 'sunset of %: it is not announced ahead', NEW.gpu_class
            USING ERRCODE = 'BL008', CONSTRAINT = TG_NAME;
    END IF;
    IF NEW.gpu_class = (SELECT reference_class FROM epochs ORDER BY number DESC LIMIT 1) THEN
        RAISE EXCEPTION 'sunset of %: it is the reference', NEW.gpu_class
            USING ERRCODE = 'BL008', CONSTRAINT = 'class_sunsets_spare_the_reference';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER class_sunsets_are_announced_ahead AFTER UPDATE OF status ON class_sunsets
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'announced') EXECUTE FUNCTION check_sunset_is_ahead();

-- When the hours of a class end; infinity while that is not announced. Functions of SQL are planned at every call within a
-- function, and mints ask this one.
CREATE FUNCTION class_sunset_at(class text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN COALESCE((SELECT sunset_at FROM class_sunsets WHERE gpu_class = class AND status = 'announced'), 'infinity');
END
$$;

CREATE FUNCTION check_class_takes_pledges() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF class_sunset_at(NEW.gpu_class) < 'infinity' THEN
        RAISE EXCEPTION 'pledge %: the sunset of % is announced', NEW.id, NEW.gpu_class
            USING ERRCODE = 'BL008', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER pledges_are_of_classes_that_stay BEFORE INSERT ON pledges
    FOR EACH ROW EXECUTE FUNCTION check_class_takes_pledges();
-- What was not verified yet counts for nothing, so verifying it would be new too.
CREATE TRIGGER pledges_become_active_of_classes_that_stay BEFORE UPDATE ON pledges
    FOR EACH ROW WHEN (OLD.status = 'pending' AND NEW.status = 'active') EXECUTE FUNCTION check_class_takes_pledges();

-- Once for all the mints of a group, and nothing but a look into an empty index while no sunset is announced.
CREATE FUNCTION check_mints_end_with_their_class() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    late bigint;
BEGIN
    IF EXISTS (SELECT FROM class_sunsets WHERE status = 'announced') THEN
        SELECT m.seq INTO late FROM minted m
        WHERE (SELECT t.created_at FROM transactions t WHERE t.seq = m.seq) >= (
            SELECT s.no_mints_from FROM pledges p JOIN class_sunsets s ON s.gpu_class = p.gpu_class AND s.status = 'announced'
            WHERE p.id = m.pledge_id)
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'mint %: the sunset of its class is too near', late
                USING ERRCODE = 'BL008', CONSTRAINT = TG_NAME;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER mints_end_with_their_class AFTER INSERT ON mints REFERENCING NEW TABLE AS minted
    FOR EACH STATEMENT EXECUTE FUNCTION check_mints_end_with_their_class();

-- The API publishes what was approved; the guards above let it publish nothing else.
GRANT SELECT, INSERT ON epoch_drafts, class_sunsets TO ballast_app;
GRANT UPDATE (status, approved_by, approved_at, announced_by, announced_at, withdrawn_by, withdrawn_at) ON epoch_drafts TO ballast_app;
GRANT UPDATE (status, approved_by, announced_at, withdrawn_by, withdrawn_at) ON class_sunsets TO ballast_app;
GRANT INSERT ON epochs, epoch_factors TO ballast_app;
