"""What was answered: options, ratings, and whether models differ in them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from statistics import fmean, median
from typing import Final

import numpy as np
from msgspec.structs import replace
from scipy.stats import mannwhitneyu, rankdata, wilcoxon

from services.playgrounds.statistics.corrections import benjamini_hochberg, holm
from services.playgrounds.statistics.goodness import between
from services.playgrounds.statistics.proportions import (
    clustered_wilson,
    mcnemar,
    newcombe,
)
from services.playgrounds.statistics.records import Evaluations, Options, Question
from services.playgrounds.statistics.resampling import mean_interval
from services.playgrounds.statistics.results import (
    Choices,
    Comparison,
    EffectName,
    Ratings,
    Share,
    ShareGap,
)


CHOSEN: Final = frozenset({"select", "boolean"})
BOOLEAN: Final = ("true", "false")
SCALE: Final = range(1, 6)
MIN_PAIRED: Final = 0.5

ByTester = Mapping[str, Sequence[str]]


def choices(data: Evaluations, options: Options) -> list[Choices]:
    """Return how often each option was chosen, for each question and model."""
    return [
        _choices(data, options, question, model_key)
        for question, model_key in _asked(data)
        if question.kind in CHOSEN
    ]


def ratings(data: Evaluations, options: Options) -> list[Ratings]:
    """Return the ratings of each question and model that got any."""
    found = []
    for question, model_key in _asked(data):
        given = rated(data, question.id, model_key)
        every = [rating for some in given.values() for rating in some]
        if not every:
            continue
        interval = mean_interval(
            given,
            confidence=options.confidence,
            draws=options.draws,
            seed=options.seed,
        )
        found.append(
            Ratings(
                n=len(every),
                method="mean over answers",
                position=data.position,
                question_id=question.id,
                model_key=model_key,
                testers=len(given),
                counts=[every.count(rating) for rating in SCALE],
                median=median(every),
                mean=fmean(every),
                interval=interval,
            )
        )
    return found


def share_gaps(data: Evaluations, options: Options) -> list[ShareGap]:
    """Return by how much the share of each option differs, for each two models."""
    found = []
    for question, first, second in _compared(data):
        if question.kind not in CHOSEN:
            continue
        one, two = _firsts(data, question.id, first), _firsts(data, question.id, second)
        if not one or not two:
            continue
        for value in values_of(question, [*one, *two]):
            left, right = one.count(value), two.count(value)
            found.append(
                ShareGap(
                    n=len(one) + len(two),
                    method="first model of each tester",
                    position=data.position,
                    question_id=question.id,
                    value=value,
                    first=first,
                    second=second,
                    first_share=left / len(one),
                    second_share=right / len(two),
                    difference=left / len(one) - right / len(two),
                    interval=newcombe(
                        (left, len(one)),
                        (right, len(two)),
                        confidence=options.confidence,
                    ),
                )
            )
    return found


def comparisons(data: Evaluations, options: Options) -> list[Comparison]:
    """Test each question for each two models; all p-values are corrected together.

    Where at least half of the testers answered for both models they are paired,
    otherwise each counts once, with the first model that they saw.
    """
    found = [
        comparison
        for question, first, second in _compared(data)
        if (comparison := _compare(data, options, question, first, second)) is not None
    ]
    p_values = [each.p_value for each in found]
    corrected = zip(found, holm(p_values), benjamini_hochberg(p_values), strict=True)
    return [
        replace(each, holm=strict, benjamini_hochberg=mild)
        for each, strict, mild in corrected
    ]


def rated(
    data: Evaluations, question_id: str, model_key: str
) -> dict[str, list[float]]:
    """Return the ratings of a question for a model, by tester, in order."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for session in data.submitted():
        if session.model_key == model_key:
            for answer in session.answers:
                if answer.question_id == question_id and answer.rating is not None:
                    found[session.tester].append(float(answer.rating))
    return dict(found)


def chosen(data: Evaluations, question_id: str, model_key: str) -> dict[str, list[str]]:
    """Return the chosen options of a question for a model, by tester, in order."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for session in data.submitted():
        if session.model_key == model_key:
            for answer in session.answers:
                if answer.question_id == question_id and answer.value is not None:
                    found[session.tester].append(answer.value)
    return dict(found)


def values_of(question: Question, given: Iterable[str]) -> tuple[str, ...]:
    """Return the values that can be chosen, then those that once could and were."""
    offered = BOOLEAN if question.kind == "boolean" else question.options
    return (*offered, *sorted(set(given) - set(offered)))


def rank_biserial(differences: Sequence[float]) -> float:
    """Return how far positive ranks outweigh negative ones, from -1 to 1.

    Source: Kerby 2014, "The simple difference formula"; zeros are dropped.
    """
    kept = np.array([each for each in differences if each], dtype=float)
    if not len(kept):
        return 0.0
    ranks = rankdata(np.abs(kept))
    return float((ranks * np.sign(kept)).sum() / ranks.sum())


def _asked(data: Evaluations) -> Iterator[tuple[Question, str]]:
    for question in data.questions:
        for model in data.models:
            if question.model_key in {None, model.key}:
                yield question, model.key


def _compared(data: Evaluations) -> Iterator[tuple[Question, str, str]]:
    for question in data.questions:
        if question.model_key is None:
            for first, second in combinations(data.models, 2):
                yield question, first.key, second.key


def _choices(
    data: Evaluations, options: Options, question: Question, model_key: str
) -> Choices:
    given = chosen(data, question.id, model_key)
    answers = sum(len(some) for some in given.values())
    shares = []
    for value in values_of(question, chain.from_iterable(given.values())):
        clusters = [(some.count(value), len(some)) for some in given.values()]
        count = sum(many for many, _ in clusters)
        shares.append(
            Share(
                n=answers,
                method="share of answers",
                position=data.position,
                value=value,
                count=count,
                testers=len(given),
                share=count / answers if answers else None,
                interval=clustered_wilson(clusters, confidence=options.confidence),
            )
        )
    return Choices(
        n=answers,
        method="shares of answers",
        position=data.position,
        question_id=question.id,
        model_key=model_key,
        testers=len(given),
        shares=shares,
    )


def _first_model(data: Evaluations) -> dict[str, str]:
    firsts: dict[str, str] = {}
    for session in data.sessions:
        if session.shown:
            firsts.setdefault(session.tester, session.model_key)
    return firsts


def _firsts(data: Evaluations, question_id: str, model_key: str) -> list[str]:
    """Return one answer of each tester whose first model this was."""
    firsts = _first_model(data)
    given = chosen(data, question_id, model_key)
    return [some[0] for who, some in given.items() if firsts.get(who) == model_key]


def _compare(
    data: Evaluations, options: Options, question: Question, first: str, second: str
) -> Comparison | None:
    if question.kind in CHOSEN:
        return _compare_choices(data, options, question, first, second)
    return _compare_ratings(data, question, first, second)


def _compare_ratings(
    data: Evaluations, question: Question, first: str, second: str
) -> Comparison | None:
    one, two = rated(data, question.id, first), rated(data, question.id, second)
    both = one.keys() & two.keys()
    if both and len(both) >= MIN_PAIRED * len(one.keys() | two.keys()):
        gaps = [fmean(one[who]) - fmean(two[who]) for who in sorted(both)]
        p_value = float(wilcoxon(gaps).pvalue) if any(gaps) else 1.0
        return _comparison(
            data,
            question,
            (first, second),
            n=len(gaps),
            method="Wilcoxon signed-rank over testers who rated both",
            paired=True,
            effect=rank_biserial(gaps),
            p_value=p_value,
        )
    firsts = _first_model(data)
    left = [fmean(some) for who, some in one.items() if firsts.get(who) == first]
    right = [fmean(some) for who, some in two.items() if firsts.get(who) == second]
    if not left or not right:
        return None
    tested = mannwhitneyu(left, right)
    return _comparison(
        data,
        question,
        (first, second),
        n=len(left) + len(right),
        method="Mann-Whitney over testers by the first model that they saw",
        paired=False,
        effect=float(2 * tested.statistic / (len(left) * len(right)) - 1),
        p_value=float(tested.pvalue),
    )


def _compare_choices(
    data: Evaluations, options: Options, question: Question, first: str, second: str
) -> Comparison | None:
    one, two = chosen(data, question.id, first), chosen(data, question.id, second)
    both = one.keys() & two.keys()
    if (
        question.kind == "boolean"
        and both
        and len(both) >= MIN_PAIRED * len(one.keys() | two.keys())
    ):
        pairs = Counter((one[who][0], two[who][0]) for who in both)
        won, lost = pairs["true", "false"], pairs["false", "true"]
        return _comparison(
            data,
            question,
            (first, second),
            n=len(both),
            method="McNemar's exact test over testers who answered for both",
            paired=True,
            effect=(won - lost) / (won + lost) if won + lost else 0.0,
            effect_name="discordant difference",
            p_value=mcnemar(won, lost),
        )
    answered = [_firsts(data, question.id, key) for key in (first, second)]
    values = values_of(question, chain.from_iterable(answered))
    table = [[said.count(value) for value in values] for said in answered]
    found = between(table, seed=options.seed)
    if found is None:
        return None
    p_value, method, effect = found
    return _comparison(
        data,
        question,
        (first, second),
        n=sum(map(sum, table)),
        method=f"{method}, over testers by the first model that they saw",
        paired=False,
        effect=effect,
        effect_name="cramers-v",
        p_value=p_value,
    )


def _comparison(
    data: Evaluations,
    question: Question,
    models: tuple[str, str],
    *,
    n: int,
    method: str,
    paired: bool,
    effect: float | None,
    p_value: float,
    effect_name: EffectName = "rank-biserial",
) -> Comparison:
    return Comparison(
        n=n,
        method=method,
        position=data.position,
        question_id=question.id,
        first=models[0],
        second=models[1],
        paired=paired,
        effect=effect,
        effect_name=effect_name,
        p_value=p_value,
        holm=p_value,
        benjamini_hochberg=p_value,
    )
