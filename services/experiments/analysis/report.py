"""Every question about one run, answered from its columns.

Pure: the same columns give the same answers. numpy and scipy are imported with this
module, so it is imported where they are needed, not before.
"""

from services.experiments.analysis.actions import behaviour
from services.experiments.analysis.advantage import advantages
from services.experiments.analysis.columns import Run
from services.experiments.analysis.dominance import dominance
from services.experiments.analysis.events import significant_events
from services.experiments.analysis.gaps import gaps
from services.experiments.analysis.health import health
from services.experiments.analysis.learning import progress
from services.experiments.analysis.population import population, resource_use
from services.experiments.analysis.reproduction import reproduction
from services.experiments.analysis.results import Analysis
from services.experiments.analysis.survival import survival


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
        gaps=gaps(run),
    )
