"""A report: charts of runs and a table of what they say, as a page and as images."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
import numpy as np
from msgspec.structs import replace

from events.experiments.vocabulary import SCALE
from services.experiments.analysis.captions import CAPTIONS, MISSING
from services.experiments.analysis.charts import MOST, Line, Place, charts, typed
from services.experiments.analysis.comparison import compare
from services.experiments.analysis.contrasts import replicate
from services.experiments.analysis.findings import (
    of_condition,
    of_difference,
    of_run,
)
from services.experiments.analysis.recorded import recorded, tables_of
from services.experiments.analysis.recording import (
    MEDIA,
    ImageKind,
    Recording,
    Subject,
)
from services.experiments.analysis.report import analyse
from services.experiments.analysis.results import (
    Chart,
    Drawn,
    Finding,
    Replicate,
    Report,
)


LONGEST: Final = 60  # letters of a condition in a legend
TEMPLATE: Final = Path(__file__).with_name("page.html")


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A chart as the page holds it."""

    source: str
    caption: str


def drawn(subject: Subject, runs: Sequence[Recording], whole: Recording) -> Drawn:
    """Return the report of runs; `whole` is the first with all of its rows.

    Runs of the same parameters are one line.
    """
    found = recorded(whole)
    told = {_key(each): _told(each.parameters) for each in runs}
    lines: dict[bytes, list[Any]] = {key: [] for key in told}
    for each in runs:
        alone = each.simulation_id == whole.simulation_id
        lines[_key(each)].append(found if alone else recorded(each))
    made = charts(
        [Line(label=_label(told[key], own), runs=own) for key, own in lines.items()],
        place_of(whole, subject.step),
        subject.image,
    )
    findings = [*of_run(analyse(found))]
    if len(runs) > 1:
        findings = [
            *_of_conditions(runs, told),
            *(replace(each, subject=f"{each.subject}, first run") for each in findings),
        ]
    position = max(each.position for each in (whole, *runs))
    missing = [said for name, said in MISSING.items() if name not in made]
    if len(lines) > MOST:
        missing.append(f"The charts show the first {MOST} of {len(lines)} conditions.")
    report = Report(
        title=subject.title,
        about=dict(subject.about),
        position=position,
        charts=[Chart(name=name, caption=CAPTIONS[name]) for name in made],
        missing=missing,
        findings=findings,
    )
    return Drawn(report=report, page=page_of(report, made, subject.image), charts=made)


def page_of(report: Report, made: Mapping[str, bytes], kind: ImageKind) -> str:
    """Return a report as a page that holds its charts."""
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined
    ).from_string(TEMPLATE.read_text())
    return template.render(
        report=report,
        charts=[
            Image(
                source=f"data:{MEDIA[kind]};base64,{b64encode(made[each.name]).decode()}",
                caption=each.caption,
            )
            for each in report.charts
        ],
    )


def place_of(run: Recording, step: int | None) -> Place | None:
    """Return where all are at a step, or the last that has states; None without."""
    tables = tables_of(run.pieces)
    states, nodes, births = (tables.get(name) for name in ("states", "nodes", "births"))
    if states is None or births is None or not len(states):
        return None
    at = int(states["step"].max()) if step is None else step
    own = states[states["step"] == at]
    if not len(own):
        return None
    born = births[np.argsort(births["agent"], kind="stable")]
    there = nodes[nodes["step"] == at] if nodes is not None else None
    return Place(
        step=at,
        agents=typed(
            born["kind"],
            born["agent"],
            own["agent"],
            own["x"] / SCALE,
            own["y"] / SCALE,
        ),
        nodes=(np.zeros(0),) * 3
        if there is None
        else (there["x"] / SCALE, there["y"] / SCALE, there["amount"] / SCALE),
    )


def _of_conditions(
    runs: Sequence[Recording], told: dict[bytes, str]
) -> Iterator[Finding]:
    """Yield what each condition came to, and how the first differs from others."""
    replicates: dict[bytes, list[Replicate]] = {key: [] for key in told}
    for each in runs:
        replicates[_key(each)].append(replicate(each))
    first, *others = replicates
    for key, found in replicates.items():
        yield from of_condition(told[key] or "all", found)
    for other in others:
        compared = compare(replicates[first], replicates[other])
        yield from of_difference(told[first], told[other], compared)


def _key(run: Recording) -> bytes:
    return msgspec.json.encode(run.parameters, order="sorted")


def _told(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{path} = {value}" for path, value in parameters.items())


def _label(told: str, runs: Sequence[object]) -> str:
    name = (told if len(told) <= LONGEST else f"{told[:LONGEST]}...") or "all"
    name = name.replace("$", r"\$")  # which would begin a formula
    if len(runs) == 1:
        return name
    return f"{name} ({len(runs)} runs: mean, and 95 % of them)"
