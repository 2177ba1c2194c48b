"""Experiments are made, proved, branched and held from the command line."""

import asyncio

import msgspec
import pytest

from events.experiments.vocabulary import MODULES
from infra.embedded import running_stack
from infra.operations.querying import query
from tests.infra.commands.process import Answer, Up, rehearsal


pytestmark = pytest.mark.usefixtures("compiled")

ORG = "populations"
STRENGTH = "combat.base_attack_strength"


async def experiments(up: Up, *words: object) -> Answer:
    """Ask something of the experiments."""
    return await rehearsal(
        "experiments", *words, "--data-dir", up.data_dir, "--json", "--org", ORG
    )


async def made(up: Up, *words: object) -> Answer:
    """Make an experiment of two runs of 400 steps."""
    return await experiments(
        up, "run", "--steps", 400, "--iterations", 2, "--seed", 7, "--wait", *words
    )


async def sql(up: Up, statement: str) -> list[dict[str, object]]:
    """Read the tables of experiments by what `rehearsal sql` asks, as its JSON."""
    there = running_stack(up.data_dir)
    assert there is not None
    found = await query(
        owner=there.owner,
        reader=there.reader,
        schema="experiments",
        statement=statement,
        org_id=ORG,
    )
    told = msgspec.json.encode(found.rows, enc_hook=str)
    return msgspec.json.decode(told, type=list[dict[str, object]])


async def test_the_same_seed_gives_the_same_runs_over_either_broker(
    up: Up, rabbitmq: str
) -> None:
    first = await made(up, "--broker", "postgres")
    second = await made(up, "--broker", rabbitmq)

    assert first.json["status"] == second.json["status"] == "completed"
    assert first.json["experiment_id"] != second.json["experiment_id"]
    hashes = [
        [run["state_hash"] for run in answer.json["runs"]] for answer in (first, second)
    ]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0])) == 2


async def test_a_run_is_proved_branched_and_shown(up: Up) -> None:
    found = (await made(up)).json
    run = found["runs"][0]["simulation_id"]
    proof = await experiments(up, "verify", found["experiment_id"])
    part = await experiments(up, "verify", run, "--from", 340, "--to", 350)
    assert proof.json["ok"]
    assert (proof.json["simulations"], proof.json["differences"]) == (2, [])
    assert part.json["chunks"] == 1

    same = await experiments(up, "branch", run, "--at", 200, "--wait")
    other = await experiments(
        up, "branch", run, "--at", 200, "--set", f"{STRENGTH}=50", "--wait"
    )
    assert same.json["state_hash"] == found["runs"][0]["state_hash"]
    assert other.json["state_hash"] != found["runs"][0]["state_hash"]
    shown = await experiments(up, "show", other.json["simulation_id"])
    assert shown.json["parameters"] == {STRENGTH: 50}
    listed = await experiments(up, "list")
    assert found["experiment_id"] in {
        each["experiment_id"] for each in listed.json["experiments"]
    }


async def test_a_population_thinks_where_it_is_asked_to(up: Up) -> None:
    mode = ("--set", "learning.mode=dqn", "--set", "learning.network.batch=8")
    run = ("run", *mode, "--steps", 60, "--capture", 1)
    found = (await experiments(up, *run, "--wait")).json
    key, simulation = found["experiment_id"], found["runs"][0]["simulation_id"]
    assert (await experiments(up, "verify", key)).json["ok"]
    learned = (await experiments(up, "analyse", simulation)).json["learning"]
    assert {each["module_type"] for each in learned} == set(MODULES)

    refused = await experiments(up, *run, "--ruleset", "agentfarm-2025-07")
    assert refused.code != 0
    assert "$.learning.mode" in refused.err


async def test_runs_are_watched_to_their_end(up: Up) -> None:
    started = await experiments(up, "run", "--steps", 1_500, "--iterations", 3)
    key = started.json["experiment_id"]
    watched = await experiments(up, "watch", key)
    runs = watched.json["runs"]
    assert watched.json["status"] == "completed"
    assert [(run["number"], run["first_step"], run["step"]) for run in runs] == [
        (number, 0, 1_500) for number in (1, 2, 3)
    ]
    assert watched.json["steps"] == 3 * 1_501
    summaries = (await experiments(up, "show", key)).json["runs"]
    for run, summary in zip(runs, summaries, strict=True):
        assert run["born"] == 30 + summary["summary"]["births"]
        assert run["died"] == summary["summary"]["deaths"]

    again = await experiments(up, "watch", summaries[0]["simulation_id"])
    assert again.json["runs"] == runs[:1]


async def test_a_run_is_analysed_and_conditions_are_compared(up: Up) -> None:
    found = (await made(up, "--grid", f"{STRENGTH}=2,60")).json
    run = found["runs"][0]["simulation_id"]
    analysis = await experiments(up, "analyse", run)
    compared = await experiments(up, "compare", found["experiment_id"])
    assert analysis.json["population"]["steps"] == 401
    assert len(compared.json["contrasts"]) == 1


async def test_rows_come_into_the_tables_when_asked_for(up: Up) -> None:
    run = (await made(up)).json["runs"][0]["simulation_id"]
    asked = await experiments(up, "rows", run, "--from", 10, "--to", 19)
    assert asked.code == 0
    counted = f"""
        SELECT count(DISTINCT step_number) AS steps
        FROM agent_states
        JOIN simulations USING (simulation_id)
        WHERE _id = '{run}'
    """  # noqa: S608 - an id of ours
    async with asyncio.timeout(60):
        while (await sql(up, counted))[0]["steps"] != 10:
            pass


async def test_a_grid_of_parameters_is_compared(up: Up) -> None:
    answer = await made(up, "--grid", f"{STRENGTH}=2,60", "--agents", 12)
    weak, strong = answer.json["conditions"]

    assert weak["parameters"] == {STRENGTH: 2}
    assert (weak["runs"], strong["runs"]) == (2, 2)
    assert weak["means"]["deaths"] != strong["means"]["deaths"]


async def test_an_experiment_is_held_and_ended_by_its_id(up: Up) -> None:
    asked = ("run", "--steps", 900_000, "--iterations", 2)
    started = await experiments(up, *asked)
    key = started.json["experiment_id"]
    paused = await experiments(up, "pause", key)
    assert paused.code == 0
    assert (await experiments(up, "show", key)).json["status"] == "paused"
    assert (await experiments(up, "resume", key)).code == 0
    assert (await experiments(up, "cancel", key, "--reason", "Enough.")).code == 0
    assert (await experiments(up, "show", key)).json["status"] == "cancelled"
    again = await experiments(up, "cancel", key)
    assert again.problem == ("Ended", None)


async def test_what_is_wrong_with_a_design_is_told_with_its_path(up: Up) -> None:
    for words, path in (
        (("--set", "combat.base_attack_strength=-1"), "$.combat.base_attack_strength"),
        (("--set", "combat.strength=1"), "$.combat"),
        (("--agents", 10**9), "$.population.system"),
        (("--grid", f"{STRENGTH}=1,nan"), f"$.{STRENGTH}"),
        (("--ruleset", "farm-9"), "$.ruleset"),
        (("--range", f"{STRENGTH}=3:1", "--samples", 2), f"$.design.ranges.{STRENGTH}"),
    ):
        answer = await experiments(up, "run", *words)
        assert answer.problem[1] == path, words


async def test_an_unknown_id_is_missing(up: Up) -> None:
    nobody = "01932c5e-7b00-71ff-8000-0000000000ff"
    for word in ("show", "verify", "watch", "pause", "cancel", "rows"):
        assert (await experiments(up, word, nobody)).problem[0] == "Missing"
    answer = await experiments(up, "branch", nobody, "--at", 3)
    assert answer.problem[0] == "Missing"
