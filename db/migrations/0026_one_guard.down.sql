CREATE OR REPLACE FUNCTION check_transactions_are_whole() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    culprit bigint;
    lo bigint;
    hi bigint;
    size bigint;
    all_begun boolean := false;
BEGIN
    -- Where each place from the first to the last has a first line, each of these transactions does, and most have no other.
    PERFORM FROM fresh LIMIT 1 OFFSET 32;
    IF FOUND THEN
        SELECT min(seq), max(seq), count(*) INTO lo, hi, size FROM fresh;
        IF hi / 2 - lo / 2 <= 2 * size THEN
            SELECT count(*) = hi - lo + 1 INTO all_begun FROM postings WHERE seq BETWEEN lo AND hi AND line = 0;
        END IF;
    END IF;
    SELECT f.seq INTO culprit
    FROM fresh f
    WHERE CASE WHEN f.lines = 1 THEN NOT all_begun AND (SELECT p.line FROM postings p WHERE p.seq = f.seq AND p.line = 0) IS NULL
               ELSE f.lines <> (SELECT count(*) FROM postings p WHERE p.seq = f.seq) END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction %: it has not all its postings', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION check_transactions_are_logged() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first  bigint;
    n      bigint;
    logged integer;
BEGIN
    SELECT min(seq), count(*) INTO first, n FROM fresh;
    SELECT entries INTO logged FROM log_entries WHERE seq = first;
    IF n > 0 AND logged IS DISTINCT FROM n THEN
        RAISE EXCEPTION 'transactions from % on: % of %, are in the log', first, COALESCE(logged, 0), n
            USING ERRCODE = 'BL018', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER transactions_are_logged AFTER INSERT ON transactions
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_transactions_are_logged();
