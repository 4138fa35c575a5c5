DROP TRIGGER redemptions_are_dispatched ON redemptions;
DROP FUNCTION follow_redemption;
DROP TABLE redemption_attempts, redemption_dispatches, provider_secrets, vault_digest_keys;
DROP FUNCTION refuse_secret_change;
