"""Columns: coded text, and agents found by their numbers."""

from dataclasses import replace

import numpy as np

from services.experiments.analysis.columns import Coded
from tests.services.experiments.analysis.given_run import agents


def test_text_is_coded_in_order_of_appearance() -> None:
    coded = Coded.of(["b", "a", "b"])
    assert (list(coded.codes), coded.names) == ([0, 1, 0], ("b", "a"))
    assert list(coded.rows("b")) == [True, False, True]
    assert list(coded.rows("c")) == [False] * 3


def test_agents_are_found_by_number_whether_or_not_one_is_missing() -> None:
    whole = agents(("system", 0, None), ("control", 0, None), ("system", 0, None))
    asked = np.array([2, 0, -1, 3, 1])
    assert list(whole.rows_of(asked)) == [2, 0, -1, -1, 1]
    assert list(whole.types_of(asked)) == [0, 0, -1, -1, 1]
    apart = replace(whole, agent_id=np.array([1, 5, 9]))
    assert list(apart.rows_of(np.array([9, 2, 1, 10, 0]))) == [2, -1, 0, -1, -1]
    assert list(agents().types_of(np.array([4]))) == [-1]
