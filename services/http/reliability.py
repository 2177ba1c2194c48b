"""How reliable the agent of a set run is: pass^k and pass@k, from the read tables."""

from typing import Final

import msgspec
from aiohttp import web

from events.errors import Missing
from services.http import asking, formats
from services.http.asking import Identify
from services.http.reading import Reader
from services.identity import Identity
from services.testing.reliability import Estimate, pass_at_k, pass_hat_k, pass_rate


MOST_K: Final = 100

COUNTS: Final = """
SELECT t.unit_test_id,
       count(*) FILTER (WHERE t.outcome = 'passed') AS passed,
       count(*) FILTER (WHERE t.outcome IN ('passed', 'failed', 'inconclusive'))
           AS trials,
       count(*) FILTER (WHERE t.outcome = 'errored') AS errored
FROM testing.trials AS t
WHERE t.run_id = $1
GROUP BY 1
ORDER BY 1
"""


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """A run's pass rate, and pass^k and pass@k for each k up to the most trials.

    A task is a unit test of the run. Trials that broke (`errored`) say nothing of the
    agent and are left out; an inconclusive trial did not pass.
    """

    run_id: str
    tasks: int
    trials: int
    errored: int
    pass_rate: Estimate
    pass_hat_k: dict[str, Estimate]
    pass_at_k: dict[str, Estimate]


async def reliability(reader: Reader, identity: Identity, run_id: str) -> Reliability:
    """Return the reliability that a run's trials show, or raise `Missing`."""
    rows = await reader.read(identity, COUNTS, [run_id])
    if not rows:
        raise Missing("There is no such run, or it has no trials yet.")
    passed = [row["passed"] for row in rows]
    trials = [row["trials"] for row in rows]
    ks = range(1, min(max(trials), MOST_K) + 1)
    return Reliability(
        run_id=run_id,
        tasks=len(rows),
        trials=sum(trials),
        errored=sum(row["errored"] for row in rows),
        pass_rate=pass_rate(passed, trials),
        pass_hat_k={str(k): pass_hat_k(passed, trials, k) for k in ks},
        pass_at_k={str(k): pass_at_k(passed, trials, k) for k in ks},
    )


class ReliabilityRoute:
    """The route of a run's reliability."""

    def __init__(self, *, reader: Reader, identify: Identify) -> None:
        self._reader = reader
        self._identify = identify

    async def get(self, request: web.Request) -> web.Response:
        """Answer a run's reliability."""
        identity = self._identify(request)
        asking.chosen(request, (formats.JSON,))
        run_id = str(asking.identifier(request.match_info["id"], "path.id"))
        found = await reliability(self._reader, identity, run_id)
        return web.Response(
            body=msgspec.json.encode(found),
            headers={"Content-Type": formats.JSON, "Cache-Control": "no-store"},
        )
