from typing import get_args

from events.catalogue import EVENTS
from services.routing import COMMANDS, DECIDER_OF, DECIDERS, PublicCommand, decider_of
from services.testing import personas
from tests.services.testing.examples import A_PERSONA, PERSONA


def test_a_command_finds_its_decider_and_stream() -> None:
    decider = decider_of(type(A_PERSONA))
    assert decider is personas.decider
    assert decider.stream(A_PERSONA, "acme") == f"testing.persona-{PERSONA}"


def test_a_command_has_one_decider() -> None:
    assert len(DECIDER_OF) == sum(len(decider.commands) for decider in DECIDERS)


def test_a_category_has_one_decider() -> None:
    assert len({decider.category for decider in DECIDERS}) == len(DECIDERS)


def test_internal_commands_are_among_the_decider_s_own() -> None:
    for decider in DECIDERS:
        assert set(decider.internal) <= set(decider.commands), decider.category


def test_public_commands_are_those_that_edges_decode() -> None:
    assert set(COMMANDS.values()) == set(get_args(PublicCommand))
    assert COMMANDS["testing.CreatePersona"] is type(A_PERSONA)


def test_every_event_has_a_decider_that_folds_it() -> None:
    folded = {kind for decider in DECIDERS for kind in decider.events}
    assert folded == set(EVENTS.values())
