"""What changed agents' health, and by how much."""

from services.experiments.analysis.columns import Run
from services.experiments.analysis.measures import rate, spread
from services.experiments.analysis.results import Cause, Health


def health(run: Run) -> Health | None:
    """Return what changed agents' health, None where that is not recorded."""
    incidents = run.incidents
    if incidents is None:
        return None
    n = len(incidents.agent_id)
    change = incidents.health_after - incidents.health_before
    found = []
    for name in incidents.cause.names:
        rows = incidents.cause.rows(name)
        changed = spread(change[rows])
        if changed is None:
            continue
        fatal = int((incidents.health_after[rows] <= 0).sum())
        found.append(
            Cause(
                cause=name,
                share=rate(changed.n, n),
                change=changed,
                fatal=rate(fatal, changed.n),
            )
        )
    lived = int(run.steps.total_agents.sum())
    return Health(
        n=n,
        per_agent_step=n / lived if lived else None,
        causes=sorted(found, key=lambda each: -each.share.count),
    )
