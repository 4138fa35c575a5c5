ALTER TABLE accounts DROP CONSTRAINT accounts_belong_to_their_pledge;
DROP TABLE mints;
DROP TABLE pledge_events;
DROP TABLE pledges;
DROP FUNCTION check_mint_follows_journal();
DROP FUNCTION check_pledge_is_whole();
DROP FUNCTION refuse_pledge_change();
