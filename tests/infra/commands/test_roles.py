"""Every role runs alone, as a process that is given addresses and no more."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from tests.infra.commands.process import addressed, rehearsal, role
from tests.postgres_ladder import Database
from tests.services.work.library import SET, library


ORG = "roles"


async def test_a_dispatcher_and_workers_of_their_own_hold_a_run(
    database: Database, tmp_path: Path
) -> None:
    environment = addressed(database, tmp_path)
    not_for_workers = ("REHEARSAL_OWNER_URL", "REHEARSAL_PROJECTOR_URL")
    narrow = {k: v for k, v in environment.items() if k not in not_for_workers}

    async def ask(*words: object, content: bytes = b"") -> Any:  # noqa: ANN401 - JSON
        answer = await rehearsal(
            *(*words, "--json"), content=content, environment=environment
        )
        assert answer.code == 0, answer
        return answer.json

    async with AsyncExitStack() as roles:
        await ask("migrate")
        lines = b"\n".join(msgspec.json.encode(command) for command in library())
        await ask("send", "-", "--org", ORG, content=lines)
        run = (await ask("runs", "start", SET, "--trials", 2, "--org", ORG))["run_id"]
        for name, given in (
            ("project", environment),
            ("dispatch", environment),
            ("dispatch", environment),
            ("work", narrow),
            ("work", narrow),
        ):
            await roles.enter_async_context(role(name, given))
        async with asyncio.timeout(60):
            while True:
                shown = await ask("runs", "show", run, "--org", ORG)
                if shown["status"] == "completed":
                    break
    assert shown["trial_count"] == 6


async def test_a_small_stack_needs_no_broker(
    database: Database, tmp_path: Path
) -> None:
    environment = addressed(database, tmp_path)
    migrated = await rehearsal("migrate", environment=environment)
    assert migrated.code == 0
    async with role("background", environment) as background:
        assert background.returncode is None
