"""What a person said: sealed in the log, read in the tables, gone when they ask."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import pytest

from events.errors import Refused
from events.ids import SetRunId, SubjectId, TrialId
from events.log import EventLog
from events.message import ERASED
from infra.operations.erasure import read_ledger, reapply
from infra.operations.verify import verify
from infra.wiring import core
from services.access.subjects import EraseSubject
from services.client.client import Client
from services.testing.set_runs import RecordTrial, StartSetRun
from services.testing.trials import AnyEntry, Message, ToolCall, ToolResult
from tests.builders import new_id
from tests.end_to_end.stack import Stack, assert_rebuilt_the_same
from tests.end_to_end.story import Story, spec, tell
from tests.suites.event_log import everything_after


SECRETS = ("Ines Q. Vermeulen", "17 Harbour Lane", "renewed for Ines", "card 4470-1")
OTHERS = "Somebody else entirely"

TOLD = [
    (f"I am {SECRETS[0]}.", None),
    (SECRETS[3], f'{{"address": "{SECRETS[1]}"}}'),
    (SECRETS[2], None),
]
WHY = "To see what is left"
GONE = [(ERASED, None), (ERASED, ERASED), (ERASED, None)]


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Two trials, each of one person."""

    story: Story
    person: SubjectId
    trial: TrialId
    other_trial: TrialId
    run_id: SetRunId
    receipt: str | None


@pytest.fixture(scope="module")
async def spoken(stack: Stack) -> Spoken:
    async with stack.client() as client:
        story = await tell(client)
        run = StartSetRun(
            run_id=SetRunId(new_id()),
            set_id=story.unit_test_set,
            specs=[spec(story)],
        )
        await client.send(run)
        person, trials = SubjectId(new_id()), [TrialId(new_id()), TrialId(new_id())]
        said: list[AnyEntry] = [
            Message(role="user", text=f"I am {SECRETS[0]}.", speaker=SECRETS[0]),
            ToolCall(
                call_id="c1",
                name="find_reader",
                arguments=f'{{"address": "{SECRETS[1]}"}}',
                text=SECRETS[3],
            ),
            ToolResult(call_id="c1", name="find_reader", content=SECRETS[2]),
        ]
        other: list[AnyEntry] = [Message(role="user", text=OTHERS)]
        for index, entries, subject in (
            (0, said, person),
            (1, other, SubjectId(new_id())),
        ):
            outcome = await client.send(
                RecordTrial(
                    run_id=run.run_id,
                    trial_id=trials[index],
                    unit_test_id=story.unit_test,
                    index=index,
                    entries=entries,
                    end_reason="user_stop",
                    error=f"{SECRETS[1]} went dead" if subject == person else None,
                    subject_id=subject,
                )
            )
    await stack.caught_up()
    return Spoken(
        story=story,
        person=person,
        trial=trials[0],
        other_trial=trials[1],
        run_id=run.run_id,
        receipt=outcome.receipt,
    )


async def test_an_erasure_from_the_first_word_to_the_last(
    stack: Stack, spoken: Spoken
) -> None:
    assert await texts(stack, spoken.trial) == TOLD
    await assert_sealed(stack)
    await stack.as_superuser("CREATE TABLE keys.backup AS TABLE keys.subject_keys")

    async with stack.client() as client:
        position = await erase(client, spoken.person)
        await patiently(lambda: followed(stack, spoken.person))
    await stack.caught_up()
    (line,) = read_ledger(stack.ledger)
    assert (line.subject_id, line.position) == (spoken.person, position)
    await assert_gone(stack, spoken)

    await stack.operations.rebuild(["testing.trial_entries"], switch=True)
    await assert_gone(stack, spoken)
    await stack.operations.drop("testing.trial_entries")
    await assert_rebuilt_the_same(stack.operations)
    report = await verify(stack.urls.projector, receipt=spoken.receipt)
    assert report.ok, report.first_bad

    await stack.as_superuser("TRUNCATE keys.subject_keys")
    await stack.as_superuser("INSERT INTO keys.subject_keys TABLE keys.backup")
    await stack.as_superuser("DROP TABLE keys.backup")
    async with core(stack.settings, stack.urls, name="restored") as parts:
        assert SECRETS[0] in await said_in(parts.log)
        assert await reapply(read_ledger(stack.ledger), parts.vault) == 1
    async with core(stack.settings, stack.urls, name="reapplied") as parts:
        words = await said_in(parts.log)
    assert not any(word in words for word in SECRETS)
    assert OTHERS in words


async def test_an_erasure_twice_changes_nothing(stack: Stack, spoken: Spoken) -> None:
    async with stack.client() as client:
        await erase(client, spoken.person)
        before = await stack.events()
        outcome = await client.send(
            EraseSubject(subject_id=spoken.person, reason="They asked again.")
        )
    assert outcome.events == 0
    assert await stack.events() == before


async def texts(stack: Stack, trial: TrialId) -> list[tuple[object, object]]:
    async with stack.client() as client:
        position = await stack.caught_up()
        found = client.rows(
            "testing.trial_entries",
            {"trial_id": trial},
            sort="trial_id",
            min_position=position,
            reason=WHY,
        )
        return [(row["text"], row["arguments"]) async for row in found]


async def said_in(log: EventLog) -> str:
    return "\n".join(str(each.event) for each in await everything_after(log, 0))


async def assert_sealed(stack: Stack) -> None:
    """Assert that no byte of the log gives away what was said."""
    for table in ("es.events", "es.commands", "es.streams"):
        rows = await stack.as_superuser(f"SELECT t::text AS row FROM {table} AS t")  # noqa: S608 - a name of ours
        assert rows
        for word in (*SECRETS, OTHERS):
            assert not any(word in row["row"] for row in rows)


async def assert_gone(stack: Stack, spoken: Spoken) -> None:
    """Assert that nobody can read what a person said, but what others said."""
    assert await texts(stack, spoken.trial) == GONE
    assert await texts(stack, spoken.other_trial) == [(OTHERS, None)]
    for table in ("trials", "trial_entries"):
        rows = await stack.as_superuser(f"SELECT t::text AS row FROM testing.{table} t")  # noqa: S608 - a name of ours
        assert not any(word in row["row"] for word in SECRETS for row in rows)
    async with core(stack.settings, stack.urls, name="another") as another:
        for parts in (stack.project, another):
            words = await said_in(parts.log)
            assert not any(word in words for word in SECRETS)
            assert OTHERS in words
            with pytest.raises(Refused, match="erased"):
                await parts.handler.handle(again(spoken), stack.meta())


async def erase(client: Client, person: SubjectId) -> int:
    asked = EraseSubject(subject_id=person, reason="They asked.")
    return (await client.send(asked)).position


async def followed(stack: Stack, person: SubjectId) -> bool:
    return any(each.subject_id == person for each in read_ledger(stack.ledger))


async def patiently(ask: Callable[[], Coroutine[None, None, bool]]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(20):
        while not await ask():  # noqa: ASYNC110 - a file wakes no one
            await asyncio.sleep(0.02)


def again(spoken: Spoken) -> RecordTrial:
    """Return one more trial of the person."""
    return RecordTrial(
        run_id=spoken.run_id,
        trial_id=TrialId(new_id()),
        unit_test_id=spoken.story.unit_test,
        index=2,
        entries=[Message(role="user", text=SECRETS[0])],
        end_reason="user_stop",
        subject_id=spoken.person,
    )
