"""What people said is closed in tables and in the past until a reason is on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import msgspec
import pytest

from events.access.readings import PersonalTextRead
from events.ids import SetRunId, SubjectId, TrialId
from events.message import ERASED, SEALED
from infra.wiring import core
from services.access.subjects import EraseSubject
from services.testing.set_runs import RecordTrial, StartSetRun
from services.testing.trials import Message
from tests.builders import new_id
from tests.end_to_end.people import Answer, Person, open_to_all
from tests.end_to_end.stack import OTHER_ORG, Stack
from tests.end_to_end.story import spec, tell
from tests.end_to_end.test_erasure import followed, patiently


WHY: Final = "Ines asked what was said"
SAID: Final = "I am Ines of Harbour Lane"
BROKE: Final = "The line to Harbour Lane went dead"
ENTRIES: Final = "/v1/testing/trial_entries"
TRIALS: Final = "/v1/testing/trials"
RUNS: Final = "/v1/testing/simulation_unit_test_set_runs"


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Two recorded trials: of somebody with an account, and of somebody without."""

    ines: Person
    trial: TrialId
    other: TrialId
    other_person: SubjectId
    run_id: SetRunId
    position: int
    recorded: RecordTrial

    @property
    def entries(self) -> str:
        return f"{ENTRIES}?trial_id={self.trial}&min_position={self.position}"


@pytest.fixture(scope="module")
async def spoken(stack: Stack) -> Spoken:
    await open_to_all(stack)
    ines = Person(stack=stack, email="ines@library.example")
    assert (await ines.register()).status == 201
    run_id, nobody = SetRunId(new_id()), SubjectId(new_id())
    trials = [TrialId(new_id()), TrialId(new_id())]
    async with stack.client() as client:
        story = await tell(client)
        await client.send(
            StartSetRun(
                run_id=run_id,
                set_id=story.unit_test_set,
                specs=[spec(story)],
            )
        )
        for index, subject in enumerate((SubjectId(ines.id), nobody)):
            recorded = RecordTrial(
                run_id=run_id,
                trial_id=trials[index],
                unit_test_id=story.unit_test,
                index=index,
                entries=[Message(role="user", text=SAID, speaker="Ines")],
                end_reason="user_stop",
                error=BROKE,
                subject_id=subject,
            )
            outcome = await client.send(recorded)
    await stack.caught_up()
    return Spoken(
        ines=ines,
        trial=trials[0],
        other=trials[1],
        other_person=nobody,
        run_id=run_id,
        position=outcome.position,
        recorded=recorded,
    )


def somebody(stack: Stack, *roles: str, **more: Any) -> Person:  # noqa: ANN401 - of a token
    given: dict[str, Any] = {"org": stack.identity().org_id, **more}
    token = stack.issuer.issue("user:rita", roles=roles, **given)
    return Person(stack=stack, email="rita@x.example", tokens={"access_token": token})


async def readings(stack: Stack) -> list[PersonalTextRead]:
    return [
        each.event
        for each in await stack.events()
        if isinstance(each.event, PersonalTextRead)
    ]


def rows(answer: Answer) -> Sequence[dict[str, Any]]:
    assert answer.status == 200, answer.body
    found: Sequence[dict[str, Any]] = answer.json["rows"]
    return found


async def test_without_a_reason_it_stays_closed_however_it_is_read(
    stack: Stack, spoken: Spoken
) -> None:
    before = await readings(stack)
    rita = somebody(stack, "admin")
    (entry,) = rows(await rita.ask("GET", spoken.entries))
    assert (entry["text"], entry["speaker"]) == (SEALED, SEALED)
    assert entry["sealed_for"].endswith(str(spoken.ines.id))
    paths = [
        f"{ENTRIES}/{spoken.trial},1",
        f"{ENTRIES}?text.like={quote('*Harbour*')}",
        f"{ENTRIES}?text={quote(SAID)}",
        f"{ENTRIES}?fields=text,arguments",
        f"{TRIALS}/{spoken.trial}",
        f"{TRIALS}?run_id={spoken.run_id}",
        f"{RUNS}/{spoken.run_id}",
        *(f"{TRIALS}/{spoken.trial}?as_of={spoken.position}",),
        *(f"{RUNS}/{spoken.run_id}?as_of={spoken.position}",),
    ]
    for path in paths:
        answer = await rita.ask("GET", path)
        assert answer.status == 200, (path, answer.body)
        assert b"Harbour" not in answer.body, path
    assert rows(await rita.ask("GET", paths[1])) == []
    assert rows(await rita.ask("GET", paths[2])) == []
    for kind in ("text/csv", "application/x-ndjson"):
        answer = await rita.ask("GET", spoken.entries, Accept=kind)
        assert answer.status == 200, answer.body
        assert b"Harbour" not in answer.body
        assert SEALED.encode() in answer.body
    assert await readings(stack) == before


async def test_no_login_in_sql_opens_it(stack: Stack, spoken: Spoken) -> None:
    claim = "set_config('rehearsal.opened', 'on', true)"
    (row,) = await stack.sql(
        f"SELECT {claim}, text, speaker FROM trial_entries"  # noqa: S608 - ids of ours
        f" WHERE trial_id = '{spoken.trial}'"
    )
    assert (row["text"], row["speaker"]) == (SEALED, SEALED)
    found = await stack.sql("SELECT * FROM trial_entries WHERE text LIKE '%Harbour%'")
    assert found == []
    (row,) = await stack.sql(
        f"SELECT {claim}, error FROM trials WHERE _id = '{spoken.trial}'"  # noqa: S608 - ids of ours
    )
    assert row["error"] == SEALED


async def test_with_a_reason_it_is_opened_and_recorded_before(
    stack: Stack, spoken: Spoken
) -> None:
    before = len(await readings(stack))
    rita, why = somebody(stack, "admin"), f"reason={quote(WHY)}"
    (entry,) = rows(await rita.ask("GET", f"{spoken.entries}&{why}"))
    assert (entry["text"], entry["speaker"]) == (SAID, "Ines")
    shown = await rita.ask("GET", f"{TRIALS}?run_id={spoken.run_id}&fields=error&{why}")
    assert rows(shown) == [{"error": BROKE}, {"error": BROKE}]
    one = await rita.ask("GET", f"{TRIALS}/{spoken.trial}?{why}")
    assert one.json["error"] == BROKE
    past = await rita.ask(
        "GET", f"{TRIALS}/{spoken.trial}?as_of={spoken.position}&{why}"
    )
    assert past.json["state"]["finished"]["error"] == BROKE
    csv = await rita.ask("GET", f"{spoken.entries}&{why}", Accept="text/csv")
    assert SAID.encode() in csv.body
    nothing = await rita.ask("GET", f"{spoken.entries}&fields=seq&{why}")
    assert rows(nothing) == [{"seq": 1}]

    told = (await readings(stack))[before:]
    assert {each.reason for each in told} == {WHY}
    hers = {SubjectId(spoken.ines.id)}
    both = {*hers, spoken.other_person}
    assert [(each.table, each.source, set(each.subject_ids)) for each in told] == [
        ("testing.trial_entries", "page", hers),
        ("testing.trials", "page", both),
        ("testing.trials", "page", hers),
        (None, "stream", hers),
    ]
    await stack.caught_up()
    acts = rows(await rita.ask("GET", "/v1/audit/audit_log?action=read&sort=position"))
    assert {act["actor"] for act in acts} == {"user:rita"}
    assert WHY in str(acts[0]["new_values"])


async def test_a_reason_takes_who_may_give_one_and_a_table_that_asks_for_it(
    stack: Stack, spoken: Spoken
) -> None:
    before = await readings(stack)
    why = f"reason={quote(WHY)}"
    viewer = somebody(stack, "testing:viewer", "testing:admin")
    answer = await viewer.ask("GET", f"{spoken.entries}&{why}")
    assert answer.status == 403, answer.body
    assert b"Harbour" not in answer.body
    stranger = somebody(stack, "admin", org=OTHER_ORG)
    assert rows(await stranger.ask("GET", f"{spoken.entries}&{why}")) == []
    rita = somebody(stack, "admin")
    for path in (
        f"/v1/testing/simulation_personas?{why}",
        f"{RUNS}/{spoken.run_id}?{why}",
    ):
        assert (await rita.ask("GET", path)).status == 400
    for odd in ("", "%20", "x" * 1_001, "a%00b"):
        answer = await rita.ask("GET", f"{spoken.entries}&reason={odd}")
        assert (answer.status, answer.json["path"]) == (400, "query.reason")
    assert await readings(stack) == before


async def test_people_read_what_they_said_themselves_and_services_all(
    stack: Stack, spoken: Spoken
) -> None:
    before = await readings(stack)
    (entry,) = rows(await spoken.ines.ask("GET", spoken.entries))
    assert (entry["text"], entry["speaker"]) == (SAID, "Ines")
    (other,) = rows(await spoken.ines.ask("GET", f"{ENTRIES}?trial_id={spoken.other}"))
    assert other["text"] == SEALED
    archive = somebody(stack, "viewer", scopes=["events"])
    (entry,) = rows(await archive.ask("GET", spoken.entries))
    assert entry["text"] == SAID
    assert await readings(stack) == before


async def test_the_past_holds_to_the_policies_of_now(
    stack: Stack, spoken: Spoken
) -> None:
    at = f"as_of={spoken.position}"
    trial = f"{TRIALS}/{spoken.trial}?{at}"
    user = f"/v1/access/users/{spoken.ines.id}?{at}"
    rita, viewer = somebody(stack, "admin"), somebody(stack, "viewer")
    stranger = somebody(stack, "admin", org=OTHER_ORG)
    why = f"reason={quote(WHY)}"
    for path in (trial, user):
        assert (await viewer.ask("GET", path)).status == 403
        for asked in (path, f"{path}&{why}"):
            answer = await stranger.ask("GET", asked)
            assert answer.status == 404, answer.body
    registered = (await rita.ask("GET", user)).json["state"]["registered"]
    assert (registered["email"], registered["full_name"]) == (SEALED, SEALED)
    opened = await rita.ask("GET", f"{user}&{why}")
    assert opened.json["state"]["registered"]["email"] == spoken.ines.email

    playground = UUID(int=1)
    for path in (
        f"/v1/playgrounds/playgrounds/{playground}?as_of=1",
        f"/v1/testing/agent_versions/{playground}?as_of=1",
        f"/v1/playgrounds/model_configurations/{playground}?as_of=1",
    ):
        assert (await viewer.ask("GET", path)).status in {400, 403}


async def test_the_past_of_somebody_who_was_erased_is_erased(
    stack: Stack, spoken: Spoken
) -> None:
    person, trial = SubjectId(new_id()), TrialId(new_id())
    async with core(stack.settings, stack.urls, name="writer") as writer:
        again = msgspec.structs.replace(
            spoken.recorded, trial_id=trial, index=2, subject_id=person
        )
        outcome = await writer.handler.handle(again, stack.meta())
    async with stack.client() as client:
        await client.send(EraseSubject(subject_id=person, reason="They asked"))
    await patiently(lambda: followed(stack, person))
    await stack.caught_up()
    before = await readings(stack)
    rita, why = somebody(stack, "admin"), f"reason={quote(WHY)}"
    at = f"as_of={outcome.position}"
    for query in (at, f"{at}&{why}", why, "fields=error"):
        answer = await rita.ask("GET", f"{TRIALS}/{trial}?{query}")
        assert answer.status == 200, answer.body
        state = answer.json.get("state", {"finished": answer.json})
        assert state["finished"]["error"] == ERASED
    (entry,) = rows(await rita.ask("GET", f"{ENTRIES}?trial_id={trial}&{why}"))
    assert (entry["text"], entry["speaker"]) == (ERASED, None)
    assert await readings(stack) == before
