"""Statistics and exports of a playground that testers went through, over the stack."""

import csv
from io import StringIO
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace

from events.message import Command, Meta
from infra.clock import new_id
from services.playgrounds.evaluations import ExcludeEvaluation, ShowModel
from services.playgrounds.statistics.results import Statistics
from tests.end_to_end.stack import ORG, OTHER_ORG, REGION, Stack
from tests.projections.playgrounds.story import CREATE, OWNER, answers
from tests.services.playgrounds.examples import (
    BETTER,
    PLAYGROUND,
    STARS,
    WHICH,
    WHY,
    a_slot,
    as_tester,
    session,
)


STATISTICS: Final = f"/v1/playgrounds/{PLAYGROUND}/statistics"
EXPORTS: Final = f"/v1/playgrounds/{PLAYGROUND}/exports"
TESS, TOM = as_tester("tess"), as_tester("tom")


async def ask(stack: Stack, *asked: tuple[Command, Meta]) -> int:
    position = 0
    for command, meta in asked:
        own = replace(meta, command_id=new_id(), org_id=ORG, region=REGION)
        position = (await stack.api.handler.handle(command, own)).position
    return position


@pytest.fixture(scope="module")
async def position(stack: Stack) -> int:
    """The position after two testers saw both models; one of four is excluded."""
    return await ask(
        stack,
        (CREATE, OWNER),
        (a_slot(1), TESS),
        (ShowModel(session_id=session(1)), TESS),
        (answers(1, "warm", 5, text="=HYPERLINK(1)"), TESS),
        (a_slot(2), TESS),
        (ShowModel(session_id=session(2)), TESS),
        (answers(2, "cold", 2, text="It hung up.", better="first"), TESS),
        (a_slot(3), TOM),
        (answers(3, "warm", 4), TOM),
        (a_slot(4), TOM),
        (answers(4, "warm", 1, text="No.", better="tie"), TOM),
        (ExcludeEvaluation(session_id=session(4), reason="A robot"), OWNER),
    )


async def get(
    stack: Stack, path: str, *, subject: str = "user:mila", org: str = ORG
) -> tuple[int, dict[str, str], bytes]:
    roles = ("admin",) if subject == "user:ada" else ("user",)
    token = stack.token(subject=subject, org=org, roles=roles)
    async with (
        aiohttp.ClientSession() as http,
        http.get(
            stack.url + path, headers={"Authorization": f"Bearer {token}"}
        ) as response,
    ):
        return response.status, dict(response.headers), await response.read()


async def test_the_owner_learns_what_the_evaluations_say(
    stack: Stack, position: int
) -> None:
    status, headers, body = await get(stack, f"{STATISTICS}?min_position={position}")
    assert status == 200, body
    found = msgspec.json.decode(body, type=Statistics)
    assert found.position >= position
    assert headers["Rehearsal-Position"] == str(found.position)
    assert sum(found.exposure.sessions.values()) == 4
    (gone,) = found.exposure.left_out
    assert (gone.session_id, gone.reason) == (str(session(4)), "A robot")
    stars = [each for each in found.ratings if each.question_id == str(STARS)]
    assert sum(each.n for each in stars) == 3
    which = [each for each in found.choices if each.question_id == str(WHICH)]
    assert sum(each.n for each in which) == 3
    stated = [each for each in found.preferences if each.source == f"pairwise:{BETTER}"]
    assert [each.n for each in stated] == [1]
    assert found.looks == "interim"


async def rows(stack: Stack, shape: str) -> list[dict[str, Any]]:
    status, headers, body = await get(stack, f"{EXPORTS}/{shape}")
    assert status == 200, body
    found = list(csv.DictReader(StringIO(body.decode(), newline="")))
    assert {row["position"] for row in found} == {headers["Rehearsal-Position"]}
    return found


async def test_every_shape_is_exported(stack: Stack, position: int) -> None:
    await get(stack, f"{STATISTICS}?min_position={position}")
    long = await rows(stack, "long")
    texts = [row["answer_text"] for row in long if row["question_id"] == str(WHY)]
    assert sorted(texts) == ["'=HYPERLINK(1)", "It hung up."]
    wide = await rows(stack, "wide")
    assert [row["status"] for row in wide].count("excluded") == 1
    assert sorted(row[str(STARS)] for row in wide) == ["1", "2", "4", "5"]
    battles = await rows(stack, "battles")
    assert {(row["source"], row["winner"]) for row in battles} == {
        ("pairwise", "model_a"),
        ("rating", "model_a"),
    }
    chosen = await rows(stack, "preferences")
    assert [row["chosen_seen_first"] for row in chosen] == ["true", "true"]
    asked = await rows(stack, "codebook")
    assert {str(WHICH), str(WHY), str(STARS), str(BETTER)} <= {
        row["question_id"] for row in asked
    }


async def test_nobody_else_learns_anything(stack: Stack, position: int) -> None:
    await get(stack, f"{STATISTICS}?min_position={position}")
    for path in (STATISTICS, f"{EXPORTS}/long", f"{EXPORTS}/codebook"):
        assert (await get(stack, path, subject="user:tess"))[0] == 404
        assert (await get(stack, path, subject="user:eve"))[0] == 404
        assert (await get(stack, path, subject="user:ada"))[0] == 200
        assert (await get(stack, path, subject="user:ada", org=OTHER_ORG))[0] == 404
