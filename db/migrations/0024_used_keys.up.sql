-- Whether keys were used up outside of the journal, for a group of the write path that has not asked before it writes: inside of the journal, their unique index says so.
CREATE FUNCTION refuse_used_keys(digests uuid[]) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM FROM unnest(digests) AS wanted (digest)
    CROSS JOIN LATERAL (SELECT digest FROM idempotency WHERE idempotency.digest = wanted.digest OFFSET 0) AS i
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a key of the group was used up by a creation' USING ERRCODE = 'BL003', CONSTRAINT = 'keys_are_used_once';
    END IF;
END
$$;
