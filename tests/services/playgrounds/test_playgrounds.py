"""Setting a playground up, changing it, and closing it."""

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.errors import Missing
from events.ids import PlaygroundId
from events.playgrounds.allocations import LedgerAdjusted, LedgerClosed, LedgerOpened
from events.playgrounds.playgrounds import (
    AccessOpened,
    AccessRestricted,
    ModelAdded,
    ModelRemoved,
    PlaygroundActivated,
    PlaygroundArchived,
    PlaygroundChanged,
    PlaygroundCreated,
    PlaygroundDeactivated,
    PlaygroundDeleted,
    QuestionAdded,
    TesterListed,
    TesterUnlisted,
)
from services.playgrounds.common import AlreadyExists, Gone, NotYours
from services.playgrounds.ledgers import (
    EvaluationsExist,
    ModelShownBefore,
    PlacesTaken,
)
from services.playgrounds.markup import UnknownEmbed
from services.playgrounds.playgrounds import (
    ActivatePlayground,
    Archived,
    ArchivePlayground,
    ChangeAccessList,
    ChangePlayground,
    ConfigureModel,
    DeactivatePlayground,
    DeletePlayground,
    ModelAskedAbout,
    NobodyListed,
    NoQuestions,
    NoSuchModel,
    RemoveModel,
    SameModel,
    SameQuestion,
    WrongModels,
)
from tests.given import World, given
from tests.services.playgrounds.examples import (
    PLAYGROUND,
    REASON,
    TONE,
    WHICH,
    WHY,
    a_model,
    a_playground,
    a_slot,
    as_tester,
)


CREATE = a_playground(2, 2)
ACTIVATE = ActivatePlayground(playground_id=PLAYGROUND)
DEACTIVATE = DeactivatePlayground(playground_id=PLAYGROUND)
ARCHIVE = ArchivePlayground(playground_id=PLAYGROUND)
DELETE = DeletePlayground(playground_id=PLAYGROUND)
WIDGET = '<elevenlabs-convai agent-id="agent-new"></elevenlabs-convai>'


def configure(key: str, most: int = 2) -> ConfigureModel:
    return ConfigureModel(
        playground_id=PLAYGROUND,
        model_key=key,
        model_name="Newer",
        embed_code=WIDGET,
        max_evaluations=most,
    )


def listing(*emails: str) -> ChangeAccessList:
    return ChangeAccessList(playground_id=PLAYGROUND, restricted_emails=list(emails))


def shown() -> World:
    return given(CREATE).when(a_slot(1), meta=as_tester("tess")).world


def test_a_playground_is_created_whole_and_its_ledger_with_it() -> None:
    made = given().when(replace(CREATE, support_text="<b>Hi</b><script>x</script>"))
    assert [type(event) for event in made.events] == [
        PlaygroundCreated,
        ModelAdded,
        ModelAdded,
        QuestionAdded,
        QuestionAdded,
        LedgerOpened,
        LedgerAdjusted,
    ]
    created: Any = made.events[0]
    assert (created.owner, created.repetitions, created.is_active) == ("ada", 1, True)
    assert created.support_text == "<b>Hi</b>"
    terms: Any = made.events[-1]
    assert [(each.model_key, each.cap) for each in terms.places] == [
        ("model_a", 2),
        ("model_b", 2),
    ]
    assert (terms.revision, terms.is_open) == (2, True)


def test_creating_it_again_changes_nothing_and_another_is_refused() -> None:
    command = replace(CREATE, restricted_emails=["Tess@example.org"])
    given(command).when(command).then()
    given(command).when(replace(command, name="Other")).then_refused(AlreadyExists)
    given(command).when(CREATE).then_refused(AlreadyExists)
    given(command, listing("bo@example.org")).when(command).then()


@pytest.mark.parametrize(
    ("command", "refusal", "path"),
    [
        (replace(CREATE, kind="tuning"), WrongModels, "$.models"),
        (replace(CREATE, models=[a_model("a")]), WrongModels, "$.models"),
        (replace(CREATE, models=[a_model("a")] * 2), SameModel, "$.models"),
        (replace(CREATE, questions=[]), NoQuestions, "$.questions"),
        (
            replace(CREATE, questions=[TONE, TONE]),
            SameQuestion,
            "$.questions[1].question_id",
        ),
        (
            replace(CREATE, questions=[replace(REASON, model_key="model_c")]),
            NoSuchModel,
            "$.questions[0].model_key",
        ),
        (
            replace(
                CREATE, models=[a_model("a"), replace(a_model("b"), embed_code="x")]
            ),
            UnknownEmbed,
            "$.models[1].embed_code",
        ),
        (replace(CREATE, restricted_emails=[]), NobodyListed, "$.restricted_emails"),
    ],
)
def test_what_makes_no_playground_is_refused(
    command: Any,  # noqa: ANN401 - a command
    refusal: Any,  # noqa: ANN401 - a class
    path: str,
) -> None:
    given().when(command).then_refused(refusal, path=path)


def test_tuning_repeats_without_limit_unless_told() -> None:
    created: Any = given().when(a_playground(5)).events[0]
    assert (created.kind, created.repetitions) == ("tuning", None)


def test_a_seed_follows_from_the_id_unless_given() -> None:
    unseeded = replace(CREATE, seed=None)
    first: Any = given().when(unseeded).events[0]
    assert first.seed == given().when(unseeded).events[0].seed  # type: ignore[attr-defined]
    assert 0 < first.seed < 2**63


def test_changing_keeps_what_is_not_given() -> None:
    change = ChangePlayground(playground_id=PLAYGROUND, name="Farewells")
    changed = PlaygroundChanged(
        playground_id=PLAYGROUND,
        name="Farewells",
        description="",
        support_text="",
        repetitions=1,
        hold_seconds=3_600,
    )
    world = given(CREATE).when(change).then(changed)
    world.when(change).then()


def test_what_bears_on_places_is_told_to_the_ledger() -> None:
    change = ChangePlayground(playground_id=PLAYGROUND, hold_seconds=60)
    *_, terms = given(CREATE).when(change).events
    assert isinstance(terms, LedgerAdjusted)
    assert terms.hold_seconds == 60


def test_only_its_owner_or_an_admin_changes_it() -> None:
    world = given(CREATE)
    other = as_tester("bo", roles=["user"])
    world.when(DEACTIVATE, meta=other).then_refused(NotYours)
    owner = as_tester("ada", roles=["user"])
    world.when(DEACTIVATE, meta=owner).then_happens(
        PlaygroundDeactivated(playground_id=PLAYGROUND)
    )
    for admin in ("admin", "playgrounds:admin"):
        meta = as_tester("bo", roles=[admin])
        assert world.when(DEACTIVATE, meta=meta).failure is None


def test_a_model_is_added_changed_and_removed_while_nobody_saw_it() -> None:
    world = given(CREATE).when(configure("model_c", 9)).world
    world.when(configure("model_c", 9)).then()
    *_, terms = world.when(configure("model_c", 10)).events
    assert isinstance(terms, LedgerAdjusted)
    remove = RemoveModel(playground_id=PLAYGROUND, model_key="model_c")
    world = world.when(remove).then_happens(
        ModelRemoved(playground_id=PLAYGROUND, model_key="model_c")
    )
    world.when(remove).then()


def test_too_few_models_never_remain() -> None:
    remove = RemoveModel(playground_id=PLAYGROUND, model_key="model_a")
    given(CREATE).when(remove).then_refused(WrongModels)
    given(a_playground(3)).when(configure("model_b")).then_refused(WrongModels)


def test_a_model_that_a_question_is_asked_of_stays() -> None:
    asked = replace(REASON, model_key="model_c")
    models = [a_model("model_a"), a_model("model_b"), a_model("model_c")]
    world = given(replace(CREATE, models=models, questions=[TONE, asked]))
    remove = RemoveModel(playground_id=PLAYGROUND, model_key="model_c")
    world.when(remove).then_refused(ModelAskedAbout)


def test_what_was_shown_stays_and_caps_never_fall_below_what_is_taken() -> None:
    world = given(a_playground(5)).when(a_slot(1), meta=as_tester("tess")).world
    world = world.when(a_slot(2), meta=as_tester("tom")).world
    world.when(configure("model_a", 1)).then_refused(
        PlacesTaken, path="$.max_evaluations", saying="2 places of model_a"
    )
    assert world.when(configure("model_a", 2)).failure is None
    three = given(replace(CREATE, models=[*CREATE.models, a_model("model_c")]))
    chosen: Any = three.when(a_slot(1), meta=as_tester("tess"))
    key = chosen.events[0].model_key
    remove = RemoveModel(playground_id=PLAYGROUND, model_key=key)
    chosen.world.when(remove).then_refused(ModelShownBefore)


def test_the_access_list_is_changed_by_its_differences_and_case_folded() -> None:
    first = given(CREATE).when(listing("Tess@Example.org", "bo@example.org"))
    restricted, tess, bo = first.events
    assert isinstance(restricted, AccessRestricted)
    assert isinstance(tess, TesterListed)
    assert isinstance(bo, TesterListed)
    assert (tess.email, tess.number, bo.number) == ("tess@example.org", 1, 2)
    assert tess.subject_id != bo.subject_id
    first.world.when(listing("BO@example.org", "tess@example.org")).then()
    second = first.world.when(listing("bo@example.org", "cy@example.org"))
    gone, new = second.events
    assert gone == TesterUnlisted(playground_id=PLAYGROUND, number=1)
    assert isinstance(new, TesterListed)
    assert new.number == 3
    everyone = ChangeAccessList(playground_id=PLAYGROUND, restricted_emails=None)
    world = second.world.when(everyone).then(
        AccessOpened(playground_id=PLAYGROUND, numbers=[2, 3])
    )
    world.when(everyone).then()
    world.when(listing()).then_refused(NobodyListed, path="$.restricted_emails")


def test_it_is_deactivated_and_activated() -> None:
    world = given(CREATE).when(DEACTIVATE).world
    world.when(DEACTIVATE).then()
    world = world.when(ACTIVATE).then_happens(
        PlaygroundActivated(playground_id=PLAYGROUND)
    )
    world.when(ACTIVATE).then()
    empty = replace(CREATE, questions=[], is_active=False)
    given(empty).when(ACTIVATE).then_refused(NoQuestions)


def test_an_archive_changes_no_more() -> None:
    world = (
        shown().when(ARCHIVE).then_happens(PlaygroundArchived(playground_id=PLAYGROUND))
    )
    world.when(ARCHIVE).then()
    for command in (ACTIVATE, DEACTIVATE, listing("a@example.org"), configure("c")):
        world.when(command).then_refused(Archived)


def test_it_is_deleted_only_while_nobody_saw_a_model() -> None:
    world = (
        given(CREATE)
        .when(DELETE)
        .then(
            PlaygroundDeleted(
                playground_id=PLAYGROUND,
                model_keys=["model_a", "model_b"],
                question_ids=[WHICH, WHY],
                numbers=[],
            ),
            LedgerClosed(playground_id=PLAYGROUND),
        )
    )
    world.when(DELETE).then()
    world.when(ACTIVATE).then_refused(Gone)
    world.when(CREATE).then_refused(Gone)
    world.when(a_slot(1), meta=as_tester("tess")).then_refused(Gone)
    shown().when(DELETE).then_refused(EvaluationsExist, path="$.playground_id")


def test_what_is_not_there_is_missing() -> None:
    nowhere = PlaygroundId(UUID(int=404))
    given().when(ActivatePlayground(playground_id=nowhere)).then_refused(Missing)
    given().when(a_slot(1), meta=as_tester("tess")).then_refused(Missing)
