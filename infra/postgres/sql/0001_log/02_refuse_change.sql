-- For triggers: what was recorded is never changed, not even by its owner.
CREATE FUNCTION es.refuse_change()
    RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: what was recorded is never changed',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;

REVOKE ALL ON FUNCTION es.refuse_change() FROM PUBLIC;
