"""Everything that a playground's evaluations say, in one report.

Pure: the same evaluations and options give the same report. numpy and scipy are
imported with this module, so it is imported where they are needed, not before.
"""

from collections import Counter

from services.playgrounds.statistics.answers import (
    choices,
    comparisons,
    ratings,
    share_gaps,
)
from services.playgrounds.statistics.exposure import (
    attrition,
    differential,
    exposure,
    filled,
    nonresponse,
    sample_ratio,
)
from services.playgrounds.statistics.preferences import preferences, rankings
from services.playgrounds.statistics.raters import agreement, diligence
from services.playgrounds.statistics.records import Evaluations, Options
from services.playgrounds.statistics.results import (
    DifferentialAttrition,
    Ranking,
    SampleRatio,
    Statistics,
)


def report(data: Evaluations, options: Options) -> Statistics:
    """Return the statistics of a playground."""
    ratios = sample_ratio(data, options)
    lost = differential(data, options)
    ranked = rankings(data, options)
    full = filled(data)
    return Statistics(
        playground_id=data.playground_id,
        position=data.position,
        confidence=options.confidence,
        draws=options.draws,
        seed=options.seed,
        looks="fixed horizon" if full else "interim",
        warnings=[*_warnings(ratios, lost, ranked, full=full), *_reworded(data)],
        sample_ratio=ratios,
        exposure=exposure(data),
        attrition=attrition(data, options),
        differential_attrition=lost,
        nonresponse=nonresponse(data),
        choices=choices(data, options),
        share_gaps=share_gaps(data, options),
        ratings=ratings(data, options),
        comparisons=comparisons(data, options),
        preferences=preferences(data, options),
        rankings=ranked,
        agreement=agreement(data, options),
        diligence=diligence(data),
    )


def _warnings(
    ratios: list[SampleRatio],
    lost: DifferentialAttrition | None,
    ranked: list[Ranking],
    *,
    full: bool,
) -> list[str]:
    said = [
        f"Sample ratio mismatch ({each.stage}, {each.unit}): p = {each.p_value:.2g}."
        " The models were not seen as intended; do not trust what follows."
        for each in ratios
        if each.mismatch
    ]
    if lost is not None and lost.differential:
        said.append(f"Models lose their testers unequally: p = {lost.p_value:.2g}.")
    if not full:
        said.append(
            "Evaluations are still to come: p-values and intervals, but for those that"
            " are valid at every look, hold for one look at the planned end."
        )
    said += [
        f"No ranking by {each.source}: {each.refusal}"
        for each in ranked
        if each.refusal is not None
    ]
    return said


def _reworded(data: Evaluations) -> list[str]:
    version = {each.id: each.version for each in data.questions}
    earlier = Counter(
        answer.question_id
        for session in data.submitted()
        for answer in session.answers
        if session.revision < version.get(answer.question_id, 0)
    )
    return [
        f"{count} answers to question {question_id} are to an earlier wording of it."
        for question_id, count in sorted(earlier.items())
    ]
