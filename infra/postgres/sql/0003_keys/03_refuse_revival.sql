-- Destroyed is for ever: a key that was set to NULL cannot be set again.
CREATE FUNCTION keys.refuse_revival()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'Key % was destroyed.', OLD.key_id
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER refuse_revival
    BEFORE UPDATE ON keys.subject_keys
    FOR EACH ROW
    WHEN (OLD.destroyed_at IS NOT NULL AND NEW.destroyed_at IS DISTINCT FROM OLD.destroyed_at)
    EXECUTE FUNCTION keys.refuse_revival();
