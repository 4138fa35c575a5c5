ALTER TABLE api_keys
    DROP CONSTRAINT api_keys_of_operators_are_their_makers,
    DROP COLUMN created_by;
