"""Who was shown what, in what proportion, and who stayed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median
from typing import Final, Literal

from services.playgrounds.statistics.goodness import against, between
from services.playgrounds.statistics.proportions import clustered_wilson
from services.playgrounds.statistics.records import Evaluations, Options, Session
from services.playgrounds.statistics.results import (
    Attrition,
    DifferentialAttrition,
    Excluded,
    Exposure,
    Nonresponse,
    SampleRatio,
)


ALARM: Final = 0.001
MODELS: Final = 2

Stage = Literal["first shown", "shown", "submitted"]


def exposure(data: Evaluations) -> Exposure:
    """Return who was shown what, and which sessions do not count."""
    shown = [each for each in data.sessions if each.shown]
    pairs = Counter((each.tester, each.model_key) for each in shown)
    models_of = Counter(tester for tester, _ in pairs)
    return Exposure(
        n=len(shown),
        method="counts of sessions whose model was shown",
        position=data.position,
        testers={
            model.key: sum(key == model.key for _, key in pairs)
            for model in data.models
        },
        sessions={
            model.key: sum(each.model_key == model.key for each in shown)
            for model in data.models
        },
        of_several_models=sum(count > 1 for count in models_of.values()),
        of_one_model_repeatedly=len(
            {who for (who, _), many in pairs.items() if many > 1}
        ),
        left_out=[
            Excluded(
                session_id=each.id,
                tester=each.tester,
                model_key=each.model_key,
                status=each.status,
                reason=each.reason,
            )
            for each in data.sessions
            if each.status in {"excluded", "withdrawn"}
        ],
    )


def sample_ratio(data: Evaluations, options: Options) -> list[SampleRatio]:
    """Test at each stage whether models were shown as often as intended.

    Intended are equal shares where all models have the same number of places, and
    otherwise the shares in which places were reserved. Only sessions count that were
    reserved while every model had room: when one is full, the others are shown more
    often by intention. Places go to the least filled model, so counts vary less than by
    chance, and an alarm (p < 0.001) is hardly a false one.
    """
    if len(data.models) < MODELS:
        return []
    reserved = list(_unhindered(data))
    shown = [each for each in reserved if each.shown]
    firsts = list({each.tester: each for each in reversed(shown)}.values())
    done = [each for each in shown if each.status == "submitted"]
    sessions: list[tuple[Stage, Sequence[Session]]] = [
        ("shown", shown),
        ("submitted", done),
    ]
    if len({model.limit for model in data.models}) > 1:
        tally = Counter(each.model_key for each in reserved)
        return [_ratio(data, options, *stage, tally) for stage in sessions]
    even = Counter(model.key for model in data.models)
    stages = [("first shown", firsts), *sessions]
    return [_ratio(data, options, *stage, even) for stage in stages]


def attrition(data: Evaluations, options: Options) -> list[Attrition]:
    """Return for each model how many of those who were shown it submitted."""
    return [_attrition(data, options, model.key) for model in data.models]


def differential(data: Evaluations, options: Options) -> DifferentialAttrition | None:
    """Test whether models lose sessions at different rates; an alarm is p < 0.001."""
    ended = [_ended(data, model.key) for model in data.models]
    finished = [sum(each.status == "submitted" for each in some) for some in ended]
    table = [
        (done, len(some) - done) for done, some in zip(finished, ended, strict=True)
    ]
    found = between(table, seed=options.seed)
    if found is None:
        return None
    p_value, method, _ = found
    return DifferentialAttrition(
        n=sum(map(len, ended)),
        method=method,
        position=data.position,
        p_value=p_value,
        differential=p_value < ALARM,
    )


def nonresponse(data: Evaluations) -> list[Nonresponse]:
    """Return for each model and question how often no answer was given.

    Only sessions count that were asked the question as it is worded now.
    """
    found = []
    for model in data.models:
        submitted = [each for each in data.submitted() if each.model_key == model.key]
        for question in data.asked(model.key):
            if question.removed:
                continue
            done = [each for each in submitted if each.revision >= question.version]
            missing = sum(
                all(answer.question_id != question.id for answer in each.answers)
                for each in done
            )
            found.append(
                Nonresponse(
                    n=len(done),
                    method="share of submitted sessions that were asked",
                    position=data.position,
                    question_id=question.id,
                    model_key=model.key,
                    unanswered=missing,
                    share=missing / len(done) if done else None,
                )
            )
    return found


def filled(data: Evaluations) -> bool:
    """Say whether every model has as many submissions as were planned."""
    done = Counter(each.model_key for each in data.submitted())
    return all(
        model.limit is not None and done[model.key] >= model.limit
        for model in data.models
    )


def _unhindered(data: Evaluations) -> Iterator[Session]:
    """Yield sessions up to that which fills the first model."""
    room = {model.key: model.limit for model in data.models}
    for session in data.sessions:
        if session.model_key not in room:
            continue
        yield session
        left = room[session.model_key]
        if left is not None and session.status in {"open", "submitted"}:
            room[session.model_key] = left - 1
            if left == 1:
                return


def _ratio(
    data: Evaluations,
    options: Options,
    stage: Stage,
    sessions: Sequence[Session],
    weights: Counter[str],
) -> SampleRatio:
    tally = Counter(each.model_key for each in sessions)
    keys = [model.key for model in data.models if weights[model.key]]
    p_value, method = None, "none"
    if sessions and len(keys) >= MODELS:
        counts = [tally[key] for key in keys]
        given = [weights[key] for key in keys]
        p_value, method = against(counts, given, seed=options.seed)
    total = max(1, weights.total())
    return SampleRatio(
        n=len(sessions),
        method=method,
        position=data.position,
        stage=stage,
        unit="testers" if stage == "first shown" else "sessions",
        counts={model.key: tally[model.key] for model in data.models},
        intended={model.key: weights[model.key] / total for model in data.models},
        p_value=p_value,
        mismatch=p_value is not None and p_value < ALARM,
    )


def _ended(data: Evaluations, model_key: str) -> list[Session]:
    return [
        each
        for each in data.sessions
        if each.model_key == model_key and each.shown and each.status != "open"
    ]


def _attrition(data: Evaluations, options: Options, model_key: str) -> Attrition:
    ended = _ended(data, model_key)
    done = [each for each in ended if each.status == "submitted"]
    seconds = [each.seconds for each in done if each.seconds is not None]
    by_tester = sorted((each.tester, each.status == "submitted") for each in ended)
    clusters = []
    for _, some in groupby(by_tester, key=lambda pair: pair[0]):
        outcomes = [outcome for _, outcome in some]
        clusters.append((sum(outcomes), len(outcomes)))
    interval = clustered_wilson(clusters, confidence=options.confidence)
    return Attrition(
        n=len(ended),
        method="share of sessions shown and ended",
        position=data.position,
        model_key=model_key,
        shown=len(ended),
        submitted=len(done),
        completion=len(done) / len(ended) if ended else None,
        interval=interval,
        median_seconds=median(seconds) if seconds else None,
    )
