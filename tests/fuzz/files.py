"""Files that people hand over: tau-bench recordings, and commands to send.

A bad one is refused in one line before anything is stored, by the functions and by the
command line, whose exit code says so.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from events.errors import Failure
from events.message import Meta
from infra.clock import new_id, now
from infra.commands.data import parse
from infra.operations.importing import import_tau_bench
from infra.wiring import core
from services.testing.tau_bench_records import Record
from tests.fuzz.making import NEVER, NOT_JSON, SELDOM, made_of, places, spoiled
from tests.fuzz.stack import ORG, ROOT, Stack, rehearsal


Json = Any

RECORDS: Final = st.lists(made_of(Record), max_size=3)
RECORD: Final[Json] = {
    "task_id": 0,
    "trial": 0,
    "reward": 1.0,
    "info": {
        "task": {
            "user_id": "mia_li_3668",
            "instruction": "You are Mia Li and want to change a flight.",
            "actions": [{"name": "cancel", "kwargs": {"id": "4WQ150"}}],
            "outputs": [],
        }
    },
    "traj": [
        {"role": "user", "content": "Hello"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "function": {"name": "cancel", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "name": "cancel", "content": "done"},
    ],
}
COMMAND: Final[Json] = {
    "type": "testing.CreatePersona",
    "persona_id": "01970000-0000-7000-8000-0000000000aa",
    "name": "Mira",
    "role": "reader",
    "background": "Reads.",
    "preferred_language": "en",
    "timezone": "UTC",
}
SECONDS: Final = 60.0
IMPORT: Final[tuple[str, ...]] = ("import", "tau-bench")
SEND: Final[tuple[str, ...]] = ("send",)


async def campaign(stack: Stack, *, processes: int) -> None:
    """Give every bad file to the functions, and some to the command line."""
    async with core(stack.settings, stack.urls, name="fuzz") as parts:
        for name, content in recordings():
            stack.counts.cases["file: a bad recording"] += 1
            await refused(
                stack,
                f"recording with {name}",
                import_tau_bench(
                    content, handler=parts.handler, blobs=parts.blobs, meta=meta()
                ),
            )
    for name, content in commands():
        stack.counts.cases["file: bad commands"] += 1
        await refused(stack, f"commands with {name}", asyncio.to_thread(parse, content))
    bad = [(IMPORT, *each) for each in recordings()]
    bad += [(SEND, *each) for each in commands()]
    step = len(bad) // processes + 1 if processes else len(bad)
    for arguments, name, content in bad[::step] if processes else ():
        await refused_by_process(stack, arguments, name, content)
    for arguments in (IMPORT, SEND) if processes else ():
        await complains(stack, [*arguments, str(stack.folder / "none")], "no file")


def recordings() -> Iterator[tuple[str, bytes]]:
    """Yield bad tau-bench files, by what is wrong with them."""
    good = json.dumps([RECORD]).encode()
    for size in (1, 2, len(good) // 3, len(good) // 2, len(good) - 1):
        yield f"only {size} bytes", good[:size]
    for name, content in {
        "nothing": b"",
        "no records": b"[]",
        "no array": good[1:-1],
        "a text": b'"tau-bench"',
        "one a line": good[1:-1] + b"\n" + good[1:-1],
        "zeros": b"\0" * 100_000,
        "a compressed file": b"\x1f\x8b\x08\0\0\0\0\0",
        "UTF-16": good.decode().encode("utf-16"),
        "a record twice": json.dumps([RECORD, RECORD]).encode(),
        "uneven trials": json.dumps(
            [RECORD, {**RECORD, "trial": 1}, {**RECORD, "task_id": 1}]
        ).encode(),
        "a million brackets": b"[" * 1_000_000,
    }.items():
        yield name, content
    for path in places([RECORD]):
        if path and path[-1] not in {"actions", "outputs"} and "kwargs" not in path:
            for name in ("an escaped NUL", "a lone surrogate", "NaN", "65 deep"):
                poison = {**NEVER, **NOT_JSON}[name]
                yield f"{name} at {path}", spoiled([RECORD], path, poison)
    for field in ("task_id", "trial", "reward", "info", "traj"):
        for name in ("true", "an object", "10^30", "an array of null"):
            if (field, name) not in {("info", "an object"), ("reward", "10^30")}:
                yield f"{name} as {field}", spoiled([RECORD], (0, field), SELDOM[name])


def commands() -> Iterator[tuple[str, bytes]]:
    """Yield bad files of commands, by what is wrong with them."""
    good = json.dumps(COMMAND).encode()
    for name, content in {
        "nothing": b"",
        "blank lines": b"\n\n\n",
        "half a command": good[: len(good) // 2],
        "a bad second line": good + b"\n{}\n",
        "a bad second element": b"[" + good + b",{}]",
        "an open array": b"[" + good,
        "an unknown type": good.replace(b"CreatePersona", b"Nothing"),
        "one command and more": good + b" x",
    }.items():
        yield name, content
    for name, poison in {**NEVER, **NOT_JSON}.items():
        yield name, spoiled(COMMAND, ("name",), poison)
        yield f"{name}, in an array", b"[" + spoiled(COMMAND, ("name",), poison) + b"]"


def meta() -> Meta:
    """Return an envelope."""
    key = new_id()
    return Meta(
        command_id=key,
        org_id=ORG,
        region="local",
        actor="user:operator",
        correlation_id=key,
        occurred_at=now(),
        roles=frozenset({"admin"}),
        scopes=frozenset({"import"}),
    )


async def refused(stack: Stack, name: str, asked: Any) -> None:  # noqa: ANN401 - an awaitable
    """Add to the findings unless what is asked ends with a refusal of one line."""
    try:
        await asked
    except Failure as failure:
        stack.counts.problems[type(failure).__name__] += 1
    except Exception as error:  # noqa: BLE001 - what is looked for
        stack.findings.add(f"file: {type(error).__name__} escapes", f"{name}: {error}")
    else:
        stack.findings.add("file: a bad one was taken", name)


async def refused_by_process(
    stack: Stack, arguments: Sequence[str], name: str, content: bytes
) -> None:
    """Give a bad file to the command line, and judge what it says."""
    path = stack.folder / "bad file.json"
    await asyncio.to_thread(path.write_bytes, content)
    await complains(stack, [*arguments, str(path)], name)


async def complains(stack: Stack, arguments: list[str], name: str) -> None:
    """Run the command line, and add what is wrong with its complaint."""
    stack.counts.cases["file: by the command line"] += 1
    process = await asyncio.create_subprocess_exec(
        *rehearsal(*arguments),
        env=stack.environment(),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS):
        said, complained = await process.communicate()
    told = f"{arguments[0]} with {name}: {process.returncode} {complained[-300:]!r}"
    if not process.returncode:
        stack.findings.add("command line: exit code 0 for a bad file", told)
    if b"Traceback" in said + complained:
        stack.findings.add("command line: a traceback", told)
    elif complained.strip().count(b"rehearsal: ") != 1:
        stack.findings.add("command line: not one clear complaint", told)
