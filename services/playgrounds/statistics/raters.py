"""How far testers agree with each other, and with themselves."""

from collections import defaultdict
from statistics import median
from typing import Final

from services.playgrounds.statistics.agreement import (
    Level,
    cohen,
    fleiss,
    gloss,
    jackknifed,
    krippendorff,
    pairable,
)
from services.playgrounds.statistics.answers import CHOSEN, chosen, rated, values_of
from services.playgrounds.statistics.records import (
    Evaluations,
    Options,
    Question,
    Session,
)
from services.playgrounds.statistics.results import Agreement, Diligence


FAST: Final = 1 / 3
MIN_STRAIGHT: Final = 4
TWO: Final = 2


def agreement(data: Evaluations, options: Options) -> list[Agreement]:
    """Return for each question asked of every model how much testers agree.

    The units are the models; each tester counts with their first answer for each.
    Ratings are ordinal, and interval besides; chosen options nominal.
    """
    found = []
    for question in data.questions:
        if question.model_key is not None:
            continue
        if question.kind in CHOSEN:
            found.append(_agreement(data, options, question, "nominal"))
        elif question.kind == "rating":
            found.append(_agreement(data, options, question, "ordinal"))
            found.append(_agreement(data, options, question, "interval"))
    return found


def diligence(data: Evaluations) -> list[Diligence]:
    """Return the testers at whom one should look twice.

    Fast is below a third of the model's median time. Straight-lined is the same rating
    for at least four questions of different models. Self-consistency is the share of
    repeated answers to one question for one model that are the same as the first.
    """
    done = data.submitted()
    times = defaultdict(list)
    for each in done:
        if each.seconds is not None:
            times[each.model_key].append(each.seconds)
    limits = {key: FAST * median(some) for key, some in times.items()}
    by_tester: dict[str, list[Session]] = {}
    for each in done:
        by_tester.setdefault(each.tester, []).append(each)
    looked_at = (
        _diligence(data, tester, sessions, limits)
        for tester, sessions in by_tester.items()
    )
    return [
        each
        for each in looked_at
        if each.fast_sessions
        or each.straight_lined
        or (each.self_consistency is not None and each.self_consistency < 1)
    ]


def _units(data: Evaluations, question: Question) -> dict[str, dict[str, float]]:
    if question.kind == "rating":
        return {
            model.key: {
                who: some[0]
                for who, some in rated(data, question.id, model.key).items()
            }
            for model in data.models
        }
    given = {model.key: chosen(data, question.id, model.key) for model in data.models}
    said = {
        value for some in given.values() for every in some.values() for value in every
    }
    place = {value: float(at) for at, value in enumerate(values_of(question, said))}
    return {
        key: {who: place[every[0]] for who, every in some.items()}
        for key, some in given.items()
    }


def _agreement(
    data: Evaluations, options: Options, question: Question, level: Level
) -> Agreement:
    units = pairable(_units(data, question))
    raters = sorted({who for given in units.values() for who in given})
    alpha = interval = two = many = refusal = None
    if len(raters) < TWO:
        refusal = "Fewer than two testers answered for the same model."
    else:
        alpha = krippendorff(units, level)
        if alpha is None:
            refusal = "All answers are the same, so chance alone would agree as much."
    if alpha is not None:
        interval = jackknifed(units, level, confidence=options.confidence)
        if len(raters) == TWO:
            first, second = raters
            two = cohen([(each[first], each[second]) for each in units.values()])
        many = fleiss(units)
    return Agreement(
        n=sum(map(len, units.values())),
        method=f"Krippendorff's alpha, {level}; units are models",
        position=data.position,
        question_id=question.id,
        level=level,
        units=len(units),
        raters=len(raters),
        alpha=alpha,
        interval=interval,
        cohen=two,
        fleiss=many,
        gloss=None if alpha is None else gloss(alpha),
        refusal=refusal,
    )


def _diligence(
    data: Evaluations, tester: str, sessions: list[Session], limits: dict[str, float]
) -> Diligence:
    fast = sum(
        each.seconds is not None and each.seconds < limits[each.model_key]
        for each in sessions
    )
    ratings = [
        answer.rating
        for each in sessions
        for answer in each.answers
        if answer.rating is not None
    ]
    models = {each.model_key for each in sessions}
    straight = len(ratings) >= MIN_STRAIGHT and len(set(ratings)) == 1
    given: defaultdict[tuple[str, str], list[object]] = defaultdict(list)
    for each in sessions:
        for answer in each.answers:
            if answer.value is not None or answer.rating is not None:
                said = (answer.value, answer.rating)
                given[each.model_key, answer.question_id].append(said)
    repeated = sum(len(some) - 1 for some in given.values())
    same = sum(said == some[0] for some in given.values() for said in some[1:])
    return Diligence(
        n=sum(map(len, given.values())),
        method="answers of submitted sessions",
        position=data.position,
        tester=tester,
        sessions=len(sessions),
        fast_sessions=fast,
        straight_lined=straight and len(models) > 1,
        repeated_answers=repeated,
        self_consistency=same / repeated if repeated else None,
    )
