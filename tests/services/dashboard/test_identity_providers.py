"""Signing in on the pages by an identity provider, there and back again."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import aiohttp.web
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import (
    text_to_be_present_in_element,
)
from selenium.webdriver.support.wait import WebDriverWait
from yarl import URL

from services.dashboard.sign_in import BINDING
from services.dashboard.web import COOKIE, REFRESH, SIGN_IN
from tests.conftest import RUNGS
from tests.end_to_end.people import open_to_all
from tests.end_to_end.stack import ORG, PROVIDERS, Stack, open_stack
from tests.identity_provider import CLIENT, SECRET, Server, identity_server, known
from tests.postgres_ladder import Servers


FILE: Final = """
[[providers]]
name = "acme"
title = "Acme"
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "acme.secret"
redirect_uris = ["{elsewhere}", "{here}/playgrounds/sign-in/with/acme"]
organisations = ["library"]
trusted_by = ["library"]

[[providers]]
name = "guests"
title = "Guests & others"
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "acme.secret"
redirect_uris = ["{here}/playgrounds/sign-in/with/guests"]

[[providers]]
name = "programs"
title = "Programs"
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "acme.secret"
redirect_uris = ["{elsewhere}"]
"""
ELSEWHERE: Final = "https://app.example/signed-in"
FORM: Final = re.compile(r'name="form_token" value="([0-9a-f]+)"')
ONWARDS: Final = re.compile(r'id="onwards" href="([^"]+)"')
WITH: Final = f"{SIGN_IN}/with"
PATIENCE: Final = 30.0


@dataclass(kw_only=True)
class Place:
    """A stack whose pages are on another site than its identity provider."""

    stack: Stack
    server: Server
    url: str


@contextmanager
def own_port() -> Iterator[int]:
    """Yield a port that nobody else is given, while the block begins to listen."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
async def place(
    request: pytest.FixtureRequest,
    servers: Servers,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("stack")
    with own_port() as port:
        # To a browser the two are other sites, for all that they are one machine.
        here = f"http://localhost:{port}"
        async with (
            identity_server() as server,
            servers.database(request.config.stash[RUNGS][0], durable=False) as database,
        ):
            (folder / "acme.secret").write_text(SECRET)
            (folder / PROVIDERS).write_text(
                FILE.format(
                    issuer=server.issuer, client=CLIENT, elsewhere=ELSEWHERE, here=here
                )
            )
            async with open_stack(database, folder, port=port) as opened:
                await open_to_all(opened)
                yield Place(stack=opened, server=server, url=here)


@pytest.fixture(autouse=True)
def honest(place: Place) -> None:
    place.server.refuses = None
    place.server.respond = {}


@dataclass
class Page:
    """What a browser was answered."""

    status: int
    text: str
    cookies: SimpleCookie


@dataclass
class Visitor:
    """A browser, as far as its cookies and forms go."""

    place: Place
    cookies: dict[str, str] = field(default_factory=dict)
    form: str = ""

    async def get(self, path: str) -> Page:
        return await self._ask("GET", path)

    async def post(self, path: str, **fields: str) -> Page:
        return await self._ask("POST", path, {"form_token": self.form, **fields})

    async def go(self, provider: str = "acme", **fields: str) -> str:
        """Press the provider's button; return the path that it sends one back to."""
        await self.get(SIGN_IN)
        page = await self.post(f"{WITH}/{provider}", **fields)
        assert page.status == 200, page.text
        found = ONWARDS.search(page.text)
        assert found
        address = URL(found[1].replace("&amp;", "&"), encoded=True)
        assert str(address).startswith(self.place.server.issuer)
        async with (
            aiohttp.ClientSession() as http,
            http.get(address, allow_redirects=False) as answer,
        ):
            back = urlsplit(answer.headers["Location"])
        assert f"{back.scheme}://{back.netloc}" == self.place.url
        return f"{back.path}?{back.query}"

    async def _ask(
        self, method: str, path: str, data: dict[str, str] | None = None
    ) -> Page:
        cookie = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        headers = {"Cookie": cookie, "Host": urlsplit(self.place.url).netloc}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.request(
                method,
                URL(self.place.stack.url + path, encoded=True),
                headers=headers,
                data=data,
                allow_redirects=False,
            ) as answer,
        ):
            set_now = SimpleCookie()
            for line in answer.headers.getall("Set-Cookie", []):
                set_now.load(line)
            for name, morsel in set_now.items():
                self.cookies[name] = morsel.value
                if not morsel.value:
                    del self.cookies[name]
            text = await answer.text()
            found = FORM.search(text)
            self.form = found[1] if found else self.form
            return Page(answer.status, text, set_now)


async def test_each_provider_that_sends_people_back_to_this_page_has_a_button(
    place: Place,
) -> None:
    page = await Visitor(place).get(SIGN_IN)
    assert "Continue with Acme" in page.text
    assert "Continue with Guests &amp; others" in page.text
    assert "Programs" not in page.text


async def test_there_and_back_begins_a_session_with_cookies_of_this_site(
    place: Place,
) -> None:
    place.server.person = known("mila")
    mila = Visitor(place)
    back = await mila.go()
    binding = mila.cookies[BINDING]
    page = await mila.get(back)
    assert page.status == 200, page.text
    assert page.cookies.keys() == {COOKIE, REFRESH, BINDING}
    for name in (COOKIE, REFRESH):
        cookie = page.cookies[name]
        assert (cookie["path"], cookie["samesite"]) == ("/", "Strict")
        assert cookie["httponly"]
        assert cookie["secure"]
    assert BINDING not in mila.cookies
    assert binding not in page.text
    assert "nothing to evaluate" in (await mila.get("/playgrounds")).text


async def test_what_binds_a_browser_is_a_secret_of_its_own_for_ten_minutes(
    place: Place,
) -> None:
    visitor = Visitor(place)
    await visitor.get(SIGN_IN)
    cookie = (await visitor.post(f"{WITH}/acme")).cookies[BINDING]
    assert (cookie["path"], cookie["samesite"], cookie["max-age"]) == (
        "/",
        "Lax",
        "600",
    )
    assert cookie["httponly"]
    assert cookie["secure"]
    assert not cookie["domain"]


async def test_what_comes_back_with_another_browser_or_again_signs_nobody_in(
    place: Place,
) -> None:
    place.server.person = known("mallory")
    mallory, rosa = Visitor(place), Visitor(place)
    back = await mallory.go()
    await rosa.go()
    for visitor in (rosa, Visitor(place)):
        page = await visitor.get(back)
        assert page.status == 401
        assert 'id="problem"' in page.text
        assert COOKIE not in visitor.cookies
    assert (await mallory.get(back)).status == 200
    mallory.cookies.clear()
    again = await mallory.get(back)
    assert (again.status, COOKIE in mallory.cookies) == (401, False)


async def test_who_refuses_is_named_and_what_they_say_is_not_repeated(
    place: Place,
) -> None:
    for error, told in (
        ("access_denied", "Acme did not sign you in: it was not allowed there."),
        ("temporarily_unavailable", "it is not available at the moment"),
        ("<b>call 0123</b>", "it says unknown"),
    ):
        place.server.refuses = {"error": error, "error_description": "Call 0123!"}
        visitor = Visitor(place)
        page = await visitor.get(await visitor.go())
        assert page.status == 401
        assert told in page.text
        assert "0123" not in page.text
        assert "Continue with Acme" in page.text
        assert BINDING not in visitor.cookies


async def test_a_provider_that_is_away_is_a_page_that_says_so(place: Place) -> None:
    place.server.person = known("otto")
    otto = Visitor(place)
    back = await otto.go()
    place.server.respond = {"/token": lambda: aiohttp.web.Response(status=500)}
    page = await otto.get(back)
    assert page.status == 503
    assert "Acme is away" in page.text


async def test_of_a_provider_for_all_one_says_the_own_organisation(
    place: Place,
) -> None:
    place.server.person = known("gita")
    visitor = Visitor(place)
    await visitor.get(SIGN_IN)
    page = await visitor.post(f"{WITH}/guests")
    assert (page.status, "Please give your organisation" in page.text) == (400, True)
    # Nobody trusts it with addresses: who has linked no account stays outside.
    page = await visitor.get(await visitor.go("guests", org=ORG))
    assert page.status == 403
    assert "No account is linked" in page.text


async def test_no_other_provider_host_or_form_begins_anything(place: Place) -> None:
    visitor = Visitor(place)
    await visitor.get(SIGN_IN)
    for name in ("programs", "nobody", "%00"):
        assert (await visitor.post(f"{WITH}/{name}")).status in {400, 404}
        assert (await visitor.get(f"{WITH}/{name}?code=x&state=y")).status in {400, 404}
    visitor.form = "0" * 64
    assert (await visitor.post(f"{WITH}/acme")).status == 403
    for query in ("", "?code=x", "?state=%ff&code=%00", f"?state=y&code={'x' * 6000}"):
        assert (await visitor.get(f"{WITH}/acme{query}")).status in {400, 401}
    elsewhere = Visitor(Place(stack=place.stack, server=place.server, url="http://x"))
    assert "Continue with" not in (await elsewhere.get(SIGN_IN)).text


def act(browser: Chrome, place: Place) -> None:
    def reads(css: str, text: str) -> None:
        shown = text_to_be_present_in_element((By.CSS_SELECTOR, css), text)
        WebDriverWait(browser, PATIENCE).until(shown)

    def press(css: str) -> None:
        browser.find_element(By.CSS_SELECTOR, css).click()

    browser.get(f"{place.url}/playgrounds")
    press("#with-acme button")
    reads("h1", "Playgrounds")
    cookies = {each["name"]: each for each in browser.get_cookies()}
    assert cookies.keys() == {COOKIE, REFRESH}
    assert all(each["httpOnly"] and each["secure"] for each in cookies.values())
    assert {each["sameSite"] for each in cookies.values()} == {"Strict"}
    press("header button")
    reads("h1", "Sign in")

    place.server.refuses = {"error": "access_denied"}
    press("#with-acme button")
    reads("#problem", "it was not allowed there")
    assert browser.get_cookies() == []


async def test_a_person_presses_the_button_and_is_signed_in(
    browser: Chrome, place: Place
) -> None:
    place.server.person = known("paula")
    await asyncio.to_thread(act, browser, place)
