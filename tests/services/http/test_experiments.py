"""What can be asked of recorded populations, and what is refused."""

from collections.abc import Sequence

import msgspec
import pytest

from infra.clock import new_id
from services.http.reading import Row
from services.identity import Identity
from tests.services.experiments.outside_examples import ELSEWHERE, OPEN
from tests.services.http.world import is_problem, open_world


ANALYSIS = "/v1/experiments/simulations/{}/analysis"
COMPARISON = "/v1/experiments/experiments/{}/comparison"


class Rows:
    """The same rows whatever is asked."""

    def __init__(self, *rows: Row) -> None:
        self._rows = rows

    async def read(
        self, _identity: Identity, _sql: str, _args: Sequence[object], /
    ) -> Sequence[Row]:
        return self._rows


@pytest.mark.parametrize("least", ["nan", "-0.1", "1.01", "1e400", "much", "0" * 40])
async def test_a_severity_is_from_0_to_1(least: str) -> None:
    async with open_world(reader=Rows()) as world:
        answer = await world.get(f"{ANALYSIS.format(5)}?least_severity={least}")
    assert is_problem(answer, 400, "query.least_severity")


async def test_a_run_that_the_caller_may_not_see_is_missing() -> None:
    async with open_world(reader=Rows()) as world:
        assert is_problem(await world.get(ANALYSIS.format(5)), 404)
        assert is_problem(await world.get(COMPARISON.format(new_id())), 404)


async def test_what_is_no_identifier_is_named() -> None:
    async with open_world(reader=Rows()) as world:
        wrong = await world.get(ANALYSIS.format("10" * 40))
        assert is_problem(wrong, 400, "path.id")
        assert is_problem(await world.get(COMPARISON.format("5")), 400, "path.id")


async def test_a_row_without_a_stream_is_missing_too() -> None:
    async with open_world(reader=Rows({"_id": str(new_id())})) as world:
        assert is_problem(await world.get(ANALYSIS.format(5)), 404)


async def test_what_runs_elsewhere_is_calculated_like_any_other() -> None:
    row = {"_id": str(ELSEWHERE), "name": "Dry", "status": "running", "simulations": 0}
    async with open_world(reader=Rows(row)) as world:
        await world.send(msgspec.json.encode(OPEN))
        assert is_problem(await world.get(ANALYSIS.format(5)), 503)
        assert is_problem(await world.get(COMPARISON.format(new_id())), 503)
