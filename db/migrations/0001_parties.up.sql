-- Who takes part: holders, providers, and the API keys that act for them.
-- The run-time role may do what the API does and no more; the owner of the schema is another role.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ballast_app') THEN
        CREATE ROLE ballast_app NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    -- Another database of the same cluster was migrated at the same moment.
    NULL;
END
$$;

DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO ballast_app', current_database());
END
$$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO ballast_app;

-- The API refuses to start on a schema that it does not know, so it may read which one this is.
DO $$
BEGIN
    IF to_regclass('schema_migrations') IS NOT NULL THEN
        GRANT SELECT ON schema_migrations TO ballast_app;
    END IF;
END
$$;

CREATE TABLE holders (
    id           uuid PRIMARY KEY,
    name         text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    external_ref text CONSTRAINT holders_external_ref_key UNIQUE CHECK (char_length(external_ref) BETWEEN 1 AND 255),
    metadata     jsonb,
    status       text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE providers (
    id         uuid PRIMARY KEY,
    name       text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    metadata   jsonb,
    status     text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    principal_id uuid NOT NULL,
    role         text NOT NULL CHECK (role IN ('operator', 'provider', 'holder', 'finance', 'auditor')),
    holder_id    uuid REFERENCES holders,
    provider_id  uuid REFERENCES providers,
    name         text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    prefix       text NOT NULL CHECK (char_length(prefix) = 16),
    hash         bytea NOT NULL CHECK (octet_length(hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    replaced_by  uuid REFERENCES api_keys,
    CONSTRAINT api_keys_role_has_its_owner CHECK (
        (holder_id IS NOT NULL) = (role = 'holder')
        AND (provider_id IS NOT NULL) = (role = 'provider')
        AND principal_id = COALESCE(holder_id, provider_id, principal_id)
    )
);
CREATE INDEX api_keys_prefix_idx ON api_keys (prefix);

-- The first answer to each creation that is not in the journal. (What is, keeps its key in the journal itself.)
CREATE TABLE idempotency (
    digest         uuid PRIMARY KEY,
    request_digest uuid NOT NULL,
    caller         uuid NOT NULL,
    status         smallint NOT NULL,
    body           bytea NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT ON holders, providers, api_keys, idempotency TO ballast_app;
GRANT UPDATE (status) ON holders, providers TO ballast_app;
GRANT UPDATE (expires_at, revoked_at, last_used_at, replaced_by) ON api_keys TO ballast_app;
