"""What changed agents' health, and by how much."""

from services.experiments.analysis.columns import Run
from services.experiments.analysis.measures import known, rate, spread_of
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
        count = int(rows.sum())
        if not count:
            continue
        after = known(incidents.health_after[rows])
        found.append(
            Cause(
                cause=name,
                share=rate(count, n),
                change=spread_of(change[rows]),
                fatal=rate(int((after <= 0).sum()), len(after)),
            )
        )
    counts = run.steps.total_agents if run.steps.every else None
    lived = 0 if counts is None else int(counts.sum())
    return Health(
        n=n,
        per_agent_step=n / lived if lived else None,
        causes=sorted(found, key=lambda each: -each.share.count),
    )
