"""Simulated testers fill an A/B playground to its limits.

They are invited, sign in by codes that they read in their letters, and evaluate by
fixed rules. Every id is derived: doing it again only has them sign in again.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from events.errors import Missing, Refused
from events.ids import EvaluationId, PlaygroundId, QuestionId
from events.message import Command
from infra.clock import derived_id
from infra.operations.signing_in import Wait, posted, signed_in
from services.access.organisations import GivenGrant
from services.accounts.accounts import Invitation
from services.client.client import Client
from services.http.auth_bodies import Invite
from services.playgrounds.asking import GivenAnswer
from services.playgrounds.evaluations import (
    AbandonEvaluation,
    ExcludeEvaluation,
    ShowModel,
    SubmitEvaluation,
    WithdrawEvaluation,
)
from services.playgrounds.ledgers import ReserveSlot
from services.playgrounds.playgrounds import CreatePlayground, NewModel
from services.playgrounds.questions import NewQuestion, Option


SPACE: Final = UUID("1151b63a-2113-4ad1-944a-6f90ce240cd4")
CAP: Final = 6
TESTERS: Final = 8  # who all sign in at once, from one network address
VISITS: Final = 4
TEXTS: Final = (
    "It let me finish before it answered.",
    "It asked for my number twice.",
    "Friendly, and quick to the point.",
    "I had to repeat myself.",
)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; `position` is that of the last answer in the log."""

    playground_id: PlaygroundId
    testers: int
    submitted: int
    refused: int
    position: int


PLAYGROUND: Final = PlaygroundId(derived_id(SPACE, "playground"))
TONE, FIRM, STARS, WHY, AGAIN, BETTER = (
    QuestionId(derived_id(SPACE, name))
    for name in ("tone", "firm", "stars", "why", "again", "better")
)


def address_of(tester: int) -> str:
    """Return a tester's e-mail address."""
    return f"tester-{tester}@example.org"


def playground() -> CreatePlayground:
    """Return the playground, open to the simulated testers alone."""
    widget = '<elevenlabs-convai agent-id="demo-{}"></elevenlabs-convai>'
    return CreatePlayground(
        playground_id=PLAYGROUND,
        name="Which greeting is kinder?",
        kind="ab_testing",
        description="Two ways of answering the phone at a library",
        support_text="<p>Ask for a book, and <b>listen to the end</b>.</p>",
        models=[
            NewModel(
                model_key=f"model_{letter}",
                model_name=name,
                embed_code=widget.format(letter),
                max_evaluations=CAP,
            )
            for letter, name in (("a", "Calm voice"), ("b", "Brisk voice"))
        ],
        questions=[
            NewQuestion(
                question_id=TONE,
                question_text="How was the tone?",
                question_type="select",
                options=[
                    Option(label="Warm", value="warm"),
                    Option(label="Neutral", value="neutral"),
                    Option(label="Cold", value="cold"),
                ],
            ),
            NewQuestion(
                question_id=FIRM,
                question_text="Was it too brisk?",
                question_type="boolean",
                model_key="model_b",
                required=False,
            ),
            NewQuestion(
                question_id=STARS, question_text="Stars?", question_type="rating"
            ),
            NewQuestion(
                question_id=WHY,
                question_text="Why?",
                question_type="input_string",
                required=False,
            ),
            NewQuestion(
                question_id=AGAIN,
                question_text="Would you call again?",
                question_type="boolean",
            ),
            NewQuestion(
                question_id=BETTER,
                question_text="Which was kinder?",
                question_type="pairwise",
                required=False,
            ),
        ],
        restricted_emails=[address_of(tester) for tester in range(TESTERS)],
        seed=7,
    )


async def fill(
    url: str, owner: Callable[[], str], *, org: str, letters: Path, wait: Wait
) -> Judged:
    """Create the playground and let people evaluate until no place is left.

    `owner` gives the token of its owner, who may invite. Letters come into a folder.
    Whoever cannot sign in any more, because they were erased or deactivated since,
    stays away.
    """
    async with AsyncExitStack() as stack:
        owning = await stack.enter_async_context(Client(url, owner))
        create = derived_id(SPACE, "create")
        last = await owning.send(playground(), command_id=create)

        async def come(number: int) -> Tester | None:
            await invited(url, owner(), number)
            email = address_of(number)
            try:
                tokens = await signed_in(
                    url, org=org, email=email, folder=letters, wait=wait
                )
            except Missing:
                return None
            own = Client(url, tokens.access_token)
            return Tester(await stack.enter_async_context(own), number)

        came = await asyncio.gather(*map(come, range(TESTERS)))
        testers = [tester for tester in came if tester is not None]
        await asyncio.gather(*(tester.visit(0) for tester in testers))
        first = {tester.number: tester for tester in testers if tester.submitted}
        if 1 in first:
            await first[1].withdraw()
        if 0 in first:
            excluded = ExcludeEvaluation(
                session_id=first[0].session(0), reason="Answered before it listened"
            )
            exclude = derived_id(SPACE, "exclude")
            last = await owning.send(excluded, command_id=exclude)
        for visit in range(1, VISITS):
            await asyncio.gather(*(tester.visit(visit) for tester in testers))
    return Judged(
        playground_id=PLAYGROUND,
        testers=len(testers),
        submitted=sum(tester.submitted for tester in testers),
        refused=sum(tester.refused for tester in testers),
        position=max([last.position, *(tester.position for tester in testers)]),
    )


async def invited(url: str, token: str, number: int) -> None:
    """Make an account for a tester, who is to evaluate, unless there is one."""
    invitation = Invite(
        email=address_of(number),
        username=f"tester-{number}",
        full_name=f"Tester {number}",
        grants=[GivenGrant(area="playgrounds", role="tester")],
    )
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": str(derived_id(SPACE, f"account/{number}")),
    }
    try:
        await posted(url, "invitations", invitation, Invitation, headers=headers)
    except Refused:
        return


class Tester:
    """Somebody who evaluates what they are given, if they are given something."""

    def __init__(self, client: Client, number: int) -> None:
        self.client = client
        self.number = number
        self.submitted = 0
        self.refused = 0
        self.position = 0

    def session(self, visit: int) -> EvaluationId:
        """Return the id of the evaluation of a visit."""
        return EvaluationId(self._id(visit, "session"))

    async def visit(self, visit: int) -> None:
        """Ask for a place, and evaluate the model; one gives a place back once."""
        session_id = self.session(visit)
        try:
            await self._send(
                ReserveSlot(playground_id=PLAYGROUND, session_id=session_id), visit
            )
        except Refused:
            self.refused += 1
            return
        await self._send(ShowModel(session_id=session_id), visit)
        if (self.number, visit) == (2, 1):
            await self._send(AbandonEvaluation(session_id=session_id), visit)
            return
        submit = SubmitEvaluation(
            session_id=session_id,
            answers=answers(self.number, visit),
            time_spent_ms=20_000 + 1_000 * draw(self.number, visit, 60),
        )
        await self._send(submit, visit)
        self.submitted += 1

    async def withdraw(self) -> None:
        """Take the first evaluation back."""
        await self._send(WithdrawEvaluation(session_id=self.session(0)), 0)

    async def _send(self, command: Command, visit: int) -> None:
        name = type(command).__name__
        command_id = self._id(visit, name)
        outcome = await self.client.send(command, command_id=command_id)
        self.position = outcome.position

    def _id(self, visit: int, name: str) -> UUID:
        return derived_id(SPACE, f"{self.number}/{visit}/{name}")


def answers(tester: int, visit: int) -> list[GivenAnswer]:
    """Return what a tester answers on a visit."""
    tones = ("warm", "warm", "neutral", "cold")
    given = [
        GivenAnswer(question_id=TONE, answer_value=tones[draw(tester, visit, 4)]),
        GivenAnswer(question_id=STARS, rating=1 + draw(tester, visit + 10, 5)),
        GivenAnswer(
            question_id=AGAIN,
            answer_value=("true", "false")[draw(tester, visit + 20, 2)],
        ),
    ]
    if draw(tester, visit + 30, 2):
        text = TEXTS[draw(tester, visit + 40, len(TEXTS))]
        given.append(GivenAnswer(question_id=WHY, answer_text=text, rating=3))
    if visit:
        kinder: Sequence[str] = ("first", "second", "tie", "both_bad")
        value = kinder[draw(tester, visit + 50, len(kinder))]
        given.append(GivenAnswer(question_id=BETTER, answer_value=value))
    return given


def draw(tester: int, salt: int, upto: int) -> int:
    """Return a number below `upto`, the same for the same tester and salt."""
    return sha256(f"{tester}/{salt}".encode()).digest()[0] % upto
