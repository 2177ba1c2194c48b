"""The context of the log: bound for a task, merged into its lines, and forgotten."""

import asyncio
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from services import log_context


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    log_context.clear()
    yield
    log_context.clear()


def told(**values: object) -> dict[str, object]:
    with capture_logs(processors=[log_context.merge]) as lines:
        structlog.get_logger().info("noted", **values)
    (line,) = lines
    return {
        name: value
        for name, value in line.items()
        if name not in {"event", "log_level"}
    }


def test_a_line_says_what_was_bound_before_it_and_its_own_first() -> None:
    log_context.bind(actor_id="user:ada", ip="::1")
    log_context.bind(org_id="acme")
    known = {"actor_id": "user:ada", "ip": "::1", "org_id": "acme"}
    assert told() == known
    assert list(told(ms=1)) == ["ms", *known]


def test_of_two_values_of_a_name_the_line_s_own_stands() -> None:
    log_context.bind(stream="bound")
    assert told(stream="own") == {"stream": "own"}
    log_context.bind(stream="bound later")
    assert told() == {"stream": "bound later"}


def test_a_block_binds_for_its_own_lines_only() -> None:
    log_context.bind(actor_id="user:ada")
    with log_context.bound(job_id="1"):
        assert told() == {"actor_id": "user:ada", "job_id": "1"}
    assert told() == {"actor_id": "user:ada"}


def test_what_was_cleared_is_said_no_more() -> None:
    log_context.bind(actor_id="user:ada")
    log_context.clear()
    assert told() == {}


async def test_what_a_task_binds_is_its_own() -> None:
    log_context.bind(actor_id="user:ada")

    async def other() -> dict[str, object]:
        log_context.bind(actor_id="user:bob", ip="::1")
        return told()

    assert await asyncio.create_task(other()) == {"actor_id": "user:bob", "ip": "::1"}
    assert told() == {"actor_id": "user:ada"}
