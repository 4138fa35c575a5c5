-- More than half of a bundle is the same in all of its entries: LZ4 takes it to less than half, in less time than it takes to write the rest, with its write-ahead log. Bundles are
-- read as they were written. What is in the table already stays as it is, and so does a server that was built without LZ4: its own method would cost more than it saves.
DO $$
BEGIN
    ALTER TABLE log_entries ALTER COLUMN bundle SET COMPRESSION lz4, ALTER COLUMN bundle SET STORAGE EXTENDED;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
