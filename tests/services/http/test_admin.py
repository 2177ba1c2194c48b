"""The port for operators: alive without anyone, ready with reasons, and numbers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from events.errors import Unavailable
from infra.clock import new_id, now
from infra.memory.event_log import MemoryEventLog
from infra.postgres.pool import open_pool
from services.http import checks
from services.http.admin import Check, Health, Lag, Lags
from services.http.app import make_admin_app
from services.http.metrics import Metrics
from services.http.serving import serving
from tests.builders import entry, new_stream, said, write
from tests.postgres_ladder import Database


@asynccontextmanager
async def admin(
    named: Mapping[str, Check], lags: Lags | None = None
) -> AsyncIterator[str]:
    app = make_admin_app(checks=named, metrics=Metrics(), lags=lags)
    async with serving(app, host="127.0.0.1", port=0) as port:
        yield f"http://127.0.0.1:{port}"


async def get(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        if response.content_type == "application/json":
            return response.status, await response.json()
        return response.status, await response.text()


async def good() -> Health:
    return Health(ok=True, detail="reachable")


async def bad() -> Health:
    message = "connection refused"
    raise OSError(message)


async def never() -> Health:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_process_is_alive_whatever_it_needs() -> None:
    async with admin({"database": bad}) as url:
        assert await get(f"{url}/livez") == (200, {"ok": True})


async def test_a_process_is_ready_when_every_need_is_met() -> None:
    async with admin({"database": good}) as url:
        status, body = await get(f"{url}/readyz")
    assert status == 200
    assert body == {
        "ok": True,
        "checks": {"database": {"ok": True, "detail": "reachable"}},
    }


async def test_what_is_not_met_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.http.admin.CHECK_SECONDS", 0.05)
    async with admin({"database": bad, "queue": never, "disk": good}) as url:
        status, body = await get(f"{url}/readyz")
    assert status == 503
    assert not body["ok"]
    assert "connection refused" in body["checks"]["database"]["detail"]
    assert "no answer" in body["checks"]["queue"]["detail"]
    assert body["checks"]["disk"]["ok"]


async def test_the_lag_is_measured_when_it_is_asked_for() -> None:
    log = MemoryEventLog(clock=now, ids=new_id)
    for _ in range(3):
        await log.append(entry(write(new_stream(), said("hello"))))
    reached = {"testing": 1, "access": 3}

    async def position(group: str) -> int:
        return reached[group]

    lags = checks.measured(
        log=log,
        groups=reached,
        reached=position,
        clock=lambda: now() + timedelta(seconds=90),
    )
    named = {"projections": checks.projections(lags)}
    async with admin(named, lags) as url:
        _, text = await get(f"{url}/metrics")
        status, body = await get(f"{url}/readyz")
    assert 'rehearsal_projection_lag_events{group="testing"} 2.0' in text
    assert 'rehearsal_projection_lag_events{group="access"} 0.0' in text
    assert 'rehearsal_projection_lag_seconds{group="access"} 0.0' in text
    assert status == 503
    assert body["checks"]["projections"]["detail"] == "behind: testing"
    assert body["checks"]["projections"]["value"] >= 90


async def test_metrics_are_answered_without_a_database() -> None:
    async def away() -> Mapping[str, Lag]:
        raise Unavailable

    async with admin({}, away) as url:
        status, text = await get(f"{url}/metrics")
    assert status == 200
    assert "rehearsal_events_appended_total 0.0" in text


async def test_a_migration_that_is_missing_is_named() -> None:
    async def missing() -> list[str]:
        return ["0004"]

    async def none() -> list[str]:
        return []

    assert not (await checks.migrations(missing)()).ok
    assert "0004" in (await checks.migrations(missing)()).detail
    assert (await checks.migrations(none)()).ok


async def test_the_database_is_reached(database: Database) -> None:
    pool = await open_pool(
        database.app, min_size=1, max_size=1, application_name="tests"
    )
    check = checks.database(pool)
    async with pool, admin({"database": check}) as url:
        assert (await get(f"{url}/readyz"))[0] == 200
    async with admin({"database": check}) as url:
        status, body = await get(f"{url}/readyz")
    assert status == 503
    assert "closed" in body["checks"]["database"]["detail"]
