"""Reports of simulations and experiments: what they are of, and where they go."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import msgspec

from events.errors import Refused
from events.ids import ExperimentId, SimulationId
from infra.operations.experimenting import Experiments
from infra.operations.exporting import made_whole
from services.experiments.analysis.recording import Recording, Subject
from services.http.experiments import completed
from services.http.reading import Reader
from services.http.recordings import Recordings
from services.identity import Identity


class NothingToReport(Refused):
    """None of its runs has been completed."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is made of."""

    subject: Subject
    runs: Sequence[Recording]
    whole: Recording


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A page and its images."""

    page: str
    charts: dict[str, bytes]


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
        return await _of_run(known, recordings, SimulationId(identifier), step)
    key = ExperimentId(identifier)
    experiment = await known.experiment(key)
    runs = await completed(reader, recordings, identity, key)
    if not runs:
        raise NothingToReport
    first = min(
        (each for each in experiment.runs if each.status == "completed"),
        key=lambda each: each.number,
    )
    subject = Subject(
        title=experiment.name,
        about=[
            ("experiment", str(key)),
            ("status", experiment.status),
            ("runs", f"{len(runs)} completed of {experiment.simulations}"),
        ],
        step=step,
    )
    whole = await recordings.read(first.simulation_id, org_id=identity.org_id)
    return Asked(subject=subject, runs=runs, whole=whole)


async def _of_run(
    known: Experiments, recordings: Recordings, key: SimulationId, step: int | None
) -> Asked:
    run = await known.run(key)
    whole = await recordings.read(key, org_id=known.org_id)
    parameters = ", ".join(
        f"{path} = {value}" for path, value in run.parameters.items()
    )
    subject = Subject(
        title=f"Simulation {key}",
        about=[
            ("status", run.status),
            ("rules", whole.ruleset),
            ("seed", str(run.seed)),
            ("steps", f"{run.step} of {run.steps}"),
            ("parameters", parameters or "as configured"),
            ("hash of the state", run.state_hash or ""),
        ],
        step=step,
    )
    return Asked(subject=subject, runs=[whole], whole=whole)


def write(made: bytes, html: Path | None, png: Path | None) -> dict[str, list[str]]:
    """Write a page, a folder of images or both, and return their names."""
    found = msgspec.json.decode(made, type=Made)
    written: list[str] = []
    if png is not None:
        with made_whole(png) as folder:
            folder.mkdir()
            for name, image in found.charts.items():
                (folder / f"{name}.png").write_bytes(image)
                written.append(str(png / f"{name}.png"))
    if html is not None:
        with made_whole(html) as page:
            page.write_text(found.page, encoding="utf-8")
            written.append(str(html))
    return {"files": written}
