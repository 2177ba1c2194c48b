"""The demo's playground: testers fill it, its figures are shown, its places proved."""

from typing import Final

from infra.commands.audit import Which, newest, print_acts
from infra.commands.playgrounds import figures, print_figures, print_proof
from infra.commands.shared import OPERATOR, Who, screen
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

    def token_for(actor: str, email: str) -> str:
        role = "admin" if actor == OPERATOR else "tester"
        return development.issue(actor, org=who.org, roles=[role], email=email)

    found = await fill(url, token_for, OPERATOR)
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
