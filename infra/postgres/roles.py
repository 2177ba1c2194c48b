"""The roles in PostgreSQL, none of them a superuser, and what each may reach.

owner      owns the log and runs migrations
app        serves: appends through functions, reads under the row policies
projector  owns the read tables
reader     runs people's queries, read-only, under the row policies
keys       keeps the keys of sealed text; in production in a database of its own
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import asyncpg

from infra.settings import SetupError


OWNER: Final = "rehearsal_owner"
APP: Final = "rehearsal_app"
PROJECTOR: Final = "rehearsal_projector"
READER: Final = "rehearsal_reader"
KEYS: Final = "rehearsal_keys"
ROLES: Final = (OWNER, APP, PROJECTOR, READER, KEYS)

LOCK: Final = 0x72656865_61727361  # advisory lock of everything that changes roles
SCRAM_ITERATIONS: Final = 4096

PERSONAL_CONNECTIONS: Final = 5
OF_LOGIN: Final = """
SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication
           OR EXISTS (
               SELECT
               FROM pg_auth_members AS m
               WHERE m.member = r.oid
                 AND m.roleid <> $2::text::regrole
           ) AS unsafe,
       EXISTS (
           SELECT
           FROM pg_auth_members AS m
           WHERE m.member = r.oid
             AND m.roleid = $2::text::regrole
       ) AS reader
FROM pg_roles AS r
WHERE rolname = $1
"""

# Whoever may take the lock of an append holds up all others.
KEEP_LOCKS: Final = f"""
DO $$
DECLARE
    function regprocedure;
BEGIN
    FOR function IN
        SELECT p.oid
        FROM pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
          AND p.proname ~ '^pg_(try_)?advisory_'
          AND has_function_privilege('public', p.oid, 'EXECUTE')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION %s TO {OWNER}, {APP}, {PROJECTOR}, {KEYS}',
            function
        );
    END LOOP;
END
$$
"""  # noqa: S608 - our own roles

# What a table holds in all, and what is done to it, is of every organisation. Views
# call these functions as who asks, so nobody else reads pg_stat_* and pg_statio_*.
KEEP_SIZES: Final = f"""
DO $$
DECLARE
    function regprocedure;
BEGIN
    FOR function IN
        SELECT p.oid
        FROM pg_proc AS p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
          AND (
              p.proname ~ '^pg_stat_get_'
              OR p.proname IN (
                  'pg_database_size',
                  'pg_indexes_size',
                  'pg_relation_size',
                  'pg_table_size',
                  'pg_tablespace_size',
                  'pg_total_relation_size'
              )
          )
          AND has_function_privilege('public', p.oid, 'EXECUTE')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION %s '
            'TO {OWNER}, {APP}, {PROJECTOR}, {KEYS}, pg_monitor',
            function
        );
    END LOOP;
END
$$
"""  # noqa: S608 - our own roles

DEFAULTS: Final[Mapping[str, Mapping[str, str]]] = {
    OWNER: {"lock_timeout": "5s", "jit": "off"},
    APP: {
        "statement_timeout": "30s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "30s",
        "jit": "off",
    },
    PROJECTOR: {"idle_in_transaction_session_timeout": "60s", "jit": "off"},
    READER: {
        "default_transaction_read_only": "on",
        "statement_timeout": "60s",
        "idle_in_transaction_session_timeout": "30s",
    },
    KEYS: {
        "statement_timeout": "10s",
        "idle_in_transaction_session_timeout": "30s",
        "jit": "off",
    },
}


class UnsafeRoleError(SetupError):
    """The role bypasses row-level security; serve as one that cannot."""


async def ensure_roles(superuser_dsn: str, passwords: Mapping[str, str]) -> None:
    """Make every role that is missing, and set the passwords that are given.

    Passwords are by role name. Only their SCRAM verifiers are sent. Raises
    `UnsafeRoleError` where a role of that name is a superuser or bypasses row-level
    security.
    """
    connection = await asyncpg.connect(superuser_dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            for role in ROLES:
                await _ensure_role(connection, role)
            for role, password in passwords.items():
                await connection.execute(
                    f"ALTER ROLE {_quoted(role)} PASSWORD '{_verifier(password)}'"
                )
            for role, defaults in DEFAULTS.items():
                for name, value in defaults.items():
                    await connection.execute(
                        f"ALTER ROLE {role} SET {name} = '{value}'"
                    )
            # The owner makes schemas that the projector owns.
            await connection.execute(f"GRANT {PROJECTOR} TO {OWNER}")
    finally:
        await connection.close()


async def give_login(superuser_dsn: str, login: str, password: str) -> None:
    """Make a login of a person that reads as the reader does, or set its password.

    Raises `UnsafeRoleError` where there is a role of that name that may do more.
    """
    connection = await asyncpg.connect(superuser_dsn)
    name = _quoted(login)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            row = await connection.fetchrow(OF_LOGIN, login, READER)
            if row is None:
                await connection.execute(f"CREATE ROLE {name} IN ROLE {READER}")
            elif row["unsafe"] or not row["reader"]:
                message = f'there is a role "{login}" already, for something else'
                raise UnsafeRoleError(message)
            await connection.execute(
                f"ALTER ROLE {name} LOGIN CONNECTION LIMIT {PERSONAL_CONNECTIONS} "
                f"PASSWORD '{_verifier(password)}'"
            )
            for setting, value in DEFAULTS[READER].items():
                await connection.execute(f"ALTER ROLE {name} SET {setting} = '{value}'")
    finally:
        await connection.close()


async def take_login(superuser_dsn: str, login: str) -> None:
    """End a login of a person with its sessions; that there is none is no error.

    Raises `UnsafeRoleError` where the role of that name is no login of a person.
    """
    connection = await asyncpg.connect(superuser_dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        row = await connection.fetchrow(OF_LOGIN, login, READER)
        if row is None:
            return
        if row["unsafe"] or not row["reader"]:
            message = f'the role "{login}" is for something else'
            raise UnsafeRoleError(message)
        name = _quoted(login)
        await connection.execute(f"ALTER ROLE {name} NOLOGIN")
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) "
            "FROM pg_stat_activity WHERE usename = $1",
            login,
        )
        await connection.execute(f"DROP ROLE {name}")
    finally:
        await connection.close()


async def create_database(superuser_dsn: str, name: str) -> None:
    """Make a database, unless it is there, that only our roles may enter.

    Who only reads in it may take no advisory lock, and measure no table.
    """
    connection = await asyncpg.connect(superuser_dsn)
    database = _quoted(name)
    try:
        exists = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name
        )
        if not exists:
            await connection.execute(
                f"CREATE DATABASE {database} "
                f"OWNER {OWNER} TEMPLATE template0 ENCODING 'UTF8'"
            )
        await admit(connection, name)
    finally:
        await connection.close()
    target = urlsplit(superuser_dsn)._replace(path=f"/{quote(name, safe='')}").geturl()
    connection = await asyncpg.connect(target)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await connection.execute(KEEP_LOCKS)
            await connection.execute(KEEP_SIZES)
    finally:
        await connection.close()


async def admit(connection: Any, name: str) -> None:  # noqa: ANN401 - pooled or not
    """Let our roles into a database, and nobody else; a superuser's connection asks."""
    database = _quoted(name)
    await connection.execute(
        f"""
        REVOKE ALL ON DATABASE {database} FROM PUBLIC;
        GRANT CONNECT ON DATABASE {database} TO {", ".join(ROLES)};
        GRANT TEMPORARY ON DATABASE {database} TO {OWNER}, {PROJECTOR};
        GRANT CREATE ON DATABASE {database} TO {OWNER}, {PROJECTOR};
        """
    )


async def refuse_superuser(connection: Any) -> None:  # noqa: ANN401 - pooled or not
    """Raise `UnsafeRoleError` where row-level security does not bind a connection."""
    role = await connection.fetchval(
        """
        SELECT rolname
        FROM pg_roles
        WHERE rolname IN (current_user, session_user)
          AND (rolsuper OR rolbypassrls)
        LIMIT 1
        """
    )
    if role is not None:
        message = (
            f'the role "{role}" bypasses row-level security; '
            f"serve as {APP}, {PROJECTOR}, {READER} or another role that cannot"
        )
        raise UnsafeRoleError(message)


async def _ensure_role(connection: Any, role: str) -> None:  # noqa: ANN401 - pooled
    found = await connection.fetchrow(
        "SELECT rolsuper OR rolbypassrls AS unsafe FROM pg_roles WHERE rolname = $1",
        role,
    )
    if found is None:
        await connection.execute(f"CREATE ROLE {role} LOGIN")
    elif found["unsafe"]:
        message = (
            f'the role "{role}" is a superuser or bypasses row-level security; '
            f"run ALTER ROLE {role} NOSUPERUSER NOBYPASSRLS"
        )
        raise UnsafeRoleError(message)


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _verifier(password: str) -> str:
    """Return what PostgreSQL stores for a password (RFC 5802, SCRAM-SHA-256)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, SCRAM_ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    first, second, third = (
        base64.b64encode(part).decode() for part in (salt, stored, server)
    )
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{first}${second}:{third}"
