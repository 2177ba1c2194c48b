"""Send bad input and count server errors: `python -m tests.fuzz [http ...]`."""

import argparse
import asyncio
import os
import secrets
import sys

import msgspec

from infra.logs import configure_logs
from tests.fuzz.campaign import SUBJECTS, Options, run


def main() -> int:
    """Run the campaigns; exit 0 where nothing was wrong."""
    given = _parser().parse_args()
    options = Options(
        subjects=given.subjects or SUBJECTS,
        requests=given.requests,
        messages=given.messages,
        decoder_examples=given.examples,
        seed=secrets.randbelow(1_000_000) if given.seed is None else given.seed,
    )
    configure_logs(level="error")
    postgres = os.environ.get("REHEARSAL_TEST_POSTGRES")  # noqa: TID251 - how tests run is no setting of the system
    report = asyncio.run(run(options, postgres=postgres))
    if given.json:
        encoded = msgspec.json.encode(report)
        sys.stdout.buffer.write(msgspec.json.format(encoded, indent=2) + b"\n")
    else:
        sys.stdout.write(report.text() + "\n")
    return 1 if report.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("subjects", nargs="*", choices=SUBJECTS, help="all unless told")
    parser.add_argument(
        "--requests",
        type=int,
        default=Options().requests,
        help="by chance, beside the fixed lists and what schemathesis makes",
    )
    parser.add_argument(
        "--messages",
        type=int,
        default=Options().messages,
        help="over AMQP by chance, beside the fixed list",
    )
    parser.add_argument(
        "--examples",
        type=int,
        default=Options().decoder_examples,
        help="for each decoder",
    )
    parser.add_argument("--seed", type=int, help="of what is made by chance")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
