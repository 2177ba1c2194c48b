"""Who did what: every act is there once, with what it changed, and tells no secret."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from events.access.readings import PersonalTextRead
from events.access.users import RoleGranted, RoleRevoked, UserRegistered
from events.catalogue import EVENTS
from events.ids import AgentId, PlaygroundId, SubjectId, UserId
from events.message import Event, Recorded
from events.people import person_id
from events.playgrounds.playgrounds import (
    ModelRemoved,
    PlaygroundChanged,
    QuestionAdded,
)
from events.reservations import KeyReserved
from events.testing.agents import AgentConfigured, AgentRegistered, Connection
from events.testing.personas import PersonaDeleted
from projections.audit import audit_log, facts
from projections.audit.columns import BOOKKEEPING, ENDS, LONGEST, PARTS, STATES
from projections.catalogue import AUDIT
from tests.given_rows import Given, MemoryRows, Row, given, project
from tests.postgres_ladder import Database
from tests.projections.playgrounds.story import CREATE, OWNER, told
from tests.projections.small import ListLog, created, feed, person, projector
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
GRANTED: Final = RoleGranted(user_id=UserId(ADA), area="testing", role="admin")
REVOKED: Final = RoleRevoked(user_id=UserId(ADA), area="testing", role="admin")


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


def act(*events: Event, after: int = 0, actor: str = "user:mila") -> Any:  # noqa: ANN401 - of any events
    """Return facts as one command makes them: with one id, at one moment."""
    first, *more = recorded(*events, after=after, actor=actor)
    return [
        first,
        *(
            replace(each, command_id=first.command_id, recorded_at=first.recorded_at)
            for each in more
        ),
    ]


def acts(*given_acts: Sequence[Event]) -> list[Recorded[Event]]:
    """Return the facts of acts, one after the other, in versions of their streams."""
    found: list[Recorded[Event]] = []
    for each in given_acts:
        found += act(*each, after=len(found))
    versions: Counter[str] = Counter()
    for place, fact in enumerate(found):
        versions[fact.stream_id] += 1
        found[place] = replace(fact, version=versions[fact.stream_id])
    return found


def stated(*events: Event) -> list[Row]:
    return given(facts.PROJECTION, *events).rows()


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
    both = (reading, replace(reading, stream_id=None))
    stream, page = sorted(
        given(audit_log.PROJECTION, *both).rows(), key=lambda row: str(row["position"])
    )
    assert (stream["action"], stream["resource_type"]) == ("read", "trial")
    assert stream["resource_id"] == ADA
    assert (page["action"], page["resource_type"]) == ("read", "reading")
    assert page["resource_id"] == KEY
    assert stated(*both)[1]["stated"] == {
        "reason": "She asked",
        "source": "stream",
        "stream_id": None,
        "first": 1,
        "last": 2,
        "subject_ids": [str(ADA)],
        "table": None,
    }


def test_an_act_tells_who_did_what_to_what() -> None:
    (row,) = given(audit_log.PROJECTION, named("Another")).rows()
    assert (row["actor"], row["user_id"]) == ("user:mila", person_id("library", "mila"))
    assert row["action"] == "playgrounds.PlaygroundChanged"
    assert (row["resource_type"], row["resource_id"]) == ("playground", PLAYGROUND)
    (fact,) = stated(named("Another"))
    assert isinstance(fact["stated"], dict)
    assert fact["stated"]["name"] == "Another"
    assert "playground_id" not in fact["stated"]


def test_a_command_is_one_act_wherever_the_log_is_cut() -> None:
    reserved = KeyReserved(reservation_id=KEY, scope="email", holder="user:ada")
    batch = act(*told((CREATE, OWNER)), reserved)
    (whole,) = Given(audit_log.PROJECTION, batch).rows()
    assert (whole["position"], whole["action"]) == (1, "playgrounds.PlaygroundCreated")
    for cut in range(1, len(batch)):
        rows = MemoryRows(audit_log.TABLE)
        project(audit_log.PROJECTION, batch[:cut], rows)
        project(audit_log.PROJECTION, batch[cut:], rows)
        assert list(rows.rows.values()) == [whole]


def test_a_command_id_that_is_used_again_much_later_is_another_act() -> None:
    first, second = recorded(named("Second"), named("Third"))
    again = replace(second, command_id=first.command_id)
    assert len(Given(audit_log.PROJECTION, [first, again]).rows()) == 2


def test_no_act_tells_personal_text_or_a_secret() -> None:
    connection = Connection(
        kind="http",
        secret_ref="vault/agents",  # noqa: S106 - a name of one
        settings={"api_token": "hunter2", "timeout": "5"},
    )
    rows = stated(
        REGISTERED,
        AgentConfigured(
            agent_id=AgentId(ADA),
            version_id=KEY,
            version=1,
            connection=connection,
        ),
    )
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
    (row,) = stated(event)
    assert len(str(row["stated"])) < LONGEST + 200


def test_what_the_system_does_and_bookkeeping_are_no_acts() -> None:
    reserved = KeyReserved(reservation_id=KEY, scope="email", holder="user:ada")
    assert stated(reserved) == []
    (by_system,) = recorded(named("Another"), actor="system:dispatch")
    for projection in (audit_log.PROJECTION, facts.PROJECTION):
        assert Given(projection, [by_system]).rows() == []


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


def test_every_fact_says_something_even_if_it_has_no_fields() -> None:
    for kind in EVENTS.values():
        fields = set(kind.__struct_fields__)
        assert not fields & STATES.get(kind, {}).keys()
        own = fields - set(PARTS.get(kind, ()))
        silent = all(name.endswith("_id") for name in own)
        assert not silent or kind in {*STATES, *ENDS, *BOOKKEEPING}, kind


async def stored(database: Database, *events: Event) -> Database:
    return await kept(database, recorded(*events))


async def kept(
    database: Database, happened: Sequence[Recorded[Event]], *, page: int = 3
) -> Database:
    log = ListLog()
    log.events.extend(happened)
    async with projector(database) as pool:
        await feed(pool, log, AUDIT, page=page)
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


async def shown(database: Database) -> list[dict[str, Any]]:
    async with seen_by(database, "ana", "admin") as connection:
        return await read(
            connection,
            "SELECT action, old_values, new_values, facts"
            " FROM audit_log ORDER BY position",
        )


@pytest.mark.every_postgres
@pytest.mark.parametrize("page", [1, 4, 100])
async def test_an_act_is_told_once_over_all_its_streams_and_parts(
    database: Database, page: int
) -> None:
    events = told((CREATE, OWNER))
    await kept(database, acts(events, [named("Second")]), page=page)
    made, renamed = await shown(database)
    assert [each["position"] for each in made["facts"]] == [
        place for place, each in enumerate(events, start=1)
    ]
    assert made["old_values"] is None
    assert made["new_values"]["name"] == CREATE.name
    questions = [each for each in events if isinstance(each, QuestionAdded)]
    for question in questions:
        part = made["new_values"][f"question_id={question.question_id}"]
        assert part["text"] == question.text
    assert any(name.startswith("allocation ") for name in made["new_values"])
    assert renamed["old_values"] == {"name": CREATE.name}
    assert renamed["new_values"] == {"name": "Second"}


async def test_before_and_after_are_those_of_the_whole_act(database: Database) -> None:
    await kept(
        database,
        acts(
            told((CREATE, OWNER)),
            [named("Second"), named("Third")],
            [named("Fourth"), named("Third")],
        ),
    )
    _, changed, unchanged = await shown(database)
    assert changed["old_values"] == {"name": CREATE.name}
    assert changed["new_values"] == {"name": "Third"}
    assert (unchanged["old_values"], unchanged["new_values"]) == (None, None)
    assert len(unchanged["facts"]) == 2


async def test_what_is_taken_away_is_told_as_it_was(database: Database) -> None:
    events = told((CREATE, OWNER))
    first = next(each for each in events if hasattr(each, "model_key"))
    removed = ModelRemoved(playground_id=PLAYGROUND, model_key=first.model_key)
    made, gone = created(1, "Ida"), PersonaDeleted(persona_id=person(1))
    await kept(
        database,
        acts(events, [removed], [made], [gone], [GRANTED], [REVOKED], [GRANTED]),
    )
    _, model, _, persona, granted, revoked, again = await shown(database)
    assert model["new_values"] is None
    ((name, was),) = model["old_values"].items()
    assert name == f"model_key={first.model_key}"
    assert was["model_name"]
    assert persona["new_values"] is None
    assert persona["old_values"]["name"] == "Ida"
    role = {"area=testing role=admin": {"granted": True}}
    assert (granted["old_values"], granted["new_values"]) == (None, role)
    assert (revoked["old_values"], revoked["new_values"]) == (role, None)
    assert (again["old_values"], again["new_values"]) == (None, role)


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
    told = line if isinstance(line, str) else msgspec.json.encode(line).decode()
    (whole,) = msgspec.json.decode(told)
    page = whole["Plan"]
    assert page["Node Type"] == "Limit"
    (rows,) = [each for each in page["Plans"] if each["Parent Relationship"] == "Outer"]
    assert rows["Node Type"] == "Index Scan"
    assert "resource_type_resource_id" in told
    assert "command_id_position" in told
    assert "Seq Scan" not in told


def test_the_question_and_the_playground_are_told_apart() -> None:
    events = told((CREATE, OWNER))
    (added, *_) = [each for each in events if isinstance(each, QuestionAdded)]
    (row,) = stated(added)
    assert row["part"] == f"question_id={added.question_id}"
    assert row["resource_id"] == PlaygroundId(PLAYGROUND)
