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
