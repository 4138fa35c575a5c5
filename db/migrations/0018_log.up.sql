-- The transparency log: what is written for it in the transaction that it tells of, and how far it has been put into the log.
-- docs/transparency-log.md has the formats of entries, docs/adr/0025 says why the tables look like this.

-- The secret by which the entries of an account can be opened. Erasing a holder destroys it.
CREATE TABLE account_keys (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    key        bytea NOT NULL CHECK (octet_length(key) = 32)
);
-- gen_random_uuid() has 122 bits of the system's strong randomness; two of them are more than a key of 128 bits is.
CREATE FUNCTION new_account_key() RETURNS bytea LANGUAGE sql VOLATILE AS $$
    SELECT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
$$;
INSERT INTO account_keys (account_id, key) SELECT id, new_account_key() FROM accounts WHERE kind IN ('holder', 'hold', 'escrow');
CREATE FUNCTION give_account_its_key() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO account_keys (account_id, key) VALUES (NEW.id, new_account_key());
    RETURN NULL;
END
$$;
CREATE TRIGGER accounts_get_their_key AFTER INSERT ON accounts FOR EACH ROW
    WHEN (NEW.kind IN ('holder', 'hold', 'escrow'))
    EXECUTE FUNCTION give_account_its_key();
CREATE FUNCTION refuse_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the key of an account: %', TG_ARGV[0] USING ERRCODE = 'BL018', CONSTRAINT = TG_NAME;
END
$$;
CREATE TRIGGER account_keys_stay BEFORE UPDATE OR TRUNCATE ON account_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_key_change('it stays what it is');
-- Without its key, no posting of an account could be told of. A hold or an escrow is as closed as the account that it is of.
CREATE FUNCTION check_key_is_of_no_use() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM accounts a JOIN accounts own ON own.id = COALESCE(a.parent_id, a.id)
               WHERE a.id = OLD.account_id AND own.status <> 'closed') THEN
        RAISE EXCEPTION 'the key of account %: it is not closed', OLD.account_id USING ERRCODE = 'BL018', CONSTRAINT = TG_NAME;
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER account_keys_go_after_their_account BEFORE DELETE ON account_keys
    FOR EACH ROW EXECUTE FUNCTION check_key_is_of_no_use();

-- Entries, as they are hashed, in the bundle format of tlog-tiles: each after its length in two bytes. A row has those of one group of the write path,
-- or one that tells of something else, and is keyed by the seq of its first. Bytes of hashes do not compress, so nobody tries.
CREATE TABLE log_entries (
    seq     bigint PRIMARY KEY,
    entries integer NOT NULL CHECK (entries > 0),
    bundle  bytea NOT NULL CHECK (octet_length(bundle) > 2)
);
ALTER TABLE log_entries ALTER COLUMN bundle SET STORAGE EXTERNAL;
CREATE TRIGGER log_entries_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Up to which seq the journal is older than the log. Its entries are made afterwards, once.
CREATE TABLE log_birth (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq    bigint NOT NULL,
    filled boolean NOT NULL
);
INSERT INTO log_birth (seq, filled) SELECT COALESCE(max(seq), 0), max(seq) IS NULL FROM transactions;

-- Where the entries of a row are in the log: from that index on. The one who publishes the log writes it, after it has published.
CREATE TABLE log_positions (
    seq         bigint PRIMARY KEY REFERENCES log_entries,
    first_index bigint NOT NULL CONSTRAINT log_positions_index_key UNIQUE CHECK (first_index >= 0)
);
CREATE TRIGGER log_positions_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log_positions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Every transaction is in the log's rows: a group's row is keyed by the first of its transactions and has as many entries as there are.
CREATE FUNCTION check_transactions_are_logged() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first  bigint;
    n      bigint;
    logged integer;
BEGIN
    SELECT min(seq), count(*) INTO first, n FROM fresh;
    SELECT entries INTO logged FROM log_entries WHERE seq = first;
    IF n > 0 AND logged IS DISTINCT FROM n THEN
        RAISE EXCEPTION 'transactions from % on: % of %, are in the log', first, COALESCE(logged, 0), n
            USING ERRCODE = 'BL018', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER transactions_are_logged AFTER INSERT ON transactions
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION check_transactions_are_logged();

-- How the database writes entries itself.

-- An id as it is on the wire: a TypeID, which is the 128 bits of the UUID behind two zero bits, five to a symbol.
CREATE FUNCTION type_id(prefix text, id uuid) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT prefix || '_' || string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', substring(bits FROM 5 * i + 1 FOR 5)::integer + 1, 1), '' ORDER BY i)
    FROM (SELECT B'00' || ('x' || replace(id::text, '-', ''))::bit(128) AS bits) AS b, generate_series(0, 25) AS i
$$;
CREATE FUNCTION log_instant(at timestamptz) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- RFC 8785 of a document that has strings, objects and arrays alone, with members whose names are ASCII. Members that are null are left out.
CREATE FUNCTION canonical_json(doc jsonb) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    CASE jsonb_typeof(doc)
    WHEN 'string' THEN
        RETURN to_json(doc #>> '{}')::text;
    WHEN 'object' THEN
        RETURN (SELECT '{' || COALESCE(string_agg(to_json(key)::text || ':' || canonical_json(value), ',' ORDER BY key COLLATE "C"), '') || '}'
                FROM jsonb_each(doc) WHERE jsonb_typeof(value) <> 'null');
    WHEN 'array' THEN
        RETURN (SELECT '[' || COALESCE(string_agg(canonical_json(value), ',' ORDER BY n), '') || ']'
                FROM jsonb_array_elements(doc) WITH ORDINALITY AS e (value, n));
    ELSE
        RAISE EXCEPTION 'an entry of the log has no %', jsonb_typeof(doc) USING ERRCODE = 'BL018', CONSTRAINT = 'log_entries_are_strings';
    END CASE;
END
$$;

CREATE FUNCTION log_bundle(doc jsonb) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    entry bytea := convert_to(canonical_json(doc || '{"v":"1"}'), 'UTF8');
BEGIN
    IF octet_length(entry) > 65535 THEN
        RAISE EXCEPTION 'an entry of the log of % bytes', octet_length(entry) USING ERRCODE = 'BL018', CONSTRAINT = 'log_entries_fit';
    END IF;
    RETURN set_byte(set_byte('\x0000', 0, octet_length(entry) / 256), 1, octet_length(entry) % 256) || entry;
END
$$;

-- Writes an entry, from a trigger. It draws its seq now, as events do.
CREATE FUNCTION log_entry(doc jsonb) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO log_entries (seq, entries, bundle) VALUES (nextval('journal_seq'), 1, log_bundle(doc))
$$;

-- A provider's key for signing what it pledges. Once there is one, every pledge of the provider is signed.
CREATE TABLE provider_keys (
    id          uuid PRIMARY KEY,
    provider_id uuid NOT NULL REFERENCES providers,
    public_key  bytea NOT NULL CONSTRAINT provider_keys_key CHECK (octet_length(public_key) = 32),
    created_by  uuid NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT ballast_now(),
    revoked_at  timestamptz CHECK (revoked_at >= created_at),
    CONSTRAINT provider_keys_once UNIQUE (provider_id, public_key)
);
CREATE UNIQUE INDEX provider_keys_one_at_a_time ON provider_keys (provider_id) WHERE revoked_at IS NULL;
CREATE TRIGGER provider_keys_are_never_deleted BEFORE DELETE OR TRUNCATE ON provider_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER provider_keys_end_once BEFORE UPDATE ON provider_keys FOR EACH ROW
    WHEN (OLD.revoked_at IS NOT NULL
        OR (OLD.id, OLD.provider_id, OLD.public_key, OLD.created_by, OLD.created_at) IS DISTINCT FROM (NEW.id, NEW.provider_id, NEW.public_key, NEW.created_by, NEW.created_at))
    EXECUTE FUNCTION refuse_key_change('it stays what it is');

ALTER TABLE pledges
    ADD COLUMN signature  bytea CONSTRAINT pledges_signature_check CHECK (octet_length(signature) = 64),
    ADD COLUMN signed_with bytea CONSTRAINT pledges_signed_with_check CHECK (octet_length(signed_with) = 32),
    ADD CONSTRAINT pledges_signature_is_whole CHECK ((signature IS NULL) = (signed_with IS NULL)),
    ADD CONSTRAINT pledges_signed_with_a_known_key FOREIGN KEY (provider_id, signed_with) REFERENCES provider_keys (provider_id, public_key);
CREATE TRIGGER pledges_signature_is_fixed BEFORE UPDATE ON pledges FOR EACH ROW
    WHEN ((OLD.signature, OLD.signed_with) IS DISTINCT FROM (NEW.signature, NEW.signed_with))
    EXECUTE FUNCTION refuse_pledge_change('what was pledged and agreed stays');
CREATE FUNCTION check_pledge_is_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.signed_with IS DISTINCT FROM
        (SELECT public_key FROM provider_keys WHERE provider_id = NEW.provider_id AND revoked_at IS NULL FOR SHARE) THEN
        RAISE EXCEPTION 'pledge %: it is not signed with the key of its provider', NEW.id USING ERRCODE = 'BL018', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER pledges_are_signed BEFORE INSERT ON pledges FOR EACH ROW EXECUTE FUNCTION check_pledge_is_signed();

-- The keys with which the log signs.
CREATE TABLE log_keys (
    public_key bytea PRIMARY KEY CHECK (octet_length(public_key) = 32),
    name       text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    added_at   timestamptz NOT NULL DEFAULT ballast_now()
);
CREATE TRIGGER log_keys_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Proofs of liabilities that were published. size is that of the log of whose entries they speak.
CREATE TABLE liability_proofs (
    size       bigint PRIMARY KEY CHECK (size > 0),
    asset      text NOT NULL REFERENCES assets,
    root       bytea NOT NULL CHECK (octet_length(root) = 32),
    total      bigint NOT NULL CHECK (total >= 0),
    minted     bigint NOT NULL CHECK (minted >= 0),
    burned     bigint NOT NULL CHECK (burned >= 0),
    -- [{gpu_class, hours, k, sch}], all strings.
    collateral jsonb NOT NULL CHECK (jsonb_typeof(collateral) = 'array'),
    accounts   bigint NOT NULL CHECK (accounts >= 0),
    created_at timestamptz NOT NULL DEFAULT ballast_now(),
    -- Of the row of log_entries that tells of it.
    seq        bigint CONSTRAINT liability_proofs_seq_key UNIQUE,
    CONSTRAINT liability_proofs_are_exact CHECK (total = minted - burned)
);
CREATE TRIGGER liability_proofs_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON liability_proofs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What the entries of each kind say.

CREATE FUNCTION pledge_entry(p pledges, e pledge_events) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('type', 'pledge', 'pledge', type_id('pldg', p.id), 'provider', type_id('prov', p.provider_id),
        'at', log_instant(e.at), 'event', e.status, 'gpu_class', p.gpu_class, 'hours', p.hours::text, 'region', p.region,
        'starts_at', log_instant(p.starts_at), 'expires_at', log_instant(p.expires_at), 'firmness', p.firmness,
        'haircut', p.haircut::text, 'document_sha256', p.document_sha256,
        'signature', replace(encode(p.signature, 'base64'), E'\n', ''), 'public_key', encode(p.signed_with, 'base64'))
$$;
CREATE FUNCTION log_pledge_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET enable_seqscan = off AS $$
DECLARE
    f pledge_events;
    p pledges;
BEGIN
    FOR f IN SELECT * FROM fresh ORDER BY event LOOP
        SELECT * INTO p FROM pledges WHERE id = f.pledge_id;
        PERFORM log_entry(pledge_entry(p, f));
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER pledge_events_are_logged AFTER INSERT ON pledge_events
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION log_pledge_events();

CREATE FUNCTION epoch_entry(e epochs) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('type', 'epoch', 'id', type_id('epoch', e.id), 'number', e.number::text, 'at', log_instant(e.created_at),
        'effective_at', log_instant(e.effective_at), 'reference_class', e.reference_class, 'inputs_sha256', encode(e.inputs_sha256, 'hex'),
        'k', (SELECT jsonb_object_agg(gpu_class, k::text) FROM epoch_factors WHERE epoch_id = e.id))
$$;
-- At commit, when its factors are there.
CREATE FUNCTION log_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM log_entry(epoch_entry(NEW));
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER epochs_are_logged AFTER INSERT ON epochs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION log_epoch();

CREATE FUNCTION policy_entry(a policy_approvals, p policies) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('type', 'policy', 'id', type_id('plcy', p.id), 'version', p.version::text, 'at', log_instant(a.approved_at),
        'effective_at', log_instant(a.effective_at),
        'terms', (SELECT jsonb_object_agg(t.key, t.value #>> '{}')
                  FROM jsonb_each(to_jsonb(p) - '{version,id,note,drafted_by,drafted_at,concentration_above,concentration_haircuts,delivery_beyond_days,delivery_haircuts}'::text[]) AS t)
            || jsonb_build_object(
                'concentration', (SELECT COALESCE(jsonb_agg(jsonb_build_object('above', s::text, 'haircut', h::text) ORDER BY n), '[]')
                                  FROM unnest(p.concentration_above, p.concentration_haircuts) WITH ORDINALITY AS u (s, h, n)),
                'delivery', (SELECT COALESCE(jsonb_agg(jsonb_build_object('beyond_days', s::text, 'haircut', h::text) ORDER BY n), '[]')
                             FROM unnest(p.delivery_beyond_days, p.delivery_haircuts) WITH ORDINALITY AS u (s, h, n))))
$$;
CREATE FUNCTION log_policy() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p policies;
BEGIN
    SELECT * INTO p FROM policies WHERE version = NEW.version;
    PERFORM log_entry(policy_entry(NEW, p));
    RETURN NULL;
END
$$;
CREATE TRIGGER policies_are_logged AFTER INSERT ON policy_approvals
    FOR EACH ROW EXECUTE FUNCTION log_policy();

CREATE FUNCTION sunset_entry(s class_sunsets) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('type', 'sunset', 'gpu_class', s.gpu_class, 'at', log_instant(s.announced_at),
        'no_mints_from', log_instant(s.no_mints_from), 'sunset_at', log_instant(s.sunset_at))
$$;
CREATE FUNCTION log_sunset() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM log_entry(sunset_entry(NEW));
    RETURN NULL;
END
$$;
CREATE TRIGGER sunsets_are_logged AFTER UPDATE ON class_sunsets FOR EACH ROW
    WHEN (NEW.status = 'announced' AND OLD.status <> 'announced')
    EXECUTE FUNCTION log_sunset();

CREATE FUNCTION coverage_entry(c coverage_events) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('type', 'coverage', 'at', log_instant(c.at), 'from', c.from_state, 'to', c.to_state, 'cause', c.cause,
        'backing_sch', floor(c.sch)::text, 'outstanding', c.outstanding::text, 'provider', type_id('prov', c.provider_id),
        'coverage', c.coverage::text, 'epoch', type_id('epoch', c.epoch_id))
$$;
CREATE FUNCTION log_coverage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM log_entry(coverage_entry(NEW));
    RETURN NULL;
END
$$;
CREATE TRIGGER coverage_events_are_logged AFTER INSERT ON coverage_events
    FOR EACH ROW EXECUTE FUNCTION log_coverage();

CREATE FUNCTION margin_call_entry(m margin_calls, status text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('type', 'margin_call', 'call', type_id('mcall', m.id), 'provider', type_id('prov', m.provider_id), 'status', status,
        'at', log_instant(CASE status WHEN 'open' THEN m.opened_at WHEN 'escalated' THEN m.escalated_at ELSE m.cured_at END))
$$;
CREATE FUNCTION log_margin_call() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM log_entry(margin_call_entry(NEW, NEW.status));
    RETURN NULL;
END
$$;
CREATE TRIGGER margin_calls_are_logged AFTER INSERT ON margin_calls
    FOR EACH ROW EXECUTE FUNCTION log_margin_call();
CREATE TRIGGER margin_calls_are_logged_on AFTER UPDATE ON margin_calls FOR EACH ROW
    WHEN (NEW.status <> OLD.status)
    EXECUTE FUNCTION log_margin_call();

CREATE FUNCTION log_provider_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM log_entry(jsonb_build_object('type', 'key', 'use', 'pledges', 'event', CASE WHEN NEW.revoked_at IS NULL THEN 'added' ELSE 'revoked' END,
        'at', log_instant(COALESCE(NEW.revoked_at, NEW.created_at)), 'provider', type_id('prov', NEW.provider_id),
        'public_key', encode(NEW.public_key, 'base64')));
    RETURN NULL;
END
$$;
CREATE TRIGGER provider_keys_are_logged AFTER INSERT OR UPDATE ON provider_keys
    FOR EACH ROW EXECUTE FUNCTION log_provider_key();

CREATE FUNCTION log_log_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM log_entry(jsonb_build_object('type', 'key', 'use', 'log', 'event', 'added', 'at', log_instant(NEW.added_at),
        'public_key', encode(NEW.public_key, 'base64')));
    RETURN NULL;
END
$$;
CREATE TRIGGER log_keys_are_logged AFTER INSERT ON log_keys
    FOR EACH ROW EXECUTE FUNCTION log_log_key();

-- The row gets the seq of its entry, by which its own place in the log is found.
CREATE FUNCTION log_liabilities() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM log_entry(jsonb_build_object('type', 'liabilities', 'at', log_instant(NEW.created_at), 'size', NEW.size::text, 'asset', NEW.asset,
        'root', encode(NEW.root, 'base64'), 'total', NEW.total::text, 'minted', NEW.minted::text, 'burned', NEW.burned::text,
        'collateral', NEW.collateral));
    NEW.seq := currval('journal_seq');
    RETURN NEW;
END
$$;
CREATE TRIGGER liability_proofs_are_logged BEFORE INSERT ON liability_proofs
    FOR EACH ROW EXECUTE FUNCTION log_liabilities();

-- What there was before the log: it comes first in it, before the journal that refers to it, under numbers that the journal does not have.
INSERT INTO log_entries (seq, entries, bundle)
SELECT row_number() OVER (ORDER BY at, rank, n) - 1000000000000, 1, log_bundle(doc)
FROM (
    SELECT a.approved_at AS at, 1 AS rank, p.version::bigint AS n, policy_entry(a, p) AS doc FROM policy_approvals a JOIN policies p USING (version)
    UNION ALL SELECT created_at, 2, number, epoch_entry(e) FROM epochs e
    UNION ALL SELECT announced_at, 3, 0, sunset_entry(s) FROM class_sunsets s WHERE status = 'announced'
    UNION ALL SELECT e.at, 4, e.event, pledge_entry(p, e) FROM pledge_events e JOIN pledges p ON p.id = e.pledge_id
    UNION ALL SELECT at, 5, event, coverage_entry(c) FROM coverage_events c
    UNION ALL SELECT opened_at, 6, 0, margin_call_entry(m, 'open') FROM margin_calls m
    UNION ALL SELECT escalated_at, 7, 0, margin_call_entry(m, 'escalated') FROM margin_calls m WHERE escalated_at IS NOT NULL
    UNION ALL SELECT cured_at, 8, 0, margin_call_entry(m, 'cured') FROM margin_calls m WHERE cured_at IS NOT NULL
) AS past;

-- What is written by hand, and not by a trigger above, is of the journal.
CREATE FUNCTION check_entries_are_of_the_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM transactions WHERE seq = NEW.seq) THEN
        RAISE EXCEPTION 'entries of %: no transaction is there', NEW.seq USING ERRCODE = 'BL018', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER log_entries_are_of_the_journal AFTER INSERT ON log_entries FOR EACH ROW
    WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION check_entries_are_of_the_journal();

GRANT SELECT, DELETE ON account_keys TO ballast_app;
GRANT SELECT, INSERT ON log_entries, log_positions, provider_keys, log_keys TO ballast_app;
GRANT SELECT, INSERT (size, asset, root, total, minted, burned, collateral, accounts) ON liability_proofs TO ballast_app;
GRANT UPDATE (revoked_at) ON provider_keys TO ballast_app;
GRANT SELECT ON log_birth TO ballast_app;
GRANT UPDATE (filled) ON log_birth TO ballast_app;
