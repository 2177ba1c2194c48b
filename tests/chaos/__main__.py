"""Kill things under load and count what was lost: `python -m tests.chaos log|slots`."""

import argparse
import asyncio
import secrets
import sys

import msgspec

from tests.chaos import slots
from tests.chaos.campaign import Options, run
from tests.chaos.children import complain_only
from tests.chaos.findings import Report


def main() -> int:
    """Run a campaign; exit 0 if the log kept its promises, or broke them unlocked."""
    given = _parser().parse_args()
    complain_only()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    report: Report | slots.Report
    if given.subject == "slots":
        raced = slots.Options(
            attempts=given.commands or slots.Options().attempts,
            kills=given.kills or slots.Options().kills,
            seed=seed,
            seconds=given.seconds,
            embedded=given.embedded,
        )
        report = asyncio.run(slots.run(raced))
    else:
        options = Options(
            commands=given.commands or Options().commands,
            kills=given.kills or Options().kills,
            seed=seed,
            seconds=given.seconds,
            without=given.without,
            embedded=given.embedded,
        )
        report = asyncio.run(run(options))
    if given.json:
        sys.stdout.buffer.write(
            msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
        )
    else:
        sys.stdout.write(report.text() + "\n")
    return 0 if report.as_expected else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("subject", choices=["log", "slots"], help="what to test")
    parser.add_argument(
        "--commands", type=int, help="commands, or attempts to get a place"
    )
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, help="of what is asked and what is killed")
    parser.add_argument("--seconds", type=float, default=Options().seconds)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="use the PostgreSQL that came with the wheel, not this machine's",
    )
    parser.add_argument(
        "--without",
        choices=["lock"],
        help="take the lock out, to see that the audit finds what is then lost",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
