-- The books. docs/adr says why they look like this: 0002 (one row per posting pair), 0003 (guards in the database).

CREATE TABLE assets (
    code       text PRIMARY KEY CHECK (char_length(code) BETWEEN 1 AND 64),
    scale      smallint NOT NULL CHECK (scale BETWEEN 0 AND 6),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO assets (code, scale) VALUES ('SCH', 6), ('USD', 2);

-- An account holds one asset. Amounts are whole minor units. debits and credits are all that was ever posted from and to
-- it; what they leave is the balance. previous_* is the state before the last commit that touched it, by which the
-- guard of the journal proves that the new state follows from the old one.
CREATE TABLE accounts (
    id               uuid PRIMARY KEY,
    asset            text NOT NULL REFERENCES assets,
    kind             text NOT NULL CHECK (kind IN (
        'holder', 'hold', 'escrow', 'issuance', 'rounding',
        'pledge_commitment', 'pledge_available', 'pledge_backing', 'pledge_earmarked',
        'pledge_delivered', 'pledge_expired', 'pledge_released')),
    holder_id        uuid REFERENCES holders,
    provider_id      uuid REFERENCES providers,
    pledge_id        uuid,
    parent_id        uuid REFERENCES accounts,
    name             text CHECK (char_length(name) BETWEEN 1 AND 200),
    metadata         jsonb,
    status           text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'frozen', 'closed')),
    may_go_negative  boolean NOT NULL,
    debits           bigint NOT NULL DEFAULT 0 CHECK (debits >= 0),
    credits          bigint NOT NULL DEFAULT 0 CHECK (credits >= 0),
    balance          bigint NOT NULL DEFAULT 0,
    version          bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    previous_balance bigint NOT NULL DEFAULT 0,
    previous_version bigint NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    posted_at        timestamptz NOT NULL DEFAULT 'epoch',
    CONSTRAINT accounts_balance_is_credits_less_debits CHECK (balance = credits - debits),
    CONSTRAINT accounts_not_negative CHECK (balance >= 0 OR may_go_negative),
    CONSTRAINT accounts_contra_kinds CHECK (may_go_negative = (kind IN ('issuance', 'pledge_commitment'))),
    CONSTRAINT accounts_closed_is_empty CHECK (status <> 'closed' OR balance = 0),
    CONSTRAINT accounts_kind_has_its_owner CHECK (
        CASE
            WHEN kind IN ('holder', 'hold', 'escrow') THEN holder_id IS NOT NULL AND provider_id IS NULL AND pledge_id IS NULL
            WHEN kind = 'issuance' THEN holder_id IS NULL AND provider_id IS NOT NULL AND pledge_id IS NULL
            WHEN kind = 'rounding' THEN holder_id IS NULL AND provider_id IS NULL AND pledge_id IS NULL
            ELSE holder_id IS NULL AND provider_id IS NOT NULL AND pledge_id IS NOT NULL
        END),
    CONSTRAINT accounts_only_holds_and_escrows_have_parents CHECK ((parent_id IS NOT NULL) = (kind IN ('hold', 'escrow')))
) WITH (fillfactor = 50);
CREATE INDEX accounts_holder_idx ON accounts (holder_id, id) WHERE holder_id IS NOT NULL;
CREATE UNIQUE INDEX accounts_child_key ON accounts (parent_id, kind) WHERE parent_id IS NOT NULL;
CREATE UNIQUE INDEX accounts_pledge_key ON accounts (pledge_id, kind) WHERE pledge_id IS NOT NULL;
CREATE UNIQUE INDEX accounts_issuance_key ON accounts (provider_id, asset) WHERE kind = 'issuance';
CREATE UNIQUE INDEX accounts_rounding_key ON accounts (asset) WHERE kind = 'rounding';

-- The order of the journal. Drawn after the account locks, so that replaying in its order never shows a balance that was
-- not there. It may have gaps.
CREATE SEQUENCE journal_seq;

CREATE TABLE transactions (
    seq                bigint PRIMARY KEY,
    id                 uuid NOT NULL CONSTRAINT transactions_id_key UNIQUE,
    kind               text NOT NULL CHECK (kind IN (
        'transfer', 'mint', 'hold', 'hold_capture', 'hold_void', 'reversal', 'pledge_activation', 'pledge_release',
        'redemption_request', 'redemption_issue', 'redemption_refund')),
    lines              smallint NOT NULL CHECK (lines > 0),
    caller             uuid NOT NULL,
    idempotency_digest uuid NOT NULL CONSTRAINT transactions_idempotency_key UNIQUE,
    request_digest     uuid NOT NULL,
    subject_id         uuid,
    epoch_id           uuid,
    reverses           bigint CONSTRAINT transactions_reverses_key UNIQUE,
    reference          text CHECK (char_length(reference) BETWEEN 1 AND 255),
    metadata           jsonb,
    details            jsonb,
    created_at         timestamptz NOT NULL,
    CONSTRAINT transactions_reversal_names_its_original CHECK ((reverses IS NOT NULL) = (kind = 'reversal'))
);
CREATE INDEX transactions_reference_idx ON transactions (reference, seq) WHERE reference IS NOT NULL;
CREATE INDEX transactions_subject_idx ON transactions (subject_id, seq) WHERE subject_id IS NOT NULL;

-- One row moves an amount from one account to another, and says what both held after it.
CREATE TABLE postings (
    seq          bigint NOT NULL,
    line         smallint NOT NULL CHECK (line >= 0),
    from_account uuid NOT NULL,
    to_account   uuid NOT NULL,
    asset        text NOT NULL,
    amount       bigint NOT NULL CONSTRAINT postings_amount_is_positive CHECK (amount > 0),
    from_balance bigint NOT NULL,
    from_version bigint NOT NULL,
    to_balance   bigint NOT NULL,
    to_version   bigint NOT NULL,
    PRIMARY KEY (seq, line),
    CONSTRAINT postings_between_two_accounts CHECK (from_account <> to_account)
);
CREATE UNIQUE INDEX postings_from_key ON postings (from_account, from_version);
CREATE UNIQUE INDEX postings_to_key ON postings (to_account, to_version);

-- A hold sets an amount aside, in the hold account of the account that it is on, until it is captured or voided.
CREATE TABLE holds (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL REFERENCES accounts,
    hold_account    uuid NOT NULL REFERENCES accounts,
    asset           text NOT NULL,
    amount          bigint NOT NULL CHECK (amount > 0),
    status          text NOT NULL DEFAULT 'held' CHECK (status IN ('held', 'captured', 'voided', 'expired')),
    captured_amount bigint NOT NULL DEFAULT 0 CHECK (captured_amount BETWEEN 0 AND amount),
    to_account      uuid REFERENCES accounts,
    reference       text CHECK (char_length(reference) BETWEEN 1 AND 255),
    metadata        jsonb,
    expires_at      timestamptz,
    placed_by       uuid NOT NULL REFERENCES transactions (id),
    settled_by      uuid REFERENCES transactions (id),
    created_at      timestamptz NOT NULL,
    CONSTRAINT holds_captured_has_its_target CHECK ((status = 'captured') = (to_account IS NOT NULL AND captured_amount > 0)),
    CONSTRAINT holds_settled_once CHECK ((status = 'held') = (settled_by IS NULL))
);
CREATE INDEX holds_account_idx ON holds (account_id, id);
CREATE INDEX holds_expiry_idx ON holds (expires_at) WHERE status = 'held' AND expires_at IS NOT NULL;

-- Guards. They hold for everybody, the owner of the tables included. Errors have class BL, and the constraint's name says which.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: what is written there stays', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'BL001', CONSTRAINT = TG_TABLE_NAME || '_is_append_only';
END
$$;
CREATE TRIGGER transactions_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER postings_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_are_never_deleted BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER assets_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON assets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER holds_are_never_deleted BEFORE DELETE OR TRUNCATE ON holds
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_account_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'account %: %', OLD.id, TG_ARGV[0]
        USING ERRCODE = 'BL002', CONSTRAINT = TG_NAME;
END
$$;
-- A row trigger costs the write path only its WHEN, which is evaluated without calling the function.
CREATE TRIGGER accounts_identity_is_fixed BEFORE UPDATE ON accounts FOR EACH ROW
    WHEN ((OLD.id, OLD.asset, OLD.kind, OLD.holder_id, OLD.provider_id, OLD.pledge_id, OLD.parent_id, OLD.may_go_negative, OLD.created_at)
        IS DISTINCT FROM
          (NEW.id, NEW.asset, NEW.kind, NEW.holder_id, NEW.provider_id, NEW.pledge_id, NEW.parent_id, NEW.may_go_negative, NEW.created_at))
    EXECUTE FUNCTION refuse_account_change('what it is and whose it is stays');
CREATE TRIGGER accounts_follow_their_past BEFORE UPDATE ON accounts FOR EACH ROW
    WHEN ((NEW.version <> OLD.version OR NEW.balance <> OLD.balance OR NEW.debits <> OLD.debits
           OR NEW.previous_version <> OLD.previous_version OR NEW.previous_balance <> OLD.previous_balance)
        AND (NEW.version <= OLD.version OR NEW.previous_version <> OLD.version OR NEW.previous_balance <> OLD.balance
             OR NEW.posted_at < OLD.posted_at OR OLD.status = 'closed'))
    EXECUTE FUNCTION refuse_account_change('the new state does not follow from the old one');
CREATE TRIGGER accounts_closed_stay_closed BEFORE UPDATE ON accounts FOR EACH ROW
    WHEN (OLD.status = 'closed' AND NEW.status <> 'closed')
    EXECUTE FUNCTION refuse_account_change('it is closed for good');
CREATE FUNCTION refuse_account_birth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'account %: it begins empty', NEW.id
        USING ERRCODE = 'BL002', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER accounts_begin_empty BEFORE INSERT ON accounts FOR EACH ROW
    WHEN ((NEW.debits, NEW.credits, NEW.balance, NEW.version, NEW.previous_balance, NEW.previous_version) <> (0, 0, 0, 0, 0, 0))
    EXECUTE FUNCTION refuse_account_birth();

-- The journal and the balances are written by one statement, whose triggers run at its end and see all of it:
-- an account changes only with postings that explain the change, step by step, and a posting counts only with that change.
CREATE FUNCTION check_postings_explain_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit uuid;
    orphan bigint;
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

    SELECT f.seq INTO orphan
    FROM fresh f
    LEFT JOIN LATERAL (SELECT lines FROM transactions WHERE transactions.seq = f.seq OFFSET 0) AS t ON true
    WHERE t.lines IS NULL OR f.line >= t.lines
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'posting of %: no transaction has that line', orphan
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER postings_explain_balances AFTER INSERT ON postings
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_postings_explain_balances();

CREATE FUNCTION check_transactions_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit bigint;
BEGIN
    SELECT f.seq INTO culprit
    FROM fresh f
    WHERE CASE WHEN f.lines = 1 THEN NOT EXISTS (SELECT FROM postings p WHERE p.seq = f.seq AND p.line = 0)
               ELSE f.lines <> (SELECT count(*) FROM postings p WHERE p.seq = f.seq) END
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'transaction %: it has not all its postings', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER transactions_are_whole AFTER INSERT ON transactions
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_transactions_are_whole();

CREATE FUNCTION check_balances_have_postings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    culprit uuid;
BEGIN
    SELECT n.id INTO culprit
    FROM new_rows n
    WHERE n.version > 0
      AND NOT EXISTS (SELECT FROM postings p WHERE p.from_account = n.id AND p.from_version = n.version)
      AND NOT EXISTS (SELECT FROM postings p WHERE p.to_account = n.id AND p.to_version = n.version)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account %: no posting explains its balance', culprit
            USING ERRCODE = 'BL003', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER balances_have_postings AFTER UPDATE ON accounts
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION check_balances_have_postings();

GRANT SELECT ON assets TO ballast_app;
GRANT SELECT, INSERT ON accounts, transactions, postings, holds TO ballast_app;
GRANT UPDATE (status, debits, credits, balance, version, previous_balance, previous_version, posted_at) ON accounts TO ballast_app;
GRANT UPDATE (status, captured_amount, to_account, settled_by) ON holds TO ballast_app;
GRANT USAGE ON SEQUENCE journal_seq TO ballast_app;

-- The past of an account. Along its versions neither the journal's order nor its time goes back, so that a moment is found
-- by halving; each probe is one row of one index.

CREATE FUNCTION account_entry(of_account uuid, at_version bigint)
    RETURNS TABLE (seq bigint, balance bigint) LANGUAGE sql STABLE AS $$
    SELECT p.seq, p.from_balance FROM postings p WHERE p.from_account = of_account AND p.from_version = at_version
    UNION ALL
    SELECT p.seq, p.to_balance FROM postings p WHERE p.to_account = of_account AND p.to_version = at_version
$$;

-- The last version whose entry comes before a seq (all of them where it is NULL), or 0.
CREATE FUNCTION account_version_before(of_account uuid, before_seq bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint;
    probe bigint;
BEGIN
    SELECT version INTO high FROM accounts WHERE id = of_account;
    IF before_seq IS NULL THEN
        RETURN high;
    END IF;
    WHILE low < high LOOP
        probe := (low + high + 1) / 2;
        IF (SELECT e.seq FROM account_entry(of_account, probe) AS e) < before_seq THEN
            low := probe;
        ELSE
            high := probe - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- The last version whose entry was made at a time or before, or 0.
CREATE FUNCTION account_version_at(of_account uuid, at_time timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low bigint := 0;
    high bigint;
    probe bigint;
BEGIN
    SELECT version INTO high FROM accounts WHERE id = of_account;
    WHILE low < high LOOP
        probe := (low + high + 1) / 2;
        IF (SELECT t.created_at FROM account_entry(of_account, probe) AS e JOIN transactions t ON t.seq = e.seq) <= at_time THEN
            low := probe;
        ELSE
            high := probe - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
