"""An import is checked as a whole, happens once, and says what it did."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.conversation import MessageAdded, ToolCalled, ToolReturned
from events.errors import Failure, Forbidden, Malformed, Missing
from events.message import Meta
from events.testing.set_runs import ArtifactGenerated, SetRunCompleted, TrialCounted
from infra.clock import now
from infra.memory.event_log import MemoryBlobs, MemoryEventLog
from infra.operations import importing
from infra.operations.importing import NotImported, Summary, import_tau_bench
from infra.sample import recorded
from services import guard
from services.handling import Handler, Request
from services.outcome import Outcome
from services.routing import DECIDER_OF
from services.testing.unit_test_sets import DeleteUnitTestSet
from tests.builders import meta, new_id
from tests.suites.event_log import everything_after


class Desk:
    """Everything that an import needs, in memory."""

    def __init__(self) -> None:
        self.log = MemoryEventLog(clock=now, ids=new_id)
        self.blobs = MemoryBlobs()
        self.handler = Handler(log=self.log, deciders=DECIDER_OF, guard=guard.check)
        self.progress: list[tuple[int, int]] = []

    def meta(self, role: str = "user") -> Meta:
        return replace(meta(), roles=frozenset({role}))

    async def load(
        self, source: Path | bytes, *, agent: str | None = None, role: str = "user"
    ) -> Summary:
        return await import_tau_bench(
            source,
            handler=self.handler,
            blobs=self.blobs,
            meta=self.meta(role),
            agent=agent,
            progress=lambda done, total: self.progress.append((done, total)),
        )

    async def events(self) -> list[Any]:
        return [each.event for each in await everything_after(self.log, 0)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_sample_imports_as_one_completed_run(desk: Desk) -> None:
    summary = await desk.load(recorded())
    events = await desk.events()

    assert (summary.tasks, summary.trials, summary.entries) == (8, 32, 428)
    assert summary.result == "imported"
    assert summary.agent == "Library Desk Policy"
    assert summary.position == summary.new_events == len(events)
    values = [estimate.value for estimate in summary.pass_hat_k.values()]
    # passed of 4: 4 4 3 3 2 2 1 0
    assert values == pytest.approx([19 / 32, 20 / 48, 10 / 32, 2 / 8])
    (completed,) = [e for e in events if isinstance(e, SetRunCompleted)]
    assert (completed.passed, completed.failed, completed.errored) == (19, 13, 0)
    assert sum(isinstance(e, TrialCounted) for e in events) == 32
    conversation = MessageAdded | ToolCalled | ToolReturned
    assert sum(isinstance(e, conversation) for e in events) == 428
    (artifact,) = [e for e in events if isinstance(e, ArtifactGenerated)]
    results = msgspec.json.decode(await desk.blobs.get(artifact.sha256))
    assert len(results["tasks"]) == 8
    assert desk.progress[-1] == (summary.commands, summary.commands)


async def test_importing_twice_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    first = await desk.load(recorded())
    head = await desk.log.head()
    renamed = tmp_path / "another name.json"
    renamed.write_bytes(recorded())

    second = await desk.load(renamed)

    assert second.result == "nothing new"
    assert second == replace(first, result="nothing new", new_events=0)
    assert await desk.log.head() == head


async def test_an_import_that_broke_off_is_finished_by_another(desk: Desk) -> None:
    class Broken(Handler):
        async def handle_bulk(
            self, requests: Sequence[Request]
        ) -> list[Outcome | Failure]:
            return await super().handle_bulk(requests[: len(requests) // 2])

    whole, desk.handler = (
        desk.handler,
        Broken(log=desk.log, deciders=DECIDER_OF, guard=guard.check),
    )
    with pytest.raises(ValueError, match="zip"):
        await desk.load(recorded())
    desk.handler = whole

    assert (await desk.load(recorded())).result == "imported"
    alone = Desk()
    await alone.load(recorded())
    assert await desk.events() == await alone.events()


def rewarded_otherwise() -> bytes:
    records = json.loads(recorded())
    records[0]["reward"] = 1.0 - records[0]["reward"]
    return json.dumps(records).encode()


async def test_another_file_about_the_same_set_is_another_run(desk: Desk) -> None:
    first = await desk.load(recorded())
    second = await desk.load(rewarded_otherwise())

    assert (second.result, second.set_id) == ("imported", first.set_id)
    assert second.run_id != first.run_id
    completed = [e.run_id for e in await desk.events() if type(e) is SetRunCompleted]
    assert completed == [first.run_id, second.run_id]


async def test_files_about_one_set_are_imported_one_at_a_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "BULK_COMMANDS", 30)
    refusals: list[NotImported] = []

    class Interrupted(Handler):
        async def handle_bulk(
            self, requests: Sequence[Request]
        ) -> list[Outcome | Failure]:
            answers = await super().handle_bulk(requests)
            desk.handler = whole
            if not refusals:
                with pytest.raises(NotImported, match="has an unfinished run") as error:
                    await desk.load(rewarded_otherwise())
                refusals.append(error.value)
            return answers

    whole, desk.handler = (
        desk.handler,
        Interrupted(log=desk.log, deciders=DECIDER_OF, guard=guard.check),
    )
    first = await desk.load(recorded())

    (refusal,) = refusals
    assert refusal.path == "$.set_id"
    assert f"It is set_run:{first.run_id}." in str(refusal)
    assert (await desk.load(rewarded_otherwise())).result == "imported"


async def test_agents_with_other_names_are_imported_beside(desk: Desk) -> None:
    first = await desk.load(recorded())
    second = await desk.load(recorded(), agent="Night desk")

    assert second.agent == "Night desk"
    assert second.result == "imported"
    assert second.new_events < first.new_events
    with pytest.raises(Malformed, match="agent's name"):
        await desk.load(recorded(), agent=" ")


async def test_who_may_not_author_may_not_import(desk: Desk) -> None:
    with pytest.raises(Forbidden):
        await desk.load(recorded(), role="viewer")
    assert await desk.events() == []


async def test_a_refused_command_is_named(desk: Desk) -> None:
    summary = await desk.load(recorded())
    await desk.handler.handle(
        DeleteUnitTestSet(set_id=summary.set_id),  # type: ignore[arg-type]
        desk.meta(),
    )
    records = json.loads(recorded())
    records[0]["reward"] = 0.0

    with pytest.raises(NotImported, match=r"testing\.StartSetRun was refused") as error:
        await desk.load(json.dumps(records).encode())
    assert error.value.path == "$.set_id"


async def test_the_summary_reads_well(desk: Desk) -> None:
    lines = list((await desk.load(recorded())).lines())

    assert lines[0] == "imported: Library Desk Policy"
    assert lines[1].startswith("8 tasks, 7 personas, 32 trials, 428 entries")
    assert "pass^1 = 0.594 (95%: 0.299 to 0.888, t over tasks, 8 tasks)" in lines


def changed(**changes: object) -> bytes:
    records = json.loads(recorded())
    records[5] |= changes
    return json.dumps(records).encode()


def turned(**changes: object) -> bytes:
    records = json.loads(recorded())
    records[5]["traj"][3] |= changes
    return json.dumps(records, ensure_ascii=True).encode()


BAD_FILES: dict[str, tuple[bytes, str | None]] = {
    "empty file": (b"", None),
    "truncated": (recorded()[:-700], None),
    "not text": (b"\xff\xfe[\x00]", None),
    "no array": (b'{"task_id": 0}', "$"),
    "an empty array": (b"[]", "$"),
    "an array of numbers": (b"[1, 2]", "$[0]"),
    "a missing field": (b'[{"task_id": 0, "trial": 0, "reward": 1}]', "$[0].info"),
    "a wrong type": (changed(reward="high"), "$[5].reward"),
    "a truth as a number": (changed(trial=True), "$[5].trial"),
    "a negative trial": (changed(trial=-1), "$[5].trial"),
    "a huge number": (changed(trial=10**30), "$[5].trial"),
    "a number past a double": (
        changed(reward=1.5).replace(b'"reward": 1.5', b'"reward": 1e999', 1),
        "$[5].reward",
    ),
    "not a number": (
        changed(reward=1.5).replace(b'"reward": 1.5', b'"reward": NaN', 1),
        None,
    ),
    "a huge number aside": (changed(user_cost=10**30), "$[5].user_cost"),
    "a repeated trial": (changed(trial=1), "$[13].trial"),
    "an uneven task": (changed(task_id=99), "$[5].trial"),
    "no instruction": (
        changed(info={"task": {"user_id": "x", "instruction": " "}}),
        "$[5].info.task.instruction",
    ),
    "an unknown role": (turned(role="narrator"), "$[5].traj[3].role"),
    "a list for a text": (turned(content=["x"]), "$[5].traj[3].content"),
    "a text too long": (turned(content="x" * 300_000), "$[5].traj[3].content"),
    "a NUL": (turned(content="a\0b"), "$[5].traj[3].content"),
    "a lone surrogate": (turned(content="a\ud800b"), "$[5].traj[3].content"),
    "a hundred thousand levels": (b"[" * 100_000 + b"]" * 100_000, None),
    "deep inside": (
        changed(info=1).replace(b'"info": 1', b'"info": ' + b"[" * 100_000, 1),
        None,
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
async def test_a_bad_file_is_refused_as_a_whole(desk: Desk, name: str) -> None:
    content, path = BAD_FILES[name]

    with pytest.raises(Malformed) as refused:
        await desk.load(content)

    assert refused.value.path == path
    assert await desk.events() == []
    assert (await desk.log.head()).position == 0


async def test_a_file_that_cannot_be_read_is_named(desk: Desk, tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(Missing, match="Cannot read"):
            await desk.load(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
steps = st.lists(st.integers(0, 30), min_size=1, max_size=6)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=steps, value=json_values)
async def test_whatever_stands_in_a_file_it_is_imported_or_refused(
    steps: list[int], value: object
) -> None:
    desk = Desk()
    records: Any = json.loads(recorded())[::8]
    place = records
    for step in steps[:-1]:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        inner = place[keys[step % len(keys)]]
        if not isinstance(inner, dict | list) or not inner:
            break
        place = inner
    keys = list(place) if isinstance(place, dict) else range(len(place))
    place[keys[steps[-1] % len(keys)]] = value
    try:
        await desk.load(json.dumps(records).encode())
    except Failure:
        assert await desk.events() == []
