DROP TABLE redemption_events, redemption_lines, redemptions, redemption_transitions;
DROP FUNCTION check_redemption_step(), check_redemption_lines(), check_redemption_is_whole(), check_redemption_settlement(),
    refuse_redemption_change();
