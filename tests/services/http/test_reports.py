"""Reports and charts over HTTP: who has what of them, and what is refused."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from infra.clock import new_id
from services.experiments.analysis.captions import MISSING
from services.experiments.analysis.recording import AnyRecording, Subject
from services.experiments.analysis.results import Chart, Drawn, Report
from services.http.reports import policy
from tests.services.experiments.examples import REQUEST, SIMULATION
from tests.services.experiments.outside_examples import ELSEWHERE, FIRST, GROUP, OPEN
from tests.services.http.test_experiments import Rows
from tests.services.http.world import NoCalculations, is_problem, open_world


SIMULATION_REPORT: Final = "/v1/experiments/simulations/{}/report"
SIMULATION_CHART: Final = "/v1/experiments/simulations/{}/charts/{}"
EXPERIMENT_REPORT: Final = "/v1/experiments/experiments/{}/report"
EXPERIMENT_CHART: Final = "/v1/experiments/experiments/{}/charts/{}"
OUTSIDE: Final = {
    "_id": str(ELSEWHERE),
    "name": "Dry summers",
    "status": "running",
    "simulations": 0,
}
ROW: Final = {
    "_id": str(SIMULATION),
    "name": "Fiercer blows",
    "status": "running",
    "simulations": 4,
}


async def test_what_is_no_identifier_or_step_is_named() -> None:
    async with open_world(reader=Rows(ROW)) as world:
        for path in (SIMULATION_REPORT, EXPERIMENT_REPORT):
            for wrong in ("10" * 40, "-1", "%00", "x"):
                answer = await world.get(path.format(wrong))
                assert is_problem(answer, 400, "path.id")
        for step in ("-1", "1e3", "9" * 40, "nan", "%00"):
            answer = await world.get(f"{SIMULATION_REPORT.format(5)}?step={step}")
            assert is_problem(answer, 400, "query.step")


async def test_a_chart_that_there_never_is_is_missing_by_its_name() -> None:
    async with open_world(reader=Rows(ROW)) as world:
        for path, key in ((SIMULATION_CHART, 5), (EXPERIMENT_CHART, new_id())):
            wrong = await world.get(path.format(key, "weather"))
            assert is_problem(wrong, 404, "path.chart")


async def test_what_the_caller_does_not_see_has_no_report() -> None:
    async with open_world(reader=Rows()) as world:
        for path in (
            SIMULATION_REPORT.format(5),
            SIMULATION_CHART.format(5, "map"),
            EXPERIMENT_REPORT.format(new_id()),
            EXPERIMENT_CHART.format(new_id(), "map"),
        ):
            assert is_problem(await world.get(path), 404)


async def test_another_organisations_stream_is_missing_even_with_its_row() -> None:
    async with open_world(reader=Rows(ROW)) as world:
        await world.send(msgspec.json.encode(REQUEST))
        theirs = world.bearer(org="other")
        answer = await world.request("GET", SIMULATION_REPORT.format(5), headers=theirs)
    assert is_problem(answer, 404)


async def test_nothing_recorded_yet_is_refused_by_name() -> None:
    async with open_world(reader=Rows(ROW)) as world:
        await world.send(msgspec.json.encode(REQUEST))
        answer = await world.get(SIMULATION_REPORT.format(5))
    assert is_problem(answer, 422)
    assert answer.json["code"] == "nothing-to-report"


async def test_what_can_be_had_is_negotiated() -> None:
    async with open_world(reader=Rows(ROW)) as world:
        page = await world.get(SIMULATION_REPORT.format(5), Accept="image/png")
        chart = await world.get(SIMULATION_CHART.format(5, "map"), Accept="text/html")
    assert is_problem(page, 406)
    assert is_problem(chart, 406)


class Drawing(NoCalculations):
    """Draws nothing, once it may, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Subject, AnyRecording]] = []
        self.begun, self.may = asyncio.Event(), asyncio.Event()
        self.may.set()

    async def report(
        self, subject: Subject, _runs: Sequence[AnyRecording], whole: AnyRecording, /
    ) -> bytes:
        self.asked.append((subject, whole))
        self.begun.set()
        await self.may.wait()
        report = Report(
            title=subject.title,
            about=dict(subject.about),
            position=whole.position,
            charts=[Chart(name="population", caption="")],
            missing=[],
            findings=[],
        )
        page = "<style>p { }</style>"
        return msgspec.json.encode(
            Drawn(report=report, page=page, charts={"population": b"an image"})
        )


async def test_a_report_comes_as_json_as_a_page_and_chart_by_chart() -> None:
    drawing = Drawing()
    async with open_world(reader=Rows(OUTSIDE), calculate=drawing) as world:
        for command in (OPEN, FIRST):
            assert (await world.send(msgspec.json.encode(command))).status == 200
        report = await world.get(SIMULATION_REPORT.format(5))
        page = await world.get(
            f"{EXPERIMENT_REPORT.format(GROUP)}?step=3", Accept="text/html"
        )
        chart = await world.get(
            SIMULATION_CHART.format(5, "population"), Accept="image/svg+xml"
        )
        missing = await world.get(SIMULATION_CHART.format(5, "map"))
    assert report.json["about"]["made by"] == "meadow 2.1, recorded, not made here"
    assert report.headers["Rehearsal-Position"] == str(report.json["position"])
    assert page.headers["Content-Security-Policy"] == policy(page.body.decode())
    assert (chart.body, chart.headers["Content-Type"]) == (b"an image", "image/svg+xml")
    assert is_problem(missing, 404, "path.chart")
    assert missing.json["detail"] == MISSING["map"]
    assert [(each.step, each.image) for each, _ in drawing.asked] == [
        (None, "png"),
        (3, "png"),
        (None, "svg"),
        (None, "png"),
    ]


async def test_one_is_drawn_at_a_time_and_who_is_one_too_many_comes_back() -> None:
    drawing = Drawing()
    drawing.may.clear()
    async with open_world(reader=Rows(OUTSIDE), calculate=drawing) as world:
        for command in (OPEN, FIRST):
            await world.send(msgspec.json.encode(command))
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(world.get(SIMULATION_REPORT.format(5)))
                for _ in range(6)
            ]
            await drawing.begun.wait()
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            (refused,) = (each.result() for each in done)
            drawn = len(drawing.asked)
            drawing.may.set()
    assert is_problem(refused, 503)
    assert refused.json["code"] == "busy"
    assert refused.headers["Retry-After"] == "5"
    assert drawn == 1
    assert [each.result().status for each in asked].count(200) == 5


def test_a_page_may_use_its_own_style_and_no_other() -> None:
    one, other = (policy(f"<style>p {{ color: {c} }}</style>") for c in ("red", "blue"))
    assert one.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert one != other
