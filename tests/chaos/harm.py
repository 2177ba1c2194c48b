"""Changes to the campaign's database: commits that are slow or fail, a lock less."""

from typing import Any, Final

import asyncpg


LOCK: Final = "PERFORM pg_advisory_xact_lock(1919248485, 1);"
TAKES_HEAD: Final = "es.take_head()"
TAKES_POSITIONS: Final = "es.take_positions(event_counts)"
TAKES_ONE_EACH: Final = (
    "es.take_positions(array_fill(1, ARRAY[cardinality(command_ids)]))"
)
APPENDING: Final = {
    "es.append_v4": TAKES_POSITIONS,
    "es.append_bulk_v4": TAKES_POSITIONS,
    "es.append_singles_v2": TAKES_ONE_EACH,
}

# At the commit itself, for as long as a disk may take, or a failure to commit.
SLOW_COMMITS: Final = """
CREATE SCHEMA chaos;
GRANT USAGE ON SCHEMA chaos TO PUBLIC;

CREATE FUNCTION chaos.trouble()
    RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    luck float8 := random();
BEGIN
    IF luck < 0.03 THEN
        PERFORM pg_sleep(0.005 + 0.05 * random());
    ELSIF luck < 0.04 THEN
        RAISE EXCEPTION 'this commit fails'
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER trouble
    AFTER INSERT
    ON es.flushes
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW
    EXECUTE FUNCTION chaos.trouble();
"""

# Positions as a sequence gives them: at once, to whoever asks, whenever they commit.
SEQUENCE: Final = """
CREATE SEQUENCE es.positions AS bigint;

CREATE FUNCTION es.take_positions(counts integer[])
    RETURNS es.flushes
    LANGUAGE plpgsql
AS $$
DECLARE
    head es.flushes := es.take_head();
    wide bigint := (SELECT coalesce(sum(one), 0) FROM unnest(counts) AS one);
BEGIN
    PERFORM pg_advisory_lock(1919248485, 99);
    head.last_position := nextval('es.positions') - 1;
    PERFORM setval('es.positions', head.last_position + greatest(wide, 1));
    PERFORM pg_advisory_unlock(1919248485, 99);
    RETURN head;
END
$$;
"""


async def trouble_commits(superuser: str) -> None:
    """Make some commits slow, and some fail."""
    await _execute(superuser, SLOW_COMMITS)


async def remove_lock(superuser: str) -> None:
    """Take the lock out of the append, so that positions are not in commit order."""
    connection = await asyncpg.connect(superuser)
    try:
        async with connection.transaction():
            await rewrite(connection, "es.take_head", LOCK, "")
            await connection.execute(SEQUENCE)
            for name, taking in APPENDING.items():
                await rewrite(connection, name, TAKES_HEAD, taking)
    finally:
        await connection.close()


async def rewrite(connection: Any, name: str, old: str, new: str) -> None:  # noqa: ANN401 - a connection
    source: str = await connection.fetchval(
        "SELECT pg_get_functiondef($1::regproc)", name
    )
    if source.count(old) != 1:
        message = f"{name} holds {old!r} {source.count(old)} times instead of once"
        raise AssertionError(message)
    await connection.execute(source.replace(old, new))
    changed = await connection.fetchval("SELECT pg_get_functiondef($1::regproc)", name)
    if changed == source or changed.count(old):
        message = f"{name} did not change"
        raise AssertionError(message)


async def _execute(dsn: str, statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
