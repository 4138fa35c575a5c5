-- Coverage adds positions up by provider, class and firmness. By two ids and a text that took a third of its time; by the number of
-- their lot, which is an integer, it does not. docs/adr/0017 has the figures.
CREATE TABLE position_lots (
    lot           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_id   uuid NOT NULL,
    gpu_class     text COLLATE "C" NOT NULL,
    interruptible boolean NOT NULL,
    CONSTRAINT position_lots_terms_key UNIQUE (provider_id, gpu_class, interruptible),
    -- What a position refers to, so that it cannot be of another lot than its columns say.
    CONSTRAINT position_lots_lot_key UNIQUE (lot, provider_id, gpu_class, interruptible)
);
INSERT INTO position_lots (provider_id, gpu_class, interruptible)
SELECT DISTINCT provider_id, gpu_class, interruptible FROM pledge_positions ORDER BY 1, 2, 3;

ALTER TABLE pledge_positions ADD COLUMN lot integer;
ALTER TABLE pledge_positions DISABLE TRIGGER pledge_positions_follow_accounts;
UPDATE pledge_positions p SET lot = l.lot FROM position_lots l
WHERE (l.provider_id, l.gpu_class, l.interruptible) = (p.provider_id, p.gpu_class, p.interruptible);
ALTER TABLE pledge_positions ENABLE TRIGGER pledge_positions_follow_accounts;
ALTER TABLE pledge_positions ALTER COLUMN lot SET NOT NULL,
    ADD CONSTRAINT pledge_positions_lot_fkey FOREIGN KEY (lot, provider_id, gpu_class, interruptible)
        REFERENCES position_lots (lot, provider_id, gpu_class, interruptible);

CREATE OR REPLACE FUNCTION begin_pledge_position() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    terms position_lots := (NULL, NEW.provider_id, NEW.gpu_class, NEW.firmness = 'interruptible');
BEGIN
    SELECT l.lot INTO terms.lot FROM position_lots l
    WHERE (l.provider_id, l.gpu_class, l.interruptible) = (terms.provider_id, terms.gpu_class, terms.interruptible);
    IF NOT FOUND THEN
        -- Of two first pledges at the same moment, one waits here until the other has made the lot.
        INSERT INTO position_lots (provider_id, gpu_class, interruptible) VALUES (terms.provider_id, terms.gpu_class, terms.interruptible)
        ON CONFLICT DO NOTHING;
        SELECT l.lot INTO STRICT terms.lot FROM position_lots l
        WHERE (l.provider_id, l.gpu_class, l.interruptible) = (terms.provider_id, terms.gpu_class, terms.interruptible);
    END IF;
    INSERT INTO pledge_positions (pledge_id, provider_id, gpu_class, interruptible, lot)
    VALUES (NEW.id, terms.provider_id, terms.gpu_class, terms.interruptible, terms.lot);
    RETURN NULL;
END
$$;

CREATE TRIGGER position_lots_follow_pledges BEFORE INSERT ON position_lots FOR EACH STATEMENT
    WHEN (pg_trigger_depth() = 0)
    EXECUTE FUNCTION refuse_position_change();
CREATE TRIGGER position_lots_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON position_lots
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT ON position_lots TO ballast_app;
