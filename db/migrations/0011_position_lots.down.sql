CREATE OR REPLACE FUNCTION begin_pledge_position() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO pledge_positions (pledge_id, provider_id, gpu_class, interruptible)
    VALUES (NEW.id, NEW.provider_id, NEW.gpu_class, NEW.firmness = 'interruptible');
    RETURN NULL;
END
$$;
ALTER TABLE pledge_positions DROP COLUMN lot;
DROP TABLE position_lots;
