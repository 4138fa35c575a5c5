-- The anchor: what an hour of each GPU class is worth in SCH, epoch by epoch. Rows are written by the owner of the schema;
-- the run-time role reads them.

-- A class has an asset, in whose accounts its hours are kept.
CREATE TABLE gpu_classes (
    gpu_class             text PRIMARY KEY CHECK (gpu_class ~ '^[A-Z0-9][A-Z0-9-]{0,39}$'),
    asset                 text GENERATED ALWAYS AS ('GPUH:' || gpu_class) STORED CONSTRAINT gpu_classes_have_an_asset REFERENCES assets,
    vendor                text NOT NULL CHECK (char_length(vendor) BETWEEN 1 AND 100),
    memory_gb             numeric NOT NULL CHECK (memory_gb > 0),
    memory_bandwidth_tb_s numeric NOT NULL CHECK (memory_bandwidth_tb_s > 0),
    bf16_dense_tflops     numeric NOT NULL CHECK (bf16_dense_tflops > 0),
    interconnect          text NOT NULL CHECK (char_length(interconnect) <= 500),
    source                text NOT NULL CHECK (char_length(source) <= 1000),
    created_at            timestamptz NOT NULL DEFAULT now()
);

-- An epoch is published once, with the canonical bytes of what it was computed from. Whether it is in force follows from
-- effective_at alone: the newest one whose time has come is.
CREATE TABLE epochs (
    id              uuid PRIMARY KEY,
    number          integer NOT NULL CONSTRAINT epochs_number_key UNIQUE CHECK (number > 0),
    effective_at    timestamptz NOT NULL CONSTRAINT epochs_effective_at_key UNIQUE,
    reference_class text NOT NULL REFERENCES gpu_classes,
    method          text NOT NULL CHECK (char_length(method) BETWEEN 1 AND 1000),
    inputs          bytea NOT NULL,
    inputs_sha256   bytea NOT NULL CONSTRAINT epochs_inputs_have_their_hash CHECK (inputs_sha256 = sha256(inputs)),
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- k is SCH per hour. price_ratio and price_usd are null where no price is known.
CREATE TABLE epoch_factors (
    epoch_id    uuid NOT NULL REFERENCES epochs,
    gpu_class   text NOT NULL REFERENCES gpu_classes,
    k           numeric(18, 6) NOT NULL CONSTRAINT epoch_factors_k_is_positive CHECK (k > 0),
    quality     numeric(18, 6) NOT NULL CHECK (quality > 0),
    price_ratio numeric(18, 6) CHECK (price_ratio > 0),
    price_usd   numeric(18, 6) CHECK (price_usd > 0),
    PRIMARY KEY (epoch_id, gpu_class),
    CONSTRAINT epoch_factors_price_is_whole CHECK ((price_ratio IS NULL) = (price_usd IS NULL))
);
-- No epoch without a factor, at least that of the class by which the others are measured.
ALTER TABLE epochs ADD CONSTRAINT epochs_have_their_reference
    FOREIGN KEY (id, reference_class) REFERENCES epoch_factors (epoch_id, gpu_class) DEFERRABLE INITIALLY DEFERRED;

CREATE TRIGGER epochs_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON epochs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER epoch_factors_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON epoch_factors
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Never retroactive, and one after another.
CREATE FUNCTION check_epoch_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last epochs;
BEGIN
    SELECT * INTO last FROM epochs ORDER BY number DESC LIMIT 1;
    IF NEW.number <> COALESCE(last.number, 0) + 1 OR NEW.effective_at <= last.effective_at
        OR NEW.created_at <> now() OR NEW.effective_at < now() THEN
        RAISE EXCEPTION 'epoch %: it does not follow the one before it, or is retroactive', NEW.number
            USING ERRCODE = 'BL004', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER epochs_follow_each_other BEFORE INSERT ON epochs FOR EACH ROW EXECUTE FUNCTION check_epoch_follows();

-- An epoch's table is written with it, and nothing is added later. The time of a database transaction is exact enough to
-- tell: created_at is checked above.
CREATE FUNCTION check_factor_is_published_with_its_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM epochs WHERE id = NEW.epoch_id AND created_at = now()) THEN
        RAISE EXCEPTION 'epoch %: it is published already', NEW.epoch_id
            USING ERRCODE = 'BL004', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER epoch_factors_are_published_at_once BEFORE INSERT ON epoch_factors
    FOR EACH ROW EXECUTE FUNCTION check_factor_is_published_with_its_epoch();

GRANT SELECT ON gpu_classes, epochs, epoch_factors TO ballast_app;
