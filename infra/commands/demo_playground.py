"""The demo's playground: testers fill it, its figures are shown, its places proved."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from infra.commands.audit import Which, newest, print_acts
from infra.commands.playgrounds import figures, print_figures, print_proof
from infra.commands.shared import OPERATOR, Who, progress, screen
from infra.mail.outbox import OUTBOX
from infra.operations.allocations import verified
from infra.operations.judging import Judged, fill
from infra.settings import Settings
from infra.tokens import Issuer
from infra.wiring import Urls, caught_up, core, reading


ACTS: Final = 4


async def judged(
    url: str, development: Issuer, settings: Settings, urls: Urls, who: Who
) -> Judged:
    """Fill an A/B playground by simulated testers; print what came of it, and acts."""
    screen.rule("Filling an A/B playground by simulated testers", align="left")

    def owner() -> str:
        return development.issue(OPERATOR, org=who.org, roles=["admin"])

    found = await _filled(url, owner, who.org, settings.data_dir / OUTBOX)
    told = f"  {found.testers} testers signed in by a code, each to an account"
    screen.print(told, highlight=False)
    await caught_up(urls, found.position)
    identity = who.identity(settings)
    async with (
        core(settings, urls, name="demo") as parts,
        reading(urls) as reader,
    ):
        print_figures(await figures(reader, identity, found.playground_id))
        print_proof(await verified(parts.log, reader, identity, found.playground_id))
        screen.print("Who did what, the newest acts of all:")
        which = Which(action="playgrounds.*")
        print_acts(await newest(reader, identity, which, ACTS))
    screen.print(
        f"  on pages: {url}/playgrounds/{found.playground_id}/watch",
        highlight=False,
        soft_wrap=True,
    )
    return found


async def _filled(
    url: str, owner: Callable[[], str], org: str, letters: Path
) -> Judged:
    with progress() as bar:
        task = bar.add_task("inviting testers, who sign in and evaluate", total=None)

        async def wait(seconds: float) -> None:
            why = f"so many codes were asked for that the next waits {seconds:.0f} s"
            bar.update(task, description=why)
            await asyncio.sleep(seconds)

        return await fill(url, owner, org=org, letters=letters, wait=wait)
