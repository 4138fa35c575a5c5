-- A quote corrects what was said before about the same offer and time, and may itself be corrected, back to an earlier price too. So
-- what is kept once is no longer every word that was ever said, but each word after another one. Within a batch an offer has one price
-- at a time; and batches are entered one after another, under the lock of their counter.
DROP INDEX quotes_are_kept_once;
CREATE UNIQUE INDEX quotes_are_said_once_in_a_batch ON quotes (source, gpu_class, instance_type, region, gpu_count, observed_at, batch);

CREATE FUNCTION check_quote_says_something() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT f.seq INTO culprit FROM fresh f CROSS JOIN LATERAL (
        SELECT * FROM quotes q
        WHERE (q.source, q.gpu_class, q.instance_type, q.region, q.gpu_count, q.observed_at)
            = (f.source, f.gpu_class, f.instance_type, f.region, f.gpu_count, f.observed_at) AND q.batch < f.batch
        ORDER BY q.batch DESC LIMIT 1) AS before
    WHERE (before.seller, before.catalog_commit, before.price_usd_per_hour, before.spot_usd_per_hour)
        IS NOT DISTINCT FROM (f.seller, f.catalog_commit, f.price_usd_per_hour, f.spot_usd_per_hour)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'quote %: it was said already, and nothing else since', culprit
            USING ERRCODE = 'BL007', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER quotes_are_kept_once AFTER INSERT ON quotes
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_quote_says_something();

-- The reference passing to a class and the announcement of that class's end exclude each other. Both are looked at at COMMIT, and each must
-- see what the other wrote: so they come one after another.
CREATE FUNCTION announce_in_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('the reference class and sunsets', 0));
    RETURN NEW;
END
$$;
CREATE TRIGGER epochs_and_sunsets_are_announced_in_turn BEFORE INSERT ON epochs
    FOR EACH ROW EXECUTE FUNCTION announce_in_turn();
CREATE TRIGGER sunsets_and_epochs_are_announced_in_turn BEFORE UPDATE ON class_sunsets
    FOR EACH ROW WHEN (NEW.status = 'announced') EXECUTE FUNCTION announce_in_turn();
