-- The clock of the domain. Whatever depends on the time of an event asks it: what is in force, what is due, what has
-- lapsed. It is a function so that a test can put one of its own in its place and let years pass.
CREATE FUNCTION ballast_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

ALTER TABLE accounts ALTER COLUMN created_at SET DEFAULT ballast_now();
ALTER TABLE pledges ALTER COLUMN created_at SET DEFAULT ballast_now();

-- What hours do when time passes, and what a provider does about it.
ALTER TABLE transactions DROP CONSTRAINT transactions_kind_check;
ALTER TABLE transactions ADD CONSTRAINT transactions_kind_check CHECK (kind IN (
    'transfer', 'mint', 'hold', 'hold_capture', 'hold_void', 'reversal', 'pledge_activation', 'pledge_release',
    'pledge_lapse', 'pledge_substitution', 'redemption_request', 'redemption_issue', 'redemption_refund'));

-- Never retroactive, and one after another. created_at is that of the database transaction, by which the guard of the
-- factors tells that they are written with their epoch; what is retroactive is told by the domain's clock at that transaction's beginning.
CREATE OR REPLACE FUNCTION check_epoch_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last epochs;
BEGIN
    SELECT * INTO last FROM epochs ORDER BY number DESC LIMIT 1;
    IF NEW.number <> COALESCE(last.number, 0) + 1 OR NEW.effective_at <= last.effective_at
        OR NEW.created_at <> now() OR NEW.effective_at < ballast_now() - (clock_timestamp() - now()) THEN
        RAISE EXCEPTION 'epoch %: it does not follow the one before it, or is retroactive', NEW.number
            USING ERRCODE = 'BL004', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;

-- Two guards looked postings up by subqueries that the planner may answer with a hash of the whole journal, and a plan made
-- while the journal was small is kept for as long as the connection. A scalar subquery is one lookup in an index, whatever the
-- planner thinks of the table.
CREATE OR REPLACE FUNCTION check_transactions_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT f.seq INTO culprit
    FROM fresh f
    WHERE CASE WHEN f.lines = 1 THEN (SELECT p.line FROM postings p WHERE p.seq = f.seq AND p.line = 0) IS NULL
               ELSE f.lines <> (SELECT count(*) FROM postings p WHERE p.seq = f.seq) END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction %: it has not all its postings', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION check_balances_have_postings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit uuid;
BEGIN
    SELECT n.id INTO culprit
    FROM new_rows n
    WHERE n.version > 0
      AND (SELECT p.seq FROM postings p WHERE p.from_account = n.id AND p.from_version = n.version) IS NULL
      AND (SELECT p.seq FROM postings p WHERE p.to_account = n.id AND p.to_version = n.version) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account %: no posting explains its balance', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
