"""What an analysis says, as rows of a table: value, interval, n and method."""

from collections.abc import Iterator, Sequence

import numpy as np

from services.experiments.analysis.measures import spread
from services.experiments.analysis.results import (
    Analysis,
    Comparison,
    Finding,
    Interval,
    Rate,
    Replicate,
    Spread,
)


def of_run(found: Analysis) -> Iterator[Finding]:
    """Yield what the columns of one run say."""
    if found.population is not None:
        population = found.population
        for size in (population.total, *population.types):
            yield _said(
                "Living agents, mean of a step", size.agent_type, size.spread, "t"
            )
            yield _plain(
                "Most living agents",
                size.agent_type,
                f"{size.peak} at step {size.peak_step}",
                population.steps,
                "greatest count of a step",
            )
        yield from _told("Mean reward so far", "all", population.reward)
        yield from _told("Genomes per agent", "all", population.genetic_diversity)
    if found.resources is not None:
        yield from _told("Resources in all nodes", "all", found.resources.total)
        yield from _told(
            "Resources consumed in a step", "all", found.resources.consumed
        )
    if found.survival is not None:
        for life in (found.survival.overall, *found.survival.by_type):
            yield _plain(
                "Mean life in steps, up to the last",
                life.group,
                _number(life.restricted_mean),
                life.n,
                "area under the Kaplan-Meier curve",
            )
            yield _shared("Alive at the end", life.group, life.alive)
        for test in found.survival.tests:
            yield _plain(
                "Do they live as long (p)",
                f"{test.first}, {test.second}",
                _number(test.p_value),
                test.n,
                "log-rank test",
            )
    yield from _deeds(found)
    if found.dominance is not None and found.population is not None:
        for score in found.dominance.scores:
            yield _plain(
                "Composite dominance",
                score.agent_type,
                _number(score.composite),
                found.population.steps,
                "weighted areas, duration, growth and final share",
            )


def _deeds(found: Analysis) -> Iterator[Finding]:
    if found.behaviour is not None:
        for each in found.behaviour.actions:
            yield _shared("Share of actions", each.action_type, each.share)
            yield from _told("Reward of an action", each.action_type, each.reward)
    if found.reproduction is not None:
        yield _shared("Reproductions that succeed", "all", found.reproduction.success)
        for reason, failures in found.reproduction.failures.items():
            yield _shared("Reproductions refused", reason, failures)
    if found.health is not None:
        for cause in found.health.causes:
            yield _shared("Changes of health", cause.cause, cause.share)


def of_condition(name: str, runs: Sequence[Replicate]) -> Iterator[Finding]:
    """Yield the figures of a condition, over its runs."""
    for figure in runs[0].figures if runs else ():
        values = [run.figures[figure] for run in runs]
        found = spread(np.array([each for each in values if each is not None]))
        if found is not None:
            yield _said(_words(figure), name, found, "t, over runs")


def of_difference(first: str, second: str, found: Comparison) -> Iterator[Finding]:
    """Yield how two conditions differ."""
    for each in found.differences:
        if each.difference is None:
            continue
        effect = "" if each.effect is None else f", g {_number(each.effect)}"
        chance = "" if each.corrected is None else f", p {_number(each.corrected)}"
        correction = "" if each.corrected is None else ", p by Benjamini and Hochberg"
        yield Finding(
            question=_words(each.figure),
            subject=f"{first} less {second}",
            value=f"{_number(each.difference)}{effect}{chance}",
            interval=_between(each.interval),
            n=str(each.n),
            method=f"{each.method}{correction}",
        )


def _told(question: str, subject: str, spread: Spread | None) -> Iterator[Finding]:
    if spread is not None:
        yield _said(question, subject, spread, "t")


def _said(question: str, subject: str, spread: Spread, method: str) -> Finding:
    return Finding(
        question=question,
        subject=subject,
        value=_number(spread.mean),
        interval=_between(spread.interval),
        n=str(spread.n),
        method=f"mean, Student's {method}",
    )


def _shared(question: str, subject: str, rate: Rate) -> Finding:
    return Finding(
        question=question,
        subject=subject,
        value="" if rate.share is None else f"{rate.share:.1%} ({rate.count})",
        interval=_between(rate.interval),
        n=str(rate.n),
        method="share, Wilson's interval",
    )


def _plain(question: str, subject: str, value: str, n: int, method: str) -> Finding:
    return Finding(
        question=question,
        subject=subject,
        value=value,
        interval="",
        n=str(n),
        method=method,
    )


def _between(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{_number(interval.low)} to {_number(interval.high)}"


def _words(figure: str) -> str:
    return figure.replace("_", " ").capitalize()


def _number(value: float) -> str:
    return f"{value:.4g}"
