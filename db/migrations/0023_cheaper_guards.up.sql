-- Three guards of the journal look at a large group by reading a stretch of the journal once, where they searched an index for each row. What the stretch proves
-- need not be looked up; all else is, row by row as before, so that exactly what was refused is refused. A stretch is not much longer than its group, and
-- rows of others may be in it. docs/adr/0003 has the figures. The searches of a small group cost less than another query does.

CREATE OR REPLACE FUNCTION check_postings_explain_balances() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    culprit uuid;
    orphan bigint;
    lo bigint;
    hi bigint;
    size bigint;
    all_known boolean := false;
BEGIN
    -- Per account: the entries are as many as the versions between its previous state and its present one, and amount to
    -- what it gained. (That each entry's own balance follows from the one before it is for the checker: a sort here
    -- would cost a third of the write path. ADR 0003 has the figures.)
    SELECT moved.account INTO culprit
    FROM (
        SELECT account, asset, count(*) AS entries, min(version) AS first, max(version) AS last, sum(delta) AS net
        FROM (
            SELECT from_account AS account, asset, from_version AS version, -amount AS delta FROM fresh
            UNION ALL
            SELECT to_account, asset, to_version, amount FROM fresh
        ) AS entry
        GROUP BY account, asset
    ) AS moved
    LEFT JOIN LATERAL (SELECT * FROM accounts WHERE accounts.id = moved.account OFFSET 0) AS a ON true
    WHERE a.id IS NULL OR moved.asset <> a.asset
       OR moved.first <> a.previous_version + 1 OR moved.last <> a.version OR moved.entries <> a.version - a.previous_version
       OR moved.net <> a.balance - a.previous_balance
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account %: its postings do not explain its balance', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;

    -- Where each place from the first to the last has a transaction, each of these postings does, and its first line is a line of it.
    PERFORM FROM fresh LIMIT 1 OFFSET 32;
    IF FOUND THEN
        SELECT min(seq), max(seq), count(*) INTO lo, hi, size FROM fresh;
        IF hi / 2 - lo / 2 <= 2 * size THEN
            SELECT count(*) = hi - lo + 1 INTO all_known FROM transactions WHERE seq BETWEEN lo AND hi AND lines > 0;
        END IF;
    END IF;
    SELECT f.seq INTO orphan
    FROM fresh f
    LEFT JOIN LATERAL (SELECT lines FROM transactions WHERE transactions.seq = f.seq OFFSET 0) AS t ON true
    WHERE NOT (all_known AND f.line = 0) AND (t.lines IS NULL OR f.line >= t.lines)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'posting of %: no transaction has that line', orphan
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION check_transactions_are_whole() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    culprit bigint;
    lo bigint;
    hi bigint;
    size bigint;
    all_begun boolean := false;
BEGIN
    -- Where each place from the first to the last has a first line, each of these transactions does, and most have no other.
    PERFORM FROM fresh LIMIT 1 OFFSET 32;
    IF FOUND THEN
        SELECT min(seq), max(seq), count(*) INTO lo, hi, size FROM fresh;
        IF hi / 2 - lo / 2 <= 2 * size THEN
            SELECT count(*) = hi - lo + 1 INTO all_begun FROM postings WHERE seq BETWEEN lo AND hi AND line = 0;
        END IF;
    END IF;
    SELECT f.seq INTO culprit
    FROM fresh f
    WHERE CASE WHEN f.lines = 1 THEN NOT all_begun AND (SELECT p.line FROM postings p WHERE p.seq = f.seq AND p.line = 0) IS NULL
               ELSE f.lines <> (SELECT count(*) FROM postings p WHERE p.seq = f.seq) END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction %: it has not all its postings', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION check_balances_have_postings() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    culprit uuid;
    lo bigint;
    hi bigint;
    size bigint;
BEGIN
    -- An account does not say where its last posting is in the journal, but when it was: so the stretch ends somewhere behind a posting of one of the accounts, and
    -- begins behind the last transaction before it that was not at that time. If that is far, the group has too many transactions for its accounts. EXCEPT
    -- is no join, and so never a loop over both its sides, whatever was known of the tables when a plan was made that is kept; without sorts, it is by hash,
    -- which a very large group shall not have in memory.
    PERFORM FROM new_rows LIMIT 1 OFFSET 32;
    IF FOUND THEN
        SELECT count(*) INTO size FROM new_rows;
        SELECT earlier.seq, LEAST(e.seq, 9223372036854775807 - 8 * size) + 8 * size INTO lo, hi
        FROM (SELECT id, version, posted_at FROM new_rows LIMIT 1) AS one
        CROSS JOIN LATERAL account_entry(one.id, one.version) AS e
        CROSS JOIN LATERAL (SELECT seq, created_at FROM transactions WHERE transactions.seq < e.seq ORDER BY seq DESC LIMIT 8 * size) AS earlier
        WHERE size <= 100000 AND earlier.created_at <> one.posted_at LIMIT 1;
        IF FOUND THEN
            IF NOT EXISTS (
                SELECT id, version FROM new_rows WHERE version > 0 EXCEPT (
                    SELECT from_account, from_version FROM postings WHERE seq BETWEEN lo AND hi
                    UNION ALL
                    SELECT to_account, to_version FROM postings WHERE seq BETWEEN lo AND hi)
            ) THEN
                RETURN NULL;
            END IF;
        END IF;
    END IF;
    SELECT n.id INTO culprit
    FROM new_rows n
    WHERE n.version > 0
      AND (SELECT p.seq FROM postings p WHERE p.from_account = n.id AND p.from_version = n.version) IS NULL
      AND (SELECT p.seq FROM postings p WHERE p.to_account = n.id AND p.to_version = n.version) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account %: no posting explains its balance', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
