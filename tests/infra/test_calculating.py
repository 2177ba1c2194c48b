"""Statistics in a process of their own: the same as here, kept, and failing aloud."""

import asyncio

import msgspec
import pytest

from events.errors import Unavailable
from infra.calculating import Calculator
from services.playgrounds.statistics.report import report
from tests.services.playgrounds.statistics.given_evaluations import (
    OPTIONS,
    playground,
    session,
)


DATA = playground([session("ada", "a", good=4), session("ben", "b", good=2)])


async def test_another_process_gives_the_same_answer_as_this_one() -> None:
    answer = await Calculator().statistics(DATA, OPTIONS)
    assert answer == msgspec.json.encode(report(DATA, OPTIONS))


async def test_the_same_question_starts_no_second_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calculator = Calculator()
    once = await calculator.statistics(DATA, OPTIONS)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", None)
    assert await calculator.statistics(DATA, OPTIONS) is once


async def test_a_calculation_that_takes_too_long_is_ended() -> None:
    with pytest.raises(Unavailable, match="more than 0 s"):
        await Calculator(seconds=0).statistics(DATA, OPTIONS)


async def test_a_calculation_that_breaks_says_so() -> None:
    wrong = msgspec.structs.replace(OPTIONS, draws=-1)
    rated = playground([session("ada", "a", good=4), session("ben", "a", good=2)])
    with pytest.raises(Unavailable, match="could not be calculated"):
        await Calculator().statistics(rated, wrong)
