"""What every answer tells a browser, and what no browser can be made to do."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import aiohttp
import pytest

from services.dashboard.web import COOKIE
from services.http import browsers
from services.http.app import make_admin_app
from services.http.limits import Limits
from services.http.metrics import Metrics
from services.http.serving import serving
from tests.services.http.world import (
    World,
    create_persona,
    is_problem,
    open_world,
)


PATHS = (
    "/v1/openapi.json",
    "/v1/docs",
    "/v1/problems/malformed",
    "/v1/events",
    "/v1/testing/trials",
    "/nowhere",
    "/playgrounds",
    "/playgrounds/sign-in",
)
POLICY = "Content-Security-Policy"


def harmless(headers: Mapping[str, str]) -> bool:
    policy = headers[POLICY].split("; ")
    return (
        {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"}
        <= set(policy)
        and headers["X-Content-Type-Options"] == "nosniff"
        and headers["Referrer-Policy"] in {"no-referrer", "same-origin"}
    )


async def test_every_answer_is_no_frame_no_script_and_nothing_to_guess(
    world: World,
) -> None:
    for path in PATHS:
        for headers in ({}, world.bearer()):
            answer = await world.request("GET", path, headers=headers)
            assert harmless(answer.headers), path
    assert harmless((await world.send(create_persona())).headers)
    assert harmless((await world.send(b"{}")).headers)
    live = {**world.bearer(), "Accept": "text/event-stream"}
    async with world.http.get(f"{world.url}/v1/events", headers=live) as feed:
        assert feed.status == HTTPStatus.OK
        assert harmless(feed.headers)


async def test_what_never_reached_the_application_is_answered_so_too(
    world: World,
) -> None:
    port = int(world.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/9.9\r\n\r\n")
    async with asyncio.timeout(10):
        answer = (await reader.read()).decode()
    writer.close()
    for name, value in browsers.HEADERS.items():
        assert f"{name}: {value}\r\n" in answer


async def test_pages_keep_the_policy_that_they_need(world: World) -> None:
    for path in ("/v1/docs", "/playgrounds/sign-in"):
        policy = (await world.request("GET", path)).headers[POLICY]
        assert "style-src 'sha256-" in policy
        assert "form-action 'self'" in policy


async def test_behind_a_proxy_every_answer_asks_for_tls() -> None:
    async with open_world(limits=Limits(proxies=1)) as world:
        answers = [await world.request("GET", path) for path in PATHS]
        answers += [await world.send(create_persona()), await world.send(b"{}")]
    for answer in answers:
        told = answer.headers["Strict-Transport-Security"]
        assert told == "max-age=31536000; includeSubDomains"


async def test_without_a_proxy_there_is_no_tls_to_ask_for(world: World) -> None:
    answer = await world.request("GET", "/v1/docs")
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_no_other_origin_is_let_in(world: World, method: str) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/v1/commands", "/v1/events", "/v1/docs"):
        answer = await world.request(method, path, headers={**world.bearer(), **asked})
        assert not [name for name in answer.headers if name.startswith("Access-")]
        assert method != "OPTIONS" or answer.status == HTTPStatus.METHOD_NOT_ALLOWED


async def test_a_cookie_or_an_address_with_a_token_signs_nobody_in(
    world: World,
) -> None:
    token = world.token()
    cookie = {"Cookie": f"{COOKIE}={token}"}
    for path in ("/v1/events", "/v1/testing/trials", "/v1/blobs/" + "0" * 64):
        assert is_problem(await world.request("GET", path, headers=cookie), 401)
        query = f"{path}?access_token={token}&token={token}"
        assert is_problem(await world.request("GET", query), 401)
    command = await world.send(
        create_persona(), headers={"Authorization": "", **cookie}
    )
    assert is_problem(command, 401)
    assert (await world.log.head()).position == 0


async def test_a_plain_form_is_no_command(world: World) -> None:
    for kind in (
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain",
    ):
        answer = await world.send(create_persona(), headers={"Content-Type": kind})
        assert is_problem(answer, 415)


async def test_a_token_is_masked_and_may_be_pasted(world: World) -> None:
    page = (await world.request("GET", "/playgrounds/sign-in")).body.decode()
    assert 'type="password" name="token"' in page
    assert "onpaste" not in page


async def test_what_operators_ask_for_is_not_among_what_everybody_may() -> None:
    async with open_world() as world:
        for path in ("/metrics", "/livez", "/readyz"):
            assert is_problem(await world.request("GET", path), 404)
    admin = make_admin_app(checks={}, metrics=Metrics())
    async with (
        serving(admin, host="127.0.0.1", port=0) as port,
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        assert answer.status == HTTPStatus.OK
        assert harmless(answer.headers)
