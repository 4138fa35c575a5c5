DROP FUNCTION refuse_used_keys;
