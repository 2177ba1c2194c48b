"""Places: reserved before a model is shown, used once, released in time."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given as arbitrary
from hypothesis import settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.message import Command, Meta
from events.playgrounds.allocations import (
    CapReached,
    SlotConsumed,
    SlotReleased,
    SlotReserved,
)
from services.playgrounds import ledgers
from services.playgrounds.asking import ExpireSlot
from services.playgrounds.common import AlreadyExists
from services.playgrounds.evaluations import (
    AbandonEvaluation,
    ExcludeEvaluation,
    WithdrawEvaluation,
)
from services.playgrounds.ledger_states import Count, Ledger
from services.playgrounds.ledgers import (
    AllReserved,
    Full,
    NotActive,
    NotAPerson,
    NothingLeft,
    OneAtATime,
)
from services.playgrounds.playgrounds import (
    ChangeAccessList,
    ChangePlayground,
    DeactivatePlayground,
    NotListed,
)
from services.playgrounds.verifying import proof
from tests.given import Result, World, given, meta_of
from tests.services.playgrounds.examples import (
    NOW,
    PLAYGROUND,
    a_playground,
    a_slot,
    a_submission,
    as_tester,
    session,
)


CREATE = a_playground(2, 2)
TESS, TOM = as_tester("tess"), as_tester("tom")


def ledger(world: World) -> Ledger:
    state: Ledger = world.state(ledgers.decider, PLAYGROUND)
    return state


def slot_of(result: Result) -> SlotReserved:
    if result.failure is not None:
        raise result.failure
    return next(each for each in result.events if isinstance(each, SlotReserved))


def evaluate(world: World, number: int, meta: Meta) -> World:
    slotted = world.when(a_slot(number), meta=meta)
    return slotted.world.when(a_submission(number), meta=meta).world


def prove(world: World) -> None:
    facts: Any = world.streams[f"playgrounds.allocation-{PLAYGROUND}"]
    assert proof(PLAYGROUND, facts).flaws == []


def test_a_place_is_reserved_with_its_decision_and_until_when() -> None:
    slot = slot_of(given(CREATE).when(a_slot(1), meta=TESS))
    assert (slot.tester, slot.number, slot.ordinal, slot.reason) == (
        "tess",
        1,
        1,
        "tie_break",
    )
    assert [(c.model_key, c.taken, c.cap, c.shown) for c in slot.candidates] == [
        ("model_a", 0, 2, 0),
        ("model_b", 0, 2, 0),
    ]
    assert (slot.expires_at - NOW).total_seconds() == 3_600


def test_reserving_it_again_changes_nothing() -> None:
    world = given(CREATE).when(a_slot(1), meta=TESS).world
    world.when(a_slot(1), meta=TESS).then()


def test_a_tester_has_one_place_at_a_time() -> None:
    world = given(CREATE).when(a_slot(1), meta=TESS).world
    world.when(a_slot(2), meta=TESS).then_refused(
        OneAtATime, path="$.session_id", saying=str(session(1))
    )


def test_an_evaluation_s_id_is_used_once() -> None:
    world = evaluate(given(CREATE), 1, TESS)
    world.when(a_slot(1), meta=TESS).then_refused(AlreadyExists)
    world.when(a_slot(1), meta=TOM).then_refused(AlreadyExists)


def test_the_next_tester_gets_the_least_filled_model_and_everyone_the_other() -> None:
    first = given(CREATE).when(a_slot(1), meta=TESS)
    second = first.world.when(a_slot(2), meta=TOM)
    assert slot_of(second).reason == "least_filled"
    assert slot_of(second).model_key != slot_of(first).model_key
    world = second.world.when(a_submission(1), meta=TESS).world
    third = slot_of(world.when(a_slot(3), meta=TESS))
    assert third.reason == "only"
    assert third.model_key == slot_of(second).model_key
    assert third.previous_session_id == session(1)
    assert third.previous_model_key == slot_of(first).model_key


def test_who_evaluated_every_model_as_often_as_is_asked_is_told_so() -> None:
    world = evaluate(evaluate(given(CREATE), 1, TESS), 2, TESS)
    world.when(a_slot(3), meta=TESS).then_refused(NothingLeft)
    twice = ChangePlayground(playground_id=PLAYGROUND, repetitions=2)
    again = slot_of(world.when(twice).world.when(a_slot(3), meta=TESS))
    assert (again.ordinal, again.reason) == (3, "tie_break")


def test_where_testers_repeat_the_model_they_saw_less_often_comes_first() -> None:
    twice = ChangePlayground(playground_id=PLAYGROUND, repetitions=2)
    world = evaluate(given(CREATE, twice), 1, TESS)
    assert slot_of(world.when(a_slot(2), meta=TESS)).reason == "unseen"


def test_in_tuning_the_same_tester_repeats_until_the_cap() -> None:
    world = given(a_playground(3))
    for number in range(1, 4):
        world = evaluate(world, number, TESS)
    world.when(a_slot(4), meta=TESS).then_refused(Full)
    reached = [
        event
        for event in world.streams[f"playgrounds.allocation-{PLAYGROUND}"]
        if isinstance(event, CapReached)
    ]
    assert [each.cap for each in reached] == [3]


def test_reserved_places_are_not_given_and_may_become_free() -> None:
    world = given(a_playground(1)).when(a_slot(1), meta=TESS).world
    world.when(a_slot(2), meta=TOM).then_refused(AllReserved)
    given_up = AbandonEvaluation(session_id=session(1))
    world = world.when(given_up, meta=TESS).world
    assert slot_of(world.when(a_slot(2), meta=TOM)).number == 2


def test_a_timer_releases_a_place_and_a_late_one_changes_nothing() -> None:
    expire = ExpireSlot(playground_id=PLAYGROUND, session_id=session(1))
    system = meta_of("system:worker")
    world = given(CREATE).when(a_slot(1), meta=TESS).world
    released = world.when(expire, meta=system)
    assert isinstance(released.events[0], SlotReleased)
    assert released.events[0].reason == "expired"
    released.world.when(expire, meta=system).then()
    used = world.when(a_submission(1), meta=TESS).world
    used.when(expire, meta=system).then()


def test_whoever_comes_after_the_time_gets_the_place_though_no_timer_ran() -> None:
    world = given(a_playground(1)).when(a_slot(1), meta=TESS).world
    late = as_tester("tom", later=3_600)
    taken = world.when(a_slot(2), meta=late)
    assert [type(event) for event in taken.events][:2] == [SlotReleased, SlotReserved]
    prove(taken.world)


def test_no_place_is_given_while_the_playground_is_closed() -> None:
    deactivate = DeactivatePlayground(playground_id=PLAYGROUND)
    world = given(CREATE).when(a_slot(1), meta=TESS).world.when(deactivate).world
    world.when(a_slot(2), meta=TOM).then_refused(NotActive)
    assert world.when(a_submission(1), meta=TESS).failure is None


def test_only_people_evaluate() -> None:
    service = replace(TESS, actor="service:robot")
    given(CREATE).when(a_slot(1), meta=service).then_refused(NotAPerson)


@pytest.mark.parametrize("email", ["tess@example.org", "TESS@Example.org"])
def test_an_access_list_lets_listed_testers_in_whatever_the_case(email: str) -> None:
    listed = ChangeAccessList(
        playground_id=PLAYGROUND, restricted_emails=["Tess@example.org"]
    )
    world = given(CREATE, listed)
    tess = as_tester("tess", email=email)
    assert slot_of(world.when(a_slot(1), meta=tess)).tester == "tess"


@pytest.mark.parametrize("email", [None, "tom@example.org", "[erased]"])
def test_an_access_list_keeps_everyone_else_out(email: str | None) -> None:
    listed = ChangeAccessList(
        playground_id=PLAYGROUND, restricted_emails=["tess@example.org"]
    )
    tom = as_tester("tom", email=email)
    given(CREATE, listed).when(a_slot(1), meta=tom).then_refused(NotListed)


def test_a_withdrawn_or_excluded_evaluation_frees_its_place() -> None:
    world = evaluate(given(a_playground(1)), 1, TESS)
    world.when(a_slot(2), meta=TOM).then_refused(Full)
    for free, by in (
        (WithdrawEvaluation(session_id=session(1)), TESS),
        (ExcludeEvaluation(session_id=session(1), reason="A test"), meta_of()),
    ):
        freed = world.when(free, meta=by).world
        assert ledger(freed).count("model_a") == Count(consumed=0, given=1)
        assert slot_of(freed.when(a_slot(2), meta=TOM)).number == 2


def test_a_reservation_that_was_tampered_with_is_found() -> None:
    world = evaluate(evaluate(given(CREATE), 1, TESS), 2, TOM)
    facts: list[Any] = list(world.streams[f"playgrounds.allocation-{PLAYGROUND}"])
    assert proof(PLAYGROUND, facts).ok
    place = next(i for i, each in enumerate(facts) if isinstance(each, SlotReserved))
    other = {"model_a": "model_b", "model_b": "model_a"}[facts[place].model_key]
    facts[place] = replace(facts[place], model_key=other)
    found = proof(PLAYGROUND, facts)
    assert not found.ok
    assert found.flaws[0].version == place + 1
    assert "The rules give" in found.flaws[0].problem


@pytest.mark.parametrize("extra", [SlotConsumed, SlotReleased])
def test_a_place_that_nobody_had_is_found(extra: Any) -> None:  # noqa: ANN401 - a class
    world = evaluate(given(CREATE), 1, TESS)
    facts: list[Any] = list(world.streams[f"playgrounds.allocation-{PLAYGROUND}"])
    more = {"reason": "expired"} if extra is SlotReleased else {}
    facts.append(
        extra(
            playground_id=PLAYGROUND,
            session_id=session(1),
            tester="tess",
            model_key="model_a",
            **more,
        )
    )
    assert "No place was reserved" in proof(PLAYGROUND, facts).flaws[0].problem


class Crowd:
    """Testers who do whatever they are told, if they can."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.open: dict[int, int] = {}
        self.done: list[tuple[int, int]] = []

    def do(self, step: str, who: int, number: int) -> None:
        match step:
            case "reserve" | "late":
                later = 10_000 * number if step == "late" else 0
                if self.ask(a_slot(number), who, later=later):
                    self.open[who] = number
            case "submit" if who in self.open:
                if self.ask(a_submission(self.open[who]), who):
                    self.done.append((who, self.open.pop(who)))
            case "abandon" if who in self.open:
                key = session(self.open.pop(who))
                self.ask(AbandonEvaluation(session_id=key), who)
            case "expire" if who in self.open:
                key = session(self.open.pop(who))
                expire = ExpireSlot(playground_id=PLAYGROUND, session_id=key)
                self.world = self.world.when(expire, meta=meta_of("system:x")).world
            case "withdraw" if self.done:
                by, which = self.done.pop()
                self.ask(WithdrawEvaluation(session_id=session(which)), by)

    def ask(self, command: Command, who: int, *, later: float = 0) -> bool:
        meta = as_tester(f"tester-{who}", later=later)
        result = self.world.when(command, meta=meta)
        self.world = result.world
        return result.failure is None


STEP = st.tuples(
    st.sampled_from(["reserve", "submit", "abandon", "expire", "withdraw", "late"]),
    st.integers(0, 4),
)


@settings(max_examples=150, deadline=None)
@arbitrary(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(0, 2**63 - 1),
    st.lists(STEP, max_size=40),
)
def test_whatever_testers_do_caps_hold_and_every_decision_can_be_made_again(
    caps: list[int], seed: int, steps: list[tuple[str, int]]
) -> None:
    crowd = Crowd(given(a_playground(*caps, seed=seed)))
    for number, (step, who) in enumerate(steps):
        crowd.do(step, who, number)
        state = ledger(crowd.world)
        testers = Counter(slot.tester for slot in state.slots.values())
        assert set(testers.values()) <= {1}
        assert all(count.taken <= state.cap(key) for key, count in state.counts.items())
    used = sum(count.consumed for count in ledger(crowd.world).counts.values())
    assert used == len(crowd.done)
    prove(crowd.world)
