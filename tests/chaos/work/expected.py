"""What a run says and comes to when nobody disturbs it: in memory, by one worker."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from events.conversation import ConversationEvent
from events.message import Command, Event
from events.testing.trials import TrialFinished, TrialStarted
from services.testing.set_runs import StartSetRun
from tests.services.work.floor import Floor
from tests.services.work.library import library


async def undisturbed(
    tests: int, trials: int, start: StartSetRun
) -> Mapping[str, Sequence[Event]]:
    """Return the events of each trial's stream of a run, in order."""
    floor = Floor()
    alone = replace(start, allow_parallel=False)
    asked: list[Command] = [*library(tests, trials=trials), alone]
    await floor.ask(*asked)
    await floor.settle()
    streams: dict[str, list[Event]] = {}
    for recorded in await floor.log.read(0, 10_000_000):
        if isinstance(recorded.event, ConversationEvent | TrialStarted | TrialFinished):
            streams.setdefault(recorded.stream_id, []).append(recorded.event)
    return streams
