DROP INDEX transactions_reverses_key;
ALTER TABLE transactions ADD CONSTRAINT transactions_reverses_key UNIQUE (reverses);
