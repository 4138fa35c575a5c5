CREATE OR REPLACE FUNCTION check_transactions_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT f.seq INTO culprit
    FROM fresh f
    WHERE CASE WHEN f.lines = 1 THEN NOT EXISTS (SELECT FROM postings p WHERE p.seq = f.seq AND p.line = 0)
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
      AND NOT EXISTS (SELECT FROM postings p WHERE p.from_account = n.id AND p.from_version = n.version)
      AND NOT EXISTS (SELECT FROM postings p WHERE p.to_account = n.id AND p.to_version = n.version)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account %: no posting explains its balance', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION check_epoch_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last epochs;
BEGIN
    SELECT * INTO last FROM epochs ORDER BY number DESC LIMIT 1;
    IF NEW.number <> COALESCE(last.number, 0) + 1 OR NEW.effective_at <= last.effective_at
        OR NEW.created_at <> now() OR NEW.effective_at < now() THEN
        RAISE EXCEPTION 'epoch %: it does not follow the one before it, or is retroactive', NEW.number
            USING ERRCODE = 'BL004', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;

ALTER TABLE transactions DROP CONSTRAINT transactions_kind_check;
ALTER TABLE transactions ADD CONSTRAINT transactions_kind_check CHECK (kind IN (
    'transfer', 'mint', 'hold', 'hold_capture', 'hold_void', 'reversal', 'pledge_activation', 'pledge_release',
    'redemption_request', 'redemption_issue', 'redemption_refund'));

ALTER TABLE pledges ALTER COLUMN created_at SET DEFAULT clock_timestamp();
ALTER TABLE accounts ALTER COLUMN created_at SET DEFAULT clock_timestamp();
DROP FUNCTION ballast_now();
