"""Dead letters of both kinds: listed with their reason, shown, retried, dropped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from events.errors import Malformed, Unauthenticated
from infra.embedded.stack import Addresses, running_stack
from infra.postgres.letters import PostgresLetters
from infra.postgres.pool import open_pool
from services.identity import Identity
from services.intake.message import Message
from tests.builders import new_id
from tests.infra.commands.commands import create, names
from tests.infra.commands.process import Answer, Up, rehearsal


async def letters(up: Up, *words: object) -> Answer:
    return await rehearsal(
        "letters", *map(str, words), "--data-dir", up.data_dir, "--json"
    )


def addresses(up: Up) -> Addresses:
    found = running_stack(Path(up.data_dir))
    assert found is not None
    return found


@asynccontextmanager
async def kept(up: Up) -> AsyncIterator[PostgresLetters]:
    pool = await open_pool(
        addresses(up).app, min_size=1, max_size=1, application_name="tests"
    )
    async with pool:
        yield PostgresLetters(pool)


def message(body: bytes, **given: Any) -> Message:  # noqa: ANN401 - of any field
    fields = {"message_id": str(new_id()), "routing_key": "testing.CreatePersona"}
    return Message(body=body, **{**fields, **given})


def identity(org: str) -> Identity:
    return Identity(
        org_id=org, region="local", actor="user:ada", roles=frozenset({"admin"})
    )


async def failed_job(up: Up, org: str) -> str:
    """Return the id of a job whose attempts are used up."""
    job_id = new_id()
    connection = await asyncpg.connect(addresses(up).superuser)
    try:
        await connection.execute(
            """
            INSERT INTO es.work (
                id, effect_key, kind, key, org_id, region, position, event_id,
                correlation_id, body, state, due_at, attempt, max_attempts, last_error,
                ended_at, reported_at
            )
            VALUES (
                $1, $2, 'knit', 'sock', $3, 'local', 1, $1, $1, '{"size": 42}',
                'failed', now(), 5, 5, 'ValueError: no wool', now(), now()
            )
            """,
            job_id,
            str(job_id),
            org,
        )
    finally:
        await connection.close()
    return str(job_id)


async def test_a_letter_is_listed_shown_and_retried_once_it_can_be_read(
    up: Up,
) -> None:
    org = "fixed"
    async with kept(up) as found:
        bad = message(create("Ada"), headers={"authorization": "Bearer secret"})
        letter_id = await found.keep(
            bad, identity(org), Malformed("No such type.", path="$.type")
        )

    listed = await letters(up, "list", "--org", org)
    (entry,) = listed.json["letters"]
    assert entry["letter_id"] == str(letter_id)
    assert (entry["kind"], entry["code"]) == ("command", "malformed")
    assert (entry["detail"], entry["path"]) == ("No such type.", "$.type")

    shown = await letters(up, "show", letter_id)
    assert shown.json["body"].encode() == bad.body
    assert shown.json["properties"]["message_id"] == bad.message_id
    assert b"secret" not in shown.out

    first = await letters(up, "retry", letter_id)
    again = await letters(up, "retry", letter_id)
    assert first.code == again.code == 0
    assert first.json["outcome"]["command_id"] == bad.message_id
    assert (first.json["state"], again.json["state"]) == ("done", "done")
    assert await names(up.data_dir, org=org) == ["Ada"]
    assert (await letters(up, "list", "--org", org)).json == {"letters": []}


async def test_a_letter_that_fails_again_tells_why_and_takes_another_body(
    up: Up, tmp_path: Path
) -> None:
    org = "spelt"
    async with kept(up) as found:
        letter_id = await found.keep(message(b"{"), identity(org), Malformed())

    failed = await letters(up, "retry", letter_id)
    assert failed.code == 1
    assert (failed.json["state"], failed.json["code"]) == ("dead", "Malformed")
    (entry,) = (await letters(up, "list", "--org", org)).json["letters"]
    assert entry["times"] == 2

    body = tmp_path / "body"
    body.write_bytes(create("Bea"))
    assert (await letters(up, "retry", letter_id, "--body", body)).code == 0
    assert await names(up.data_dir, org=org) == ["Bea"]


async def test_a_letter_of_nobody_is_retried_in_a_named_organisation(up: Up) -> None:
    org = "nobody"
    async with kept(up) as found:
        letter_id = await found.keep(message(create("Cy")), None, Unauthenticated())

    refused = await letters(up, "retry", letter_id)
    assert (refused.code, refused.json["path"]) == (1, "org")
    assert (await letters(up, "retry", letter_id, "--org", org)).code == 0
    assert await names(up.data_dir, org=org) == ["Cy"]


async def test_a_failed_job_is_listed_shown_retried_and_dropped(up: Up) -> None:
    org = "knitters"
    job_id = await failed_job(up, org)

    (entry,) = (await letters(up, "list", "--org", org)).json["letters"]
    assert (entry["letter_id"], entry["kind"]) == (job_id, "work")
    assert (entry["type"], entry["detail"]) == ("knit", "ValueError: no wool")
    shown = await letters(up, "show", job_id)
    assert shown.json["body"] == {"size": 42}

    assert (await letters(up, "retry", job_id)).json["state"] == "opened"
    assert (await letters(up, "retry", job_id)).code == 1

    dropped = await failed_job(up, org)
    assert (await letters(up, "drop", dropped)).json["kind"] == "work"
    assert (await letters(up, "list", "--org", org)).json == {"letters": []}


async def test_a_dropped_letter_is_not_retried(up: Up) -> None:
    async with kept(up) as found:
        letter_id = await found.keep(message(b"x"), identity("drop"), Malformed())
    assert (await letters(up, "drop", letter_id)).json["state"] == "dropped"
    assert (await letters(up, "retry", letter_id)).code == 1
    assert (await letters(up, "drop", letter_id)).code == 1


@pytest.mark.parametrize("command", ["show", "retry", "drop"])
async def test_what_is_no_letter_is_missing(up: Up, command: str) -> None:
    found = await letters(up, command, new_id())
    assert found.code == 1
    assert msgspec.json.decode(found.out)["problem"] == "Missing"
