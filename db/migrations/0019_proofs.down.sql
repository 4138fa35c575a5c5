DROP FUNCTION erase_holder(uuid);
DROP TRIGGER api_keys_are_of_holders_who_are_there ON api_keys;
DROP TRIGGER accounts_are_of_holders_who_are_there ON accounts;
DROP FUNCTION check_holder_is_there();
DROP TRIGGER holders_erased_have_ended ON holders;
DROP FUNCTION check_holder_has_ended();
DROP TRIGGER holders_erased_stay_erased ON holders;
DROP TRIGGER holders_identity_is_fixed ON holders;
DROP FUNCTION refuse_holder_change();
-- They cannot be brought back. Without their keys, nobody acts for them.
ALTER TABLE holders DROP CONSTRAINT holders_erased_are_blank, DROP CONSTRAINT holders_status_check, DROP COLUMN erased_at;
UPDATE holders SET status = 'suspended' WHERE status = 'erased';
ALTER TABLE holders ADD CONSTRAINT holders_status_check CHECK (status IN ('active', 'suspended'));
REVOKE INSERT (created_at) ON liability_proofs FROM ballast_app;
