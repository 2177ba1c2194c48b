"""A run's progress, followed while it is held, and taken up again at every message."""

import asyncio
from typing import Any

import msgspec
import pytest

from events.errors import Missing
from events.ids import SetRunId
from infra.carrying import carrying
from infra.working import working
from services.testing.agents import AssignVersionSet, ConfigureAgent, Connection
from services.testing.progress import RunProgress
from services.testing.set_runs import RetryErroredTrials, StartSetRun
from tests.builders import new_id
from tests.end_to_end.stack import OTHER_ORG, Stack
from tests.services.work.library import AGENT, SET, library


async def held(stack: Stack, run_id: SetRunId) -> list[RunProgress]:
    """Hold a run of six trials, and return what a client saw of it."""
    async with stack.client() as client, carrying(stack.settings) as carrier:
        for command in library():
            await client.send(command)
        start = StartSetRun(run_id=run_id, set_id=SET, origin="live", trials=2, seed=7)
        outcome = await client.send(start)
        seen = client.progress(run_id, min_position=outcome.position)
        first = await anext(seen)
        async with working(
            stack.urls,
            stack.project,
            carrier=carrier,
            data_dir=stack.settings.data_dir,
        ):
            return [first, *[progress async for progress in seen]]


async def asked(
    stack: Stack, run_id: SetRunId, after: int | None
) -> tuple[int, list[dict[str, Any]]]:
    """Return the status and every message of a feed, to its end."""
    last = {} if after is None else {"Last_Event_ID": str(after)}
    path = f"/v1/testing/simulation_unit_test_set_runs/{run_id}/progress"
    async with asyncio.timeout(30):
        status, body = await stack.request(
            "GET", path, None, Accept="text/event-stream", **last
        )
    lines = [line for line in body.split(b"\n") if line.startswith(b"data: ")]
    return status, [msgspec.json.decode(line[6:]) for line in lines]


async def test_it_is_followed_to_its_end_and_has_no_gaps(stack: Stack) -> None:
    run_id = SetRunId(new_id())
    seen = await held(stack, run_id)
    assert (seen[0].status, seen[0].trials) == ("pinning", None)
    assert (seen[-1].status, seen[-1].done, seen[-1].running) == ("completed", 6, 0)
    assert max(progress.running for progress in seen) > 0
    await stack.caught_up()
    status, whole = await asked(stack, run_id, seen[0].position - 1)
    assert status == 200
    assert whole == msgspec.to_builtins(seen)
    for place, message in enumerate(whole[:-1]):
        assert await asked(stack, run_id, message["position"]) == (
            200,
            whole[place + 1 :],
        )
    assert await asked(stack, run_id, None) == (200, whole[-1:])
    assert await asked(stack, run_id, whole[-1]["position"]) == (204, [])


async def test_only_who_may_see_the_run_may_see_its_progress(stack: Stack) -> None:
    run_id = SetRunId(new_id())
    await held(stack, run_id)
    async with stack.client(org=OTHER_ORG) as stranger:
        with pytest.raises(Missing):
            await anext(stranger.progress(run_id))
    async with stack.client() as client:
        with pytest.raises(Missing):
            await anext(client.progress(new_id()))
    path = f"/v1/testing/simulation_unit_test_set_runs/{run_id}/progress"
    status, body = await stack.request("GET", path)
    assert (status, msgspec.json.decode(body)["done"]) == (200, 6)
    for wrong in ("x", "-1", "9" * 30):
        status, _ = await stack.request(
            "GET", path, Accept="text/event-stream", Last_Event_ID=wrong
        )
        assert status == 400
    assert (await stack.request("GET", f"{path}?min_position=1e3"))[0] == 400


async def test_a_run_whose_trials_are_held_again_is_followed_again(
    stack: Stack,
) -> None:
    missing = Connection(kind="rules", settings={"policy_sha256": "0" * 64})
    async with stack.client() as client:
        await client.send(ConfigureAgent(agent_id=AGENT, connection=missing))
        await client.send(AssignVersionSet(agent_id=AGENT, name="release", version=2))
        run_id = SetRunId(new_id())
        first = (await held(stack, run_id))[-1]
        assert (first.status, first.errored) == ("completed", 6)
        outcome = await client.send(RetryErroredTrials(run_id=run_id))
        seen = client.progress(run_id, min_position=outcome.position)
        again = await anext(seen)
        assert (again.status, again.errored, again.done) == ("running", 0, 0)
        async with (
            carrying(stack.settings) as carrier,
            working(
                stack.urls,
                stack.project,
                carrier=carrier,
                data_dir=stack.settings.data_dir,
            ),
        ):
            rest = [progress async for progress in seen]
    _, found = await asked(stack, run_id, first.position)
    assert found == msgspec.to_builtins([again, *rest])
    assert found[-1]["errored"] == 6
