"""Every command, asked of what is one's own, another's, another organisation's.

What becomes of it is worked out from the permissions, without the guard.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple, get_args
from uuid import UUID, uuid5

import msgspec

from events.message import Command
from events.roles import holds
from infra.clock import new_id
from projections.catalogue import TABLES
from services.guard import PERMISSIONS
from services.http.examples import example
from services.playgrounds.evaluations import ExcludeEvaluation
from services.playgrounds.playgrounds import CreatePlayground, PlaygroundCommand
from services.policies import CommandPolicy, policies
from services.routing import COMMANDS, DECIDER_OF
from tests.end_to_end.matrix.oracle import Asker
from tests.end_to_end.matrix.worlds import SPACE, WORLDS, World


POLICIES: Final[Mapping[str, CommandPolicy]] = {
    each.command: each for each in policies(COMMANDS, PERMISSIONS, TABLES).commands
}
OF_OWNERS: Final = {*get_args(PlaygroundCommand), ExcludeEvaluation} - {
    CreatePlayground
}
"""What the owner of a playground may ask for, and administrators of playgrounds."""


class Attempt(NamedTuple):
    """A command on a stream of a world, and what must become of it."""

    envelope: Mapping[str, Any]
    name: str
    world: World
    forbidden: bool
    """By the guard, which has not looked at the stream."""
    elsewhere: bool
    """It is another organisation's, so it is not there."""
    foreign: bool
    """It is somebody else's playground, so it may not be changed."""


def attempts(asker: Asker, *, guarded: bool) -> Iterator[Attempt]:
    """Yield every command on something of every world."""
    for name, kind in COMMANDS.items():
        for world in WORLDS:
            target = target_of(kind, world)
            body = {**body_of(name), kind.__struct_fields__[0]: str(target)}
            yield Attempt(
                envelope={"command_id": str(new_id()), "command": body},
                name=name,
                world=world,
                forbidden=guarded and not may(name, asker, target),
                elsewhere=world.org != asker.org,
                foreign=kind in OF_OWNERS
                and asker.actor != world.actor("mila")
                and not holds(asker.roles, "admin", "playgrounds"),
            )


def target_of(kind: type[Command], world: World) -> UUID:
    """Return what a command is asked of in a world, where there is such a thing."""
    streams = world.made.get(DECIDER_OF[kind].category)
    return UUID(streams[-1]) if streams else uuid5(SPACE, f"{kind} {world.number}")


def may(name: str, asker: Asker, target: UUID) -> bool:
    """Say whether the permissions let somebody ask for a command."""
    policy = POLICIES[name]
    held = any(holds(asker.roles, role, policy.area) for role in policy.roles)
    own = policy.own and asker.actor == f"user:{target}"
    return (held or own) and not policy.scopes


@cache
def body_of(name: str) -> dict[str, Any]:
    """Return the simplest command of a type."""
    kind = COMMANDS[name]
    _, schemas = msgspec.json.schema_components(
        [kind], ref_template="#/components/schemas/{name}"
    )
    return {"type": name, **example(schemas[kind.__name__], schemas)}


def wrong_with(attempt: Attempt, verdict: Mapping[str, Any]) -> str | None:
    """Return what is wrong with what became of an attempt."""
    status = verdict["status"]
    if attempt.forbidden:
        expected = status == 403
    elif attempt.elsewhere:
        expected = status == 404 or is_new(attempt)
    elif attempt.foreign:
        expected = status in {403, 404}
    else:
        expected = status != 403 or not is_shared(attempt)
    return None if expected else f"{attempt.name} on {attempt.world}: {verdict}"


def is_new(attempt: Attempt) -> bool:
    """Say whether nothing in the world is what the command would be asked of."""
    return not attempt.world.made.get(DECIDER_OF[COMMANDS[attempt.name]].category)


def is_shared(attempt: Attempt) -> bool:
    """Say whether whom a thing belongs to plays no part in who may ask."""
    return attempt.name.partition(".")[0] != "playgrounds"
