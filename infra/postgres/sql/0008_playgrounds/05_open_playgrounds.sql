-- The playgrounds that who is asking may see.
CREATE FUNCTION access.open_playgrounds()
    RETURNS uuid[]
    LANGUAGE plpgsql
    STABLE
    PARALLEL SAFE
AS $$
BEGIN
    RETURN ARRAY(
        SELECT p.id
        FROM playgrounds.playgrounds AS p
    );
END
$$;

REVOKE ALL
    ON FUNCTION access.open_playgrounds()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.open_playgrounds()
    TO rehearsal_app, rehearsal_reader;
