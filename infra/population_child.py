"""A process that makes populations: requests on standard input, chunks on output.

Every message is its length in 4 bytes and MessagePack. The compiled engine and what it
takes in memory live here and end with this process, which ends with its input. Its
argument is the directory where machine code is kept, unless NUMBA_CACHE_DIR names one.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Final

import msgspec

from services.engines.population.chunks import Begin, MadeChunk


LENGTH: Final = 4


class Run(msgspec.Struct, frozen=True, tag=True):
    """Go on until a step."""

    until: int


class Open(msgspec.Struct, frozen=True, tag=True):
    """Begin a run, in place of the one before; so many threads may share it."""

    begin: Begin
    threads: int = 1


class Ready(msgspec.Struct, frozen=True, tag=True):
    """A run has begun."""


class Made(msgspec.Struct, frozen=True, tag=True):
    """A chunk was made."""

    chunk: MadeChunk


class Broken(msgspec.Struct, frozen=True, tag=True):
    """It could not be done, and why."""

    error: str


Request = Open | Run
Answer = Ready | Made | Broken

requests: Final = msgspec.msgpack.Decoder(Request)
answers: Final = msgspec.msgpack.Decoder(Answer)
encode: Final = msgspec.msgpack.Encoder().encode


def main() -> None:
    """Answer requests until there are no more."""
    gc.set_threshold(50_000, 10, 10)  # modules are many objects and no garbage
    import numba  # noqa: PLC0415 - heavy

    if not numba.config.CACHE_DIR:  # type: ignore[attr-defined]
        numba.config.CACHE_DIR = sys.argv[1]  # type: ignore[attr-defined]
    from services.engines.population.making import Making  # noqa: PLC0415 - heavy

    gc.freeze()  # what was imported is looked through no more, nor at the end
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    making: Making | None = None
    with ThreadPoolExecutor(thread_name_prefix="decide") as pool:

        def spread(parts: Sequence[Callable[[], object]]) -> None:
            for done in [pool.submit(part) for part in parts]:
                done.result()

        while (body := read(source)) is not None:
            try:
                match requests.decode(body):
                    case Open(begin=begin, threads=threads):
                        making = Making(begin, spread=spread, threads=threads)
                        answer: Answer = Ready()
                    case Run(until=until) if making is not None:
                        answer = Made(making.run(until))
                    case Run():
                        answer = Broken("No run was begun.")
            except Exception as error:  # noqa: BLE001 - told to who asked
                answer = Broken(f"{type(error).__name__}: {error}")
            write(sink, encode(answer))


def read(source: BinaryIO) -> bytes | None:
    """Return the next message, None at the end."""
    head = source.read(LENGTH)
    if len(head) < LENGTH:
        return None
    return source.read(int.from_bytes(head, "little"))


def write(sink: BinaryIO, body: bytes) -> None:
    """Send a message."""
    sink.write(len(body).to_bytes(LENGTH, "little"))
    sink.write(body)
    sink.flush()


if __name__ == "__main__":
    main()
