-- What proofs of liabilities and the erasure of holders need of the database.

-- The entry's time is given, so that what hours are worth is said by the epoch in force at just that time.
GRANT INSERT (created_at) ON liability_proofs TO ballast_app;

-- A holder who was erased has no name any more, and opens nothing. What they did stays in the books, under ids alone.
ALTER TABLE holders
    DROP CONSTRAINT holders_status_check,
    ADD CONSTRAINT holders_status_check CHECK (status IN ('active', 'suspended', 'erased')),
    ADD COLUMN erased_at timestamptz,
    ADD CONSTRAINT holders_erased_are_blank CHECK (CASE
        WHEN status = 'erased' THEN erased_at IS NOT NULL AND name = 'erased' AND external_ref IS NULL AND metadata = '{}'
        ELSE erased_at IS NULL END);

CREATE FUNCTION refuse_holder_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'holder %: %', OLD.id, TG_ARGV[0] USING ERRCODE = 'BL019', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER holders_identity_is_fixed BEFORE UPDATE ON holders FOR EACH ROW
    WHEN (NEW.id <> OLD.id OR NEW.created_at <> OLD.created_at
        OR NEW.status <> 'erased' AND (OLD.name, OLD.external_ref, OLD.metadata) IS DISTINCT FROM (NEW.name, NEW.external_ref, NEW.metadata))
    EXECUTE FUNCTION refuse_holder_change('who they are stays, until they are erased');
CREATE TRIGGER holders_erased_stay_erased BEFORE UPDATE ON holders FOR EACH ROW
    WHEN (OLD.status = 'erased' AND NEW IS DISTINCT FROM OLD)
    EXECUTE FUNCTION refuse_holder_change('they were erased for good');

-- The row is locked by the time that this runs, and whoever opens an account or makes a key for the holder has it locked as well: so either of
-- them sees what the other did.
CREATE FUNCTION check_holder_has_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM accounts WHERE holder_id = NEW.id AND kind = 'holder' AND status <> 'closed') THEN
        RAISE EXCEPTION 'holder %: not all their accounts are closed', NEW.id USING ERRCODE = 'BL019', CONSTRAINT = 'holders_erased_have_closed_accounts';
    END IF;
    IF EXISTS (SELECT FROM account_keys k JOIN accounts a ON a.id = k.account_id WHERE a.holder_id = NEW.id) THEN
        RAISE EXCEPTION 'holder %: their accounts can still be opened', NEW.id USING ERRCODE = 'BL019', CONSTRAINT = 'holders_erased_have_no_keys';
    END IF;
    IF EXISTS (SELECT FROM api_keys WHERE holder_id = NEW.id AND revoked_at IS NULL) THEN
        RAISE EXCEPTION 'holder %: a key of theirs works', NEW.id USING ERRCODE = 'BL019', CONSTRAINT = 'holders_erased_have_no_access';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER holders_erased_have_ended BEFORE UPDATE ON holders FOR EACH ROW
    WHEN (NEW.status = 'erased' AND OLD.status <> 'erased')
    EXECUTE FUNCTION check_holder_has_ended();

CREATE FUNCTION check_holder_is_there() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT status FROM holders WHERE id = NEW.holder_id FOR SHARE) = 'erased' THEN
        RAISE EXCEPTION 'holder %: they were erased', NEW.holder_id USING ERRCODE = 'BL019', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER accounts_are_of_holders_who_are_there BEFORE INSERT ON accounts FOR EACH ROW
    WHEN (NEW.holder_id IS NOT NULL)
    EXECUTE FUNCTION check_holder_is_there();
CREATE TRIGGER api_keys_are_of_holders_who_are_there BEFORE INSERT ON api_keys FOR EACH ROW
    WHEN (NEW.holder_id IS NOT NULL)
    EXECUTE FUNCTION check_holder_is_there();

-- The program may blank a holder, and write no name into one. The first answer to who made the holder has their name as well.
CREATE FUNCTION erase_holder(holder uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE idempotency SET body = convert_to((convert_from(body, 'UTF8')::jsonb || '{"name":"erased","external_ref":null,"metadata":{}}')::text, 'UTF8')
    WHERE position(convert_to('"id":"' || type_id('hldr', holder) || '"', 'UTF8') IN body) > 0;
    UPDATE holders SET status = 'erased', erased_at = ballast_now(), name = 'erased', external_ref = NULL, metadata = '{}' WHERE id = holder;
$$;
REVOKE EXECUTE ON FUNCTION erase_holder(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_holder(uuid) TO ballast_app;
