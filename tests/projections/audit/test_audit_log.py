"""Who did what: every act is there, with what it changed, and tells no secret."""

from typing import Final
from uuid import UUID

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from events.access.readings import PersonalTextRead
from events.access.users import UserRegistered
from events.ids import AgentId, PlaygroundId, SubjectId, UserId
from events.message import Event
from events.people import person_id
from events.playgrounds.playgrounds import PlaygroundChanged, QuestionAdded
from events.reservations import KeyReserved
from events.testing.agents import AgentConfigured, AgentRegistered, Connection
from projections.audit import audit_log
from projections.audit.columns import LONGEST, PARTS
from projections.catalogue import AUDIT
from tests.given_rows import Given, given
from tests.postgres_ladder import Database
from tests.projections.playgrounds.story import CREATE, OWNER, told
from tests.projections.small import ListLog, feed, projector
from tests.projections.test_playground_views import read, seen_by
from tests.recorded import recorded
from tests.services.playgrounds.examples import PLAYGROUND


ADA: Final = UUID("01931d5e-0000-7000-8000-00000000ada0")
KEY: Final = UUID("01931d5e-0000-7000-8000-00000000e0e0")
REGISTERED: Final = UserRegistered(
    user_id=UserId(ADA),
    subject_id=SubjectId(ADA),
    email="ada@example.org",
    username="ada",
    full_name="Ada",
    email_key=KEY,
    username_key=KEY,
)


def named(name: str) -> PlaygroundChanged:
    created = next(
        each for each in told((CREATE, OWNER)) if hasattr(each, "support_text")
    )
    known = {
        field: getattr(created, field)
        for field in PlaygroundChanged.__struct_fields__
        if hasattr(created, field)
    }
    return PlaygroundChanged(**{**known, "name": name})


def test_a_reading_is_an_act_about_what_was_read() -> None:
    reading = PersonalTextRead(
        reading_id=KEY,
        reason="She asked",
        source="stream",
        stream_id=f"testing.trial-{ADA}",
        first=1,
        last=2,
        subject_ids=(SubjectId(ADA),),
    )
    stream, page = given(
        audit_log.PROJECTION, reading, replace(reading, stream_id=None)
    ).rows()
    assert (stream["action"], stream["resource_type"]) == ("read", "trial")
    assert stream["resource_id"] == ADA
    assert (page["action"], page["resource_type"]) == ("read", "reading")
    assert page["resource_id"] == KEY
    assert page["stated"] == {
        "reason": "She asked",
        "source": "stream",
        "stream_id": None,
        "first": 1,
        "last": 2,
        "subject_ids": [str(ADA)],
    }


def test_an_act_tells_who_did_what_to_what() -> None:
    (row,) = given(audit_log.PROJECTION, named("Another")).rows()
    assert (row["actor"], row["user_id"]) == ("user:mila", person_id("library", "mila"))
    assert row["action"] == "playgrounds.PlaygroundChanged"
    assert (row["resource_type"], row["resource_id"]) == ("playground", PLAYGROUND)
    stated = row["stated"]
    assert isinstance(stated, dict)
    assert stated["name"] == "Another"
    assert "playground_id" not in stated


def test_no_act_tells_personal_text_or_a_secret() -> None:
    connection = Connection(
        kind="http",
        secret_ref="vault/agents",  # noqa: S106 - a name of one
        settings={"api_token": "hunter2", "timeout": "5"},
    )
    rows = given(
        audit_log.PROJECTION,
        REGISTERED,
        AgentConfigured(
            agent_id=AgentId(ADA),
            version_id=KEY,
            version=1,
            connection=connection,
        ),
    ).rows()
    text = str(rows)
    for hidden in ("ada@example.org", "Ada", str(KEY) + "'", "vault/agents", "hunter2"):
        assert hidden not in text.replace(f"'version_id': '{KEY}'", "")
    assert "'timeout': '5'" in text


def test_a_long_text_is_told_in_part() -> None:
    event = AgentRegistered(
        agent_id=AgentId(ADA),
        name="A",
        description="x" * 100_000,
        tags={},
    )
    (row,) = given(audit_log.PROJECTION, event).rows()
    assert len(str(row["stated"])) < LONGEST + 200


def test_what_the_system_does_and_bookkeeping_are_no_acts() -> None:
    reserved = KeyReserved(reservation_id=KEY, scope="email", holder="user:ada")
    given(audit_log.PROJECTION, reserved).then()
    (by_system,) = recorded(named("Another"), actor="system:dispatch")
    assert Given(audit_log.PROJECTION, [by_system]).rows() == []


def test_an_act_of_a_service_is_no_users_and_an_odd_address_is_left_out() -> None:
    (act,) = recorded(named("Another"), actor="service:importer")
    for ip, shown in (
        ("192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("unix:", None),
    ):
        (row,) = Given(audit_log.PROJECTION, [replace(act, ip=ip)]).rows()
        assert row["user_id"] is None
        assert row["ip_address"] == shown


def test_parts_are_fields_of_their_facts() -> None:
    for kind, names in PARTS.items():
        assert set(names) <= set(kind.__struct_fields__)


async def stored(database: Database, *events: Event) -> Database:
    log = ListLog(*events)
    async with projector(database) as pool:
        await feed(pool, log, AUDIT, page=3)
    return database


@pytest.mark.every_postgres
async def test_an_administrator_sees_what_each_act_changed(database: Database) -> None:
    await stored(database, *told((CREATE, OWNER)), named("Second"), named("Third"))
    async with seen_by(database, "ana", "admin") as connection:
        rows = await read(
            connection,
            "SELECT old_values, new_values FROM audit_log"
            " WHERE action = 'playgrounds.PlaygroundChanged' ORDER BY position",
        )
    created = CREATE.name
    assert [(row["old_values"], row["new_values"]) for row in rows] == [
        ({"name": created}, {"name": "Second"}),
        ({"name": "Second"}, {"name": "Third"}),
    ]


async def test_parts_of_a_resource_are_compared_with_themselves(
    database: Database,
) -> None:
    await stored(database, *told((CREATE, OWNER)))
    async with seen_by(database, "ana", "admin") as connection:
        rows = await read(
            connection,
            "SELECT part, old_values FROM audit_log"
            " WHERE action IN ('playgrounds.ModelAdded', 'playgrounds.QuestionAdded')",
        )
    assert len(rows) > 2
    assert {row["old_values"] for row in rows} == {None}
    assert len({row["part"] for row in rows}) == len(rows)


async def test_people_see_their_own_acts_and_strangers_none(database: Database) -> None:
    await stored(database, named("Second"), named("Third"))
    query = "SELECT name, old_values FROM (SELECT new_values ->> 'name' AS name,"
    query += " old_values FROM audit_log ORDER BY position) AS acts"
    async with seen_by(database, "mila", "") as connection:
        rows = await read(connection, query)
        assert [(row["name"], row["old_values"]) for row in rows] == [
            ("Second", None),
            ("Third", None),
        ]
    for actor, roles, org in (
        ("ana", "playgrounds:admin", "library"),
        ("ana", "admin", "museum"),
        ("mila", "admin", "museum"),
    ):
        async with seen_by(database, actor, roles, org=org) as connection:
            assert await read(connection, query) == []


async def test_nobody_writes_the_audit_log(database: Database) -> None:
    await stored(database, named("Second"))
    async with seen_by(database, "ana", "admin") as connection:
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("DELETE FROM audit.audit_log")


async def test_a_page_of_acts_is_found_by_an_index(database: Database) -> None:
    await stored(database, named("Second"))
    async with seen_by(database, "ana", "admin") as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        line = await connection.fetchval(
            "EXPLAIN (FORMAT JSON) SELECT position, old_values"
            " FROM audit.audit_log ORDER BY position DESC LIMIT 20"
        )
    plan = line if isinstance(line, str) else msgspec.json.encode(line).decode()
    assert "Index Scan" in plan
    assert "Sort" not in plan
    assert "resource_type_resource_id" in plan


def test_the_question_and_the_playground_are_told_apart() -> None:
    events = told((CREATE, OWNER))
    (added, *_) = [each for each in events if isinstance(each, QuestionAdded)]
    (row,) = given(audit_log.PROJECTION, added).rows()
    assert row["part"] == f"question_id={added.question_id}"
    assert row["resource_id"] == PlaygroundId(PLAYGROUND)
