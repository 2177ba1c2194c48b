"""The whole report: what it warns of, and that everything in it says its basis."""

from collections.abc import Iterator
from itertools import product

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.playgrounds.statistics.records import Session, Status
from services.playgrounds.statistics.report import report
from services.playgrounds.statistics.results import Result
from tests.finite import not_finite
from tests.services.playgrounds.statistics.given_evaluations import (
    GOOD,
    OPTIONS,
    models,
    playground,
    session,
)


def results(value: object) -> Iterator[Result]:
    if isinstance(value, Result):
        yield value
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from results(getattr(value, name))
    if isinstance(value, list):
        for each in value:
            yield from results(each)


def lively() -> list[Session]:
    found = []
    for at, (order, score) in enumerate(product((("a", "b"), ("b", "a")), range(1, 6))):
        first, second = order
        before = session(
            f"t{at}", first, seconds=60, good=score, which="yes", again="true"
        )
        after = session(
            f"t{at}",
            second,
            seconds=50,
            previous=before.id,
            good=6 - score,
            which="no",
            again="false" if at % 3 else "true",
            better=("first", "second", "tie", "both_bad")[at % 4],
        )
        found += [before, after]
    return found


def test_every_result_says_its_n_its_method_and_its_position() -> None:
    found = list(results(report(playground(lively()), OPTIONS)))
    assert len(found) > 30
    for each in found:
        assert each.method
        assert each.n >= 0
        assert each.position == 77


def test_the_same_evaluations_give_the_same_report() -> None:
    data = playground(lively())
    once = msgspec.json.encode(report(data, OPTIONS))
    assert once == msgspec.json.encode(report(data, OPTIONS))


def test_an_unfinished_playground_says_that_one_must_not_peek() -> None:
    interim = report(playground(lively()), OPTIONS)
    assert interim.looks == "interim"
    assert any("still to come" in warning for warning in interim.warnings)
    full = report(playground(lively(), of=models("a", "b", limit=10)), OPTIONS)
    assert full.looks == "fixed horizon"
    assert full.warnings == []


def test_a_mismatch_and_unequal_losses_are_told_before_anything_else() -> None:
    sessions = [session(f"a{at}", "a") for at in range(60)]
    sessions += [session(f"b{at}", "b", status="expired") for at in range(20)]
    found = report(playground(sessions), OPTIONS)
    assert found.warnings[0].startswith("Sample ratio mismatch (first shown, testers)")
    assert any("lose their testers" in warning for warning in found.warnings)


def test_answers_to_an_earlier_wording_are_told() -> None:
    reworded = replace(GOOD, version=2)
    some = [
        session("ada", "a", good=4),
        replace(session("ben", "a", good=2), revision=2),
    ]
    found = report(playground(some, questions=(reworded,)), OPTIONS)
    assert found.warnings[-1] == (
        "1 answers to question good are to an earlier wording of it."
    )


statuses: st.SearchStrategy[Status] = st.sampled_from(
    ["open", "submitted", "submitted", "expired", "withdrawn", "excluded"]
)


@st.composite
def sessions(draw: st.DrawFn) -> list[Session]:
    maybe = st.booleans()
    found: list[Session] = []
    count = draw(st.integers(0, 14))
    for number in range(count):
        tester = draw(st.sampled_from(["ada", "ben", "cem", "dan"]))
        own = [each.id for each in found if each.tester == tester]
        said: dict[str, str | int] = {}
        if draw(maybe):
            said["good"] = draw(st.integers(1, 5))
        if draw(maybe):
            said["which"] = draw(st.sampled_from(["yes", "no", "?"]))
        if draw(maybe):
            said["again"] = draw(st.sampled_from(["true", "false"]))
        if draw(maybe) and own:
            said["better"] = draw(
                st.sampled_from(["first", "second", "tie", "both_bad"])
            )
        found.append(
            session(
                tester,
                draw(st.sampled_from(["a", "b", "c"])),
                number=number,
                status=draw(statuses),
                shown=True,
                previous=own[-1] if own else None,
                seconds=draw(st.none() | st.floats(0, 1e6)),
                **said,
            )
        )
    return found


@settings(max_examples=60, deadline=None)
@given(sessions())
def test_no_playground_is_too_odd_to_report_on(some: list[Session]) -> None:
    data = playground(some, of=models("a", "b", "c"))
    options = replace(OPTIONS, draws=30)
    assert list(not_finite(report(data, options))) == []
