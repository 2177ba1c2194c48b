"""BM25 over sentences, with k1 = 1.2 and b = 0.75 and a floored, positive idf.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009;
idf = ln(1 + (N - n + 0.5) / (n + 0.5)). Equal scores keep the order of the documents.
"""

from collections import Counter
from collections.abc import Sequence
from math import log
from typing import Final

import msgspec


K1: Final = 1.2
B: Final = 0.75


class Index(msgspec.Struct, frozen=True):
    """Documents as counts of stems, with what ranking needs to know of all of them."""

    counts: tuple[dict[str, int], ...]
    lengths: tuple[int, ...]
    mean: float
    idf: dict[str, float]


def index(documents: Sequence[Sequence[str]]) -> Index:
    """Return the index of documents that are given as their stems."""
    counts = tuple(dict(Counter(document)) for document in documents)
    lengths = tuple(len(document) for document in documents)
    frequency = Counter(stem for count in counts for stem in count)
    total = len(documents)
    return Index(
        counts=counts,
        lengths=lengths,
        mean=sum(lengths) / total if total else 0.0,
        idf={
            stem: log(1 + (total - n + 0.5) / (n + 0.5))
            for stem, n in frequency.items()
        },
    )


def ranked(index: Index, query: Sequence[str]) -> list[tuple[float, int]]:
    """Return scores and places of the documents that share a stem, best first."""
    wanted = [stem for stem in dict.fromkeys(query) if stem in index.idf]
    scores = [
        (score, place)
        for place in range(len(index.counts))
        if (score := scored(index, wanted, place)) > 0
    ]
    return sorted(scores, key=lambda pair: (-pair[0], pair[1]))


def scored(index: Index, wanted: Sequence[str], place: int) -> float:
    """Return how well a document answers a query."""
    count = index.counts[place]
    if not index.mean:
        return 0.0
    norm = K1 * (1 - B + B * index.lengths[place] / index.mean)
    return sum(
        index.idf[stem] * count[stem] * (K1 + 1) / (count[stem] + norm)
        for stem in wanted
        if stem in count
    )
