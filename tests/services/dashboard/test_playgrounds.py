"""The pages of playgrounds, as browsers ask for them."""

import re
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import aiohttp
import pytest

from services.dashboard.web import COOKIE
from tests.services.dashboard.conftest import Site
from tests.services.http.world import Answer
from tests.services.playgrounds.examples import PLAYGROUND, WHICH, a_playground


pytestmark = pytest.mark.furnished

PAGE = f"/playgrounds/{PLAYGROUND}"
TOKEN = re.compile(r'name="form_token" value="([0-9a-f]+)"')
SESSION = re.compile(r'name="session_id" value="([0-9a-f-]+)"')
FRAME = re.compile(r'src="(/playgrounds/evaluations/[0-9a-f-]+/frame)"')


class Visitor:
    """Somebody who asks for pages, signed in or not."""

    def __init__(self, site: Site, actor: str | None, *roles: str) -> None:
        self.site = site
        self.cookie = (
            "" if actor is None else site.world.token(f"user:{actor}", roles=roles)
        )

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return await self._ask("GET", path, None, headers or {})

    async def post(self, path: str, page: Answer, **fields: str) -> Answer:
        found = TOKEN.search(page.body.decode())
        assert found, page.body
        return await self.send(path, None, form_token=found[1], **fields)

    async def send(
        self, path: str, headers: dict[str, str] | None = None, **fields: str
    ) -> Answer:
        form = urlencode(fields).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._ask("POST", path, form, {**kind, **(headers or {})})

    async def _ask(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str]
    ) -> Answer:
        if self.cookie:
            headers = {**headers, "Cookie": f"{COOKIE}={self.cookie}"}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.request(
                method,
                self.site.url + path,
                data=data,
                headers=headers,
                allow_redirects=False,
            ) as answer,
        ):
            return Answer(
                status=answer.status,
                headers=answer.headers,
                body=await answer.read(),
            )


@pytest.fixture
async def opened(site: Site) -> Site:
    made = await site.world.send(a_playground(2, 2))
    assert made.status == 200, made.body
    position = made.json["position"]
    await site.world.get(f"/v1/playgrounds/playgrounds?min_position={position}")
    return site


async def test_strangers_are_sent_to_sign_in(opened: Site) -> None:
    for path in ("/playgrounds", PAGE, f"{PAGE}/watch", "/playgrounds/new"):
        answer = await Visitor(opened, None).get(path)
        assert (answer.status, answer.headers["Location"]) == (
            303,
            "/playgrounds/sign-in",
        )


async def test_signing_in_sets_a_cookie_that_only_this_site_gets(opened: Site) -> None:
    visitor = Visitor(opened, None)
    page = await visitor.get("/playgrounds/sign-in")
    wrong = await visitor.post("/playgrounds/sign-in", page, token="no token")  # noqa: S106 - it is none
    assert wrong.status == 401
    token = opened.world.token("user:tess", roles=["tester"])
    answer = await visitor.post("/playgrounds/sign-in", page, token=token)
    assert answer.status == 303
    cookie = SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]
    assert (cookie.value, cookie["path"], cookie["samesite"]) == (token, "/", "Strict")
    assert cookie["httponly"]
    assert cookie["secure"]


async def test_pages_allow_no_script_and_no_frame_of_others(opened: Site) -> None:
    answer = await Visitor(opened, "tess", "tester").get(PAGE)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"<script" not in answer.body


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_forms_of_other_sites_are_refused(
    opened: Site, headers: dict[str, str]
) -> None:
    tess = Visitor(opened, "tess", "tester")
    page = await tess.get(PAGE)
    found = TOKEN.search(page.body.decode())
    assert found
    form = {"form_token": found[1], "session_id": session_of(page)}
    answer = await tess.send(f"{PAGE}/evaluations", headers, **form)
    assert answer.status == 403


async def test_a_form_of_another_s_page_is_refused(opened: Site) -> None:
    tess, tom = (Visitor(opened, name, "tester") for name in ("tess", "tom"))
    page = await tom.get(PAGE)
    answer = await tess.post(f"{PAGE}/evaluations", page, session_id=session_of(page))
    assert answer.status == 403
    missing = await tess.send(f"{PAGE}/evaluations", session_id=session_of(page))
    assert missing.status == 403


def session_of(page: Answer) -> str:
    found = SESSION.search(page.body.decode())
    assert found, page.body
    return found[1]


async def evaluating(tester: Visitor) -> Answer:
    page = await tester.get(PAGE)
    begun = await tester.post(f"{PAGE}/evaluations", page, session_id=session_of(page))
    assert (begun.status, begun.headers["Location"]) == (303, PAGE)
    return await tester.get(PAGE)


async def test_a_tester_evaluates_one_model_and_then_the_other(opened: Site) -> None:
    tess = Visitor(opened, "tess", "tester")
    for _ in range(2):
        page = await evaluating(tess)
        frame = FRAME.search(page.body.decode())
        assert frame
        path = frame[1].removesuffix("/frame")
        done = await tess.post(path, page, **{f"q-{WHICH}": "warm"})
        assert (done.status, done.headers["Location"]) == (303, f"{PAGE}?thanks")
        assert b"Thank you" in (await tess.get(f"{PAGE}?thanks")).body
    last = await tess.get(PAGE)
    over = await tess.post(f"{PAGE}/evaluations", last, session_id=session_of(last))
    assert over.status == 422
    assert b"evaluated every model" in over.body


async def test_a_wrong_answer_is_said_and_the_place_is_kept(opened: Site) -> None:
    tess = Visitor(opened, "tess", "tester")
    page = await evaluating(tess)
    frame = FRAME.search(page.body.decode())
    assert frame
    path = frame[1].removesuffix("/frame")
    wrong = await tess.post(path, page, **{f"q-{WHICH}": "<b>hot</b>"})
    assert wrong.status == 422
    assert b"<b>hot" not in wrong.body
    assert FRAME.search((await tess.get(PAGE)).body.decode())
    given_up = await tess.post(f"{path}/abandon", page)
    assert given_up.status == 303
    assert not FRAME.search((await tess.get(PAGE)).body.decode())


async def test_a_model_is_shown_in_a_frame_that_may_do_nothing_else(
    opened: Site,
) -> None:
    tess, tom = (Visitor(opened, name, "tester") for name in ("tess", "tom"))
    page = await evaluating(tess)
    assert b'sandbox="allow-scripts allow-forms"' in page.body
    frame = FRAME.search(page.body.decode())
    assert frame
    shown = await tess.get(frame[1])
    policy = shown.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts allow-forms; default-src 'none'")
    assert "allow-same-origin" not in policy
    assert b'agent-id="agent-model_' in shown.body
    assert (await tom.get(frame[1])).status == 404
    assert b"The model_" not in page.body + shown.body


async def test_a_model_is_shown_to_its_own_page_only(opened: Site) -> None:
    tess = Visitor(opened, "tess", "tester")
    page = await tess.get(PAGE)
    await tess.post(f"{PAGE}/evaluations", page, session_id=session_of(page))
    frame = FRAME.search((await tess.get(PAGE)).body.decode())
    assert frame
    before = (await opened.world.log.head()).position
    for site in ("cross-site", "same-site"):
        answer = await tess.get(frame[1], {"Sec-Fetch-Site": site})
        assert answer.status == 403
    assert (await opened.world.log.head()).position == before
    answer = await tess.get(frame[1], {"Sec-Fetch-Site": "same-origin"})
    assert answer.status == 200


async def test_an_owner_watches_exports_and_closes_and_others_do_not(
    opened: Site,
) -> None:
    tess, owner = Visitor(opened, "tess", "tester"), Visitor(opened, "ada", "user")
    page = await evaluating(tess)
    frame = FRAME.search(page.body.decode())
    assert frame
    await tess.post(frame[1].removesuffix("/frame"), page, **{f"q-{WHICH}": "warm"})
    watched = await owner.get(f"{PAGE}/watch")
    assert b'<span id="evaluations">1</span>' in watched.body
    assert b"The model_a one" in watched.body
    table = await owner.get(f"{PAGE}/answers.csv")
    assert table.headers["Content-Type"].startswith("text/csv")
    assert table.body.count(b"\r\n") == 2
    for path in (f"{PAGE}/watch", f"{PAGE}/answers.csv"):
        assert (await tess.get(path)).status == 404
    closed = await owner.post(f"{PAGE}/archive", watched)
    assert closed.status == 303
    assert b"archived" in (await owner.get(f"{PAGE}/watch")).body
    denied = await tess.post(f"{PAGE}/activate", await tess.get("/playgrounds"))
    assert denied.status == 403


async def test_a_form_sets_a_playground_up(opened: Site) -> None:
    owner = Visitor(opened, "ada", "user")
    page = await owner.get("/playgrounds/new")
    found = re.search(r'name="playground_id" value="([0-9a-f-]+)"', page.body.decode())
    assert found
    widget = '<elevenlabs-convai agent-id="a-{}"></elevenlabs-convai>'
    fields = {
        "playground_id": found[1],
        "name": "From a form",
        "kind": "ab_testing",
        "support_text": "<p>Hi</p><script>x</script>",
        "emails": "tess@example.org\n",
        "model-a-embed": widget.format("a"),
        "model-b-embed": widget.format("b"),
        "question-1-text": "Tone?",
        "question-1-kind": "select",
        "question-1-options": "Warm\nCold",
        "question-2-text": "Why?",
        "question-2-kind": "input_string",
        "question-2-optional": "yes",
    }
    wrong = await owner.post("/playgrounds/new", page, **{**fields, "kind": "other"})
    assert wrong.status == 400
    made = await owner.post("/playgrounds/new", page, **fields)
    assert (made.status, made.headers["Location"]) == (
        303,
        f"/playgrounds/{found[1]}/watch",
    )
    watched = await owner.get(made.headers["Location"])
    assert b"Warm" in watched.body
    tess = Visitor(opened, "tess", "tester")
    assert (await tess.get(f"/playgrounds/{found[1]}")).status == 404
