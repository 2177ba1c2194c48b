"""The playgrounds tables in PostgreSQL: the seed's views, and who sees which row."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec
import pytest

from events.access.users import RoleRevoked, UserProfileChanged
from events.ids import SubjectId
from events.message import ERASED, Event
from events.playgrounds.playgrounds import PlaygroundArchived
from projections.catalogue import PLAYGROUNDS
from tests.postgres_ladder import Database
from tests.projections.playgrounds.story import (
    CREATE,
    LISTED,
    OWNER,
    TESS_ERASED,
    TESS_ID,
    TOM_ID,
    accounts,
    evaluated,
    told,
    whole,
)
from tests.projections.small import ListLog, feed, projector
from tests.services.playgrounds.examples import (
    BETTER,
    PLAYGROUND,
    STARS,
    WHICH,
    WHY,
    session,
)


pytestmark = pytest.mark.furnished


Rows = list[dict[str, Any]]
ARCHIVED = PlaygroundArchived(playground_id=PLAYGROUND)


async def stored(database: Database, events: Sequence[Event]) -> Database:
    async with projector(database) as pool:
        await feed(pool, ListLog(*events), PLAYGROUNDS, page=100)
    return database


@asynccontextmanager
async def seen_by(
    database: Database,
    actor: str,
    roles: str = "tester",
    *,
    org: str = "library",
    email: str = "",
) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        database.app, server_settings={"search_path": "playgrounds"}
    )
    try:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=str, decoder=msgspec.json.decode
        )
        async with connection.transaction():
            await connection.execute(
                """
                SELECT
                    set_config('rehearsal.org_id', $1, true),
                    set_config('rehearsal.actor', $2, true),
                    set_config('rehearsal.roles', $3, true),
                    set_config('rehearsal.email', $4, true)
                """,
                org,
                f"user:{actor}",
                roles,
                email,
            )
            yield connection
    finally:
        await connection.close()


async def read(connection: asyncpg.Connection, query: str) -> Rows:
    return [dict(row) for row in await connection.fetch(query)]


async def counts(connection: asyncpg.Connection) -> dict[str, int]:
    return {
        projection.table.name: await connection.fetchval(
            f"SELECT count(*) FROM {projection.table.name}"  # noqa: S608 - declared
        )
        for projection in PLAYGROUNDS.projections
    }


@pytest.mark.every_postgres
async def test_the_metrics_of_a_playground_count_sessions_and_answers_apart(
    database: Database,
) -> None:
    await stored(database, evaluated())
    async with seen_by(database, "mila") as owner:
        (row,) = await read(owner, "SELECT * FROM playground_metrics")
    assert (row["id"], row["name"], row["type"]) == (
        PLAYGROUND,
        "Greetings",
        "ab_testing",
    )
    assert (row["total_testers"], row["total_evaluations"]) == (1, 2)
    assert (row["total_answers"], row["total_started"]) == (7, 5)
    assert (row["total_shown"], row["total_lapsed"], row["total_dropped"]) == (2, 1, 2)
    assert float(row["completion_percentage"]) == 80.0
    assert float(row["average_rating"]) == 3.5
    assert [(m["model_key"], m["evaluations"]) for m in row["models"]] == [
        ("model_a", 1),
        ("model_b", 1),
    ]


async def test_the_metrics_of_a_question_show_zeros_and_add_up_to_a_hundred(
    database: Database,
) -> None:
    await stored(database, evaluated())
    async with seen_by(database, "mila") as owner:
        rows = await read(
            owner,
            "SELECT * FROM question_metrics ORDER BY id, model_key, answer_value",
        )
        unanswered = await read(
            owner, "SELECT 1 FROM question_metrics WHERE percentage IS NULL"
        )
    tone = [row for row in rows if row["id"] == WHICH]
    assert sorted(
        (row["answer_value"], row["response_count"], float(row["percentage"]))
        for row in tone
    ) == [("cold", 0, 0.0), ("cold", 1, 100.0), ("warm", 0, 0.0), ("warm", 1, 100.0)]
    better = [row for row in rows if row["id"] == BETTER]
    assert len(better) == 2 * 4
    assert sum(row["response_count"] for row in better) == 1
    assert len(unanswered) == 4
    assert {row["id"] for row in rows} == {WHICH, BETTER}


async def test_an_answer_that_is_not_offered_any_more_still_counts(
    database: Database,
) -> None:
    await stored(database, whole())
    async with seen_by(database, "mila") as owner:
        rows = await read(
            owner,
            "SELECT answer_value, is_offered, sum(response_count) AS responses"
            " FROM question_metrics WHERE question_text = 'Tone?'"
            " GROUP BY 1, 2 ORDER BY 1",
        )
    assert [tuple(row.values()) for row in rows] == [
        ("cold", False, 1),
        ("flat", True, 0),
        ("warm", True, 1),
    ]


async def test_open_responses_read_as_erased_after_an_erasure(
    database: Database,
) -> None:
    await stored(database, [*evaluated(), TESS_ERASED])
    async with seen_by(database, "mila") as owner:
        rows = await read(
            owner,
            "SELECT playground_name, question_id, question_text, answer_text, counted"
            " FROM open_responses ORDER BY created_at",
        )
    assert [row["answer_text"] for row in rows] == [ERASED, ERASED, "No."]
    assert [row["counted"] for row in rows] == [True, True, False]
    assert rows[0]["question_id"] == WHY
    assert (rows[0]["playground_name"], rows[0]["question_text"]) == (
        "Greetings",
        "Why?",
    )


async def test_the_seed_s_sketches_run_as_written(database: Database) -> None:
    await stored(database, evaluated())
    async with seen_by(database, "mila") as owner:
        (row,) = await read(
            owner,
            """
            SELECT
              p.id, p.name, p.type,
              COUNT(DISTINCT e.user_id) as total_testers,
              COUNT(e.id) as total_evaluations
            FROM playgrounds p
            LEFT JOIN evaluations e ON p.id = e.playground_id
            GROUP BY 1, 2, 3
            """,
        )
        stars = await read(
            owner,
            f"SELECT rating FROM evaluations WHERE question_id = '{STARS}'",  # noqa: S608 - a constant
        )
    assert (row["total_testers"], row["total_evaluations"]) == (2, 13)
    assert sorted(each["rating"] for each in stars) == [1, 1, 2, 5]


async def test_every_column_of_the_seed_s_tables_is_filled_somewhere(
    database: Database,
) -> None:
    await stored(database, whole())
    async with seen_by(database, "mila", "playgrounds:admin") as owner:
        for projection in PLAYGROUNDS.projections:
            table = projection.table
            for column in (*table.columns, *table.view_columns):
                if column.name in {"external_id", "rating"}:
                    continue
                query = f"SELECT count({column.name}) FROM {table.name}"  # noqa: S608 - declared
                assert await owner.fetchval(query), f"{table.name}.{column.name}"


async def test_another_organisation_or_area_sees_nothing(database: Database) -> None:
    await stored(database, [*evaluated(), *told((CREATE, OWNER), (LISTED, OWNER))[9:]])
    for actor, roles, org in (
        ("mila", "admin", "museum"),
        ("mila", "crews:admin", "library"),
        ("mila", "", "library"),
    ):
        async with seen_by(database, actor, roles, org=org) as nobody:
            assert set((await counts(nobody)).values()) == {0}


@pytest.mark.parametrize(
    ("actor", "roles"), [("mila", "playgrounds:user"), ("bo", "playgrounds:admin")]
)
async def test_its_owner_and_admins_see_everything(
    database: Database, actor: str, roles: str
) -> None:
    await stored(database, whole())
    async with seen_by(database, actor, roles) as owner:
        assert min((await counts(owner)).values()) > 0
        (row,) = await read(owner, "SELECT seed, restricted_emails FROM playgrounds")
        names = await read(
            owner, "SELECT model_name, embed_code FROM model_configurations"
        )
    assert row == {
        "seed": 7,
        "restricted_emails": ["tess@example.org", "old@example.org"],
    }
    assert all(name["model_name"] and name["embed_code"] for name in names)


async def test_a_tester_sees_the_open_playground_and_own_answers_only(
    database: Database,
) -> None:
    await stored(database, evaluated())
    async with seen_by(database, "tess") as tess:
        seen = await counts(tess)
        own = await read(tess, "SELECT DISTINCT tester FROM evaluations")
        names = await read(
            tess, "SELECT model_name, agent_id, embed_code FROM model_configurations"
        )
        (row,) = await read(tess, "SELECT seed, restricted_emails FROM playgrounds")
    assert seen == {
        "access_list": 0,
        "playgrounds": 1,
        "model_configurations": 2,
        "evaluation_counters": 2,
        "questions": 4,
        "evaluation_sessions": 2,
        "evaluations": 7,
        "playground_metrics": 0,
        "question_metrics": 0,
        "open_responses": 0,
        "users": 0,
    }
    assert [each["tester"] for each in own] == ["tess"]
    assert {value for name in names for value in name.values()} == {None}
    assert row == {"seed": None, "restricted_emails": None}


async def test_names_are_shown_to_testers_once_the_playground_is_closed(
    database: Database,
) -> None:
    await stored(database, [*evaluated(), ARCHIVED])
    query = "SELECT model_name, agent_id FROM model_configurations ORDER BY 1"
    async with seen_by(database, "tess") as tess:
        rows = await read(tess, query)
    assert [tuple(row.values()) for row in rows] == [
        ("The model_a one", None),
        ("The model_b one", None),
    ]
    async with seen_by(database, "stranger") as stranger:
        assert await read(stranger, query) == []


@pytest.mark.parametrize(
    ("email", "seen"),
    [("tess@example.org", 1), ("tom@example.org", 0), ("", 0), (ERASED, 0)],
)
async def test_a_restricted_playground_is_seen_by_those_who_are_listed(
    database: Database, email: str, seen: int
) -> None:
    await stored(database, told((CREATE, OWNER), (LISTED, OWNER)))
    async with seen_by(database, "someone", email=email) as tester:
        found = await counts(tester)
        own = await read(tester, "SELECT email FROM access_list")
    assert found["playgrounds"] == seen
    assert bool(found["questions"]) == bool(seen)
    assert [row["email"] for row in own] == [email] * seen


async def test_an_other_user_s_playground_is_one_that_a_user_may_evaluate(
    database: Database,
) -> None:
    await stored(database, evaluated())
    async with seen_by(database, "bo", "user") as other:
        seen = await counts(other)
    assert (seen["playgrounds"], seen["evaluations"], seen["playground_metrics"]) == (
        1,
        0,
        0,
    )


async def test_a_reader_s_own_session_is_named(database: Database) -> None:
    await stored(database, evaluated())
    async with seen_by(database, "tom") as tom:
        rows = await read(tom, "SELECT id, status FROM evaluation_sessions ORDER BY id")
    assert [(row["id"], row["status"]) for row in rows] == [
        (session(3), "excluded"),
        (session(4), "withdrawn"),
    ]


USERS = "SELECT id, email, full_name, role, password_hash FROM users ORDER BY role"


async def test_owners_see_who_evaluated_and_administrators_see_all_of_them(
    database: Database,
) -> None:
    await stored(database, [*accounts(), *evaluated()])
    tom = {"id": TOM_ID, "full_name": "Tom", "role": "admin"}
    tess = {"id": TESS_ID, "full_name": "Tess", "role": "tester"}
    hidden = {"email": None, "password_hash": None}
    async with seen_by(database, "mila", "playgrounds:user") as owner:
        assert await read(owner, USERS) == [tom | hidden, tess | hidden]
    async with seen_by(database, "bo", "playgrounds:admin") as admin:
        assert await read(admin, USERS) == [
            tom | {"email": "tom@example.org", "password_hash": "bcrypt"},
            tess | {"email": "tess@example.org", "password_hash": "bcrypt"},
        ]


async def test_a_tester_sees_themselves_and_who_has_a_public_profile(
    database: Database,
) -> None:
    shown = UserProfileChanged(
        user_id=TOM_ID,
        subject_id=SubjectId(TOM_ID),
        full_name="Tom",
        bio=None,
        avatar_url=None,
        profile_public=True,
        allow_contact=True,
    )
    async with seen_by(
        await stored(database, accounts()), str(TESS_ID), "playgrounds:tester"
    ) as tess:
        (row,) = await read(tess, USERS)
        assert (row["email"], row["password_hash"]) == ("tess@example.org", "bcrypt")
    await stored(database, [*accounts(), shown])
    async with seen_by(database, str(TESS_ID), "playgrounds:tester") as tess:
        first, _ = await read(tess, USERS)
    assert (first["email"], first["password_hash"]) == ("tom@example.org", None)


async def test_who_holds_no_role_in_playgrounds_any_more_is_not_shown(
    database: Database,
) -> None:
    left = RoleRevoked(user_id=TESS_ID, area="playgrounds", role="tester")
    await stored(database, [*accounts(), left])
    async with seen_by(database, "bo", "playgrounds:admin") as admin:
        assert [row["id"] for row in await read(admin, USERS)] == [TOM_ID]
