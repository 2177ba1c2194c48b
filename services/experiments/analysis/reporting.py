"""A report: charts of runs and a table of what they say, as a page and as images."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
import numpy as np
from msgspec.structs import replace

from services.experiments.analysis.captions import CAPTIONS, MISSING
from services.experiments.analysis.charts import MOST, Line, Place, charts
from services.experiments.analysis.columns import Floats, Resources, Run
from services.experiments.analysis.comparison import compare
from services.experiments.analysis.contrasts import replicate
from services.experiments.analysis.findings import (
    of_condition,
    of_difference,
    of_run,
)
from services.experiments.analysis.recorded import recorded
from services.experiments.analysis.recording import (
    MEDIA,
    AnyRecording,
    ImageKind,
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


def drawn(subject: Subject, runs: Sequence[AnyRecording], whole: AnyRecording) -> Drawn:
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
        place_of(found, subject.step),
        subject.image,
    )
    analysis = analyse(found)
    findings = [*of_run(analysis)]
    if len(runs) > 1:
        findings = [
            *_of_conditions(runs, told),
            *(replace(each, subject=f"{each.subject}, first run") for each in findings),
        ]
    position = max(each.position for each in (whole, *runs))
    missing = [said for name, said in MISSING.items() if name not in made]
    missing += [
        f"{each.question} is not answered: it takes {each.takes}."
        for each in analysis.gaps
    ]
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


def place_of(run: Run, step: int | None) -> Place | None:
    """Return where all are at a step, or the last that has states; None without."""
    states = run.states
    if states is None:
        return None
    placed = ~np.isnan(states.position_x) & ~np.isnan(states.position_y)
    if not placed.any():
        return None
    at = int(states.step_number[placed].max()) if step is None else step
    here = placed & (states.step_number == at)
    if not here.any():
        return None
    x, y = states.position_x[here], states.position_y[here]
    kinds = run.agents.types_of(states.agent_id[here])
    names = dict(enumerate(run.agents.agent_type.names))
    return Place(
        step=at,
        agents={
            names.get(int(code), "of no known type"): (
                x[kinds == code],
                y[kinds == code],
            )
            for code in np.unique(kinds)[
                np.argsort(np.unique(kinds) < 0, kind="stable")
            ]
        },
        nodes=_nodes(run.resources, at),
    )


def _nodes(resources: Resources | None, step: int) -> tuple[Floats, Floats, Floats]:
    """Return where resources are at a step, and how much of them."""
    if resources is None:
        return (np.zeros(0),) * 3
    columns = resources.position_x, resources.position_y, resources.amount
    known = ~np.isnan(sum(columns))
    x, y, amount = (each[known & (resources.step_number == step)] for each in columns)
    return x, y, amount


def _of_conditions(
    runs: Sequence[AnyRecording], told: dict[bytes, str]
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


def _key(run: AnyRecording) -> bytes:
    return msgspec.json.encode(run.parameters, order="sorted")


def _told(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{path} = {value}" for path, value in parameters.items())


def _label(told: str, runs: Sequence[object]) -> str:
    name = (told if len(told) <= LONGEST else f"{told[:LONGEST]}...") or "all"
    name = name.replace("$", r"\$")  # which would begin a formula
    if len(runs) == 1:
        return name
    return f"{name} ({len(runs)} runs: mean, and 95 % of them)"
