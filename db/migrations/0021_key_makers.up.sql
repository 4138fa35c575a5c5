-- Who made a key: the principal of the operator who asked for it, or nobody for one that was made on the machine that runs the database. Only there an
-- operator gets a principal of their own. A key that one operator could make for another, or whose successor one could obtain from another, would let each of them
-- be two, and pass every check that a second operator must act.
ALTER TABLE api_keys
    ADD COLUMN created_by uuid,
    ADD CONSTRAINT api_keys_of_operators_are_their_makers CHECK (role <> 'operator' OR created_by IS NULL OR created_by = principal_id);
