-- Quotes that were corrected back stay, and are more than the index of before lets be: where there are any, this is refused.
CREATE UNIQUE INDEX quotes_were_kept_once ON quotes
    (source, gpu_class, instance_type, region, gpu_count, observed_at, seller, price_usd_per_hour, spot_usd_per_hour, catalog_commit) NULLS NOT DISTINCT;
DROP TRIGGER sunsets_and_epochs_are_announced_in_turn ON class_sunsets;
DROP TRIGGER epochs_and_sunsets_are_announced_in_turn ON epochs;
DROP FUNCTION announce_in_turn;
DROP TRIGGER quotes_are_kept_once ON quotes;
DROP FUNCTION check_quote_says_something;
DROP INDEX quotes_are_said_once_in_a_batch;
ALTER INDEX quotes_were_kept_once RENAME TO quotes_are_kept_once;
