"""Reports and charts over HTTP: who has what of them, and what is refused."""

from typing import Final

import msgspec

from infra.clock import new_id
from services.http.reports import policy
from tests.services.experiments.examples import REQUEST, SIMULATION
from tests.services.http.test_experiments import Rows
from tests.services.http.world import is_problem, open_world


SIMULATION_REPORT: Final = "/v1/experiments/simulations/{}/report"
SIMULATION_CHART: Final = "/v1/experiments/simulations/{}/charts/{}"
EXPERIMENT_REPORT: Final = "/v1/experiments/experiments/{}/report"
EXPERIMENT_CHART: Final = "/v1/experiments/experiments/{}/charts/{}"
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


async def test_a_report_is_json_or_a_page_and_a_chart_an_image() -> None:
    async with open_world(reader=Rows(ROW)) as world:
        page = await world.get(SIMULATION_REPORT.format(5), Accept="image/png")
        chart = await world.get(SIMULATION_CHART.format(5, "map"), Accept="text/html")
    assert is_problem(page, 406)
    assert is_problem(chart, 406)


def test_a_page_may_use_its_own_style_and_no_other() -> None:
    one, other = (policy(f"<style>p {{ color: {c} }}</style>") for c in ("red", "blue"))
    assert one.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert one != other
