"""Who reproduced, who tried in vain, and why."""

import numpy as np

from services.experiments.analysis.columns import Run
from services.experiments.analysis.measures import rate, ratio
from services.experiments.analysis.results import Reproduction, TypeReproduction


def reproduction(run: Run) -> Reproduction | None:
    """Return who reproduced, None where attempts are not recorded."""
    tried = run.reproductions
    if tried is None:
        return None
    n = len(tried.agent_id)
    failed = ~tried.succeeded
    types = run.agents.types_of(tried.agent_id)
    by_type = []
    for code, name in enumerate(run.agents.agent_type.names):
        own = types == code
        won = own & tried.succeeded
        members = int((run.agents.agent_type.codes == code).sum())
        by_type.append(
            TypeReproduction(
                agent_type=name,
                success=rate(int(won.sum()), int(own.sum())),
                offspring_per_agent=ratio(int(won.sum()), members),
                parents=len(np.unique(tried.agent_id[won])),
                first_step=int(tried.step_number[won].min()) if won.any() else None,
            )
        )
    reasons = {
        name: int((failed & tried.failure_reason.rows(name)).sum())
        for name in tried.failure_reason.names
    }
    most_first = sorted(reasons.items(), key=lambda pair: -pair[1])
    return Reproduction(
        success=rate(int(tried.succeeded.sum()), n),
        failures={
            name: rate(count, int(failed.sum())) for name, count in most_first if count
        },
        by_type=by_type,
    )
