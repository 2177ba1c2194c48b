"""The simulated user: it pursues its goals, answers from its brief, and stops.

Its moves are folded over what the agent said: the state after n messages follows from
the brief, the seed and the agent's words alone, whatever the user's recorded messages
are. The first rule that fits makes the move:

1. stop where it has stopped, was transferred, or the agent said goodbye
2. open with the given opening, else with the first goal
3. do what its instructions tell for what the agent did
4. object to what its instructions rule out, else confirm what the agent asks to confirm
5. go on where the goal is achieved: to the next goal, else stop
6. insist on a refused goal as often as the persona does, then the next goal, or stop
7. answer what is asked from the facts, else say that it does not have that
8. nudge an agent that says nothing, restate the goal to one that says nothing new

Turns without progress use up patience, and no conversation has more than `MAX_TURNS`
messages of the user. A message that fails a validity check is made once more from the
plainest words; where that fails too, the turn is a `SimulatorFault`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from services.engines.dialogue.brief import (
    NO_WISH,
    Condition,
    Fact,
    Mind,
    UserBrief,
    answer_to,
    ended,
    mind_of,
    opinion_on,
)
from services.engines.dialogue.cue import Cue, achieved, heard
from services.engines.dialogue.draw import Draw
from services.engines.dialogue.personas import voiced
from services.engines.dialogue.phrases import PHRASES
from services.engines.dialogue.text import fold, share, stems_of
from services.engines.dialogue.turns import ENGINE, Reason, Turn, cues
from services.engines.dialogue.validity import Flaw, flaw_of


MAX_TURNS: Final = 40
STANCE_SHARE: Final = 0.75
TOPIC_SHARE: Final = 0.5
MAX_ANSWERS: Final = 3
EMPTY_GOAL: Final = "…"


class UserMove(msgspec.Struct, frozen=True, kw_only=True):
    """What the user says, the rule and facts behind it, and why it stops, if it does.

    A move that stops is the user's last: its text needs no answer.
    """

    text: str
    rule: str
    facts: tuple[str, ...] = ()
    stop: Reason | None = None
    persona: str = "cooperative"
    engine: str = ENGINE


class SimulatorFault(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated user could not make a valid message; the agent is not at fault."""

    flaw: Flaw
    text: str
    rule: str
    reason: Reason = "simulator_fault"
    engine: str = ENGINE


class Act(msgspec.Struct, frozen=True):
    """A move before it is worded: a template's name and what fills it."""

    rule: str
    phrase: str | None = None
    text: str = ""
    facts: tuple[Fact, ...] = ()
    stop: Reason | None = None


class State(msgspec.Struct, frozen=True):
    """Where the user stands after some messages."""

    turn: int = 0
    goal: int = 0
    patience: int = 0
    pushed: int = 0
    refused: int = 0
    scripted: int = 0
    told: frozenset[str] = frozenset()
    used: frozenset[int] = frozenset()
    kept_back: bool = False
    asked_back: bool = False
    wavers: bool = False
    wavered: bool = False
    stopped: Reason | None = None


def next_user_turn(
    brief: UserBrief, transcript: Sequence[Turn], seed: Draw
) -> UserMove | SimulatorFault:
    """Return the user's next message, or the fault of the one it would have made."""
    mind = mind_of(brief)
    state = State(patience=mind.persona.patience)
    act = Act("open")
    said = cues(transcript)
    for text in said:
        draw = seed.at(state.turn + 1)
        act, state = decide(mind, brief, state, heard(text, mind.language), draw)
    return worded(mind, act, said, seed.at(state.turn))


def worded(
    mind: Mind, act: Act, said: Sequence[str], draw: Draw
) -> UserMove | SimulatorFault:
    """Return an act as a valid message, tried in the persona's and in plain words."""
    text = styled(mind, act, draw)
    flaw = flaw_of(text, mind, said)
    if flaw is not None:
        text = plainest(mind, act)
        flaw = flaw_of(text, mind, said)
    if flaw is not None:
        return SimulatorFault(flaw=flaw, text=text, rule=act.rule)
    return UserMove(
        text=text,
        rule=act.rule,
        facts=tuple(fact.text for fact in act.facts),
        stop=act.stop,
        persona=mind.persona.style,
    )


def styled(mind: Mind, act: Act, draw: Draw) -> str:
    """Return an act in the persona's words."""
    if act.rule == "verbatim":
        return act.text
    text = filled(mind, act, draw)
    if act.stop is None:
        if mind.persona.style == "rambling":
            text = f"{text} {phrase(mind, 'chatter', draw)}"
        elif mind.persona.style == "impatient":
            text = f"{text} {phrase(mind, 'hurry', draw)}"
        elif mind.persona.style == "terse":
            text = act.text or text
    return voiced(text, mind.persona, mind.language, draw)


def filled(mind: Mind, act: Act, draw: Draw) -> str:
    """Return an act in the words of one of its templates."""
    if act.phrase is None:
        return act.text
    return phrase(mind, act.phrase, draw).replace("{0}", act.text).strip()


def plainest(mind: Mind, act: Act) -> str:
    """Return an act in its plainest words: its text alone, else its first template."""
    if act.text:
        return act.text
    first = PHRASES[mind.language][act.phrase or "restate"][0]
    return first.replace("{0}", "").strip()


def phrase(mind: Mind, name: str, draw: Draw) -> str:
    """Return one of a template's wordings."""
    return draw.choose(name, PHRASES[mind.language][name])


def decide(  # noqa: PLR0911 - one return for each rule
    mind: Mind, brief: UserBrief, state: State, cue: Cue, draw: Draw
) -> tuple[Act, State]:
    """Return the user's act on what it heard, and where it stands afterwards."""
    state = replace(state, turn=state.turn + 1)
    if state.stopped is not None:
        return stop(state, state.stopped)
    if state.turn > MAX_TURNS or state.patience <= 0:
        return stop(state, "patience_exhausted")
    if cue.transferred:
        return stop(state, "transferred")
    if mind.persona.mute and state.turn > 1:
        return tired(state, Act("silent", "silent"))
    if state.turn == 1:
        return opened(mind, brief, state)
    if state.wavers:
        return Act("unwaver", "unwaver"), replace(state, wavers=False)
    return reacted(mind, state, cue, draw)


def opened(mind: Mind, brief: UserBrief, state: State) -> tuple[Act, State]:
    """Return the first message."""
    if brief.opening is not None and brief.opening.strip():
        return Act("verbatim", text=brief.opening.strip()), state
    return Act("open", "open", goal_text(mind, state)), state


def reacted(  # noqa: PLR0911 - one return for each rule
    mind: Mind, state: State, cue: Cue, draw: Draw
) -> tuple[Act, State]:
    """Return what the user does about the agent's words."""
    if cue.empty:
        return tired(state, Act("nudge", "nudge"))
    if (found := triggered(mind, state, cue)) is not None:
        return instructed(mind, state, found)
    if cue.confirms and not cue.refused:
        return confirmed(mind, state, cue)
    if achieved(cue, goal_text(mind, state), mind.language):
        return advanced(mind, state, "goal_met")
    if cue.refused:
        return denied(mind, state, draw)
    if cue.farewell:
        return stop(state, "agent_ended")
    if cue.items:
        return answered(mind, state, cue)
    if cue.more and state.pushed >= mind.persona.pushbacks:
        return advanced(mind, replace(state, refused=state.refused + 1), "refused")
    pushed = replace(state, pushed=state.pushed + 1)
    return tired(pushed, Act("restate", "restate", goal_text(mind, state)))


def triggered(mind: Mind, state: State, cue: Cue) -> int | None:
    """Return the place of the first unused instruction that fits the agent's words."""
    for place, condition in enumerate(mind.conditions):
        if place not in state.used and fits(condition, cue):
            return place
    return None


def fits(condition: Condition, cue: Cue) -> bool:
    """Return whether the agent did what a condition waits for."""
    happened = {
        "refused": cue.refused,
        "asked": bool(cue.items),
        "said": bool(condition.topics),
    }[condition.trigger]
    if not happened:
        return False
    return not condition.topics or share(condition.topics, cue.content) >= TOPIC_SHARE


def instructed(mind: Mind, state: State, place: int) -> tuple[Act, State]:
    """Return what an instruction tells the user to say or to leave."""
    condition = mind.conditions[place]
    if condition.leaves or condition.text is None:
        return stop(state, "refused" if condition.trigger == "refused" else "goal_met")
    used = replace(state, used=state.used | {place})
    return Act("instruction", text=condition.text), used


def confirmed(mind: Mind, state: State, cue: Cue) -> tuple[Act, State]:
    """Return a yes, or an objection to what the instructions rule out."""
    if (stance := objection(mind, cue)) is not None:
        if stance in state.told:
            return stop(state, "refused")
        told = replace(state, told=state.told | {stance})
        return tired(told, Act("object", "object", stance))
    if mind.persona.wavering and not state.wavered:
        return Act("waver", "waver"), replace(state, wavers=True, wavered=True)
    facts = new_facts(mind, state, cue)
    text = " ".join(fact.text for fact in facts)
    told = replace(state, told=state.told | {fact.text for fact in facts})
    if text:
        yes = PHRASES[mind.language]["confirm"][0]
        return Act("confirm", text=f"{yes} {text}", facts=facts), told
    if not state.told.isdisjoint({"confirm"}):
        return tired(told, Act("confirm", "confirm"))
    return Act("confirm", "confirm"), replace(told, told=told.told | {"confirm"})


def objection(mind: Mind, cue: Cue) -> str | None:
    """Return the stance that what is to be confirmed goes against, if any.

    A stance `I don't want this if ... not that` is gone against where that is negated.
    """
    for stance in mind.stances:
        folded = fold(stance)
        if not NO_WISH.search(folded):
            continue
        wish, _, condition = folded.partition(" if ")
        topics = stems_of(condition or wish, mind.language)
        wanted = frozenset(topics) - {"want", "get", "like"}
        for said in cue.said:
            close = (
                len(wanted) > (not condition)
                and share(wanted, said.content) >= STANCE_SHARE
            )
            if close and bool(said.negated) == bool(condition):
                return stance
    return None


def advanced(mind: Mind, state: State, reason: Reason) -> tuple[Act, State]:
    """Return the next goal, or the end after the last one."""
    following = replace(state, goal=state.goal + 1, pushed=0)
    if following.goal < len(mind.goals):
        return Act("next_goal", "next", goal_text(mind, following)), following
    if following.refused:
        return stop(following, "refused")
    return stop(following, reason)


def denied(mind: Mind, state: State, draw: Draw) -> tuple[Act, State]:
    """Return how the user takes a refusal."""
    if state.pushed < mind.persona.pushbacks:
        pushed = replace(state, pushed=state.pushed + 1)
        lines = PHRASES[mind.language]["script"]
        if mind.persona.scripted and state.scripted < len(lines):
            scripted = replace(pushed, scripted=state.scripted + 1)
            return Act("script", text=lines[state.scripted]), scripted
        fresh = [text for text in mind.stances if ended(text) not in state.told]
        ground = draw.choose("stance", fresh) if fresh else goal_text(mind, state)
        told = replace(pushed, told=pushed.told | {ended(ground)})
        return Act("insist", "insist", ended(ground)), told
    return advanced(mind, replace(state, refused=state.refused + 1), "refused")


def answered(mind: Mind, state: State, cue: Cue) -> tuple[Act, State]:
    """Return the facts that are asked for, or that the user does not have them."""
    if mind.persona.asks_back and not state.asked_back:
        return Act("ask_back", "asks_back"), replace(state, asked_back=True)
    facts = facts_for(mind, cue)
    if not facts:
        return tired(state, Act("unknown", "unknown"))
    if mind.persona.reluctant and not state.kept_back:
        return Act("keep_back", "reluctant"), replace(state, kept_back=True)
    if mind.persona.reluctant:
        facts = facts[:1]
    texts = {fact.text for fact in facts}
    act = Act("answer", text=" ".join(fact.text for fact in facts), facts=facts)
    if texts <= state.told:
        return tired(state, act)
    return act, replace(state, told=state.told | texts)


def facts_for(mind: Mind, cue: Cue) -> tuple[Fact, ...]:
    """Return the facts that answer the agent's questions, in the order asked."""
    found = [answer_to(mind, item) for item in cue.items]
    facts = list(dict.fromkeys(fact for fact in found if fact is not None))
    if not facts:
        thought = [opinion_on(mind, topics) for topics in cue.opinions]
        facts = list(dict.fromkeys(fact for fact in thought if fact is not None))
    return tuple(facts[:MAX_ANSWERS])


def new_facts(mind: Mind, state: State, cue: Cue) -> tuple[Fact, ...]:
    """Return the facts that are asked for and were not told yet."""
    goals = {ended(goal) for goal in mind.goals}
    return tuple(
        fact
        for fact in facts_for(mind, cue)
        if fact.text not in state.told and fact.text not in goals
    )


def tired(state: State, act: Act) -> tuple[Act, State]:
    """Return an act that costs patience."""
    return act, replace(state, patience=state.patience - 1)


def stop(state: State, reason: Reason) -> tuple[Act, State]:
    """Return the user's last words, which say why it stops."""
    return Act(f"stop_{reason}", reason, stop=reason), replace(state, stopped=reason)


def goal_text(mind: Mind, state: State) -> str:
    """Return the goal that the user is pursuing."""
    if not mind.goals:
        return EMPTY_GOAL
    return ended(mind.goals[min(state.goal, len(mind.goals) - 1)])
