"""Corrections against figures worked out by hand and against statsmodels."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from services.playgrounds.statistics.corrections import benjamini_hochberg, holm


def test_holm_multiplies_the_smallest_by_all_and_the_next_by_one_less() -> None:
    # sorted: 0.01 * 3, max(0.03, 0.02 * 2), max(0.04, 0.04 * 1)
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])


def test_benjamini_and_hochberg_divide_by_the_rank() -> None:
    # sorted: 0.01 * 3 / 1, 0.02 * 3 / 2, 0.04 * 3 / 3; each at most those above it
    assert benjamini_hochberg([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.03])


@pytest.fixture(scope="module")
def frozen() -> Iterator[None]:
    """Leave full collections nothing to look at: statsmodels asks for one each time."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("frozen")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_both_agree_with_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(expected), abs=1e-9)
    expected = multipletests(p_values, method="fdr_bh")[1]
    assert benjamini_hochberg(p_values) == pytest.approx(list(expected), abs=1e-9)


def test_nothing_looked_at_needs_no_correction() -> None:
    assert holm([]) == benjamini_hochberg([]) == []
