"""Reports of recorded populations over HTTP: as JSON, as a page, and chart by chart.

Who sees the row of a simulation or experiment may have its report. What is drawn is
drawn in another process, and kept there for the next request for the same.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

import msgspec
from aiohttp import web

from events.errors import Missing, Refused
from services.experiments.analysis.captions import CAPTIONS, MISSING
from services.experiments.analysis.recording import (
    MEDIA,
    AnyRecording,
    ImageKind,
    Subject,
)
from services.experiments.analysis.results import Drawn
from services.http import asking, formats
from services.http.asking import Identify
from services.http.experiments import (
    GROUP,
    CalculateRuns,
    completed,
    experiment_row,
    stream_of,
    without_agents,
)
from services.http.playgrounds import POSITION
from services.http.reading import Reader
from services.http.recordings import Recordings
from services.http.turns import Turns
from services.http.waiting import Waiting
from services.identity import Identity


HTML: Final = "text/html"
IMAGES: Final[Mapping[str, ImageKind]] = {kind: name for name, kind in MEDIA.items()}
CANVAS: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
)

Kind = Literal["simulation", "experiment"]

decoded: Final = msgspec.json.Decoder(Drawn).decode


class NothingToReport(Refused):
    """Nothing was recorded yet that a report could tell."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is made of."""

    subject: Subject
    runs: list[AnyRecording]
    whole: AnyRecording


class ReportRoutes:
    """The routes of reports and their charts."""

    def __init__(
        self,
        *,
        reader: Reader,
        recordings: Recordings,
        calculate: CalculateRuns,
        turns: Turns,
        waiting: Waiting,
        identify: Identify,
    ) -> None:
        self._reader = reader
        self._recordings = recordings
        self._calculate = calculate
        self._turns = turns
        self._waiting = waiting
        self._identify = identify

    async def simulation(self, request: web.Request) -> web.Response:
        """Answer the report of a simulation."""
        return await self._report(request, "simulation")

    async def experiment(self, request: web.Request) -> web.Response:
        """Answer the report of an experiment's runs."""
        return await self._report(request, "experiment")

    async def simulation_chart(self, request: web.Request) -> web.Response:
        """Answer a chart of a simulation."""
        return await self._chart(request, "simulation")

    async def experiment_chart(self, request: web.Request) -> web.Response:
        """Answer a chart of an experiment's runs."""
        return await self._chart(request, "experiment")

    async def _report(self, request: web.Request, kind: Kind) -> web.Response:
        media = asking.chosen(request, (formats.JSON, HTML))
        drawn = await self._drawn(request, kind, "png")
        position = str(drawn.report.position)
        if media == formats.JSON:
            return _answer(msgspec.json.encode(drawn.report), media, position)
        return _answer(
            drawn.page.encode(), f"{HTML}; charset=utf-8", position, policy(drawn.page)
        )

    async def _chart(self, request: web.Request, kind: Kind) -> web.Response:
        media = asking.chosen(request, tuple(IMAGES))
        name = request.match_info["chart"]
        if name not in CAPTIONS:
            message = f"A chart is one of {', '.join(CAPTIONS)}."
            raise Missing(message, path="path.chart")
        drawn = await self._drawn(request, kind, IMAGES[media])
        if name not in drawn.charts:
            raise Missing(MISSING.get(name), path="path.chart")
        return _answer(drawn.charts[name], media, str(drawn.report.position), CANVAS)

    async def _drawn(self, request: web.Request, kind: Kind, image: ImageKind) -> Drawn:
        identity = self._identify(request)
        place = request.match_info["id"]
        number = asking.integer(place, "path.id") if kind == "simulation" else 0
        key = asking.identifier(place, "path.id") if kind == "experiment" else None
        parameters = asking.single(request, frozenset({"step", "min_position"}))
        step = None
        if "step" in parameters:
            step = asking.integer(parameters["step"], "query.step")
        await self._waiting.for_tables(parameters, GROUP)
        if key is None:
            key = await stream_of(self._reader, identity, number)
        async with self._turns.turn():
            if kind == "simulation":
                asked = await of_simulation(
                    self._recordings, identity.org_id, key, step=step, image=image
                )
            else:
                asked = await of_experiment(
                    self._reader,
                    self._recordings,
                    identity,
                    key,
                    step=step,
                    image=image,
                )
            found = await self._calculate.report(asked.subject, asked.runs, asked.whole)
        return decoded(found)


async def of_simulation(
    recordings: Recordings,
    org_id: str,
    key: UUID,
    *,
    step: int | None,
    image: ImageKind = "png",
) -> Asked:
    """Return what the report of a simulation is made of, as far as it is recorded."""
    run = await recordings.read(key, org_id=org_id)
    if run.empty:
        raise NothingToReport("None of its steps has been recorded.")
    subject = Subject(
        title=f"Simulation {key}", about=run.about, step=step, image=image
    )
    return Asked(subject=subject, runs=[run], whole=run)


async def of_experiment(
    reader: Reader,
    recordings: Recordings,
    identity: Identity,
    key: UUID,
    *,
    step: int | None,
    image: ImageKind = "png",
) -> Asked:
    """Return what the report of an experiment is made of: its completed runs."""
    row = await experiment_row(reader, identity, key)
    keys = await completed(reader, identity, key)
    if not keys:
        raise NothingToReport("None of its runs has been completed.")
    runs = await without_agents(recordings, identity.org_id, keys)
    whole = await recordings.read(keys[0], org_id=identity.org_id)
    subject = Subject(
        title=row["name"],
        about=[
            ("experiment", str(key)),
            ("status", row["status"]),
            ("runs", f"{len(runs)} completed of {row['simulations'] or len(keys)}"),
        ],
        step=step,
        image=image,
    )
    return Asked(subject=subject, runs=runs, whole=whole)


def policy(page: str) -> str:
    """Return the content policy of a page of ours: its own style and images alone."""
    found = re.search("<style>(.*?)</style>", page, re.DOTALL)
    style = "" if found is None else found[1]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _answer(
    body: bytes, media: str, position: str, allowed: str | None = None
) -> web.Response:
    headers = {
        "Content-Type": media,
        "Cache-Control": "no-store",
        POSITION: position,
    }
    if allowed is not None:
        headers["Content-Security-Policy"] = allowed
    return web.Response(body=body, headers=headers)
