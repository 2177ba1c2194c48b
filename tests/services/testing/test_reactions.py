"""What follows from the facts of runs."""

from typing import Final
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.message import Event
from events.testing import set_runs as facts
from events.testing.set_runs import (
    SetRunCancelled,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Slot,
    TrialsReopened,
)
from events.testing.trials import TrialFinished
from services.ports import Job
from services.reactions import Cancel, Close, Reaction
from services.testing.common import as_fact
from services.testing.reactions import REACTIONS
from services.testing.set_run_states import live_trial_id
from services.testing.set_runs import CountTrial
from services.testing.specs import MAX_TRIALS
from tests.recorded import recorded
from tests.services.testing.examples import OTHER_TEST, RUN, SET, TEST, a_spec


SPECS: Final = [
    as_fact(a_spec(TEST, run_count=2), facts.Spec),
    as_fact(a_spec(OTHER_TEST), facts.Spec),
]
PINNED: Final = SetRunPinned(run_id=RUN, set_id=SET, specs=SPECS, concurrency=2)
PIN_KEY: Final = f"pin_run:{RUN}"


def requested(*specs: facts.Spec, live: bool = True) -> SetRunRequested:
    return SetRunRequested(
        run_id=RUN,
        set_id=SET,
        origin="live" if live else "imported",
        specs=list(specs),
        seed=7,
    )


def finished(attempt: int | None) -> TrialFinished:
    return TrialFinished(
        trial_id=live_trial_id(RUN, TEST, 0, 1),
        run_id=RUN,
        unit_test_id=TEST,
        index=0,
        outcome="passed",
        metric_results=[],
        attempt=attempt,
    )


def reactions(event: Event) -> list[Reaction]:
    (fact,) = recorded(event)
    return [asked for react in REACTIONS[type(event)] for asked in react(fact)]


def jobs(event: Event) -> list[Job]:
    return [asked for asked in reactions(event) if isinstance(asked, Job)]


def test_a_live_run_without_specs_is_to_be_pinned() -> None:
    (job,) = reactions(requested())
    assert isinstance(job, Job)
    assert (job.kind, job.effect_key) == ("pin_run", PIN_KEY)
    assert job.body == {"run_id": str(RUN)}


def test_nothing_follows_from_a_run_that_was_held_elsewhere() -> None:
    assert not reactions(requested(*SPECS, live=False))


@pytest.mark.parametrize("event", [PINNED, requested(*SPECS)])
def test_every_trial_of_a_pinned_run_is_to_be_held(event: Event) -> None:
    asked = jobs(event)
    assert [(job.body["unit_test_id"], job.body["index"]) for job in asked] == [
        (str(TEST), 0),
        (str(OTHER_TEST), 0),
        (str(TEST), 1),
    ]
    assert len({job.key for job in asked}) == 3
    assert {job.kind for job in asked} == {"trial"}


def test_the_trials_of_a_run_are_a_group_with_a_limit() -> None:
    assert {(job.group_key, job.group_limit) for job in jobs(PINNED)} == {
        (f"set_run:{RUN}", 2)
    }


def test_without_a_limit_all_trials_of_a_run_may_be_held_at_a_time() -> None:
    assert {job.group_limit for job in jobs(requested(*SPECS))} == {MAX_TRIALS}


def test_a_trial_s_job_is_named_after_the_trial() -> None:
    (job, *_) = jobs(PINNED)
    assert job.effect_key == f"trial:{live_trial_id(RUN, TEST, 0, 1)}"


def test_a_pinned_run_is_not_pinned_again() -> None:
    assert Close(effect_key=PIN_KEY) in reactions(PINNED)


def test_reopened_trials_are_held_as_new_ones() -> None:
    slot = Slot(
        unit_test_id=TEST,
        index=1,
        attempt=2,
        replaces=live_trial_id(RUN, TEST, 1, 1),
    )
    (job,) = jobs(TrialsReopened(run_id=RUN, slots=[slot], concurrency=2))
    assert job.effect_key == f"trial:{live_trial_id(RUN, TEST, 1, 2)}"
    assert job.body["attempt"] == 2


def test_a_finished_live_trial_ends_its_job_and_counts() -> None:
    close, count = reactions(finished(1))
    assert close == Close(effect_key=f"trial:{live_trial_id(RUN, TEST, 0, 1)}")
    assert isinstance(count, CountTrial)
    assert (count.trial_id, count.outcome) == (
        live_trial_id(RUN, TEST, 0, 1),
        "passed",
    )


def test_a_recorded_trial_was_counted_with_its_record() -> None:
    assert not reactions(finished(None))


def test_a_completed_run_gets_its_reports() -> None:
    completed = SetRunCompleted(
        run_id=RUN, passed=1, failed=0, inconclusive=0, errored=0
    )
    (job,) = jobs(completed)
    assert (job.kind, job.body) == ("report_run", {"run_id": str(RUN)})
    assert not reactions(replace(completed, origin="imported"))


@pytest.mark.parametrize(
    "event",
    [
        SetRunCancelled(run_id=RUN, reason="Wrong set"),
        SetRunFailed(run_id=RUN, reason="No unit test"),
    ],
)
def test_nothing_more_is_done_for_a_run_that_ended_early(event: Event) -> None:
    assert reactions(event) == [
        Close(effect_key=PIN_KEY),
        Cancel(group_key=f"set_run:{RUN}"),
    ]


def test_every_reaction_s_id_is_the_same_every_time() -> None:
    assert reactions(PINNED) == reactions(PINNED)
    assert live_trial_id(RUN, TEST, 0, 1) != live_trial_id(RUN, TEST, 0, 2)
    assert UUID(str(live_trial_id(RUN, TEST, 0, 1))).version == 5
