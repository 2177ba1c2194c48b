"""What every route that reads answers to whom: requests, and what must come back.

A route of the interface that nothing here speaks of makes a test fail.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from events.roles import ROLES, holds
from infra.api import ENTITIES
from projections.catalogue import TABLES
from services.http.playgrounds import SHAPES
from tests.end_to_end.matrix.oracle import Asker, Row
from tests.end_to_end.matrix.stage import Key, Stage, key_of
from tests.end_to_end.matrix.worlds import WORLDS


SSE: Final = "text/event-stream"
CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
STREAM: Final = "/v1/streams/{id}"
RUNS: Final = "/v1/testing/simulation_unit_test_set_runs"


class Cell(NamedTuple):
    """A request, and the status that answers it.

    A page for people takes a cookie. Of a table all pages are read, and are its rows.
    What is silent has nothing to say before something happens.
    """

    path: str
    status: int = 200
    accept: str = "*/*"
    page: bool = False
    table: str | None = None
    silent: bool = False


Cells = Callable[[Stage, Asker], Iterator[Cell]]


def table_pages(_stage: Stage, asker: Asker) -> Iterator[Cell]:
    """Every table answers a page of the rows that the policies show."""
    for name, table in TABLES.items():
        if concerns(asker, table.schema) or table.everyone:
            yield Cell(f"{table_path(name)}?limit=200", table=name)


def table_rows(stage: Stage, asker: Asker) -> Iterator[Cell]:
    """A row that is not shown is not there, whether there is one or not."""
    for name, table in TABLES.items():
        if not concerns(asker, table.schema):
            continue
        seen = stage.expected(name, asker)
        others = {shown for _, shown in stage.shown[name]} - seen
        for key in sorted(seen)[:1]:
            yield Cell(f"{table_path(name)}/{path_of(key)}")
        for key in unseen(stage, name, others):
            yield Cell(f"{table_path(name)}/{path_of(key)}", 404)


def pasts(stage: Stage, asker: Asker) -> Iterator[Cell]:
    """The past of an entity is shown with its row, or to administrators."""
    for name, decider in ENTITIES.items():
        table = TABLES[name]
        if not concerns(asker, table.schema):
            continue
        seen = {key[0] for key in stage.expected(name, asker)}
        hides = any(column.visible for column in table.columns)
        for world in WORLDS:
            for entity in world.made.get(decider.category, [])[:1]:
                if holds(asker.roles, "admin", table.schema):
                    status = 200 if world.org == asker.org else 404
                elif hides:
                    status = 403
                else:
                    status = 200 if entity in seen else 404
                yield Cell(
                    f"{table_path(name)}/{entity}?as_of={stage.position}", status
                )


def events(_stage: Stage, asker: Asker) -> Iterator[Cell]:
    """The log is for administrators of all areas, and services with the scope."""
    status = 200 if reads_log(asker) else 403
    yield Cell("/v1/events?limit=1000", status)
    yield Cell("/v1/events", status, accept=SSE)


def streams(_stage: Stage, asker: Asker) -> Iterator[Cell]:
    """A stream is for who reads the log, in its organisation."""
    for world in WORLDS:
        some = None if reads_log(asker) else 1
        for category, ids in islice(world.made.items(), some):
            status = 200 if world.org == asker.org else 404
            if not reads_log(asker):
                status = 403
            yield Cell(f"/v1/streams/{category}-{ids[0]}", status)


def blobs(stage: Stage, asker: Asker) -> Iterator[Cell]:
    """A body is for those who may author, and who know what it hashes to."""
    authors = asker.roles & {"admin", "user"}
    status = 200 if authors or "blobs" in asker.scopes else 403
    yield Cell(f"/v1/blobs/{stage.body}", status)


def runs(stage: Stage, asker: Asker) -> Iterator[Cell]:
    """Figures and progress of a run are for those who see it."""
    for world in WORLDS:
        for run in world.made["testing.set_run"][:1]:
            status = seen_or_404(
                stage, "testing.simulation_unit_test_set_runs", asker, run
            )
            yield Cell(f"{RUNS}/{run}/reliability", status)
            yield Cell(f"{RUNS}/{run}/progress", status)
            yield Cell(f"{RUNS}/{run}/progress", status, accept=SSE)


def populations(stage: Stage, asker: Asker) -> Iterator[Cell]:
    """Steps, analyses and reports are for those who see what they are of."""
    finished = set()
    for row in stage.rows["experiments.simulations"]:
        key = str(row["simulation_id"])
        status = seen_or_404(stage, "experiments.simulations", asker, key)
        made_elsewhere = str(row["engine"]).startswith("recorded:")
        if row["status"] == "completed":
            finished.add(row["experiment_id"])
        one = f"/v1/experiments/simulations/{key}"
        yield Cell(f"{one}/analysis", status)
        empty = status == 200 and row["step"] is None
        reported = 422 if empty else status
        yield Cell(f"{one}/report", reported)
        yield Cell(f"{one}/charts/population", reported)
        path = f"/v1/experiments/simulations/{key}/steps"
        yield Cell(path, status, accept=SSE, silent=made_elsewhere)
    for row in stage.rows["experiments.experiments"]:
        key = row["experiment_id"]
        status = seen_or_404(stage, "experiments.experiments", asker, key)
        yield Cell(f"/v1/experiments/experiments/{key}/comparison", status)
        unfinished = status == 200 and key not in finished
        reported = 422 if unfinished else status
        yield Cell(f"/v1/experiments/experiments/{key}/report", reported)
        yield Cell(f"/v1/experiments/experiments/{key}/charts/population", reported)
        path = f"/v1/experiments/experiments/{key}/steps"
        yield Cell(path, status, accept=SSE, silent=True)


def findings(stage: Stage, asker: Asker) -> Iterator[Cell]:
    """Statistics and exports are for owners and administrators."""
    for number, row in enumerate(some_playgrounds(stage, asker)):
        key, status = str(row["id"]), 200 if owned(row, asker) else 404
        yield Cell(f"/v1/playgrounds/{key}/statistics", status)
        shapes = SHAPES if number == 0 else SHAPES[:1]
        for shape in shapes:
            yield Cell(f"/v1/playgrounds/{key}/exports/{shape}", status, accept=CSV)


def overview(_stage: Stage, _asker: Asker) -> Iterator[Cell]:
    """Everybody who is signed in has an overview."""
    yield Cell("/playgrounds", page=True)
    yield Cell("/playgrounds/new", page=True)


def playground_pages(stage: Stage, asker: Asker) -> Iterator[Cell]:
    """A playground's page is for those who see it, its figures for its owners."""
    for row in some_playgrounds(stage, asker):
        key = str(row["id"])
        seen = seen_or_404(stage, "playgrounds.playgrounds", asker, key)
        yield Cell(f"/playgrounds/{key}", seen, page=True)
        status = 200 if owned(row, asker) else 404
        yield Cell(f"/playgrounds/{key}/watch", status, page=True)
        yield Cell(f"/playgrounds/{key}/answers.csv", status, page=True)


def frames(stage: Stage, asker: Asker) -> Iterator[Cell]:
    """A model's frame is for whom it was given to."""
    for row in stage.rows["playgrounds.evaluation_sessions"]:
        if row["status"] == "open":
            own = (row["org_id"], row["tester"]) == (asker.org, asker.id)
            status = 200 if own and enters(asker, "playgrounds") else 404
            yield Cell(f"/playgrounds/evaluations/{row['id']}/frame", status, page=True)


def oneself(_stage: Stage, asker: Asker) -> Iterator[Cell]:
    """Everybody learns what is theirs, and nothing else."""
    yield Cell("/v1/auth/me")
    status = 200 if asker.actor.startswith("user:") else 403
    yield Cell("/v1/auth/sessions", status)
    if asker.roles <= {"admin"} or status == 403:
        yield Cell("/v1/auth/me/export", status, accept=NDJSON)


def nothing(_stage: Stage, _asker: Asker) -> Iterator[Cell]:
    """Answer without asking who asks."""
    yield from ()


READS: Final[Mapping[str, Cells]] = {
    "/v1/{context}/{table}": table_pages,
    "/v1/{context}/{table}/{id}": table_rows,
    "/v1/{context}/{table}/{id}?as_of": pasts,
    "/v1/events": events,
    STREAM: streams,
    "/v1/blobs/{sha256}": blobs,
    f"{RUNS}/{{id}}/reliability": runs,
    f"{RUNS}/{{id}}/progress": runs,
    "/v1/experiments/simulations/{id}/analysis": populations,
    "/v1/experiments/experiments/{id}/comparison": populations,
    "/v1/experiments/simulations/{id}/report": populations,
    "/v1/experiments/experiments/{id}/report": populations,
    "/v1/experiments/simulations/{id}/charts/{chart}": populations,
    "/v1/experiments/experiments/{id}/charts/{chart}": populations,
    "/v1/experiments/simulations/{id}/steps": populations,
    "/v1/experiments/experiments/{id}/steps": populations,
    "/v1/playgrounds/{id}/statistics": findings,
    "/v1/playgrounds/{id}/exports/{shape}": findings,
    "/playgrounds": overview,
    "/playgrounds/new": overview,
    "/playgrounds/{id}": playground_pages,
    "/playgrounds/{id}/watch": playground_pages,
    "/playgrounds/{id}/answers.csv": playground_pages,
    "/playgrounds/evaluations/{id}/frame": frames,
    "/v1/auth/me": oneself,
    "/v1/auth/sessions": oneself,
    "/v1/auth/me/export": oneself,
    "/v1/auth/oidc": nothing,
    "/v1/openapi.json": nothing,
    "/v1/asyncapi.json": nothing,
    "/v1/docs": nothing,
    "/v1/problems/{slug}": nothing,
    "/playgrounds/sign-in": nothing,
    "/playgrounds/sign-in/with/{provider}": nothing,
}
"""Every path that is read with GET, and what it answers."""

PUBLIC: Final = frozenset(path for path, cells in READS.items() if cells is nothing)


def cells_of(stage: Stage, asker: Asker) -> Iterator[Cell]:
    """Yield what somebody may ask of every route."""
    for cells in dict.fromkeys(READS.values()):
        yield from cells(stage, asker)


def check_rows(
    stage: Stage, name: str, asker: Asker, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Assert that rows are those that the policies show, with the columns they show."""
    table = TABLES[name]
    found = list(rows)
    assert {key_of(row, table.shown_key) for row in found} == stage.expected(
        name, asker
    ), name
    hidden = stage.hidden(name, asker)
    for row in found:
        for column, value in hidden.get(key_of(row, table.key), {}).items():
            assert (row[column] is None) == (value is None), f"{name}.{column}"


def concerns(asker: Asker, area: str) -> bool:
    """Say whether somebody's roles could have to do with an area.

    Roles of other areas are tried on every table in SQL.
    """
    return all(role.partition(":")[0] in {role, area} for role in asker.roles)


def some_playgrounds(stage: Stage, asker: Asker) -> Iterator[Row]:
    """Yield playgrounds: all that may be seen, and one that may not of each owner."""
    told: set[str] = set()
    for row in stage.rows["playgrounds.playgrounds"]:
        key = (str(row["id"]),)
        if key in stage.expected("playgrounds.playgrounds", asker):
            yield row
        elif row["owner"] not in told:
            told.add(row["owner"])
            yield row


def reads_log(asker: Asker) -> bool:
    return "admin" in asker.roles or "events" in asker.scopes


def table_path(name: str) -> str:
    return f"/v1/{name.replace('.', '/')}"


def path_of(key: Key) -> str:
    return quote(",".join(key), safe=",")


def unseen(stage: Stage, name: str, keys: set[Key]) -> Iterator[Key]:
    """Yield a row of the keys that can be asked for."""
    asked = (shown for _, shown in stage.shown[name] if "None" not in shown)
    yield from islice((key for key in asked if key in keys), 1)


def seen_or_404(stage: Stage, name: str, asker: Asker, key: str) -> int:
    return 200 if (key,) in stage.expected(name, asker) else 404


def owned(row: Mapping[str, Any], asker: Asker) -> bool:
    """Say whether a playground is somebody's to manage."""
    return (
        row["org_id"] == asker.org
        and enters(asker, "playgrounds")
        and (row["owner"] == asker.id or holds(asker.roles, "admin", "playgrounds"))
    )


def enters(asker: Asker, area: str) -> bool:
    return any(holds(asker.roles, role, area) for role in ROLES)
