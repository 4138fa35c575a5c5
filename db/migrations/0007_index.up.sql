-- What GPU-hours cost: quotes as they came in, and the index that is computed from them.

-- Quotes come in batches, each of them whole or not at all. A batch's number is drawn under the lock of the counter's only
-- row, which is held until COMMIT: so whoever sees batch n sees every batch before it, now and for ever, and "all quotes
-- up to batch n" is the same set whenever an index is computed again.
CREATE TABLE quote_counter (
    the_one boolean PRIMARY KEY DEFAULT true CHECK (the_one),
    batches integer NOT NULL CHECK (batches >= 0)
);
INSERT INTO quote_counter (batches) VALUES (0);

CREATE TABLE quote_batches (
    number         integer PRIMARY KEY CHECK (number > 0),
    id             uuid NOT NULL CONSTRAINT quote_batches_id_key UNIQUE,
    origin         text NOT NULL CHECK (origin IN ('api', 'file', 'seed')),
    -- The principal who entered them; null where there is none: the seed, and a file that is read at the database's own machine.
    entered_by     uuid,
    content_sha256 bytea NOT NULL CHECK (octet_length(content_sha256) = 32),
    -- How many quotes came with it that were not there before.
    quotes         integer NOT NULL CHECK (quotes >= 0),
    received_at    timestamptz NOT NULL DEFAULT ballast_now()
);
-- A file says something once.
CREATE UNIQUE INDEX quote_batches_files_are_taken_once ON quote_batches (content_sha256) WHERE origin <> 'api';

-- A quote is what a source asks for an hour of one instance type in one region. The seller is who runs the machine: the source
-- itself, unless it resells. Prices are of the whole instance, with the digits of the source. A row may have a spot price alone: it
-- says that there is nothing on demand.
CREATE TABLE quotes (
    seq                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch              integer NOT NULL REFERENCES quote_batches,
    line               integer NOT NULL CHECK (line > 0),
    source             text NOT NULL CHECK (source ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    seller             text NOT NULL CHECK (seller ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    gpu_class          text NOT NULL CONSTRAINT quotes_have_a_class REFERENCES gpu_classes,
    gpu_count          integer NOT NULL CONSTRAINT quotes_gpu_count_in_range CHECK (gpu_count BETWEEN 1 AND 1024),
    instance_type      text NOT NULL CHECK (char_length(instance_type) BETWEEN 1 AND 200),
    region             text NOT NULL CHECK (char_length(region) BETWEEN 1 AND 200),
    -- NaN and infinity are greater than every number.
    price_usd_per_hour numeric CONSTRAINT quotes_price_in_range CHECK (price_usd_per_hour > 0 AND price_usd_per_hour <= 10000000),
    spot_usd_per_hour  numeric CONSTRAINT quotes_spot_in_range CHECK (spot_usd_per_hour > 0 AND spot_usd_per_hour <= 10000000),
    catalog_commit     text NOT NULL CHECK (char_length(catalog_commit) <= 200),
    observed_at        timestamptz NOT NULL,
    received_at        timestamptz NOT NULL DEFAULT ballast_now(),
    CONSTRAINT quotes_have_a_price CHECK (price_usd_per_hour IS NOT NULL OR spot_usd_per_hour IS NOT NULL),
    CONSTRAINT quotes_are_not_of_the_future CHECK (observed_at <= received_at)
);
-- The same thing said again is not said twice. It is also how the newest quote of an offer is found.
CREATE UNIQUE INDEX quotes_are_kept_once ON quotes
    (source, gpu_class, instance_type, region, gpu_count, observed_at, seller, price_usd_per_hour, spot_usd_per_hour, catalog_commit) NULLS NOT DISTINCT;
CREATE INDEX quotes_batch_idx ON quotes (batch);
CREATE INDEX quotes_observed_idx ON quotes (observed_at);

-- A fixing is the index as it was computed once: from the quotes of the batches up to one of them that were observed by a
-- time, by a method and a policy that it names. Fixings follow one another in time.
CREATE TABLE index_fixings (
    number                  integer PRIMARY KEY CHECK (number > 0),
    at                      timestamptz NOT NULL CONSTRAINT index_fixings_at_key UNIQUE,
    batches                 integer NOT NULL CHECK (batches >= 0),
    method                  text NOT NULL CHECK (char_length(method) BETWEEN 1 AND 100),
    min_sources             integer NOT NULL CHECK (min_sources > 0),
    quote_max_age_seconds   bigint NOT NULL CHECK (quote_max_age_seconds > 0),
    carry_limit_seconds     bigint NOT NULL CHECK (carry_limit_seconds >= 0),
    inputs_sha256           bytea NOT NULL CHECK (octet_length(inputs_sha256) = 32),
    -- How many classes it has values for.
    classes                 integer NOT NULL CHECK (classes > 0),
    created_at              timestamptz NOT NULL DEFAULT ballast_now()
);

-- price_usd is of one GPU for an hour; null where there never was one. stale_since is since when the class has been stale or
-- thin without a break, and priced_at the time of the fixing from whose quotes the price is.
CREATE TABLE index_values (
    fixing      integer NOT NULL REFERENCES index_fixings,
    gpu_class   text NOT NULL REFERENCES gpu_classes,
    status      text NOT NULL CHECK (status IN ('fresh', 'carried', 'stale', 'thin')),
    sources     integer NOT NULL CHECK (sources >= 0),
    price_usd   numeric(18, 6) CONSTRAINT index_values_price_is_positive CHECK (price_usd > 0),
    twap_7d_usd  numeric(18, 6) CONSTRAINT index_values_twap_7d_is_positive CHECK (twap_7d_usd > 0),
    twap_30d_usd numeric(18, 6) CONSTRAINT index_values_twap_30d_is_positive CHECK (twap_30d_usd > 0),
    priced_at   timestamptz,
    stale_since timestamptz,
    PRIMARY KEY (gpu_class, fixing),
    CONSTRAINT index_values_say_since_when CHECK ((stale_since IS NOT NULL) = (status IN ('stale', 'thin'))),
    CONSTRAINT index_values_price_has_a_time CHECK ((price_usd IS NULL) = (priced_at IS NULL)),
    CONSTRAINT index_values_only_stale_have_no_price CHECK (price_usd IS NOT NULL OR status = 'stale')
);
CREATE INDEX index_values_fixing_idx ON index_values (fixing);

CREATE TRIGGER quote_batches_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON quote_batches
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER quotes_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON quotes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER index_fixings_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON index_fixings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER index_values_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON index_values
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER quote_counter_is_kept BEFORE INSERT OR DELETE OR TRUNCATE ON quote_counter
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The counter counts, and a batch has the number that was just drawn.
CREATE FUNCTION check_quote_counter_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.batches <> OLD.batches + 1 THEN
        RAISE EXCEPTION 'the counter of batches goes from % to %', OLD.batches, NEW.batches
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER quote_counter_counts_by_one BEFORE UPDATE ON quote_counter
    FOR EACH ROW EXECUTE FUNCTION check_quote_counter_counts();

CREATE FUNCTION check_quote_batch_follows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.number <> (SELECT batches FROM quote_counter)
        OR NEW.number <> 1 + COALESCE((SELECT max(number) FROM quote_batches), 0) THEN
        RAISE EXCEPTION 'batch % of quotes: its number was not drawn for it', NEW.number
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER quote_batches_follow_each_other BEFORE INSERT ON quote_batches
    FOR EACH ROW EXECUTE FUNCTION check_quote_batch_follows();

-- A batch's quotes are written at once, and nothing is added later: an index computed from it would not follow any more.
CREATE FUNCTION check_quote_comes_with_its_batch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit integer;
BEGIN
    SELECT b.number INTO culprit FROM (SELECT DISTINCT batch FROM fresh) f JOIN quote_batches b ON b.number = f.batch
    WHERE b.quotes <> (SELECT count(*) FROM quotes q WHERE q.batch = b.number)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'batch % of quotes: these are not all of it, or too many', culprit
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER quotes_come_with_their_batch AFTER INSERT ON quotes
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_quote_comes_with_its_batch();

-- One fixing after another, none of the future, each of batches that there are.
CREATE FUNCTION check_fixing_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last index_fixings;
BEGIN
    SELECT * INTO last FROM index_fixings ORDER BY number DESC LIMIT 1;
    IF NEW.number <> COALESCE(last.number, 0) + 1 OR NEW.at <= last.at OR NEW.at > ballast_now()
        OR NEW.batches < last.batches OR NEW.batches > (SELECT batches FROM quote_counter) THEN
        RAISE EXCEPTION 'fixing %: it does not follow the one before it', NEW.number
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER index_fixings_follow_each_other BEFORE INSERT ON index_fixings
    FOR EACH ROW EXECUTE FUNCTION check_fixing_follows();

-- The values of a fixing are written at once, and none later.
CREATE FUNCTION check_value_comes_with_its_fixing() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit integer;
BEGIN
    SELECT x.number INTO culprit FROM (SELECT DISTINCT fixing FROM fresh) f JOIN index_fixings x ON x.number = f.fixing
    WHERE x.classes <> (SELECT count(*) FROM index_values v WHERE v.fixing = x.number)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'fixing %: these are not all of its values, or too many', culprit
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER index_values_come_with_their_fixing AFTER INSERT ON index_values
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_value_comes_with_its_fixing();

GRANT SELECT, INSERT ON quote_batches, quotes, index_fixings, index_values TO ballast_app;
GRANT SELECT, UPDATE (batches) ON quote_counter TO ballast_app;
