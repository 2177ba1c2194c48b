"""One story in facts: two greetings are judged, compared, withdrawn, excluded."""

from typing import Any, Final
from uuid import uuid5

from msgspec.structs import replace

from events.access.subjects import SubjectErased
from events.access.users import (
    PasswordSet,
    RoleGranted,
    UserProfileChanged,
    UserRegistered,
    UserSignedIn,
)
from events.ids import SubjectId, UserId
from events.message import Command, Event, Meta
from events.people import person_id
from services.playgrounds.asking import GivenAnswer
from services.playgrounds.evaluations import (
    AbandonEvaluation,
    ExcludeEvaluation,
    ShowModel,
    SubmitEvaluation,
    WithdrawEvaluation,
)
from services.playgrounds.playgrounds import (
    AddQuestion,
    ArchivePlayground,
    ChangeAccessList,
    ChangePlayground,
    ChangeQuestion,
    ConfigureModel,
    RemoveQuestion,
    ReorderQuestions,
)
from services.playgrounds.questions import NewQuestion, Option
from tests.given import World, given, meta_of
from tests.recorded import ORG
from tests.services.playgrounds.examples import (
    AGAIN,
    BETTER,
    PLAYGROUND,
    STARS,
    WHICH,
    WHY,
    a_playground,
    a_slot,
    as_tester,
    session,
)


OWNER: Final = meta_of("user:mila")
TESS, TOM = as_tester("tess", email="tess@example.org"), as_tester("tom")
TESS_ERASED: Final = SubjectErased(
    subject_id=SubjectId(person_id("acme", "tess")), reason="They asked"
)
TESS_ID, TOM_ID = (UserId(person_id(ORG, name)) for name in ("tess", "tom"))
LISTED: Final = ChangeAccessList(
    playground_id=PLAYGROUND, restricted_emails=["Tess@example.org", "old@example.org"]
)
CREATE: Final = replace(
    a_playground(3, 3),
    questions=[
        *a_playground(3, 3).questions,
        NewQuestion(question_id=STARS, question_text="Stars?", question_type="rating"),
        NewQuestion(
            question_id=BETTER, question_text="Better?", question_type="pairwise"
        ),
    ],
)


def answers(
    number: int, value: str, stars: int, *, text: str | None = None, better: str = ""
) -> SubmitEvaluation:
    given_answers = [
        GivenAnswer(question_id=WHICH, answer_value=value),
        GivenAnswer(question_id=STARS, rating=stars),
    ]
    if text:
        given_answers.append(GivenAnswer(question_id=WHY, answer_text=text))
    if better:
        given_answers.append(GivenAnswer(question_id=BETTER, answer_value=better))
    return SubmitEvaluation(
        session_id=session(number), answers=given_answers, time_spent_ms=1_500
    )


def told(*asked: tuple[Command, Meta]) -> list[Event]:
    """Return what happens when these are asked, in order."""
    world: World = given()
    events: list[Event] = []
    for command, meta in asked:
        result = world.when(command, meta=meta)
        if result.failure is not None:
            raise result.failure
        events += result.events
        world = result.world
    return events


def evaluated() -> list[Event]:
    """Return a playground of which two testers evaluated both models.

    Tess's evaluations count; Tom's first one is excluded, his second withdrawn, and Ted
    gives up.
    """
    ted = as_tester("ted")
    return told(
        (CREATE, OWNER),
        (a_slot(1), TESS),
        (ShowModel(session_id=session(1)), TESS),
        (answers(1, "warm", 5, text="It let me finish."), TESS),
        (a_slot(2), TESS),
        (ShowModel(session_id=session(2)), TESS),
        (answers(2, "cold", 2, text="It hung up.", better="first"), TESS),
        (a_slot(3), TOM),
        (answers(3, "warm", 1), TOM),
        (a_slot(4), TOM),
        (answers(4, "warm", 1, text="No.", better="tie"), TOM),
        (a_slot(5), ted),
        (AbandonEvaluation(session_id=session(5)), ted),
        (ExcludeEvaluation(session_id=session(3), reason="A robot"), OWNER),
        (WithdrawEvaluation(session_id=session(4)), TOM),
    )


def whole() -> list[Event]:
    """Return a whole story, with every kind of change of a playground."""
    return [*accounts(), *evaluated(), *changes(), TESS_ERASED]


def accounts() -> list[Event]:
    """Return the accounts of Tess and Tom, who administers too."""
    return [
        *account(TESS_ID, "tess"),
        RoleGranted(user_id=TESS_ID, area="playgrounds", role="tester"),
        *account(TOM_ID, "tom"),
        RoleGranted(user_id=TOM_ID, area="playgrounds", role="tester"),
        RoleGranted(user_id=TOM_ID, area="playgrounds", role="admin"),
    ]


def account(user_id: UserId, name: str) -> list[Event]:
    """Return an account with a profile, a password and a sign-in."""
    return [
        UserRegistered(
            user_id=user_id,
            subject_id=SubjectId(user_id),
            email=f"{name}@example.org",
            username=name,
            full_name=name.title(),
            email_key=uuid5(user_id, "email"),
            username_key=uuid5(user_id, "username"),
        ),
        UserProfileChanged(
            user_id=user_id,
            subject_id=SubjectId(user_id),
            full_name=name.title(),
            bio="Tests",
            avatar_url="https://example.org/me.png",
            profile_public=False,
            allow_contact=False,
        ),
        PasswordSet(user_id=user_id, scheme="bcrypt"),
        UserSignedIn(
            user_id=user_id, session_id=uuid5(user_id, "session"), method="password"
        ),
    ]


def changes() -> list[Event]:
    """Return what the owner changes after that."""
    everyone = ChangeAccessList(playground_id=PLAYGROUND, restricted_emails=None)
    asked: list[tuple[Command, Meta]] = [
        (CREATE, OWNER),
        (ChangePlayground(playground_id=PLAYGROUND, name="Farewells"), OWNER),
        (LISTED, OWNER),
        (
            ChangeAccessList(
                playground_id=PLAYGROUND, restricted_emails=["tess@example.org"]
            ),
            OWNER,
        ),
        (everyone, OWNER),
        (LISTED, OWNER),
        (
            ConfigureModel(
                playground_id=PLAYGROUND,
                model_key="model_c",
                model_name="The c one",
                embed_code='<iframe src="https://bot.example/chat?a=1&amp;b=2">',
                max_evaluations=9,
            ),
            OWNER,
        ),
        (
            AddQuestion(
                playground_id=PLAYGROUND,
                question_id=AGAIN,
                question_text="Again?",
                question_type="boolean",
                model_key="model_c",
            ),
            OWNER,
        ),
        (
            ChangeQuestion(
                playground_id=PLAYGROUND,
                question_id=WHICH,
                question_text="Tone?",
                options=[
                    Option(label="Warm", value="warm"),
                    Option(label="Flat", value="flat"),
                ],
            ),
            OWNER,
        ),
        (
            ReorderQuestions(
                playground_id=PLAYGROUND,
                question_ids=[AGAIN, WHICH, WHY, STARS, BETTER],
            ),
            OWNER,
        ),
        (RemoveQuestion(playground_id=PLAYGROUND, question_id=WHY), OWNER),
        (ArchivePlayground(playground_id=PLAYGROUND), OWNER),
    ]
    made = len(told(asked[0]))
    after = told(*asked)[made:]
    return [event for event in after if is_of_playground(event)]


def is_of_playground(event: Event) -> bool:
    """Say whether an event is the playground's own, and not its ledger's."""
    module: Any = type(event).__module__
    return bool(module == "events.playgrounds.playgrounds")
