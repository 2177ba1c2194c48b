"""The feed of events, taken up again and again while commands are sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import aiohttp
import msgspec

from events.ids import PersonaId
from services.testing.personas import ChangePersonaDetails, CreatePersona
from tests.builders import new_id
from tests.end_to_end.stack import ORG, OTHER_ORG, Stack


WRITERS = 4
COMMANDS = 25


def create() -> CreatePersona:
    return CreatePersona(
        persona_id=PersonaId(new_id()), name="Ada", role="borrower", background=""
    )


async def write(stack: Stack, org: str) -> None:
    """Send commands, one after the other."""
    async with stack.client(org=org) as client:
        command = create()
        await client.send(command)
        for number in range(COMMANDS - 1):
            await client.send(
                ChangePersonaDetails(
                    persona_id=command.persona_id, name=f"Ada {number}"
                )
            )


@asynccontextmanager
async def writing(stack: Stack) -> AsyncIterator[asyncio.Future[list[None]]]:
    """Let several organisations' writers write while inside."""
    orgs = [ORG] * WRITERS + [OTHER_ORG]
    written = asyncio.gather(*(write(stack, org) for org in orgs))
    try:
        yield written
    finally:
        await written


async def some(stack: Stack, after: str | None, count: int) -> list[str]:
    """Return the ids of the next messages that have one, from a new connection."""
    bearer = {"Authorization": f"Bearer {stack.token()}"}
    resumed = {} if after is None else {"Last-Event-ID": after}
    found: list[str] = []
    async with (
        aiohttp.ClientSession() as http,
        http.get(
            f"{stack.url}/v1/events",
            headers={**bearer, **resumed, "Accept": "text/event-stream"},
        ) as response,
    ):
        assert response.status == 200
        async for line in response.content:
            name, _, value = line.decode().strip().partition(": ")
            if name == "id":
                found.append(value)
                if len(found) == count:
                    break
    return found


async def test_a_feed_goes_on_without_gap_or_repeat(stack: Stack) -> None:
    wanted = WRITERS * (COMMANDS + 2)  # a creation is three events
    told: list[str] = []
    async with writing(stack):
        size = 1
        while len(told) < wanted:
            size = size % 7 + 1
            count = min(size, wanted - len(told))
            async with asyncio.timeout(30):
                told += await some(stack, told[-1] if told else None, count)
    recorded = [each.position for each in await stack.events() if each.org_id == ORG]
    assert [int(each) for each in told] == recorded


async def test_the_client_follows_what_pages_hold(stack: Stack) -> None:
    async with writing(stack) as written, stack.client() as client:
        await written
        head = (await stack.api.log.head()).position
        paged: list[int] = []
        path = "/v1/events?limit=17"
        while path:
            status, body = await stack.request("GET", path)
            assert status == 200
            page = msgspec.json.decode(body)
            paged += [each["position"] for each in page["events"]]
            path = f"/v1/events?limit=17&after={page['after']}" if page["more"] else ""
        followed = []
        async with asyncio.timeout(30), aclosing(client.events()) as feed:
            async for recorded in feed:
                followed.append(recorded)
                if recorded.position == paged[-1]:
                    break
    log = [each for each in await stack.events() if each.position <= head]
    mine = [each for each in log if each.org_id == ORG]
    assert [each.position for each in mine] == paged
    assert followed == mine


async def test_a_feed_of_one_organisation_may_not_be_asked_for_by_users(
    stack: Stack,
) -> None:
    token = stack.token(roles=["user"])
    status, body = await stack.request(
        "GET", "/v1/events", Authorization=f"Bearer {token}"
    )
    assert status == 403
    assert msgspec.json.decode(body)["status"] == 403
