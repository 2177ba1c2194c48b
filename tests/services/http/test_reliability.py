"""The reliability of a run, counted from rows as the database would give them."""

from collections.abc import Sequence

import pytest

from events.errors import Missing
from services.http.reading import Row
from services.http.reliability import reliability
from services.identity import Identity


ADA = Identity(org_id="acme", region="eu-west", actor="user:ada")


class Given:
    """A reader that gives the same counts to everybody."""

    def __init__(self, *counts: tuple[int, int, int]) -> None:
        self._rows: list[dict[str, object]] = [
            {"unit_test_id": str(place), "passed": c, "trials": n, "errored": e}
            for place, (c, n, e) in enumerate(counts)
        ]

    async def read(
        self, _identity: Identity, _sql: str, _args: Sequence[object]
    ) -> Sequence[Row]:
        return self._rows


async def test_every_k_up_to_the_most_trials_is_estimated() -> None:
    found = await reliability(Given((4, 4, 0), (1, 2, 1)), ADA, "run")
    assert list(found.pass_hat_k) == ["1", "2", "3", "4"]
    assert (found.tasks, found.trials, found.errored) == (2, 6, 1)
    assert found.pass_hat_k["1"].value == pytest.approx(0.75)
    assert found.pass_hat_k["3"].left_out == 1


async def test_a_run_whose_trials_all_broke_is_estimated_as_unknown() -> None:
    found = await reliability(Given((0, 0, 3)), ADA, "run")
    assert found.pass_rate.value is None
    assert found.pass_hat_k == {}


async def test_a_run_without_trials_is_missing() -> None:
    with pytest.raises(Missing):
        await reliability(Given(), ADA, "run")
