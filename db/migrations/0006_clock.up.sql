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

-- The guard of whole transactions looked its postings up by a subquery that the planner may answer with a hash of the whole
-- journal, and a plan made while the journal was small is kept for as long as the connection. Each lookup is one
-- of an index now, whatever the planner thinks.
CREATE OR REPLACE FUNCTION check_transactions_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT f.seq INTO culprit
    FROM fresh f
    CROSS JOIN LATERAL (SELECT count(*) AS lines FROM postings p WHERE p.seq = f.seq OFFSET 0) AS posted
    WHERE posted.lines <> f.lines
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction %: it has not all its postings', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
