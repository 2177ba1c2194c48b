-- Whether who is asking has a role in an area, or everywhere.
CREATE FUNCTION access.has_role(area text, role text)
    RETURNS boolean
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN access.current_roles() && ARRAY[role, area || ':' || role];

REVOKE ALL
    ON FUNCTION access.has_role(text, text)
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.has_role(text, text)
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
