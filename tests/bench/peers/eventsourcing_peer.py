"""`eventsourcing` at the same work; runs in a virtual environment of its own.

Each writer adds versions to a persona of its own. Then one projection counts all events
into a table, tracking its position in the same transaction. Prints one JSON object.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from eventsourcing.application import (  # type: ignore[import-not-found]
    Application,
)
from eventsourcing.domain import Aggregate, event  # type: ignore[import-not-found]
from eventsourcing.persistence import Tracking  # type: ignore[import-not-found]
from eventsourcing.postgres import (  # type: ignore[import-not-found]
    PostgresTrackingRecorder,
)
from eventsourcing.projection import (  # type: ignore[import-not-found]
    Projection,
    ProjectionRunner,
)
from psycopg.sql import SQL  # type: ignore[import-not-found]


POOL = 16


class Persona(Aggregate):  # type: ignore[misc]
    """A persona that gets versions."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.background = ""

    @event("VersionAdded")  # type: ignore[untyped-decorator]
    def add_version(self, background: str, language: str, timezone: str) -> None:
        self.background = background
        self.language = language
        self.timezone = timezone


class Personas(Application):  # type: ignore[misc]
    """The application."""


class Count(PostgresTrackingRecorder):  # type: ignore[misc]
    """A table with one row, and the position up to which it counts."""

    def __init__(self, datastore: Any, **given: Any) -> None:  # noqa: ANN401 - the peer's
        super().__init__(datastore, **given)
        self.sql_create_statements.append(
            SQL(
                "CREATE TABLE IF NOT EXISTS counted (id int PRIMARY KEY, events bigint)"
            )
        )

    def add(self, tracking: Tracking) -> None:
        """Count one event."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO counted VALUES (1, 1) "
                "ON CONFLICT (id) DO UPDATE SET events = counted.events + 1",
                prepare=True,
            )


class Counting(Projection):  # type: ignore[misc]
    """Counts every event."""

    def process_event(self, _domain_event: object, tracking: Tracking) -> None:
        self.view.add(tracking)


def append(
    env: Mapping[str, str], *, writers: int, seconds: float, text: str
) -> dict[str, float]:
    """Return how many appends a second many writers make."""
    app = Personas(env=env)
    counts = [0] * writers
    start, until = threading.Barrier(writers + 1), [0.0]

    def write(number: int) -> None:
        persona = Persona(name=f"Traveller {number}")
        app.save(persona)
        start.wait()
        while time.perf_counter() < until[0]:
            persona.add_version(text, "en-GB", "Europe/London")
            app.save(persona)
            counts[number] += 1

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    until[0] = began + seconds + 3600
    start.wait()
    began = time.perf_counter()
    until[0] = began + seconds
    for thread in threads:
        thread.join()
    passed = time.perf_counter() - began
    app.close()
    return {"done": sum(counts), "seconds": passed}


def catch_up(env: Mapping[str, str], *, seconds: float) -> dict[str, float]:
    """Return how many events a second the projection counts."""
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Personas, projection_class=Counting, view_class=Count, env=env
    ) as runner:
        time.sleep(seconds)
        done = runner.projection.view.max_tracking_id(Personas.name) or 0
        passed = time.perf_counter() - began
    return {"done": done, "seconds": passed}


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", required=True, help="PGHOST and so on, as JSON")
    parser.add_argument("--writers", type=int, default=0, help="0: catch up")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--text", default="")
    given = parser.parse_args()
    place = json.loads(given.postgres)
    env = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": place["PGDATABASE"],
        "POSTGRES_HOST": place["PGHOST"],
        "POSTGRES_PORT": place["PGPORT"],
        "POSTGRES_USER": place["PGUSER"],
        "POSTGRES_PASSWORD": place.get("PGPASSWORD", ""),
        "POSTGRES_POOL_SIZE": str(POOL),
        "POSTGRES_MAX_OVERFLOW": "0",
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
    }
    if given.writers:
        found = append(
            env, writers=given.writers, seconds=given.seconds, text=given.text
        )
    else:
        found = catch_up(env, seconds=given.seconds)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
