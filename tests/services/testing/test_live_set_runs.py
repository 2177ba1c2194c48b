"""Live runs: started with or without specs, pinned, counted, retried."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from events.ids import SetRunId, TrialId
from events.message import Command
from events.reservations import KeyReleased, KeyReserved
from events.testing import set_runs as facts
from events.testing.references import ReferenceAdded, ReferenceDropped
from events.testing.set_runs import (
    Outcome,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Slot,
    TrialCounted,
    TrialsReopened,
)
from services.testing import set_runs
from services.testing.agents import CannotRun, ConfigureAgent, Connection
from services.testing.common import as_fact
from services.testing.set_run_states import live_trial_id
from services.testing.set_runs import (
    CancelSetRun,
    CountTrial,
    FailSetRun,
    HeldHere,
    NoParallelRuns,
    NothingPinned,
    NotInTheRun,
    NotLive,
    PinSetRun,
    RetryErroredTrials,
    RunEnded,
    RunUnfinished,
    SpecsGiven,
    StartSetRun,
)
from services.testing.specs import NothingToRun, TooManyTrials
from services.testing.unit_test_sets import DeleteUnitTestSet
from tests.given import World, given, meta_of
from tests.services.testing.examples import (
    AGENT,
    DESK_WITH_SET,
    NOBODY,
    OTHER_TEST,
    RUN,
    SET,
    TEST,
    a_run,
    a_spec,
    a_trial,
)


BY = f"set_run:{RUN}"
RESERVED = UUID("e3723339-de18-5430-9fbb-de9bd626d664")
OTHER_RUN = SetRunId(UUID(int=9))
RULES = ConfigureAgent(
    agent_id=AGENT,
    connection=Connection(kind="rules", settings={"policy": "Be kind."}),
)
DESK: tuple[Command, ...] = (*DESK_WITH_SET, RULES)
LIVE = StartSetRun(run_id=RUN, set_id=SET, origin="live", seed=7, concurrency=2)


def pinned(run_count: int = 2) -> facts.Spec:
    spec = replace(a_spec(TEST, run_count=run_count), service_version=2)
    return as_fact(spec, facts.Spec)


PIN = PinSetRun(run_id=RUN, specs=(pinned(),))


def a_count(
    index: int = 0, outcome: Outcome = "passed", *, attempt: int = 1
) -> CountTrial:
    return CountTrial(
        run_id=RUN,
        trial_id=live_trial_id(RUN, TEST, index, attempt),
        unit_test_id=TEST,
        index=index,
        outcome=outcome,
        failed_metrics=(),
        error="The policy is away." if outcome == "errored" else None,
        fault="target" if outcome == "errored" else None,
    )


def counted(command: CountTrial) -> TrialCounted:
    return TrialCounted(
        run_id=RUN,
        trial_id=command.trial_id,
        unit_test_id=TEST,
        index=command.index,
        outcome=command.outcome,
        failed_metrics=[],
        error=command.error,
        fault=command.fault,
    )


def running() -> World:
    return given(*DESK, LIVE, PIN)


def completed_with_an_error() -> World:
    return given(*DESK, LIVE, PIN, a_count(0), a_count(1, "errored"))


def test_a_live_run_may_start_without_specs() -> None:
    given(*DESK).when(LIVE).then(
        SetRunRequested(
            run_id=RUN,
            set_id=SET,
            origin="live",
            specs=[],
            seed=7,
            reserved=RESERVED,
            concurrency=2,
        ),
        ReferenceAdded(target_id=SET, by=BY),
        KeyReserved(reservation_id=RESERVED, scope="unfinished-run", holder=BY),
    ).when(LIVE).then()


def test_a_live_run_may_start_with_specs() -> None:
    spec = replace(a_spec(TEST), service_version=2)
    result = given(*DESK).when(replace(LIVE, specs=[spec]))
    (requested, *_) = result.events
    assert isinstance(requested, SetRunRequested)
    assert requested.specs == [as_fact(spec, facts.Spec)]
    result.world.when(PIN).then()


def test_a_recorded_agent_cannot_be_run() -> None:
    given(*DESK).when(replace(LIVE, specs=[a_spec(TEST)])).then_refused(
        CannotRun, path="$.specs[0].service_version"
    )


def test_a_rules_agent_needs_a_policy() -> None:
    bare = ConfigureAgent(agent_id=AGENT, connection=Connection(kind="rules"))
    spec = replace(a_spec(TEST), service_version=2)
    given(*DESK_WITH_SET, bare).when(replace(LIVE, specs=[spec])).then_refused(
        CannotRun, saying="policy_sha256"
    )


def test_a_run_that_was_held_elsewhere_needs_its_specs() -> None:
    given(*DESK).when(a_run()).then_refused(NothingPinned, path="$.specs")


def test_specs_say_how_many_trials_there_are() -> None:
    both = replace(a_run(a_spec(TEST)), trials=2)
    given(*DESK).when(both).then_refused(SpecsGiven, path="$.trials")


def test_what_was_found_is_pinned_once() -> None:
    given(*DESK, LIVE).when(PIN).then(
        SetRunPinned(run_id=RUN, set_id=SET, specs=[pinned()], concurrency=2)
    ).when(PIN).then()


def test_nothing_is_pinned_after_the_end() -> None:
    given(*DESK, LIVE, CancelSetRun(run_id=RUN, reason="Wrong set")).when(PIN).then()


@pytest.mark.parametrize(
    ("specs", "refusal"),
    [((), NothingToRun), ((pinned(10_001),), TooManyTrials)],
)
def test_what_cannot_be_run_is_not_pinned(
    specs: tuple[facts.Spec, ...], refusal: type[NothingToRun | TooManyTrials]
) -> None:
    command = PinSetRun(run_id=RUN, specs=specs)
    given(*DESK, LIVE).when(command).then_refused(refusal)


def test_a_run_that_cannot_be_pinned_fails_and_lets_go() -> None:
    failure = FailSetRun(run_id=RUN, reason="The set has no unit test.")
    world = (
        given(*DESK, LIVE)
        .when(failure)
        .then(
            SetRunFailed(run_id=RUN, reason="The set has no unit test."),
            ReferenceDropped(target_id=SET, by=BY),
            KeyReleased(reservation_id=RESERVED, holder=BY),
        )
    )
    world.when(failure).then()
    world.when(PIN).then()
    world.when(CancelSetRun(run_id=RUN, reason="Too late")).then_refused(RunEnded)
    assert world.when(DeleteUnitTestSet(set_id=SET)).failure is None


def test_a_pinned_run_does_not_fail() -> None:
    running().when(FailSetRun(run_id=RUN, reason="Too late")).then()


def test_a_live_trial_counts_once() -> None:
    world = running().when(a_count()).then(counted(a_count()))
    world.when(a_count()).then()


def test_the_last_live_trial_completes_the_run() -> None:
    running().when(a_count(1)).world.when(a_count(0, "errored")).then(
        counted(a_count(0, "errored")),
        SetRunCompleted(run_id=RUN, passed=1, failed=0, inconclusive=0, errored=1),
        ReferenceDropped(target_id=SET, by=BY),
        KeyReleased(reservation_id=RESERVED, holder=BY),
    )


def test_a_trial_of_another_attempt_does_not_count() -> None:
    running().when(a_count(attempt=2)).then()
    running().when(replace(a_count(), trial_id=TrialId(NOBODY))).then()


def test_a_trial_of_a_cancelled_run_does_not_count() -> None:
    cancelled = CancelSetRun(run_id=RUN, reason="Wrong set")
    running().when(cancelled).world.when(a_count()).then()


def test_a_trial_of_another_unit_test_is_refused() -> None:
    running().when(replace(a_count(), unit_test_id=OTHER_TEST)).then_refused(
        NotInTheRun
    )


def test_nothing_can_be_recorded_of_a_live_run() -> None:
    running().when(a_trial()).then_refused(HeldHere, path="$.run_id")


def test_what_broke_off_is_held_again_and_the_run_goes_on() -> None:
    again = RetryErroredTrials(run_id=RUN)
    slot = Slot(unit_test_id=TEST, index=1, attempt=2, replaces=a_count(1).trial_id)
    world = (
        completed_with_an_error()
        .when(again)
        .then(
            TrialsReopened(run_id=RUN, slots=[slot], reserved=RESERVED, concurrency=2),
            ReferenceAdded(target_id=SET, by=BY),
            KeyReserved(reservation_id=RESERVED, scope="unfinished-run", holder=BY),
        )
    )
    world.when(again).then()
    world.when(a_count(1, "errored")).then()
    world.when(replace(LIVE, run_id=OTHER_RUN)).then_refused(RunUnfinished)
    world.when(a_count(1, attempt=2)).then(
        counted(a_count(1, attempt=2)),
        SetRunCompleted(run_id=RUN, passed=2, failed=0, inconclusive=0, errored=0),
        ReferenceDropped(target_id=SET, by=BY),
        KeyReleased(reservation_id=RESERVED, holder=BY),
    )


def test_what_broke_off_may_break_off_again() -> None:
    again = RetryErroredTrials(run_id=RUN)
    result = (
        completed_with_an_error()
        .when(again)
        .world.when(a_count(1, "errored", attempt=2))
        .world.when(again)
    )
    (reopened, *_) = result.events
    assert isinstance(reopened, TrialsReopened)
    assert [slot.attempt for slot in reopened.slots] == [3]


def test_a_running_run_holds_its_broken_trials_again_under_its_own_reservation() -> (
    None
):
    result = (
        running().when(a_count(0, "errored")).world.when(RetryErroredTrials(run_id=RUN))
    )
    (reopened,) = result.events
    assert isinstance(reopened, TrialsReopened)
    world = result.world.when(a_count(1)).world
    world.when(a_count(0, attempt=2)).then_happens(
        KeyReleased(reservation_id=RESERVED, holder=BY)
    )


def test_a_retry_waits_for_the_actor_s_other_run() -> None:
    world = completed_with_an_error()
    world = world.when(replace(LIVE, run_id=OTHER_RUN)).world
    world.when(RetryErroredTrials(run_id=RUN)).then_refused(RunUnfinished)
    parallel = RetryErroredTrials(run_id=RUN, allow_parallel=True)
    result = world.when(parallel)
    (reopened, *_) = result.events
    assert isinstance(reopened, TrialsReopened)
    assert reopened.reserved is None
    ended = result.world.when(a_count(1, attempt=2))
    assert not any(isinstance(event, KeyReleased) for event in ended.events)


def test_there_may_be_nothing_to_hold_again() -> None:
    running().when(RetryErroredTrials(run_id=RUN)).then()


def test_a_cancelled_run_holds_nothing_again() -> None:
    cancelled = running().when(CancelSetRun(run_id=RUN, reason="Wrong set")).world
    cancelled.when(RetryErroredTrials(run_id=RUN)).then_refused(RunEnded)


def test_recorded_trials_cannot_be_held_again() -> None:
    world = given(*DESK, a_run(a_spec(TEST)), a_trial(error="Broke off"))
    world.when(RetryErroredTrials(run_id=RUN)).then_refused(NotLive)


def test_parallel_retries_take_a_role_or_a_scope() -> None:
    parallel = RetryErroredTrials(run_id=RUN, allow_parallel=True)
    state = completed_with_an_error().state(set_runs.decider, RUN)
    nobody = replace(meta_of(), roles=frozenset({"user"}))
    with pytest.raises(NoParallelRuns) as refused:
        set_runs.decide(parallel, state, nobody)
    assert refused.value.path == "$.allow_parallel"
