"""The files of a containers' stack: made once, and enough for every role."""

import re
import socket
import stat
import tomllib
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from infra.embedded.installation import bundled
from infra.embedded.server import free_port
from infra.operations.deploying import NEEDS
from tests.infra.commands.process import rehearsal, role
from tests.postgres_ladder import temporary_server


async def test_each_role_starts_with_its_own_file_and_no_other(
    tmp_path: Path, rabbitmq: str
) -> None:
    folder = tmp_path / "secrets"
    async with (
        temporary_server(bundled(), options={}) as (superuser, server),
        AsyncExitStack() as roles,
    ):
        made = await rehearsal(
            *("secrets", folder, "--json", "--mounted", folder),
            *("--postgres", f"127.0.0.1:{server.listening.port}"),
        )
        assert made.code == 0, made
        environment = {
            name: {
                "REHEARSAL_SETTINGS": str(folder / f"{name}.toml"),
                "REHEARSAL_DATA_DIR": str(tmp_path),
                "REHEARSAL_BROKER_NAMESPACE": f"tests.{tmp_path.name}",
                **({"REHEARSAL_BROKER": rabbitmq} if "broker" in needed else {}),
                **({"REHEARSAL_SUPERUSER_URL": superuser} if name == "migrate" else {}),
            }
            for name, needed in NEEDS.items()
        }
        for _ in range(2):
            done = await rehearsal(
                "migrate", "--json", environment=environment["migrate"]
            )
            assert done.code == 0, done
        assert done.json["applied"] == []
        port = free_port()
        for name in environment.keys() - {"migrate", "api"}:
            admin = ("--admin-port", port) if name == "work" else ()
            await roles.enter_async_context(role(name, environment[name], *admin))
        api = ("--http-port", 0, "--admin-port", 0)
        await roles.enter_async_context(
            role("api", environment["api"], *api, ready=b"api_started")
        )
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}/readyz") as answer,
        ):
            assert answer.status == 200
            assert "projections" not in await answer.text()


async def test_nothing_is_overwritten_or_shown(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = await rehearsal("secrets", folder, "--json")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in made.json["files"]:
        mode = stat.S_IMODE((folder / name).stat().st_mode)
        assert mode == (0o644 if name == "rabbitmq.conf" else 0o600)
    before = (folder / "work.toml").read_text()
    again = await rehearsal("secrets", folder, "--json")
    assert (again.code, again.json["problem"]) == (78, "SetupError")
    assert (folder / "work.toml").read_text() == before
    (password,) = re.findall("rehearsal_app:(.*)@", tomllib.loads(before)["app_url"])
    assert password not in made.out.decode() + made.err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://someone:x@h/d", "is to name rehearsal_app and its password"),
        ("postgresql://rehearsal_app@h/d", "is to name rehearsal_app"),
        ("", "REHEARSAL_APP_URL"),
    ],
)
async def test_a_login_that_cannot_be_made_is_named(
    url: str, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    await rehearsal("secrets", folder)
    refused = await rehearsal(
        *("migrate", "--json"),
        environment={
            "REHEARSAL_SETTINGS": str(folder / "migrate.toml"),
            "REHEARSAL_APP_URL": url,
        },
    )
    assert refused.code == 78
    assert message in refused.json["detail"]


async def test_a_server_that_is_away_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        await rehearsal("secrets", tmp_path / "secrets", "--postgres", where)
        refused = await rehearsal(
            *("migrate", "--json"),
            environment={
                "REHEARSAL_SETTINGS": str(tmp_path / "secrets" / "migrate.toml")
            },
        )
    assert refused.code in {1, 78}
    assert "Traceback" not in refused.err
