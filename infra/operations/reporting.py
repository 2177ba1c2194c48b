"""Reports of simulations and experiments: what they are of, and where they go."""

from pathlib import Path
from uuid import UUID

from infra.operations.experimenting import Experiments
from infra.operations.exporting import made_whole
from services.experiments.analysis.results import Drawn
from services.http.reading import Reader
from services.http.recordings import Recordings
from services.http.reports import Asked, of_experiment, of_simulation
from services.identity import Identity


async def asked_of(
    known: Experiments,
    reader: Reader,
    recordings: Recordings,
    identity: Identity,
    identifier: UUID,
    *,
    step: int | None,
) -> Asked:
    """Return what the report of a simulation or an experiment is made of."""
    if await known.kind(identifier) == "simulation":
        return await of_simulation(recordings, known.org_id, identifier, step=step)
    return await of_experiment(reader, recordings, identity, identifier, step=step)


def write(made: Drawn, html: Path | None, png: Path | None) -> dict[str, list[str]]:
    """Write a page, a folder of images or both, and return their names."""
    written: list[str] = []
    if png is not None:
        with made_whole(png) as folder:
            folder.mkdir()
            for name, image in made.charts.items():
                (folder / f"{name}.png").write_bytes(image)
                written.append(str(png / f"{name}.png"))
    if html is not None:
        with made_whole(html) as page:
            page.write_text(made.page, encoding="utf-8")
            written.append(str(html))
    return {"files": written}
