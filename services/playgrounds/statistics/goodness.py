"""Tests of counts: against what was intended, and of one group against another."""

from collections.abc import Iterator, Sequence
from math import comb, exp, lgamma, log
from typing import Final

import numpy as np
from scipy.stats import (
    binomtest,
    chi2_contingency,
    chisquare,
    fisher_exact,
    random_table,
)


FEW: Final = 5
MOST_OUTCOMES: Final = 100_000
DRAWS: Final = 99_999
TABLES: Final = 9_999
TOLERANCE: Final = 1e-9

Tested = tuple[float, str]
"""A p-value, and the method that gave it."""


def against(counts: Sequence[int], weights: Sequence[float], *, seed: int) -> Tested:
    """Test counts against weights: chi-square, or exactly where few are expected.

    Exact is the chance of a count that is at most as likely as the observed one; where
    the possible counts are too many, of a chi-square as large, by seeded drawing.
    """
    n, total = sum(counts), sum(weights)
    shares = [weight / total for weight in weights]
    expected = [n * share for share in shares]
    if min(expected) >= FEW:
        return float(chisquare(counts, expected).pvalue), "chi-square"
    if len(counts) == 2:  # noqa: PLR2004 - two models: a binomial
        return float(binomtest(counts[0], n, shares[0]).pvalue), "exact binomial"
    if comb(n + len(counts) - 1, len(counts) - 1) <= MOST_OUTCOMES:
        return _multinomial(counts, shares), "exact multinomial"
    drawn = np.random.default_rng(seed).multinomial(n, shares, size=DRAWS)
    distances = ((drawn - expected) ** 2 / expected).sum(axis=1)
    own = float(((np.array(counts) - expected) ** 2 / expected).sum())
    reached = int((distances >= own * (1 - TOLERANCE)).sum())
    method = f"chi-square, {DRAWS} multinomial draws, seed {seed}"
    return (reached + 1) / (DRAWS + 1), method


def between(
    groups: Sequence[Sequence[int]], *, seed: int
) -> tuple[float, str, float] | None:
    """Test whether groups have the same distribution over the same categories.

    Returns p-value, method and Cramer's V; None where there is nothing to compare.
    Chi-square of independence; where few are expected Fisher's exact test, and for
    larger tables the chance of a chi-square as large, by seeded drawing.
    """
    table = np.array(groups, dtype=int)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:  # noqa: PLR2004 - one group or category compares nothing
        return None
    found = chi2_contingency(table, correction=False)
    width = min(table.shape) - 1
    effect = float((found.statistic / (table.sum() * width)) ** 0.5)
    if found.expected_freq.min() >= FEW:
        return float(found.pvalue), "chi-square of independence", effect
    if table.shape == (2, 2):
        return float(fisher_exact(table).pvalue), "Fisher's exact test", effect
    rng = np.random.default_rng(seed)
    margins = random_table(table.sum(axis=1), table.sum(axis=0))
    drawn = margins.rvs(TABLES, random_state=rng)
    distances = ((drawn - found.expected_freq) ** 2 / found.expected_freq).sum((1, 2))
    reached = int((distances >= found.statistic * (1 - TOLERANCE)).sum())
    method = f"chi-square, {TABLES} tables of the same margins, seed {seed}"
    return (reached + 1) / (TABLES + 1), method, effect


def _multinomial(counts: Sequence[int], shares: Sequence[float]) -> float:
    n = sum(counts)
    own = _chance(counts, shares)
    limit = own * (1 + TOLERANCE)
    chances = (_chance(each, shares) for each in _compositions(n, len(counts)))
    return min(1.0, sum(chance for chance in chances if chance <= limit))


def _chance(counts: Sequence[int], shares: Sequence[float]) -> float:
    terms = (
        each * log(share) - lgamma(each + 1)
        for each, share in zip(counts, shares, strict=True)
    )
    return exp(lgamma(sum(counts) + 1) + sum(terms))


def _compositions(n: int, parts: int) -> Iterator[tuple[int, ...]]:
    if parts == 1:
        yield (n,)
        return
    for first in range(n + 1):
        for rest in _compositions(n - first, parts - 1):
            yield (first, *rest)
