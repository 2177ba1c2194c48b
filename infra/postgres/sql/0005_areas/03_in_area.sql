-- Whether who is asking has any role in an area: without one its rows are not there.
CREATE FUNCTION access.in_area(area text)
    RETURNS boolean
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN EXISTS (
    SELECT
    FROM unnest(
        ARRAY['admin', 'user', 'teacher', 'student', 'tester', 'viewer']
    ) AS role
    WHERE access.has_role(area, role)
);

REVOKE ALL
    ON FUNCTION access.in_area(text)
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.in_area(text)
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
