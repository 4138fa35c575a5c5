-- A mint costs the write path less than it did: two indexes less, and two statements for a group instead of one or two for each of its pledges.

-- Nothing reads these, and each mint pays for both. The mints of a pledge are found by transactions_subject_idx, and a transaction's mint by its
-- seq. That no transaction has two follows from the primary key: mints_follow_the_journal compares a row's transaction_id with that of the
-- transaction of its seq.
ALTER TABLE mints DROP CONSTRAINT mints_transaction_key;
DROP INDEX mints_pledge_idx;

-- Hours of a pledge that are still to come, as something that a statement takes into its own plan. pledge_hours_to_come says the same as a value, to
-- whoever asks of one pledge; its settings are set and taken back at every call. OFFSET 0: found by its key, whatever it is joined to.
CREATE FUNCTION pledge_to_come(of_pledge uuid, at_time timestamptz) RETURNS TABLE (hours bigint) LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN (SELECT s.sunset_at FROM class_sunsets s WHERE s.gpu_class = p.gpu_class AND s.status = 'announced') <= at_time THEN 0
        ELSE COALESCE((SELECT w.later_hours FROM pledge_windows w WHERE w.pledge_id = p.id AND w.ends_at <= at_time
                       ORDER BY w.ends_at DESC LIMIT 1), p.hours)
    END
    FROM pledges p WHERE p.id = of_pledge OFFSET 0
$$;
CREATE OR REPLACE FUNCTION pledge_hours_to_come(of_pledge uuid, at_time timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN (SELECT hours FROM pledge_to_come(of_pledge, at_time));
END
$$;

-- The guard of mints as it was, but for whence it knows what is still to come.
CREATE OR REPLACE FUNCTION check_mints_follow_journal() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    culprit bigint;
BEGIN
    WITH posted AS MATERIALIZED (
        SELECT f.seq, f.pledge_id, f.epoch_id, f.k, f.haircut, t.created_at,
               issued.from_account AS issuance, backed.from_account AS available, backed.to_account AS backing,
               t.id = f.transaction_id AND t.kind = 'mint' AND t.lines = 2 AND t.subject_id = f.pledge_id AND t.epoch_id = f.epoch_id
               AND issued.to_account = f.account_id AND issued.amount = f.amount AND backed.amount = f.backing_hours AS told
        FROM fresh f
        LEFT JOIN LATERAL (SELECT * FROM transactions WHERE transactions.seq = f.seq OFFSET 0) AS t ON true
        LEFT JOIN LATERAL (SELECT * FROM postings WHERE postings.seq = f.seq AND line = 0 OFFSET 0) AS issued ON true
        LEFT JOIN LATERAL (SELECT * FROM postings WHERE postings.seq = f.seq AND line = 1 OFFSET 0) AS backed ON true
    ), terms AS MATERIALIZED (
        SELECT min(seq) AS seq, pledge_id, epoch_id, k, haircut, created_at, issuance, available, backing, bool_and(told IS TRUE) AS told
        FROM posted GROUP BY pledge_id, epoch_id, k, haircut, created_at, issuance, available, backing
    )
    SELECT terms.seq INTO culprit
    FROM terms
    LEFT JOIN LATERAL (SELECT * FROM pledges WHERE pledges.id = terms.pledge_id OFFSET 0) AS p ON true
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE accounts.id = terms.issuance OFFSET 0) AS i ON true
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE accounts.id = terms.available OFFSET 0) AS a ON true
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE accounts.id = terms.backing OFFSET 0) AS b ON true
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE accounts.pledge_id = terms.pledge_id AND kind = 'pledge_earmarked' OFFSET 0) AS e ON true
    LEFT JOIN LATERAL pledge_to_come(terms.pledge_id, terms.created_at) AS to_come ON true
    LEFT JOIN LATERAL (SELECT epochs.id FROM epochs WHERE effective_at <= terms.created_at ORDER BY effective_at DESC LIMIT 1) AS in_force ON true
    LEFT JOIN LATERAL (SELECT epoch_factors.k FROM epoch_factors
                       WHERE epoch_factors.epoch_id = terms.epoch_id AND epoch_factors.gpu_class = p.gpu_class OFFSET 0) AS f ON true
    WHERE (terms.told AND in_force.id = terms.epoch_id AND f.k = terms.k
           AND i.kind = 'issuance' AND i.provider_id = p.provider_id
           AND a.kind = 'pledge_available' AND a.pledge_id = p.id AND b.kind = 'pledge_backing' AND b.pledge_id = p.id
           AND p.status = 'active' AND p.expires_at > terms.created_at AND p.haircut <= terms.haircut
           AND b.balance + e.balance <= to_come.hours) IS NOT TRUE
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'mint %: the journal, the pledge or the epoch says otherwise', culprit
            USING ERRCODE = 'BL006', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;

-- Once for all the accounts of a statement. A mint moves hours of a pledge from available to backing: as many are held as before, so that none of
-- them is due earlier or later, and the windows need not be asked. With these settings the only plan that is left finds each pledge's row by
-- its key, however few there were when it was made: a bitmap needs something to look for, and the other scans are off. Transfers, which are
-- most of what is written, pay for one look at the rows of their group.
CREATE OR REPLACE FUNCTION follow_pledge_accounts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off
    SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    due record;
BEGIN
    IF NOT EXISTS (SELECT FROM moved WHERE pledge_id IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    FOR due IN
        WITH m AS MATERIALIZED (
            SELECT pledge_id, max(posted_at) AS at,
                   max(balance) FILTER (WHERE kind = 'pledge_available') AS available,
                   max(balance) FILTER (WHERE kind = 'pledge_backing') AS backing,
                   max(balance) FILTER (WHERE kind = 'pledge_earmarked') AS earmarked
            FROM moved WHERE kind IN ('pledge_available', 'pledge_backing', 'pledge_earmarked')
            GROUP BY pledge_id
        ), followed AS (
            UPDATE pledge_positions p
            SET available = COALESCE(m.available, p.available),
                backing = COALESCE(m.backing, p.backing),
                earmarked = COALESCE(m.earmarked, p.earmarked),
                due_at = CASE WHEN p.due_at > m.at AND COALESCE(m.earmarked, p.earmarked) = p.earmarked
                                   AND COALESCE(m.available, p.available) + COALESCE(m.backing, p.backing) = p.available + p.backing
                              THEN p.due_at ELSE '-infinity' END
            FROM m WHERE p.pledge_id = m.pledge_id
            RETURNING p.pledge_id, m.at, p.due_at
        )
        SELECT f.pledge_id, f.at FROM followed f WHERE f.due_at = '-infinity'
    LOOP
        PERFORM set_position_times(due.pledge_id, due.at);
    END LOOP;
    RETURN NULL;
END
$$;
