-- Counts one request of a key against `burst` for each `period`. Returns null where it
-- is admitted, else how long to wait for it to be.
CREATE FUNCTION sign_in.admit_v1(asked text, burst integer, period interval)
    RETURNS interval
    LANGUAGE plpgsql
AS $$
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    step   CONSTANT interval := period / burst;
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
    RETURN greatest(full_at + step - moment - period, interval '1 second');
END
$$;

REVOKE ALL
    ON FUNCTION sign_in.admit_v1(text, integer, interval)
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION sign_in.admit_v1(text, integer, interval)
    TO rehearsal_app;
