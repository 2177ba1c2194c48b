"""The pages of playgrounds: testers evaluate, owners set up, watch and export.

A model is shown in a frame of its own. The frame's page may run the provider's script
and nothing else, and is sandboxed away from this site: it has no cookie, no storage and
no way to the page around it.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import UUID, uuid5

import msgspec
from aiohttp import web

from events.errors import Forbidden, Malformed, Missing, Refused
from events.ids import EvaluationId, PlaygroundId
from events.playgrounds.playgrounds import Provider
from projections.catalogue import TABLES
from services.dashboard.sign_in import SignInPages
from services.dashboard.web import (
    HEADERS,
    Desk,
    is_from_here,
    positive,
    rendered,
    see_other,
)
from services.decider import AnyDecider
from services.http import asking, formats
from services.http.reading import Reader
from services.http.waiting import CaughtUp
from services.identity import Identity
from services.playgrounds import playgrounds
from services.playgrounds.asking import GivenAnswer
from services.playgrounds.evaluations import (
    AbandonEvaluation,
    ShowModel,
    SubmitEvaluation,
)
from services.playgrounds.ledgers import ReserveSlot
from services.playgrounds.markup import WIDGET_SCRIPT
from services.playgrounds.playground_states import Playground
from services.playgrounds.playgrounds import (
    ActivatePlayground,
    ArchivePlayground,
    CreatePlayground,
    DeactivatePlayground,
)
from services.playgrounds.questions import Question, Questions


GROUP: Final = "playgrounds"
WAIT_SECONDS: Final = 5.0
LETTERS: Final = ("a", "b")
MOST_QUESTIONS: Final = 5
MOST_TEXTS: Final = 100
MOST_ROWS: Final = 100_000
LABELS: Final = {
    "boolean": (("true", "Yes"), ("false", "No")),
    "pairwise": (
        ("first", "The model before was better"),
        ("second", "This one is better"),
        ("tie", "They are equally good"),
        ("both_bad", "Both are bad"),
    ),
}
ACTIONS: Final = {
    "activate": ActivatePlayground,
    "deactivate": DeactivatePlayground,
    "archive": ArchivePlayground,
}

OPEN: Final = """
SELECT id, name, description
FROM playgrounds.playgrounds
WHERE is_active
ORDER BY created_at DESC, id
LIMIT 200
"""
OWN: Final = """
SELECT m.id, m.name, p.status, m.total_testers, m.total_evaluations
FROM playgrounds.playground_metrics AS m
JOIN playgrounds.playgrounds AS p ON p.id = m.id
ORDER BY m.created_at DESC, m.id
LIMIT 200
"""
ONE: Final = """
SELECT id, name, description, support_text, is_active, status
FROM playgrounds.playgrounds
WHERE id = $1
"""
SESSION: Final = """
SELECT id, playground_id, model_key, ordinal, revision, expires_at, previous_model_key
FROM playgrounds.evaluation_sessions
WHERE playground_id = $1
AND tester = $2
AND status = 'open'
"""
EVALUATED: Final = """
SELECT count(*) AS evaluated
FROM playgrounds.evaluation_sessions
WHERE playground_id = $1
AND tester = $2
AND submitted_at IS NOT NULL
"""
OWN_SESSION: Final = """
SELECT id, playground_id, model_key, revision, previous_model_key, status
FROM playgrounds.evaluation_sessions
WHERE id = $1
AND tester = $2
"""
METRICS: Final = """
SELECT *
FROM playgrounds.playground_metrics
WHERE id = $1
"""
CHOICES: Final = """
SELECT question_text, model_key, answer_value, response_count, percentage
FROM playgrounds.question_metrics
WHERE playground_id = $1
ORDER BY created_at, id, model_key, response_count DESC, answer_value
"""
TEXTS: Final = """
SELECT question_text, model_key, answer_text
FROM playgrounds.open_responses
WHERE playground_id = $1
AND counted
ORDER BY created_at DESC, id
LIMIT $2
"""
ANSWERS: Final = """
SELECT *
FROM playgrounds.evaluations
WHERE playground_id = $1
ORDER BY created_at, id
LIMIT $2
"""


class Folding(Protocol):
    """What folds a stream into its state."""

    async def state(
        self, decider: AnyDecider, key: UUID, *, org_id: str, upto: int | None = None
    ) -> tuple[int, Any]:
        """Return a stream's version and state, or raise `Missing`."""
        ...


class PlaygroundPages:
    """The routes of the pages."""

    def __init__(
        self, desk: Desk, *, reader: Reader, folding: Folding, caught_up: CaughtUp
    ) -> None:
        self._desk = desk
        self._reader = reader
        self._folding = folding
        self._caught_up = caught_up

    def routes(self) -> list[web.RouteDef]:
        """Return every route."""
        page, base = self._desk.page, "/playgrounds"
        one, session = f"{base}/{{id}}", f"{base}/evaluations/{{id}}"
        return [
            *SignInPages(self._desk).routes(),
            web.get(base, page(self.overview)),
            web.get(f"{base}/new", page(self.ask_for_new)),
            web.post(f"{base}/new", page(self.create)),
            web.get(one, page(self.evaluate)),
            web.post(f"{one}/evaluations", page(self.begin)),
            web.get(f"{session}/frame", page(self.frame)),
            web.post(session, page(self.submit)),
            web.post(f"{session}/abandon", page(self.abandon)),
            web.get(f"{one}/watch", page(self.watch)),
            web.get(f"{one}/answers.csv", page(self.export)),
            *(
                web.post(f"{one}/{action}", page(self._action(action)))
                for action in ACTIONS
            ),
        ]

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """Answer what can be evaluated, and what the caller owns."""
        identity = self._desk.identity(request)
        may_create = owns(identity)
        own = await self._reader.read(identity, OWN, []) if may_create else []
        return self._desk.show(
            request,
            "playgrounds.html",
            open=await self._reader.read(identity, OPEN, []),
            own=own,
            may_create=may_create,
        )

    async def evaluate(self, request: web.Request) -> web.StreamResponse:
        """Answer the tester's page: the model and its questions, or where to begin."""
        return await self._evaluate(request, None)

    async def _evaluate(
        self, request: web.Request, problem: str | None
    ) -> web.StreamResponse:
        identity = self._desk.identity(request)
        key = identifier(request)
        playground = await self._one(identity, ONE, [key])
        tester = identity.actor.partition(":")[2]
        sessions = await self._reader.read(identity, SESSION, [key, tester])
        (done,) = await self._reader.read(identity, EVALUATED, [key, tester])
        questions: Sequence[Question] = ()
        if sessions:
            state = await self._state(identity, key)
            questions = asked(state.questions, sessions[0])
        return self._desk.show(
            request,
            "evaluate.html",
            playground=playground,
            session=sessions[0] if sessions else None,
            questions=questions,
            choices=choices_of,
            evaluated=done["evaluated"],
            thanks="thanks" in request.query and not sessions,
            problem=problem,
            new_session=self._desk.ids(),
            status=200 if problem is None else 422,
        )

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Reserve a place for the caller."""
        fields = await self._desk.form(request)
        key = identifier(request)
        session_id = asking.identifier(fields.get("session_id", ""), "form.session_id")
        reserve = ReserveSlot(playground_id=key, session_id=EvaluationId(session_id))
        try:
            outcome = await self._desk.ask(
                request, reserve, command_id=uuid5(session_id, "reserve")
            )
        except Refused as refusal:
            return await self._evaluate(request, str(refusal))
        await self._caught_up(GROUP, outcome.position, WAIT_SECONDS)
        return see_other(f"/playgrounds/{key}")

    async def frame(self, request: web.Request) -> web.StreamResponse:
        """Answer the frame that shows a model, and record that it was shown.

        It is recorded for a page of ours only, though no form is sent.
        """
        if not is_from_here(request):
            raise Forbidden("This frame is shown by its own page only.")
        identity = self._desk.identity(request)
        session = await self._session(identity, request)
        if session["status"] != "open":
            raise Missing("This evaluation is over.")
        await self._desk.ask(
            request, ShowModel(session_id=session["id"]), command_id=None
        )
        state = await self._state(identity, session["playground_id"])
        model = state.models[session["model_key"]]
        text = rendered(
            "frame.html",
            provider=model.provider,
            agent_id=model.agent_id,
            script=WIDGET_SCRIPT,
        )
        policy = frame_policy(model.provider, model.agent_id)
        return web.Response(
            text=text,
            content_type="text/html",
            headers={**HEADERS, "Content-Security-Policy": policy},
        )

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Submit the caller's answers."""
        fields = await self._desk.form(request)
        identity = self._desk.identity(request)
        session = await self._session(identity, request)
        state = await self._state(identity, session["playground_id"])
        answers = list(answers_of(fields, asked(state.questions, session)))
        submission = SubmitEvaluation(session_id=session["id"], answers=answers)
        outcome = await self._desk.ask(request, submission)
        await self._caught_up(GROUP, outcome.position, WAIT_SECONDS)
        return see_other(f"/playgrounds/{session['playground_id']}?thanks")

    async def abandon(self, request: web.Request) -> web.StreamResponse:
        """Give the caller's place back."""
        await self._desk.form(request)
        session = await self._session(self._desk.identity(request), request)
        given_up = AbandonEvaluation(session_id=session["id"])
        outcome = await self._desk.ask(request, given_up)
        await self._caught_up(GROUP, outcome.position, WAIT_SECONDS)
        return see_other(f"/playgrounds/{session['playground_id']}")

    async def ask_for_new(self, request: web.Request) -> web.StreamResponse:
        """Answer the form of a new playground."""
        self._desk.identity(request)
        return self._desk.show(request, "new.html", playground_id=self._desk.ids())

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Create a playground."""
        fields = await self._desk.form(request)
        command = playground_of(fields)
        command_id = uuid5(command.playground_id, "create")
        outcome = await self._desk.ask(request, command, command_id=command_id)
        await self._caught_up(GROUP, outcome.position, WAIT_SECONDS)
        return see_other(f"/playgrounds/{command.playground_id}/watch")

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """Answer a playground's figures to its owner."""
        identity = self._desk.identity(request)
        key = identifier(request)
        metrics = await self._one(identity, METRICS, [key])
        playground = await self._one(identity, ONE, [key])
        actions = {
            "active": [("deactivate", "Deactivate"), ("archive", "Close for good")],
            "inactive": [("activate", "Activate"), ("archive", "Close for good")],
            "archived": [],
        }
        return self._desk.show(
            request,
            "watch.html",
            metrics=metrics,
            playground=playground,
            models=msgspec.json.decode(metrics["models"]),
            choices=await self._reader.read(identity, CHOICES, [key]),
            texts=await self._reader.read(identity, TEXTS, [key, MOST_TEXTS]),
            actions=actions[playground["status"]],
        )

    def _action(
        self, action: str
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def act(request: web.Request) -> web.StreamResponse:
            await self._desk.form(request)
            key = identifier(request)
            command = ACTIONS[action](playground_id=key)
            outcome = await self._desk.ask(request, command)
            await self._caught_up(GROUP, outcome.position, WAIT_SECONDS)
            return see_other(f"/playgrounds/{key}/watch")

        return act

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Answer every answer as CSV."""
        identity = self._desk.identity(request)
        key = identifier(request)
        await self._one(identity, METRICS, [key])
        rows = await self._reader.read(identity, ANSWERS, [key, MOST_ROWS])
        columns = TABLES["playgrounds.evaluations"].columns
        return web.Response(
            body=formats.as_csv(rows, columns),
            headers={
                **HEADERS,
                "Content-Type": "text/csv; charset=utf-8",
                "Content-Disposition": 'attachment; filename="answers.csv"',
            },
        )

    async def _one(self, identity: Identity, sql: str, args: Sequence[object]) -> Any:  # noqa: ANN401 - a row
        rows = await self._reader.read(identity, sql, args)
        if not rows:
            raise Missing("There is no such playground.")
        return rows[0]

    async def _session(self, identity: Identity, request: web.Request) -> Any:  # noqa: ANN401 - a row
        tester = identity.actor.partition(":")[2]
        rows = await self._reader.read(
            identity, OWN_SESSION, [identifier(request), tester]
        )
        if not rows:
            raise Missing("There is no such evaluation.")
        return rows[0]

    async def _state(self, identity: Identity, key: PlaygroundId) -> Playground:
        _, state = await self._folding.state(
            playgrounds.decider, key, org_id=identity.org_id
        )
        found: Playground = state
        return found


def identifier(request: web.Request) -> PlaygroundId:
    """Return the id in the path."""
    return PlaygroundId(asking.identifier(request.match_info["id"], "path.id"))


def owns(identity: Identity) -> bool:
    """Say whether somebody may have playgrounds."""
    return any(identity.holds(role, GROUP) for role in ("admin", "user"))


def asked(questions: Questions, session: Any) -> list[Question]:  # noqa: ANN401 - a row
    """Return what an evaluation is asked."""
    compares = session["previous_model_key"] is not None
    return [
        question
        for question in questions.of(session["revision"], session["model_key"])
        if compares or question.kind != "pairwise"
    ]


def choices_of(question: Question) -> Sequence[tuple[str, str]]:
    """Return the values and labels of what can be chosen."""
    if question.kind in LABELS:
        return LABELS[question.kind]
    return [(option.value, option.label) for option in question.options]


def answers_of(
    fields: Mapping[str, str], questions: Sequence[Question]
) -> Iterator[GivenAnswer]:
    """Yield what a form answers; what was left empty is no answer."""
    for question in questions:
        given = fields.get(f"q-{question.question_id}", "").strip()
        if not given:
            continue
        key = question.question_id
        match question.kind:
            case "input_string":
                yield GivenAnswer(question_id=key, answer_text=given[:10_000])
            case "rating":
                if given not in set("12345"):
                    raise Malformed("A rating is from 1 to 5.", path=f"form.q-{key}")
                yield GivenAnswer(question_id=key, rating=int(given))
            case _:
                yield GivenAnswer(question_id=key, answer_value=given[:255])


def frame_policy(provider: Provider, agent_id: str) -> str:
    """Return what a model's frame may do: its provider's script, or its page, alone."""
    directives = [
        "sandbox allow-scripts allow-forms",
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
    if provider == "iframe":
        scheme, _, rest = agent_id.partition("://")
        directives[0] += " allow-same-origin"
        directives.append(f"frame-src {scheme}://{rest.partition('/')[0]}")
    else:
        directives += [
            "script-src https://unpkg.com/@elevenlabs/",
            "connect-src https://*.elevenlabs.io wss://*.elevenlabs.io",
            "style-src 'unsafe-inline'",
            "img-src https: data:",
            "media-src https: blob: data:",
            "worker-src blob: data:",
        ]
    return "; ".join(directives)


def playground_of(fields: Mapping[str, str]) -> CreatePlayground:
    """Return the playground that a form describes, or raise `Malformed`."""
    built = {
        "type": "playgrounds.CreatePlayground",
        "playground_id": fields.get("playground_id", ""),
        "name": fields.get("name", ""),
        "kind": fields.get("kind", ""),
        "description": fields.get("description", ""),
        "support_text": fields.get("support_text", ""),
        "models": list(models_of(fields)),
        "questions": list(questions_of(fields)),
        "restricted_emails": lines(fields.get("emails", "")) or None,
    }
    try:
        return msgspec.convert(built, CreatePlayground, strict=False)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `")
        message = f"{text}."
        raise Malformed(message, path=place.rstrip("`") or None) from error


def models_of(fields: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    """Yield the models whose embed code a form gives."""
    for letter in LETTERS:
        code = fields.get(f"model-{letter}-embed", "").strip()
        if code:
            most = fields.get(f"model-{letter}-most", "100")
            yield {
                "model_key": f"model_{letter}",
                "model_name": fields.get(f"model-{letter}-name") or f"Model {letter}",
                "embed_code": code,
                "max_evaluations": positive(most, f"form.model-{letter}-most"),
            }


def questions_of(fields: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    """Yield the questions whose text a form gives."""
    playground_id = asking.identifier(
        fields.get("playground_id", ""), "form.playground_id"
    )
    for number in range(1, MOST_QUESTIONS + 1):
        text = fields.get(f"question-{number}-text", "").strip()
        if text:
            kind = fields.get(f"question-{number}-kind", "select")
            options = lines(fields.get(f"question-{number}-options", ""))
            yield {
                "question_id": uuid5(playground_id, f"question-{number}"),
                "question_text": text,
                "question_type": kind,
                "options": [
                    {"label": each, "value": each}
                    for each in options
                    if kind == "select"
                ],
                "required": f"question-{number}-optional" not in fields,
            }


def lines(text: str) -> list[str]:
    """Return the lines of a text that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]
