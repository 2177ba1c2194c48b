"""Pages over the whole stack: a code by mail, a cookie, a page, and out again."""

import re
from typing import Any

import aiohttp
from yarl import URL

from services.dashboard.web import COOKIE, REFRESH
from tests.end_to_end.people import Person, code_in, letters_to, open_to_all, post
from tests.end_to_end.stack import Stack


FORM = re.compile(r'name="form_token" value="([0-9a-f]+)"')


class Visitor:
    """A browser of cookies, at a network address of its own."""

    def __init__(self, person: Person, http: aiohttp.ClientSession) -> None:
        self.person = person
        self.cookies: dict[str, str] = {}
        self._http = http
        self._form = ""

    async def get(self, path: str) -> str:
        return (await self._ask("GET", path))[1]

    async def post(self, path: str, **fields: str) -> tuple[int, str]:
        status, text = await self._ask(
            "POST", path, data={"form_token": self._form, **fields}
        )
        return status, text

    async def _ask(self, method: str, path: str, **more: Any) -> tuple[int, str]:  # noqa: ANN401 - of aiohttp
        cookie = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        headers = {"Cookie": cookie, "X-Forwarded-For": self.person.ip}
        url = URL(self.person.stack.url + path)
        async with self._http.request(
            method, url, headers=headers, allow_redirects=False, **more
        ) as answer:
            for name, morsel in answer.cookies.items():
                self.cookies[name] = morsel.value
                if not morsel.value:
                    del self.cookies[name]
            text = await answer.text()
            found = FORM.search(text)
            self._form = found[1] if found else self._form
            return answer.status, text


async def test_a_person_signs_in_by_a_code_is_renewed_and_signs_out(
    stack: Stack,
) -> None:
    await open_to_all(stack)
    person = Person(stack=stack, email="paula@library.example")
    assert (await person.register()).status == 201
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        visitor = Visitor(person, http)
        await visitor.get("/playgrounds/sign-in")
        before = len(letters_to(stack, person.email))
        asked = {"org": person.org, "email": person.email}
        status, text = await visitor.post("/playgrounds/sign-in/code", **asked)
        assert (status, "a code was sent" in text) == (200, True)
        letters = await post(stack, person.email, more_than=before)
        wrong, _ = await visitor.post("/playgrounds/sign-in", code="000000", **asked)
        assert wrong in {401, 422}
        status, _ = await visitor.post(
            "/playgrounds/sign-in", code=code_in(letters[-1]), **asked
        )
        assert status == 303
        assert visitor.cookies.keys() == {COOKIE, REFRESH}
        assert "nothing to evaluate" in await visitor.get("/playgrounds")
        renewing = visitor.cookies[REFRESH]
        del visitor.cookies[COOKIE]
        assert "nothing to evaluate" in await visitor.get("/playgrounds")
        assert COOKIE in visitor.cookies
        assert visitor.cookies[REFRESH] != renewing
        assert (await visitor.post("/playgrounds/sign-out"))[0] == 303
        assert visitor.cookies == {}
