"""Calculates statistics in a process that ends, for one that is to stay small.

numpy and scipy cost tens of megabytes and seconds of a processor. Run as a program this
reads one request from standard input and writes the answer to standard output.
"""

import asyncio
import gc
import sys
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, assert_never

import msgspec

from events.errors import Unavailable
from services.experiments.analysis.recording import AnyRecording, Subject
from services.playgrounds.statistics.records import Evaluations, Options


SECONDS: Final = 120.0
KEPT: Final = 32
KEPT_BYTES: Final = 8 << 20


class OfEvaluations(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Statistics of a playground's evaluations."""

    data: Evaluations
    options: Options


class OfRun(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a recorded run says."""

    run: AnyRecording
    least_severity: float


class OfConditions(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How the conditions differ that recorded runs are of."""

    runs: Sequence[AnyRecording]


class OfReport(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The report of runs; `whole` is the first of them with all of its rows."""

    subject: Subject
    runs: Sequence[AnyRecording]
    whole: AnyRecording


Request = OfEvaluations | OfRun | OfConditions | OfReport


class Calculator:
    """Calculates, and keeps the last answers.

    Raises `Unavailable` where that takes too long or fails. The answer depends on the
    request alone, so it holds for whoever asks the same.
    """

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()

    async def statistics(self, data: Evaluations, options: Options) -> bytes:
        """Return the statistics of evaluations, as JSON."""
        return await self._answer(OfEvaluations(data=data, options=options))

    async def analysis(self, run: AnyRecording, least_severity: float) -> bytes:
        """Return what a recorded run says, as JSON."""
        return await self._answer(OfRun(run=run, least_severity=least_severity))

    async def contrasts(self, runs: Sequence[AnyRecording]) -> bytes:
        """Return how the conditions of recorded runs differ, as JSON."""
        return await self._answer(OfConditions(runs=runs))

    async def report(
        self, subject: Subject, runs: Sequence[AnyRecording], whole: AnyRecording
    ) -> bytes:
        """Return a page of charts and findings, and the charts, as JSON."""
        return await self._answer(OfReport(subject=subject, runs=runs, whole=whole))

    async def _answer(self, asked: Request) -> bytes:
        request, key = await asyncio.to_thread(packed, asked)
        answer = self._kept.pop(key, None) or await self._apart(request)
        self._kept[key] = answer
        while len(self._kept) > KEPT or sum(map(len, self._kept.values())) > KEPT_BYTES:
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
            message = f"This took more than {self._seconds:g} s."
            raise Unavailable(message) from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            lines = said.decode(errors="replace").strip().splitlines()
            message = f"This could not be calculated: {lines[-1:]}"
            raise Unavailable(message)
        return answer


def packed(asked: Request) -> tuple[bytes, bytes]:
    """Return a request as bytes, and what tells it from others."""
    request = msgspec.msgpack.encode(asked)
    return request, sha256(request).digest()


def main() -> None:
    """Answer the request on standard input."""
    gc.set_threshold(50_000, 10, 10)  # modules are many objects and no garbage
    request: Request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Request)
    sys.stdout.buffer.write(msgspec.json.encode(calculated(request)))
    gc.freeze()  # the end looks for no garbage


def calculated(request: Request) -> object:
    """Return the answer to a request; each imports only what it takes."""
    match request:
        case OfEvaluations(data=data, options=options):
            from services.playgrounds.statistics.report import report  # noqa: PLC0415

            return report(data, options)
        case OfRun(run=run, least_severity=least):
            from services.experiments.analysis.recorded import recorded  # noqa: PLC0415
            from services.experiments.analysis.report import analyse  # noqa: PLC0415

            return analyse(recorded(run), least_severity=least)
        case OfConditions(runs=runs):
            from services.experiments.analysis.contrasts import contrasts  # noqa: PLC0415

            return contrasts(runs)
        case OfReport(subject=subject, runs=runs, whole=whole):
            from services.experiments.analysis.reporting import drawn  # noqa: PLC0415

            return drawn(subject, runs, whole)
        case _:
            assert_never(request)


if __name__ == "__main__":
    main()
