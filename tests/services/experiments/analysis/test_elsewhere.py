"""Rows that were recorded elsewhere: what they answer, and what they do not."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.experiments.outside import Batch, packed
from services.experiments.analysis.contrasts import contrasts
from services.experiments.analysis.elsewhere import recorded_elsewhere, tables_of
from services.experiments.analysis.gaps import OF_METRICS
from services.experiments.analysis.recorded import METRICS, recorded
from services.experiments.analysis.recording import OutsideRecording, Subject
from services.experiments.analysis.report import analyse
from services.experiments.analysis.reporting import drawn
from services.experiments.analysis.results import Analysis
from services.experiments.outside_rows import OutsideRows, last_step
from tests.finite import not_finite
from tests.services.experiments.analysis.given_run import sure


TABLES = list(OutsideRows.__struct_fields__)
STEPS = list(range(12))
WHOLE: Batch = {
    "agents": {
        "agent_id": ["ant", "bee", "cat"],
        "birth_time": [0, 0, 3],
        "death_time": [None, 6, None],
        "agent_type": ["SystemAgent", "independent", "system_agent"],
        "generation": [0, 0, 1],
        "starting_health": [10.0, 10.0, 10.0],
        "position_x": [1.0, 2.0, 3.0],
        "position_y": [1.0, 2.0, 3.0],
    },
    "simulation_steps": {
        "step_number": STEPS,
        "total_agents": [2] * 3 + [3] * 3 + [2] * 6,
        "system_agents": [1] * 3 + [2] * 9,
        "independent_agents": [1] * 6 + [0] * 6,
        "control_agents": [0] * 12,
        "births": [2, 0, 0, 1] + [0] * 8,
        "deaths": [0] * 6 + [1] + [0] * 5,
        "current_max_generation": [0] * 3 + [1] * 9,
        "combat_encounters": [0] * 4 + [2] * 8,
        "successful_attacks": [0] * 4 + [1] * 8,
        **{
            name: [float(step) for step in STEPS]
            for name in METRICS[5:]
            if name
            not in (
                "births",
                "deaths",
                "current_max_generation",
                "combat_encounters",
                "successful_attacks",
            )
        },
        "average_agent_health": [5.0] * 12,
    },
    "agent_states": {
        "step_number": [0, 1],
        "agent_id": ["ant", "bee"],
        "resource_level": [3.0, 4.0],
        "position_x": [1.0, 2.0],
        "position_y": [1.0, 2.0],
    },
    "resource_states": {
        "step_number": [0],
        "resource_id": [7],
        "amount": [5.0],
        "position_x": [1.0],
        "position_y": [1.0],
    },
    "agent_actions": {
        "step_number": [1, 2, 3, 4],
        "agent_id": ["ant", "ant", "bee", "bee"],
        "action_type": ["attack", "reproduce", "reproduce", "reproduce"],
        "action_target_id": ["bee", "cat", None, None],
        "resources_before": [1.0] * 4,
        "resources_after": [2.0] * 4,
        "reward": [1.0] * 4,
        "details": [
            '{"success": true}',
            '{"outcome": "done"}',
            '{"success": false, "reason": "too little"}',
            '{"outcome": "crowded"}',
        ],
    },
    "learning_experiences": {
        "step_number": [1, 2],
        "agent_id": ["ant", "ant"],
        "module_type": ["move", "move"],
        "action_taken": [0, 1],
        "reward": [0.0, 1.0],
    },
    "health_incidents": {
        "step_number": [6],
        "agent_id": ["bee"],
        "health_before": [10.0],
        "health_after": [0.0],
        "cause": ["heat"],
    },
}


def recording(*batches: Batch, tables: list[str] = TABLES) -> OutsideRecording:
    rows = [
        len(next(iter(each.values()))) for batch in batches for each in batch.values()
    ]
    return OutsideRecording(
        simulation_id=4,
        position=9,
        parameters={},
        batches=[packed(batch) for batch in batches],
        tables=tables,
        rows=sum(rows),
        last_step=max(map(last_step, batches)),
        about=[("status", "completed")],
    )


def answers(*batches: Batch) -> Analysis:
    return analyse(recorded(recording(*batches)))


def without(table: str, *columns: str) -> Batch:
    kept = {
        name: column for name, column in WHOLE[table].items() if name not in columns
    }
    return {**WHOLE, table: kept}


def gaps(found: Analysis) -> dict[str, str]:
    return {gap.question: gap.takes for gap in found.gaps}


def test_what_was_recorded_whole_is_answered_whole() -> None:
    found = answers(WHOLE)
    assert gaps(found).keys() == {"population.interaction_rate"}
    population, survival = sure(found.population), sure(found.survival)
    assert (population.births, population.deaths) == (1, 1)
    assert population.health_maintenance == 0.5
    assert [each.agent_type for each in population.types][:2] == [
        "system",
        "independent",
    ]
    assert [(each.group, each.n) for each in survival.by_type] == [
        ("system", 2),
        ("independent", 1),
    ]
    assert sure(found.behaviour).interactive.count == 1  # and not with one's child
    tried = sure(found.reproduction)
    assert (tried.success.count, tried.success.n) == (1, 3)
    assert set(tried.failures) == {"too little", "crowded"}
    assert sure(found.dominance).by_population == "system"
    assert sure(found.health).causes[0].fatal.count == 1
    assert {each.kind for each in found.events} >= {"extinction"}
    assert list(not_finite(found)) == []


@pytest.mark.parametrize("metric", METRICS[1:])
def test_a_metric_that_is_not_there_is_named_and_not_made_up(metric: str) -> None:
    found = answers(without("simulation_steps", metric))
    named = gaps(found)
    assert any(metric in takes for takes in named.values()), named
    told = msgspec.to_builtins(found)
    for question, (takes, _) in OF_METRICS.items():
        parent, _, name = question.partition(".")
        if takes == metric and parent != "events" and parent not in named:
            assert question in named
            assert told[parent][name] is None


@pytest.mark.parametrize("table", [name for name in WHOLE if name != "agents"])
def test_a_table_that_is_not_there_is_named(table: str) -> None:
    whole = {name: columns for name, columns in WHOLE.items() if name != table}
    assert any(table in takes for takes in gaps(answers(whole)).values())


def test_nobody_is_said_to_live_where_deaths_are_not_recorded() -> None:
    found = answers(without("agents", "death_time"))
    assert found.survival is None
    assert gaps(found)["survival"] == "agents.death_time, or agent_deaths"
    assert sure(found.dominance).mean_lives == {}
    later: Batch = {"agent_deaths": {"agent_id": ["bee"], "death_time": [6]}}
    told = answers(without("agents", "death_time"), later)
    assert told.survival == answers(WHOLE).survival


def test_only_successes_do_not_make_reproduction_certain() -> None:
    actions = dict(WHOLE["agent_actions"])
    actions["details"] = ['{"success": true}'] * 4
    found = answers({**WHOLE, "agent_actions": actions})
    assert found.reproduction is None
    assert "failed" in gaps(found)["reproduction"]


def test_a_sample_of_actions_does_not_tell_who_reproduced() -> None:
    kinds = {**WHOLE["agents"], "birth_time": [0, 2, 3]}
    found = answers({**WHOLE, "agents": kinds})
    assert found.reproduction is None
    assert "as agents were born" in gaps(found)["advantages.reproduction"]


def test_a_total_that_falls_is_no_total_and_gaps_between_steps_are_no_zeros() -> None:
    steps = dict(WHOLE["simulation_steps"])
    steps["combat_encounters"] = [2, 1] * 6
    population = sure(answers({**WHOLE, "simulation_steps": steps}).population)
    assert population.conflict_rate is None
    sparse: Batch = {
        **WHOLE,
        "simulation_steps": {name: each[::3] for name, each in steps.items()},
    }
    found = answers(sparse)
    population = sure(found.population)
    assert population.births is None
    assert population.total.agent_steps is None
    assert population.rhythm is None
    assert found.dominance is None
    assert found.events == []
    assert gaps(found)["events"] == "simulation_steps of every step"


def test_a_row_that_came_again_takes_the_place_of_the_earlier() -> None:
    again: Batch = {
        "simulation_steps": {"step_number": [11], "total_agents": [9]},
        "agent_states": {
            "step_number": [1, 1],
            "agent_id": ["bee", "dog"],
            "resource_level": [8.0, 2.0],
        },
        "agents": {"agent_id": ["cat"], "birth_time": [4]},
    }
    run = recorded_elsewhere(recording(WHOLE, again))
    assert list(run.steps.step_number) == STEPS
    assert list(sure(run.steps.total_agents)[-2:]) == [2, 9]
    assert run.steps.births is None  # which the last step does not tell any more
    assert list(sure(run.states).resource_level) == [3, 8, 2]
    assert list(run.agents.birth_time) == [0, 0, 4]
    assert run.agents.rows_of(sure(run.states).agent_id).tolist() == [0, 1, -1]


def test_types_of_their_own_are_counted_where_it_adds_up() -> None:
    kinds = {**WHOLE["agents"], "agent_type": ["ant", "bee", "ant"]}
    own: Batch = {**WHOLE, "agents": kinds}
    found = answers(own)
    assert [each.agent_type for each in sure(found.population).types] == ["ant", "bee"]
    assert sure(found.dominance).by_population == "ant"
    assert sure(found.dominance).scores[1].agent_type == "bee"
    counts = {**WHOLE["simulation_steps"], "total_agents": [5] * 12}
    for name in ("system_agents", "independent_agents", "control_agents"):
        del counts[name]
    odd = answers({**own, "simulation_steps": counts})
    assert sure(odd.population).types == []
    assert odd.dominance is None
    assert "add up to total_agents" in gaps(odd)["dominance"]


def test_what_is_not_of_interest_is_not_read() -> None:
    tables = tables_of(recording(WHOLE, tables=["simulation_steps", "agents"]))
    assert tables.keys() == {"simulation_steps", "agents"}


def test_a_report_names_what_is_missing_and_draws_what_there_is() -> None:
    subject = Subject(title="Meadow", about=[("made by", "meadow 2.1, recorded")])
    whole = recording(WHOLE)
    assert "map" in drawn(subject, [whole], whole).charts
    some = recording(
        {"simulation_steps": {"step_number": STEPS, "total_agents": STEPS}}
    )
    found = drawn(subject, [some], some)
    assert found.charts.keys() == {"population"}
    assert "survival is not answered: it takes agents." in found.report.missing
    assert all(
        each in found.page for each in ("meadow 2.1", "survival is not answered")
    )
    nothing = recording({"agents": {"agent_id": ["ant"], "birth_time": [0]}})
    assert drawn(subject, [nothing], nothing).charts == {}


def test_runs_of_no_known_seed_are_compared_but_not_paired() -> None:
    other = msgspec.structs.replace(recording(WHOLE), parameters={"rain": 1})
    found = contrasts([recording(WHOLE), recording(WHOLE), other, other])
    (contrast,) = found.contrasts
    assert not contrast.comparison.paired
    assert {each.figure for each in contrast.comparison.differences} >= {"births"}


NUMBERS = st.none() | st.floats(-1e300, 1e300) | st.integers(-9, 9)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_left_out_nothing_breaks_and_no_number_is_infinite(
    data: st.DataObject,
) -> None:
    batch: dict[str, dict[str, Any]] = {}
    for table, columns in WHOLE.items():
        count = data.draw(st.integers(1, 9), label=table)
        if data.draw(st.booleans(), label=f"{table}?"):
            continue
        own: dict[str, Any] = dict(columns)
        for name in columns:
            at = data.draw(st.sampled_from(["there", "gone", "odd"]), label=name)
            if name in ("step_number", "birth_time", "resource_id"):
                own[name] = data.draw(
                    st.lists(st.integers(0, 30), min_size=count, max_size=count)
                )
            elif at == "gone" and name not in (
                "agent_id",
                "action_type",
                "module_type",
            ):
                del own[name]
            elif isinstance(columns[name][0], str):
                own[name] = ([*columns[name]] * count)[:count]
            else:
                small = st.none() | st.integers(0, 9)
                own[name] = data.draw(st.lists(small, min_size=count, max_size=count))
        batch[table] = own
    if not batch:
        return
    whole = recording(batch)
    found = analyse(recorded(whole))
    assert list(not_finite(found)) == []
    assert msgspec.json.decode(msgspec.json.encode(found), type=Analysis) == found
    assert np.array_equal(
        recorded(whole).agents.agent_id, recorded_elsewhere(whole).agents.agent_id
    )
