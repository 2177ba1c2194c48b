"""The producer of the README, run as it stands there."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

import msgspec

from infra.messaging import relaying, taking
from infra.rabbit.topology import Topology
from tests.end_to_end.amqp import PATIENCE, carrier, producing
from tests.end_to_end.stack import Stack
from tests.rabbit_ladder import OwnBroker


README: Final = Path(__file__).parents[2] / "README.md"


def script() -> str:
    text = README.read_text(encoding="utf-8")
    section = text.partition("\n## Over AMQP\n")[2].partition("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


async def test_the_producer_of_the_readme_reads_its_answer_and_the_event(
    stack: Stack, own_rabbitmq: OwnBroker
) -> None:
    carried = carrier(own_rabbitmq.url, Topology())
    async with (
        producing(stack, own_rabbitmq.url, Topology()),
        taking(stack.settings, stack.urls, stack.api, carrier=carried),
        relaying(stack.urls, stack.api, carrier=carried),
        asyncio.timeout(PATIENCE),
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script()),
            env={
                "PATH": os.environ.get("PATH", ""),  # noqa: TID251 - of a program that is not ours
                "REHEARSAL_BROKER": own_rabbitmq.url,
                "TOKEN": stack.token(),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()

    assert process.returncode == 0, err.decode()
    told = dict(line.split(" ", 1) for line in out.decode().splitlines())
    outcome = msgspec.json.decode(told["application/json"])
    event = msgspec.json.decode(told["application/cloudevents+json"])
    assert outcome["status"] == "ok"
    assert event["type"] == "testing.PersonaCreated"
    assert event["commandid"] == outcome["command_id"]
    assert event["subject"] == outcome["stream_id"]


def test_the_producer_of_the_readme_is_short_and_knows_only_amqp() -> None:
    lines = [line for line in script().splitlines() if line.strip()]
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert imports == ["import asyncio, json, os, uuid", "import aio_pika"]
    assert len(lines) - len(imports) <= 24
