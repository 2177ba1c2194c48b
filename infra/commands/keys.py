"""Commands for the keys that seal personal text: rotate, reapply."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from infra.commands.shared import OK, Where, answer, progress, run, screen
from infra.operations.erasure import read_ledger
from infra.operations.erasure import reapply as reapply_erasures
from infra.postgres.pool import open_pool
from infra.postgres.vault import rotate_master
from infra.sealing import KEY_BYTES
from infra.settings import SetupError
from infra.wiring import LEDGER, core, database


keys: Final = App(name="keys", help="Look after the keys that seal personal text.")


@keys.command
def rotate(
    *,
    old: Annotated[Path, Parameter(help="The file of the master key in use.")],
    new: Annotated[Path, Parameter(help="The file of the one to use from now on.")],
    where: Where = Where(),  # noqa: B008 - frozen
) -> int:
    """Wrap every subject's key anew; each file holds one key of 32 bytes.

    Before, restart every process with both keys in its key file, the new one first.
    """
    settings = where.settings()

    async def work() -> int:
        secrets = _secret(old), _secret(new)
        async with database(settings) as urls:
            pool = await open_pool(
                urls.keys, min_size=1, max_size=2, application_name="rehearsal keys"
            )
            async with pool:
                with progress() as bar:
                    task = bar.add_task("keys", total=None)
                    wrapped = await rotate_master(
                        pool,
                        *secrets,
                        progress=lambda done: bar.update(task, completed=done),
                    )
        answer(where, {"wrapped": wrapped}, lambda: screen.print(f"{wrapped} keys"))
        return OK

    return run(where, work)


@keys.command
def reapply(*, where: Where = Where()) -> int:  # noqa: B008 - frozen
    """Destroy again the keys of everybody in the erasure ledger, after a restore."""
    settings = where.settings()

    async def work() -> int:
        erasures = read_ledger(settings.data_dir / LEDGER)
        async with (
            database(settings) as urls,
            core(settings, urls, name="keys") as parts,
        ):
            destroyed = await reapply_erasures(erasures, parts.vault)
        found = {"erasures": len(erasures), "destroyed": destroyed}
        answer(
            where,
            found,
            lambda: screen.print(
                f"{len(erasures)} erasures, {destroyed} keys destroyed again"
            ),
        )
        return OK

    return run(where, work)


def _secret(path: Path) -> bytes:
    try:
        secret = path.read_bytes()
    except OSError as error:
        message = f"The key file {path} cannot be read: {error.strerror}."
        raise SetupError(message) from error
    if len(secret) != KEY_BYTES:
        message = f"The key file {path} holds {len(secret)} bytes, not {KEY_BYTES}."
        raise SetupError(message)
    return secret
