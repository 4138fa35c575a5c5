CREATE OR REPLACE FUNCTION follow_pledge_accounts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    m record;
    due timestamptz;
BEGIN
    FOR m IN
        SELECT pledge_id, max(posted_at) AS at,
               max(balance) FILTER (WHERE kind = 'pledge_available') AS available,
               max(balance) FILTER (WHERE kind = 'pledge_backing') AS backing,
               max(balance) FILTER (WHERE kind = 'pledge_earmarked') AS earmarked
        FROM moved WHERE kind IN ('pledge_available', 'pledge_backing', 'pledge_earmarked')
        GROUP BY pledge_id
    LOOP
        UPDATE pledge_positions p
        SET available = COALESCE(m.available, p.available),
            backing = COALESCE(m.backing, p.backing),
            earmarked = COALESCE(m.earmarked, p.earmarked),
            due_at = CASE WHEN p.due_at > m.at AND COALESCE(m.earmarked, p.earmarked) = p.earmarked
                               AND COALESCE(m.available, p.available) + COALESCE(m.backing, p.backing) = p.available + p.backing
                          THEN p.due_at ELSE '-infinity' END
        WHERE p.pledge_id = m.pledge_id
        RETURNING p.due_at INTO due;
        IF due = '-infinity' THEN
            PERFORM set_position_times(m.pledge_id, m.at);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
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
    LEFT JOIN LATERAL (SELECT epochs.id FROM epochs WHERE effective_at <= terms.created_at ORDER BY effective_at DESC LIMIT 1) AS in_force ON true
    LEFT JOIN LATERAL (SELECT epoch_factors.k FROM epoch_factors
                       WHERE epoch_factors.epoch_id = terms.epoch_id AND epoch_factors.gpu_class = p.gpu_class OFFSET 0) AS f ON true
    WHERE (terms.told AND in_force.id = terms.epoch_id AND f.k = terms.k
           AND i.kind = 'issuance' AND i.provider_id = p.provider_id
           AND a.kind = 'pledge_available' AND a.pledge_id = p.id AND b.kind = 'pledge_backing' AND b.pledge_id = p.id
           AND p.status = 'active' AND p.expires_at > terms.created_at AND p.haircut <= terms.haircut
           AND b.balance + e.balance <= pledge_hours_to_come(p.id, terms.created_at)) IS NOT TRUE
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'mint %: the journal, the pledge or the epoch says otherwise', culprit
            USING ERRCODE = 'BL006', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION pledge_hours_to_come(of_pledge uuid, at_time timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN (
        SELECT CASE
            WHEN class_sunset_at(p.gpu_class) <= at_time THEN 0
            ELSE COALESCE((SELECT w.later_hours FROM pledge_windows w WHERE w.pledge_id = p.id AND w.ends_at <= at_time
                           ORDER BY w.ends_at DESC LIMIT 1), p.hours)
        END
        FROM pledges p WHERE p.id = of_pledge);
END
$$;
DROP FUNCTION pledge_to_come(uuid, timestamptz);
CREATE INDEX mints_pledge_idx ON mints (pledge_id, seq);
ALTER TABLE mints ADD CONSTRAINT mints_transaction_key UNIQUE (transaction_id);
