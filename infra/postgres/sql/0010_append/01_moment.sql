-- The moment so many microseconds after 2000-01-01 UTC. In two parts, because an
-- interval is multiplied as a double, which holds the microseconds of 285 years only.
-- Not immutable, because adding is not: then it would be called, not inlined.
CREATE FUNCTION es.moment(microseconds bigint)
    RETURNS timestamptz
    LANGUAGE sql
    STABLE
RETURN '2000-01-01 00:00:00+00'::timestamptz
    + (microseconds / 3600000000) * interval '1 hour'
    + (microseconds % 3600000000) * interval '1 microsecond';

REVOKE ALL ON FUNCTION es.moment(bigint) FROM PUBLIC;
