"""What writers ask for: every kind of command that the log has a rule about.

Streams are few and hot, versions known from answers that are old by the time they are
used, so commands of many processes meet. A seed gives the same kinds in the same
order; how they meet is up to the machine.
"""

from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Final, Literal
from uuid import UUID, uuid5

from events.conversation import MessageAdded
from events.log import ABSENT, ANY, PRESENT, Append, Verdict, Write
from tests.builders import entry, said, write


SPACE: Final = UUID("9b1f6c52-7c1f-5c3e-8f5a-5a3a1f0f2d10")
REMEMBERED: Final = 300
TEXTS: Final = ("short", "naïve café, 東京, 🙂 ", 'quotes " \\ and {"json": [1]} ')

Kind = Literal[
    "any",
    "exact",
    "stale",
    "multi",
    "fresh",
    "present",
    "empty",
    "closing",
    "shared",
    "repeated",
    "twice",
    "mismatched",
    "direct",
    "bulk",
]
WEIGHTS: Final[Mapping[Kind, float]] = {
    "any": 30,
    "exact": 22,
    "stale": 4,
    "multi": 14,
    "fresh": 7,
    "present": 2,
    "empty": 1,
    "closing": 2,
    "shared": 6,
    "repeated": 5,
    "twice": 4,
    "mismatched": 2,
    "direct": 1.2,
    "bulk": 0.4,
}
MEETING: Final[frozenset[Kind]] = frozenset({"fresh", "shared"})
BULK: Final = (20, 100)


class Workload:
    """Makes one writer's commands, and learns from the answers.

    Unless they are `meeting`, writers leave out what makes them wait for one another.
    """

    def __init__(self, seed: int, writer: int, *, streams: int, meeting: bool) -> None:
        self.random = Random(f"{seed}/{writer}")  # noqa: S311 - a seed must repeat it
        self._seed = seed
        self._writer = writer
        self._streams = streams
        self._kinds = {
            kind: weight
            for kind, weight in WEIGHTS.items()
            if meeting or kind not in MEETING
        }
        self._made = 0
        self._closing = 0
        self._versions: dict[str, int] = {}
        self._done: deque[Append] = deque(maxlen=REMEMBERED)

    def kind(self) -> Kind:
        """Return what to do next."""
        (kind,) = self.random.choices(list(self._kinds), list(self._kinds.values()))
        return kind

    def single(self, kind: Kind, moment: int) -> Append:
        """Return a new command; those of one `moment` meet across the writers."""
        match kind:
            case "multi":
                return self._multi()
            case "empty":
                return entry(write(self._hot()), command_id=self._new_id())
            case "closing":
                return self._last_words()
            case "shared":
                return self._shared(moment)
            case _:
                return self._told(self._target(kind, moment))

    def bulk(self) -> list[Append]:
        """Return commands for one bulk append, which write to some streams twice."""
        streams = [self._hot() for _ in range(5)]
        return [
            self._told((self.random.choice(streams), ANY))
            for _ in range(self.random.randint(*BULK))
        ]

    def done(self) -> Append | None:
        """Return a command that was acknowledged before."""
        return self.random.choice(self._done) if self._done else None

    def learn(self, asked: Append, verdict: Verdict, *, accepted: bool) -> None:
        """Remember what an answer says about versions."""
        if accepted:
            self._done.append(asked)
            if asked.writes:
                self._versions[asked.writes[0].stream_id] = verdict.version
        elif verdict.stream_id is not None:
            self._versions[verdict.stream_id] = verdict.version

    def _target(self, kind: Kind, moment: int) -> tuple[str, int]:
        """Return a stream, and what to expect of it."""
        if kind == "fresh":
            return self._name("race", moment), ABSENT
        stream_id = self._hot()
        known = self._versions.get(stream_id, ABSENT)
        expected: Mapping[Kind, int] = {
            "exact": known,
            "stale": max(known - 1, ABSENT),
            "present": PRESENT,
        }
        return stream_id, expected.get(kind, ANY)

    def _multi(self) -> Append:
        count = self.random.randint(2, 4)
        names = dict.fromkeys(self._hot() for _ in range(count))
        targets = [
            (name, ANY if self.random.random() < 0.8 else self._versions.get(name, 0))
            for name in names
        ]
        return self._told(*targets)

    def _last_words(self) -> Append:
        """Return what closes a stream, or what comes too late for it."""
        if self.random.random() < 0.5:
            self._closing += 1
        stream_id = self._name("closing", self._writer, self._closing)
        command_id = self._new_id()
        said_last = self._texts(command_id, 1)
        return entry(
            Write(stream_id=stream_id, events=said_last, closes=True),
            command_id=command_id,
        )

    def _shared(self, moment: int) -> Append:
        """Return the command that every writer asks for at a moment."""
        random = Random(f"{self._seed}/shared/{moment}")  # noqa: S311 - as above
        command_id = uuid5(SPACE, f"{self._seed}/shared/{moment}")
        stream_id = self._name("hot", random.randrange(self._streams))
        return entry(
            write(stream_id, said(f"{command_id} shared by all of you", seq=1)),
            command_id=command_id,
        )

    def _told(self, *targets: tuple[str, int]) -> Append:
        command_id = self._new_id()
        return entry(
            *(
                Write(
                    stream_id=stream_id,
                    events=self._texts(command_id, self.random.randint(1, 3)),
                    expected=expected,
                )
                for stream_id, expected in targets
            ),
            command_id=command_id,
        )

    def _texts(self, command_id: UUID, count: int) -> tuple[MessageAdded, ...]:
        return tuple(
            said(
                f"{command_id} {seq} "
                + self.random.choice(TEXTS) * self.random.randint(1, 8),
                seq=seq,
            )
            for seq in range(1, count + 1)
        )

    def _hot(self) -> str:
        return self._name("hot", self.random.randrange(self._streams))

    def _name(self, *parts: object) -> str:
        name = "/".join(map(str, (self._seed, *parts)))
        return f"testing.trial-{uuid5(SPACE, name)}"

    def _new_id(self) -> UUID:
        self._made += 1
        return uuid5(SPACE, f"{self._seed}/{self._writer}/{self._made}")
