-- The playgrounds whose access list names who is asking. It reads the view with the
-- caller's rights; PL/pgSQL, so that the view may be replaced or be made later.
CREATE FUNCTION access.listing_playgrounds()
    RETURNS uuid[]
    LANGUAGE plpgsql
    STABLE
    PARALLEL SAFE
AS $$
BEGIN
    RETURN ARRAY(
        SELECT a.playground_id
        FROM playgrounds.access_list AS a
        WHERE a.email = access.current_email()
    );
END
$$;

REVOKE ALL
    ON FUNCTION access.listing_playgrounds()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.listing_playgrounds()
    TO rehearsal_app, rehearsal_reader;
