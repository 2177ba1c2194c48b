"""Which model testers prefer: wins of each two, and a ranking of all."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from math import log
from typing import Final

import numpy as np

from services.playgrounds.statistics import bradley_terry
from services.playgrounds.statistics.battles import Judged, battles
from services.playgrounds.statistics.bradley_terry import (
    Battle,
    Design,
    Fit,
    NoMaximumError,
)
from services.playgrounds.statistics.proportions import always_valid, clustered_wilson
from services.playgrounds.statistics.records import Evaluations, Options
from services.playgrounds.statistics.results import (
    Interval,
    Preferences,
    Ranking,
    Strength,
)


SCALE: Final = 400 / log(10)
START: Final = 1000
MIN_TESTERS: Final = 2
MOST_FAILED: Final = 0.05
MOST_DRAWS: Final = 500


def by_source(data: Evaluations) -> dict[str, list[Judged]]:
    """Return battles by what they rest on: `pairwise:ID` or `rating:ID`."""
    found: dict[str, list[Judged]] = {}
    for judged in battles(data):
        key = f"{judged.source}:{judged.question_id}"
        found.setdefault(key, []).append(judged)
    return found


def preferences(data: Evaluations, options: Options) -> list[Preferences]:
    """Return for each question, or pair of ratings, how each two models fared."""
    return [
        _between(data, options, (source, judged), first.key, second.key)
        for source, judged in by_source(data).items()
        for first, second in combinations(data.models, 2)
    ]


def rankings(data: Evaluations, options: Options) -> list[Ranking]:
    """Return for each question, or pair of ratings, the models' strengths."""
    return [
        _ranking(data, options, source, judged)
        for source, judged in by_source(data).items()
    ]


def _between(
    data: Evaluations,
    options: Options,
    of_source: tuple[str, Sequence[Judged]],
    first: str,
    second: str,
) -> Preferences:
    source, judged = of_source
    tally: Counter[str] = Counter()
    points: dict[str, list[float]] = {}
    for each in judged:
        pair = (each.first.model_key, each.second.model_key)
        if pair not in {(first, second), (second, first)}:
            continue
        outcome = each.outcome
        if pair[0] == second and outcome in {"first", "second"}:
            outcome = "second" if outcome == "first" else "first"
        tally[outcome] += 1
        if outcome != "both_bad":
            point = {"first": 1.0, "tie": 0.5, "second": 0.0}[outcome]
            points.setdefault(each.tester, []).append(point)
    clusters = [(sum(some), len(some)) for some in points.values()]
    won = sum(points for points, _ in clusters)
    decided = tally["first"] + tally["second"] + tally["tie"]
    once = [sum(some) / len(some) for some in points.values()]
    return Preferences(
        n=decided,
        method="a tie is half a win; both bad is left out",
        position=data.position,
        source=source,
        first=first,
        second=second,
        first_wins=tally["first"],
        second_wins=tally["second"],
        ties=tally["tie"],
        both_bad=tally["both_bad"],
        testers=len(clusters),
        win_share=won / decided if decided else None,
        interval=clustered_wilson(clusters, confidence=options.confidence),
        always_valid=always_valid(sum(once), len(once), confidence=options.confidence),
    )


def _ranking(
    data: Evaluations, options: Options, source: str, judged: Sequence[Judged]
) -> Ranking:
    keys = [model.key for model in data.models]
    number = {key: at for at, key in enumerate(keys)}
    known = [
        each
        for each in judged
        if each.first.model_key in number and each.second.model_key in number
    ]
    fought = [_battle(each, number) for each in known]
    used = [battle for battle in fought if battle is not None]
    testers = [
        each.tester
        for each, battle in zip(known, fought, strict=True)
        if battle is not None
    ]
    design = Design(used, len(keys))
    groups = bradley_terry.components(used, len(keys))
    best: Fit | None = None
    refusal = None
    try:
        best = bradley_terry.fit(design, ties=options.ties)
    except NoMaximumError as error:
        refusal = str(error)
    drawn, failed = ([], 0) if best is None else _drawn(design, testers, options)
    trusted = len(drawn) > 1 and failed <= MOST_FAILED * (len(drawn) + failed)
    bounds = _Bounds(drawn if trusted else [], options, failed)
    elo = bradley_terry.elo(used, len(keys))
    return Ranking(
        n=len(used),
        method=f"Bradley-Terry by maximum likelihood, ties by {options.ties}, mean 0",
        position=data.position,
        source=source,
        testers=len(set(testers)),
        components=[[keys[at] for at in group] for group in groups],
        refusal=refusal,
        strengths=[]
        if best is None
        else [
            Strength(
                model_key=key,
                strength=best.strengths[at],
                rating=START + SCALE * best.strengths[at],
                interval=bounds.of([fit.strengths[at] for fit in bounds.fits]),
                elo=elo[at],
            )
            for at, key in enumerate(keys)
        ],
        position_effect=None if best is None else best.position,
        position_interval=bounds.of(
            [fit.position for fit in bounds.fits if fit.position is not None]
        ),
        tie=None if best is None else best.tie,
        failed_draws=failed,
    )


def _battle(judged: Judged, number: dict[str, int]) -> Battle | None:
    if judged.outcome == "both_bad":
        return None
    return Battle(
        first=number[judged.first.model_key],
        second=number[judged.second.model_key],
        winner=judged.outcome,
    )


def _drawn(
    design: Design, testers: Sequence[str], options: Options
) -> tuple[list[Fit], int]:
    """Return fits of battles redrawn by tester, and how many draws had none."""
    names = sorted(set(testers))
    if len(names) < MIN_TESTERS:
        return [], 0
    place = {name: at for at, name in enumerate(names)}
    own = np.array([place[tester] for tester in testers])
    rng = np.random.default_rng(options.seed)
    even = np.full(len(names), 1 / len(names))
    fits: list[Fit] = []
    failed = 0
    for _ in range(min(options.draws, MOST_DRAWS)):
        weights = rng.multinomial(len(names), even)[own].astype(float)
        try:
            fits.append(bradley_terry.fit(design, weights, ties=options.ties))
        except NoMaximumError:
            failed += 1
    return fits, failed


class _Bounds:
    """Percentile intervals over redrawn fits."""

    def __init__(self, fits: Sequence[Fit], options: Options, failed: int) -> None:
        self.fits = fits
        self._confidence = options.confidence
        draws = len(fits) + failed
        self._method = f"bootstrap over testers, {draws} draws, seed {options.seed}"

    def of(self, values: Sequence[float]) -> Interval | None:
        if len(values) < MIN_TESTERS or len(values) < len(self.fits):
            return None
        outside = (1 - self._confidence) / 2
        low, high = np.quantile(values, [outside, 1 - outside])
        return Interval(
            low=float(low),
            high=float(high),
            confidence=self._confidence,
            method=self._method,
        )
