"""P-values corrected for how many were looked at."""

from collections.abc import Sequence

from scipy.stats import false_discovery_control


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that keep the chance of any false alarm.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, place in enumerate(order):
        highest = max(highest, p_values[place] * (len(p_values) - rank))
        corrected[place] = min(1.0, highest)
    return corrected


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values that keep the share of false alarms among alarms.

    Source: Benjamini and Hochberg 1995, "Controlling the false discovery rate".
    """
    if not p_values:
        return []
    return [float(p) for p in false_discovery_control(p_values, method="bh")]
