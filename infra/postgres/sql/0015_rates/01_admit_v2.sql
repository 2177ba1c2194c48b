-- Counts `cost` requests of a key at once against `burst` for each `period`; `cost` is
-- `burst` at most. Returns null where they are admitted, else how long to wait for it.
CREATE FUNCTION sign_in.admit_v2(
    asked text,
    cost integer,
    burst integer,
    period interval
)
    RETURNS interval
    LANGUAGE plpgsql
AS $$
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    step   CONSTANT interval := period * (cost::float8 / burst);
    full_at timestamptz;
BEGIN
    INSERT INTO sign_in.rates AS known (key, spent_at)
    VALUES (asked, moment + step)
    ON CONFLICT (key) DO UPDATE
    SET spent_at = greatest(known.spent_at, moment) + step
    WHERE greatest(known.spent_at, moment) + step <= moment + period
    RETURNING spent_at INTO full_at;

    IF full_at IS NOT NULL THEN
        RETURN NULL;
    END IF;
    SELECT known.spent_at
    INTO full_at
    FROM sign_in.rates AS known
    WHERE known.key = asked;
    RETURN greatest(full_at + step - moment - period, interval '1 millisecond');
END
$$;

REVOKE ALL
    ON FUNCTION sign_in.admit_v2(text, integer, integer, interval)
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION sign_in.admit_v2(text, integer, integer, interval)
    TO rehearsal_app;
