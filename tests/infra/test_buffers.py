"""Large buffers, in a process of their own, which the setting holds for."""

import subprocess
import sys
from typing import Final


FREED: Final = """
import psutil
from infra.buffers import give_back_buffers

give_back_buffers()
process = psutil.Process()
before = process.memory_info().rss
for size in (16, 12, 6, 3):
    held = [bytearray(b"x" * (size * 1024 * 1024)) for _ in range(2)]
    held.clear()
print((process.memory_info().rss - before) // 1024)
"""


def test_freed_buffers_do_not_stay_in_the_process() -> None:
    told = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", FREED], check=True, capture_output=True, text=True
    )
    assert int(told.stdout) < 1024  # KiB
