"""Reports: charts of what was captured, and a page that needs nothing else."""

import re

import numpy as np
import pytest
from msgspec.structs import replace

from services.experiments.analysis.charts import Line, charts, thinned, together
from services.experiments.analysis.columns import Steps
from services.experiments.analysis.recorded import recorded
from services.experiments.analysis.recording import Subject
from services.experiments.analysis.reporting import drawn, place_of
from services.experiments.analysis.results import Drawn
from tests.services.experiments.analysis.given_run import run, steps, sure
from tests.services.experiments.analysis.test_recorded import (
    HUNGRY,
    SPARSE,
    STEPS,
    recording,
)


SUBJECT = Subject(title='Dry <summers> & "rain"', about=[("status", "completed")])
ALWAYS = {"population", "births_and_deaths", "resources", "rewards", "genome_diversity"}
EVERY = {*ALWAYS, "action_mix", "map"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def single() -> Drawn:
    whole = recording()
    return drawn(SUBJECT, [whole], whole)


@pytest.fixture(scope="module")
def several() -> Drawn:
    runs = [
        replace(
            recording(seed=seed, capture=SPARSE, configuration=configuration),
            simulation_id=number,
            position=90 + number,
        )
        for number, (seed, configuration) in enumerate(
            [(1, {}), (2, {}), (1, HUNGRY), (2, HUNGRY)], start=1
        )
    ]
    return drawn(SUBJECT, runs, runs[0])


def test_a_run_that_was_captured_has_every_chart(single: Drawn) -> None:
    assert single.charts.keys() == EVERY
    assert all(image.startswith(PNG) for image in single.charts.values())


def test_what_was_not_captured_is_said_and_not_drawn(several: Drawn) -> None:
    assert several.charts.keys() == ALWAYS
    assert "No actions were captured" in several.page
    assert "No states were captured" in several.page


def test_a_page_needs_no_network_and_escapes_what_people_wrote(single: Drawn) -> None:
    assert "<summers>" not in single.page
    assert "Dry &lt;summers&gt; &amp; &#34;rain&#34;" in single.page
    sources = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^" >)]+)', single.page)
    assert len(sources) == len(EVERY)
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "<script" not in single.page


def test_a_table_says_what_it_rests_on_and_how(single: Drawn) -> None:
    assert "<dt>position in the log</dt><dd>99</dd>" in single.page
    rows = re.findall(r"<tr><td>(.*?)</tr>", single.page)
    assert any("Kaplan-Meier" in row for row in rows)
    assert any("Wilson" in row for row in rows)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", f"<td>{row}") for row in rows]
    assert all(len(row) == 6 and row[2] and row[4] and row[5] for row in cells)


def test_conditions_are_compared_over_their_runs(several: Drawn) -> None:
    assert "over runs" in several.page
    assert "paired t" in several.page
    assert "<dt>position in the log</dt><dd>94</dd>" in several.page


def test_a_map_is_of_the_step_that_was_asked_for() -> None:
    whole = recorded(recording())
    place, last = place_of(whole, 17), place_of(whole, None)
    assert place is not None
    assert last is not None
    assert (place.step, last.step) == (17, STEPS)
    living = sum(len(x) for x, _ in place.agents.values())
    assert living == sure(whole.steps.total_agents)[17]
    assert len(place.nodes[0]) == 20
    assert place_of(whole, STEPS + 1) is None


def test_a_run_that_ended_early_has_no_agents_afterwards() -> None:
    long, short = run(steps([4, 4, 4, 4])), run(steps([2, 0]))
    _, agents = together([long, short], _agents, 0.0)
    assert agents.mean(axis=0).tolist() == [3, 2, 2, 2]
    _, means = together([long, short], _agents, np.nan)
    assert np.nanmean(means, axis=0).tolist() == [3, 2, 4, 4]


def _agents(given: Steps) -> object:
    return given.total_agents


def test_a_long_run_is_drawn_by_means_over_windows() -> None:
    at, means = thinned(np.arange(800), np.arange(800.0).reshape(1, -1), 400)
    assert len(at) == 400
    assert (at[1], means[0][1]) == (2, 2.5)
    _, gaps = thinned(np.arange(800), np.full((1, 800), np.nan), 400)
    assert np.isnan(gaps).all()


def test_nothing_is_drawn_of_no_runs() -> None:
    assert charts([Line(label="none", runs=[])], None) == {}
