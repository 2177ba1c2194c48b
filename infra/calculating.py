"""Calculates statistics in a process that ends, for one that is to stay small.

numpy and scipy cost tens of megabytes and seconds of a processor. Run as a program this
reads one request from standard input and writes the answer to standard output.
"""

import asyncio
import sys
from collections import OrderedDict
from hashlib import sha256
from typing import Final

import msgspec

from events.errors import Unavailable
from services.playgrounds.statistics.records import Evaluations, Options


SECONDS: Final = 120.0
KEPT: Final = 32


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be calculated from."""

    data: Evaluations
    options: Options


class Calculator:
    """Calculates, and keeps the last answers.

    The answer depends on the request alone, so it holds for whoever asks the same.
    """

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()

    async def statistics(self, data: Evaluations, options: Options) -> bytes:
        """Return the statistics of evaluations, as JSON.

        Raises `Unavailable` where that takes too long or fails.
        """
        request = msgspec.msgpack.encode(Request(data=data, options=options))
        key = sha256(request).digest()
        answer = self._kept.pop(key, None) or await self._apart(request)
        self._kept[key] = answer
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return answer

    async def _apart(self, request: bytes) -> bytes:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infra.calculating"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            answer, said = await asyncio.wait_for(
                child.communicate(request), self._seconds
            )
        except TimeoutError:
            message = f"The statistics took more than {self._seconds:g} s."
            raise Unavailable(message) from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            lines = said.decode(errors="replace").strip().splitlines()
            message = f"The statistics could not be calculated: {lines[-1:]}"
            raise Unavailable(message)
        return answer


def main() -> None:
    """Answer the request on standard input."""
    from services.playgrounds.statistics.report import report  # noqa: PLC0415 - whoever only calls this program does not need what it imports

    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Request)
    answer = msgspec.json.encode(report(request.data, request.options))
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
