-- A unique constraint has an entry for every row, for those without a value too: all transactions that reverse none stood under one key of
-- transactions_reverses_key, which cost the write path more than any other of their indexes. Reversals are few, and are all it need have.
ALTER TABLE transactions DROP CONSTRAINT transactions_reverses_key;
CREATE UNIQUE INDEX transactions_reverses_key ON transactions (reverses) WHERE reverses IS NOT NULL;
