"""A stack starts, is alone on its data, stops when told, and survives its death."""

from pathlib import Path
from signal import SIGKILL, SIGTERM

import aiohttp
import msgspec

from infra.embedded import running_stack
from tests.infra.commands.commands import create, names
from tests.infra.commands.process import Up, rehearsal, started


async def test_a_second_stack_on_the_same_data_is_refused(up: Up) -> None:
    answer = await rehearsal("up", "--data-dir", up.data_dir, "--json")
    assert answer.code == 78
    assert answer.problem == ("StackRunningError", None)
    assert "stop it, or choose another --data-dir" in answer.json["detail"]
    assert answer.err.startswith("rehearsal: another process runs the stack")


async def test_killed_it_leaves_no_process_and_starts_again(idle: Path) -> None:
    sent = ("send", "-", "--data-dir", idle, "--json")
    async with started(idle) as stack:
        assert (await rehearsal(*sent, content=create("Kept"))).code == 0
        assert len(stack.family()) > 4
        assert await stack.end(SIGKILL) == -SIGKILL
    assert running_stack(idle) is None
    async with started(idle) as stack:
        assert "Kept" in await names(idle)
        assert (await rehearsal(*sent, content=create("Later"))).code == 0
        assert {"Kept", "Later"} <= set(await names(idle))
        assert await stack.end(SIGTERM) == 0
        told = [line["event"] for line in stack.said]
    assert told[-1] == "postgres_stopped"
    assert "role_killed" not in told
    assert running_stack(idle) is None


async def test_it_serves_with_the_token_that_it_gives(up: Up) -> None:
    given = await rehearsal("token", "--data-dir", up.data_dir, "--json")
    async with aiohttp.ClientSession() as http:
        for token, status in ((given.json["token"], 200), ("forged", 401)):
            headers = {"Authorization": f"Bearer {token}"}
            async with http.get(f"{up.url}/v1/events", headers=headers) as response:
                assert response.status == status
                assert msgspec.json.decode(await response.read())


async def test_a_token_says_whose_it_is(up: Up) -> None:
    given = await rehearsal(
        *("token", "--data-dir", up.data_dir, "--json", "--org", "museum"),
        *("--subject", "user:ben", "--role", "viewer", "--minutes", "1"),
    )
    body = b'{"type":"testing.DeletePersona","persona_id":"%b"}' % (b"0" * 32)
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{up.url}/v1/commands",
            data=body,
            headers={
                "Authorization": f"Bearer {given.json['token']}",
                "Content-Type": "application/json",
                "Idempotency-Key": "0" * 32,
            },
        ) as response,
    ):
        assert response.status == 403
