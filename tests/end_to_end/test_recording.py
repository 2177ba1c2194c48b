"""The script of the page about recording, run as it stands there."""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

from events.experiments.outside import (
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationOpened,
)
from tests.end_to_end.stack import Stack


ROOT: Final = Path(__file__).parents[2]


async def test_the_documented_script_records_every_row(stack: Stack) -> None:
    text = (ROOT / "docs" / "recording.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script),
        env={
            "PATH": os.environ.get("PATH", ""),  # noqa: TID251 - of a program that is not ours
            "REHEARSAL_URL": stack.url,
            "TOKEN": stack.token(),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()

    opened, *batches, ended = [recorded.event for recorded in await stack.events()]
    assert isinstance(opened, OutsideSimulationOpened)
    assert isinstance(ended, OutsideSimulationEnded)
    assert (opened.name, ended.status) == ("walk 7", "completed")
    counts: dict[str, int] = {}
    for batch in batches:
        assert isinstance(batch, OutsideRowsRecorded)
        assert batch.before == counts
        for name, count in batch.rows.items():
            counts[name] = counts.get(name, 0) + count
    assert counts == {"agents": 50, "agent_states": 5_000, "simulation_steps": 100}
