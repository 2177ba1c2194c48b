"""What follows from events over all contexts, and from the failure of their jobs."""

from collections.abc import Iterable
from typing import Final

from events.message import Event
from services.access import reactions as access
from services.experiments import reactions as experiments
from services.playgrounds import reactions as playgrounds
from services.reactions import React, Reactions
from services.testing import reactions as testing


def joined(contexts: Iterable[Reactions]) -> Reactions:
    """Return the reactions of contexts, all of them where several react to an event."""
    found: dict[type[Event], tuple[React, ...]] = {}
    for reactions in contexts:
        for kind, reacting in reactions.items():
            found[kind] = (*found.get(kind, ()), *reacting)
    return found


REACTIONS: Final = joined(
    (
        access.REACTIONS,
        testing.REACTIONS,
        playgrounds.REACTIONS,
        experiments.REACTIONS,
    )
)

ON_FAILURE: Final = {**testing.ON_FAILURE, **experiments.ON_FAILURE}
