from uuid import UUID

import msgspec
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.conversation import (
    ConversationEnded,
    MessageAdded,
    ToolCalled,
    ToolReturned,
)
from events.errors import Failure, Missing
from events.ids import (
    MetricId,
    SetRunId,
    SubjectId,
    TrialId,
    UnitTestId,
    UnitTestSetId,
)
from events.reservations import KeyReleased, KeyReserved
from events.testing import set_runs as facts
from events.testing.references import ReferenceAdded, ReferenceDropped
from events.testing.set_runs import (
    ArtifactGenerated,
    MetricResult,
    SetRunCancelled,
    SetRunCompleted,
    SetRunRequested,
    TrialCounted,
)
from events.testing.trials import TrialFinished, TrialStarted
from services.testing import set_run_states, set_runs, trials
from services.testing.common import (
    AlreadyExists,
    NoSuchVersion,
    as_fact,
)
from services.testing.metrics import (
    AddMetricVersion,
    CriterionDoesNotFit,
    NotAsPinned,
    TextMatch,
)
from services.testing.references import NoSuchTarget
from services.testing.set_runs import (
    MAX_ARTIFACTS,
    AlreadyCounted,
    AttachArtifact,
    CancelSetRun,
    NoParallelRuns,
    NoSuchIndex,
    NotInTheRun,
    RecordTrial,
    RunEnded,
    RunUnfinished,
    TooManyArtifacts,
)
from services.testing.specs import (
    PinnedCriterion,
    Spec,
    TooManyTrials,
    TwiceInTheRun,
)
from services.testing.trials import Message, ToolCall, ToolResult, TrialIdTaken
from services.testing.unit_test_sets import DeleteUnitTestSet, NotInTheSet
from services.testing.unit_tests import OtherUnitTest
from tests.given import World, given, meta_of
from tests.services.testing.examples import (
    DESK_WITH_SET,
    METRIC,
    NOBODY,
    OTHER_TEST,
    RUN,
    SCENARIO,
    SET,
    TEST,
    a_criterion,
    a_run,
    a_set,
    a_spec,
    a_trial,
    trial_id,
)


BY = f"set_run:{RUN}"
SUBJECT = SubjectId(UUID(int=21))
THREE_TRIALS = a_run(a_spec(TEST, run_count=2), a_spec(OTHER_TEST))
RESERVED = UUID("e3723339-de18-5430-9fbb-de9bd626d664")
OTHER_RUN = replace(THREE_TRIALS, run_id=SetRunId(UUID(int=9)))
CANCELLATION = CancelSetRun(run_id=RUN, reason="Wrong file")
REPORT = AttachArtifact(
    run_id=RUN,
    artifact_id=UUID(int=31),
    name="results.json",
    media_type="application/json",
    sha256="0" * 64,
    size=2,
)


def result(*, value: bool | None) -> MetricResult:
    verdicts = {True: "passed", False: "failed", None: "inconclusive"}
    rewards = {True: "1", False: "0"}
    return msgspec.convert(
        {
            "metric_id": METRIC,
            "metric_version": 1,
            "name": "recorded reward",
            "value": value,
            "outcome": verdicts[value],
            "justification": (
                "No reward was recorded."
                if value is None
                else f"The recorded reward is {rewards[value]}."
            ),
            "references": [],
            "engine": "recorded",
        },
        MetricResult,
    )


def test_a_run_starts_with_everything_pinned_and_holds_its_set() -> None:
    world = (
        given(*DESK_WITH_SET)
        .when(THREE_TRIALS)
        .then(
            SetRunRequested(
                run_id=RUN,
                set_id=SET,
                origin="imported",
                specs=[as_fact(spec, facts.Spec) for spec in THREE_TRIALS.specs],
                seed=7,
                reserved=RESERVED,
            ),
            ReferenceAdded(target_id=SET, by=BY),
            KeyReserved(reservation_id=RESERVED, scope="unfinished-run", holder=BY),
        )
    )
    world.when(THREE_TRIALS).then()


def test_another_run_with_the_id_is_refused() -> None:
    other = replace(THREE_TRIALS, seed=8)
    given(*DESK_WITH_SET, THREE_TRIALS).when(other).then_refused(
        AlreadyExists, path="$.run_id"
    )


def test_an_actor_has_one_unfinished_run_of_a_set() -> None:
    given(*DESK_WITH_SET, THREE_TRIALS).when(OTHER_RUN).then_refused(
        RunUnfinished, path="$.set_id", saying=BY
    )


def test_others_run_the_same_set_meanwhile() -> None:
    world = given(*DESK_WITH_SET, THREE_TRIALS)
    assert world.when(OTHER_RUN, by="user:bo").failure is None


def test_an_actor_runs_another_set_meanwhile() -> None:
    other_set = UnitTestSetId(UUID(int=17))
    copied = replace(a_set((TEST, 1)), set_id=other_set)
    run = replace(OTHER_RUN, set_id=other_set, specs=[a_spec(TEST)])
    assert given(*DESK_WITH_SET, copied, THREE_TRIALS).when(run).failure is None


@pytest.mark.parametrize("last", [a_trial(), CANCELLATION])
@pytest.mark.parametrize("by", ["user:ada", "service:importer"])
def test_the_next_run_starts_when_the_last_has_ended_by_whomever(
    last: RecordTrial | CancelSetRun, by: str
) -> None:
    ended = given(*DESK_WITH_SET, a_run(a_spec())).when(last, by=by)
    ended.then_happens(KeyReleased(reservation_id=RESERVED, holder=BY))
    assert ended.world.when(OTHER_RUN).failure is None


def test_a_run_asked_for_again_by_another_is_already_so() -> None:
    world = given(*DESK_WITH_SET, THREE_TRIALS)
    world.when(THREE_TRIALS, by="user:bo").then()
    world.when(replace(THREE_TRIALS, allow_parallel=True)).then()


def test_a_parallel_run_reserves_and_releases_nothing() -> None:
    parallel = replace(OTHER_RUN, allow_parallel=True, specs=[a_spec()])
    started = given(*DESK_WITH_SET, THREE_TRIALS).when(parallel)
    (requested, _) = started.events
    assert isinstance(requested, SetRunRequested)
    assert requested.reserved is None
    trial = replace(a_trial(), run_id=OTHER_RUN.run_id)
    ended = started.world.when(trial)
    assert not any(isinstance(event, KeyReleased) for event in ended.events)
    ended.world.when(replace(OTHER_RUN, run_id=SetRunId(NOBODY))).then_refused(
        RunUnfinished
    )


@pytest.mark.parametrize(
    ("role", "scope", "may"),
    [
        ("admin", "import", True),
        ("testing:admin", "import", True),
        ("crews:admin", "import", False),
        ("user", "parallel-runs", True),
        ("user", "import", False),
    ],
)
def test_parallel_runs_take_a_role_or_a_scope(
    role: str, scope: str, *, may: bool
) -> None:
    parallel = replace(THREE_TRIALS, allow_parallel=True)
    meta = replace(meta_of(), roles=frozenset({role}), scopes=frozenset({scope}))
    if may:
        assert len(set_runs.decide(parallel, set_run_states.SetRun(), meta)) == 1
        return
    with pytest.raises(NoParallelRuns) as refused:
        set_runs.decide(parallel, set_run_states.SetRun(), meta)
    assert refused.value.path == "$.allow_parallel"


def test_a_run_that_started_before_there_were_reservations_ends_without() -> None:
    specs = [as_fact(a_spec(), facts.Spec)]
    started = SetRunRequested(
        run_id=RUN, set_id=SET, origin="imported", specs=specs, seed=7
    )
    world = given(*DESK_WITH_SET, started, ReferenceAdded(target_id=SET, by=BY))
    world.when(a_run(a_spec())).then()
    world.when(CANCELLATION).then(
        SetRunCancelled(run_id=RUN, reason="Wrong file"),
        ReferenceDropped(target_id=SET, by=BY),
    )


def test_the_set_must_exist() -> None:
    given().when(THREE_TRIALS).then_refused(NoSuchTarget, path="$.set_id")


@pytest.mark.parametrize(
    ("spec", "refusal", "path"),
    [
        (replace(a_spec(), unit_test_id=NOBODY), NotInTheSet, "unit_test_id"),
        (replace(a_spec(), persona_id=NOBODY), OtherUnitTest, "persona_id"),
        (replace(a_spec(), scenario_id=NOBODY), OtherUnitTest, "scenario_id"),
        (replace(a_spec(), service_id=NOBODY), OtherUnitTest, "service_id"),
        (replace(a_spec(), persona_version=2), NoSuchVersion, "persona_version"),
        (replace(a_spec(), scenario_version=2), NoSuchVersion, "scenario_version"),
        (replace(a_spec(), service_version=2), NoSuchVersion, "service_version"),
    ],
)
def test_a_spec_shows_the_unit_test_as_it_is(
    spec: Spec, refusal: type[Failure], path: str
) -> None:
    given(*DESK_WITH_SET).when(a_run(a_spec(OTHER_TEST), spec)).then_refused(
        refusal, path=f"$.specs[1].{path}"
    )


@pytest.mark.parametrize(
    ("criterion", "refusal", "path"),
    [
        (a_criterion(version=2), NoSuchVersion, "metric_version"),
        (replace(a_criterion(), name="x"), NotAsPinned, "name"),
        (replace(a_criterion(), value_type="numeric"), NotAsPinned, "value_type"),
        (replace(a_criterion(), minimum=0.0), NotAsPinned, "minimum"),
        (replace(a_criterion(), categories=["x"]), NotAsPinned, "categories"),
        (
            replace(a_criterion(), definition=TextMatch(mode="equals", pattern="x")),
            NotAsPinned,
            "definition",
        ),
        (a_criterion(operator=">"), CriterionDoesNotFit, "operator"),
        (a_criterion(value="yes"), CriterionDoesNotFit, "value"),
        (replace(a_criterion(), metric_id=MetricId(NOBODY)), Missing, "metric_id"),
    ],
)
def test_a_pinned_criterion_shows_the_metric_as_it_is(
    criterion: PinnedCriterion, refusal: type[Failure], path: str
) -> None:
    spec = a_spec(criteria=[a_criterion(), criterion])
    given(*DESK_WITH_SET).when(a_run(spec)).then_refused(
        refusal, path=f"$.specs[0].success_criterions[1].{path}"
    )


def test_an_older_version_may_be_pinned() -> None:
    newer = AddMetricVersion(
        metric_id=METRIC, definition=TextMatch(mode="contains", pattern="fee")
    )
    assert given(*DESK_WITH_SET, newer).when(THREE_TRIALS).failure is None


def test_a_unit_test_has_one_spec() -> None:
    given(*DESK_WITH_SET).when(a_run(a_spec(), a_spec())).then_refused(
        TwiceInTheRun, path="$.specs[1].unit_test_id"
    )


def test_a_run_has_a_bounded_number_of_trials() -> None:
    specs = [
        replace(a_spec(run_count=1_000), unit_test_id=UUID(int=100 + place))
        for place in range(11)
    ]
    given(*DESK_WITH_SET).when(a_run(*specs)).then_refused(TooManyTrials)


def test_a_trial_is_counted_and_written_to_its_own_stream() -> None:
    command = replace(
        a_trial(
            reward=0.0,
            entries=[
                Message(role="user", text="I lost a book.", speaker="Mira"),
                ToolCall(
                    call_id="1", name="find", arguments='{"by": "Mira"}', text="Hm."
                ),
                ToolResult(call_id="1", name="find", content="Nothing."),
            ],
        ),
        subject_id=SUBJECT,
        external_id="task 1, trial 1",
    )
    key = trial_id(TEST, 0)
    failed = result(value=False)
    given(*DESK_WITH_SET, THREE_TRIALS).when(command).then(
        TrialCounted(
            run_id=RUN,
            trial_id=key,
            unit_test_id=TEST,
            index=0,
            outcome="failed",
            failed_metrics=[failed],
            subject_id=SUBJECT,
        ),
        TrialStarted(
            trial_id=key,
            run_id=RUN,
            unit_test_id=TEST,
            index=0,
            external_id="task 1, trial 1",
        ),
        MessageAdded(
            conversation_id=key,
            seq=1,
            role="user",
            text="I lost a book.",
            speaker="Mira",
            subject_id=SUBJECT,
        ),
        ToolCalled(
            conversation_id=key,
            seq=2,
            call_id="1",
            name="find",
            arguments='{"by": "Mira"}',
            text="Hm.",
            subject_id=SUBJECT,
        ),
        ToolReturned(
            conversation_id=key,
            seq=3,
            call_id="1",
            name="find",
            content="Nothing.",
            subject_id=SUBJECT,
        ),
        ConversationEnded(conversation_id=key, reason="user_stop", entries=3),
        TrialFinished(
            trial_id=key,
            run_id=RUN,
            unit_test_id=TEST,
            index=0,
            outcome="failed",
            metric_results=[failed],
            reward=0.0,
            subject_id=SUBJECT,
        ),
    ).when(command).then()


def test_the_last_trial_completes_the_run_and_lets_go_of_the_set() -> None:
    world = given(
        *DESK_WITH_SET,
        THREE_TRIALS,
        a_trial(OTHER_TEST, error="The line went dead."),
        a_trial(TEST, 1, reward=None),
    )
    world = world.when(a_trial(TEST, 0)).then_happens(
        SetRunCompleted(
            run_id=RUN,
            passed=1,
            failed=0,
            inconclusive=1,
            errored=1,
            origin="imported",
        ),
        ReferenceDropped(target_id=SET, by=BY),
        KeyReleased(reservation_id=RESERVED, holder=BY),
    )
    world.when(a_trial(TEST, 0)).then()
    assert world.when(DeleteUnitTestSet(set_id=SET)).failure is None


def test_an_error_is_told_and_the_verdicts_are_kept() -> None:
    happened = given(*DESK_WITH_SET, THREE_TRIALS).when(
        a_trial(error="The line went dead.", reward=0.0)
    )
    counted, *_, finished = happened.events
    assert isinstance(counted, TrialCounted)
    assert isinstance(finished, TrialFinished)
    assert (counted.outcome, counted.error) == ("errored", "The line went dead.")
    assert counted.failed_metrics == finished.metric_results == [result(value=False)]


def test_a_trial_of_no_spec_is_refused() -> None:
    stray = replace(a_trial(), unit_test_id=NOBODY)
    world = given(*DESK_WITH_SET, THREE_TRIALS)
    world.when(stray).then_refused(NotInTheRun, path="$.unit_test_id")
    world.when(a_trial(TEST, 2)).then_refused(NoSuchIndex, path="$.index")


def test_a_unit_test_and_index_count_once() -> None:
    other = replace(a_trial(reward=0.0), trial_id=TrialId(NOBODY))
    given(*DESK_WITH_SET, THREE_TRIALS, a_trial()).when(other).then_refused(
        AlreadyCounted, path="$.index"
    )


def test_a_trial_id_is_used_once() -> None:
    other = replace(a_trial(TEST, 1), trial_id=trial_id(TEST, 0))
    given(*DESK_WITH_SET, THREE_TRIALS, a_trial()).when(other).then_refused(
        TrialIdTaken, path="$.trial_id"
    )


def test_a_trial_of_no_run_is_refused() -> None:
    given().when(a_trial()).then_refused(Missing, path="$.run_id")


def test_a_cancelled_run_lets_go_of_its_set_and_counts_no_more() -> None:
    world = (
        given(*DESK_WITH_SET, THREE_TRIALS, a_trial())
        .when(CANCELLATION)
        .then(
            SetRunCancelled(run_id=RUN, reason="Wrong file"),
            ReferenceDropped(target_id=SET, by=BY),
            KeyReleased(reservation_id=RESERVED, holder=BY),
        )
    )
    world.when(CANCELLATION).then()
    world.when(a_trial()).then()
    world.when(a_trial(TEST, 1)).then_refused(RunEnded, path="$.run_id")


def test_a_completed_run_is_not_cancelled() -> None:
    given(*DESK_WITH_SET, a_run(a_spec()), a_trial()).when(CANCELLATION).then_refused(
        RunEnded
    )


def test_an_artifact_is_attached_once_even_after_the_end() -> None:
    given(*DESK_WITH_SET, a_run(a_spec()), a_trial()).when(REPORT).then(
        ArtifactGenerated(
            run_id=RUN,
            artifact_id=UUID(int=31),
            name="results.json",
            media_type="application/json",
            sha256="0" * 64,
            size=2,
        )
    ).when(REPORT).then().when(replace(REPORT, size=3)).then_refused(
        AlreadyExists, path="$.artifact_id"
    )


def test_a_run_has_a_bounded_number_of_artifacts() -> None:
    reports = [
        replace(REPORT, artifact_id=UUID(int=100 + place))
        for place in range(MAX_ARTIFACTS)
    ]
    given(*DESK_WITH_SET, THREE_TRIALS, *reports).when(REPORT).then_refused(
        TooManyArtifacts
    )


def test_states_are_readable_as_json() -> None:
    world = given(*DESK_WITH_SET, THREE_TRIALS, a_trial(), REPORT)
    run = msgspec.json.decode(msgspec.json.encode(world.state(set_runs.decider, RUN)))
    assert run["slots"] == [[str(trial_id(TEST, 0)), None], [None]]
    trial = world.state(trials.decider, trial_id(TEST, 0))
    assert (trial.entries, trial.ended) == (2, "user_stop")


PAIRS = [(TEST, 0), (TEST, 1), (OTHER_TEST, 0)]
OUTCOMES = {1.0: "passed", 0.0: "failed", None: "inconclusive"}
STARTED: World = given(*DESK_WITH_SET, THREE_TRIALS)


@settings(max_examples=60, deadline=None)
@drawn(
    order=st.permutations(PAIRS),
    rewards=st.lists(st.sampled_from([1.0, 0.0, None]), min_size=3, max_size=3),
    repeats=st.lists(st.sampled_from(PAIRS), max_size=3),
)
def test_a_run_completes_the_same_in_whatever_order_its_trials_come(
    order: list[tuple[UnitTestId, int]],
    rewards: list[float | None],
    repeats: list[tuple[UnitTestId, int]],
) -> None:
    reward_of = dict(zip(PAIRS, rewards, strict=True))
    world, completions = STARTED, []
    for key, index in [*order[:2], *repeats, order[2], *repeats]:
        happened = world.when(a_trial(key, index, reward=reward_of[key, index]))
        completions += [e for e in happened.events if isinstance(e, SetRunCompleted)]
        world = happened.world
    outcomes = [OUTCOMES[reward] for reward in rewards]
    assert completions == [
        SetRunCompleted(
            run_id=RUN,
            passed=outcomes.count("passed"),
            failed=outcomes.count("failed"),
            inconclusive=outcomes.count("inconclusive"),
            errored=0,
            origin="imported",
        )
    ]
    assert world.state(set_runs.decider, RUN).remaining == 0


def test_ten_thousand_trials_are_counted_one_by_one() -> None:
    specs = [
        as_fact(
            replace(a_spec(run_count=100), unit_test_id=UUID(int=1_000 + place)),
            facts.Spec,
        )
        for place in range(100)
    ]
    state = set_run_states.evolve(
        set_run_states.SetRun(),
        SetRunRequested(run_id=RUN, set_id=SET, origin="imported", specs=specs, seed=0),
    )
    for spec in specs:
        for index in range(spec.run_count):
            state = set_run_states.evolve(
                state,
                TrialCounted(
                    run_id=RUN,
                    trial_id=TrialId(SCENARIO),
                    unit_test_id=spec.unit_test_id,
                    index=index,
                    outcome="passed",
                    failed_metrics=[],
                ),
            )
    assert (state.remaining, state.passed) == (0, 10_000)
