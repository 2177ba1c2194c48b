"""What a few agents did, counted by hand."""

from math import log

import pytest

from services.experiments.analysis.actions import behaviour, sequences, statistics
from tests.services.experiments.analysis.given_run import (
    actions,
    agents,
    run,
    steps,
    sure,
)


DONE = actions(
    (0, 0, "gather", 2.0),
    (0, 1, "share", 1.0),
    (1, 0, "gather", 4.0),
    (1, 1, "attack", 0.0),
    (2, 0, "share", 3.0),
    (2, 1, "attack", -1.0),
    targets=[-1, 0, -1, 0, 1, -1],
    gained=[3, -1, 3, 0, -2, 0],
    succeeded=[True, True, True, True, True, False],
)


def test_each_kind_of_action_has_its_count_reward_and_success() -> None:
    found = {each.action_type: each for each in statistics(DONE)}
    assert found["gather"].share.share == pytest.approx(2 / 6)
    assert found["gather"].per_step == pytest.approx(2 / 3)
    assert sure(found["gather"].reward).mean == 3
    assert sure(found["gather"].reward).interval is not None
    assert sure(found["gather"].resources_change).mean == 3
    assert (found["attack"].success.count, found["attack"].success.share) == (1, 0.5)
    assert sure(found["share"].resources_change).mean == -1.5


def test_actions_are_alone_or_with_others() -> None:
    found = {each.action_type: each for each in statistics(DONE)}
    assert found["gather"].interactive.count == 0
    assert found["share"].interactive.share == 1
    assert found["share"].solo_reward is None
    attack = found["attack"]
    assert attack.solo_reward is not None
    assert attack.interactive_reward is not None
    assert (attack.solo_reward.mean, attack.interactive_reward.mean) == (-1, 0)
    whole = behaviour(run(steps([2]), agents(("system", 0, None)), actions=DONE))
    assert whole is not None
    assert (whole.interactive.count, whole.n, whole.agents) == (3, 6, 2)


def test_pairs_of_actions_have_conditional_probabilities() -> None:
    found = sequences(DONE)
    pairs = {(each.action, each.following): each for each in found.pairs}
    assert found.n == 4
    # after gather: gather once, share once; after share and attack: attack
    assert pairs["gather", "gather"].probability.share == 0.5
    assert pairs["gather", "share"].probability.share == 0.5
    assert pairs["share", "attack"].probability.share == 1
    assert pairs["attack", "attack"].probability.n == 1
    assert pairs["attack", "attack"].reward_after == -1
    # attacks that follow anything bring 0 and -1
    assert pairs["attack", "attack"].over_usual == -0.5


def test_pairs_do_not_join_two_agents() -> None:
    one_each = actions((0, 0, "move", 0), (1, 1, "gather", 0))
    assert sequences(one_each).pairs == []
    assert sequences(one_each).predictability is None


def test_pairs_do_not_join_steps_between_which_nothing_is_known() -> None:
    sparse = actions((0, 0, "move", 0), (2, 0, "gather", 0), (3, 0, "move", 0))
    (pair,) = sequences(sparse).pairs
    assert (pair.action, pair.following) == ("gather", "move")


def test_what_comes_next_is_predictable_where_it_always_follows() -> None:
    turns = [(step, 0, ("move", "gather")[step % 2], 0.0) for step in range(9)]
    assert sequences(actions(*turns)).predictability == pytest.approx(1)
    # next: gather 1, share 1, attack 2: H = 3/2 ln 2; given the last: 2/4 ln 2
    expected = 1 - (0.5 * log(2)) / (1.5 * log(2))
    assert sequences(DONE).predictability == pytest.approx(expected)


def test_types_divide_their_actions_each_in_its_way() -> None:
    who = agents(("system", 0, None), ("control", 0, None))
    found = behaviour(run(steps([2]), who, actions=DONE))
    assert found is not None
    system, control = found.mixes
    assert system.shares == {"gather": 2 / 3, "share": 1 / 3, "attack": 0}
    entropy = log(3) - 2 / 3 * log(2)
    assert system.diversity == pytest.approx(entropy / log(3))
    assert control.shares["attack"] == 2 / 3


def test_nothing_done_is_no_behaviour() -> None:
    assert behaviour(run(steps([1]))) is None
    assert behaviour(run(steps([1]), actions=actions())) is None
