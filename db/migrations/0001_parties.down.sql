DROP TABLE idempotency;
DROP TABLE api_keys;
DROP TABLE providers;
DROP TABLE holders;

-- The role stays when other databases of the cluster still grant it something.
DO $$
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM ballast_app', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO PUBLIC', current_database());
END
$$;
REVOKE ALL ON SCHEMA public FROM ballast_app;
