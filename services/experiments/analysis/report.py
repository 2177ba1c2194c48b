"""Every question about one run, answered from its columns.

Pure: the same columns give the same answers. numpy and scipy are imported with this
module, so it is imported where they are needed, not before.
"""

import msgspec

from services.experiments.analysis.actions import Behaviour, behaviour
from services.experiments.analysis.advantage import Advantage, advantages
from services.experiments.analysis.columns import Run
from services.experiments.analysis.dominance import Dominance, dominance
from services.experiments.analysis.events import Event, significant_events
from services.experiments.analysis.health import Health, health
from services.experiments.analysis.learning import ModuleProgress, progress
from services.experiments.analysis.population import (
    Population,
    ResourceUse,
    population,
    resource_use,
)
from services.experiments.analysis.reproduction import Reproduction, reproduction
from services.experiments.analysis.survival import Survival, survival


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's columns say; None where what it takes was not recorded."""

    population: Population | None
    resources: ResourceUse | None
    survival: Survival | None
    dominance: Dominance | None
    advantages: list[Advantage] | None
    behaviour: Behaviour | None
    reproduction: Reproduction | None
    learning: list[ModuleProgress] | None
    health: Health | None
    events: list[Event]


def analyse(run: Run, *, least_severity: float = 0.0) -> Analysis:
    """Return the answers for one run."""
    return Analysis(
        population=population(run),
        resources=resource_use(run),
        survival=survival(run),
        dominance=dominance(run),
        advantages=advantages(run),
        behaviour=behaviour(run),
        reproduction=reproduction(run),
        learning=progress(run),
        health=health(run),
        events=significant_events(run, least=least_severity),
    )
