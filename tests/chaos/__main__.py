"""Kill things under load and count what was lost: `python -m tests.chaos log`."""

import argparse
import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from tests.chaos import campaign, populations, slots
from tests.chaos.children import complain_only
from tests.chaos.findings import Report
from tests.chaos.work import campaign as work


# Of each subject: what it is about, the defaults, and what can be taken out.
SUBJECTS: Final[Mapping[str, tuple[str, Any, Sequence[str]]]] = {
    "log": (
        "commands and readers, while backends and servers are killed",
        campaign.Options(),
        ("lock",),
    ),
    "populations": (
        "runs of populations, while the engine, roles and servers are killed",
        populations.Options(),
        (),
    ),
    "slots": ("testers that race for the last places", slots.Options(), ()),
    "work": (
        "runs, while every role, PostgreSQL and RabbitMQ are killed",
        work.Options(),
        ("fence", "inbox", "confirm"),
    ),
}
COUNTS: Final = {
    "commands": "commands that are to be stored",
    "attempts": "attempts to get a place",
    "kills": "kills of anything",
    "restarts": "restarts of RabbitMQ among them",
}


def main() -> int:
    """Run a campaign; exit 0 if promises were kept, or broken without a safeguard."""
    given = vars(_parser().parse_args())
    complain_only()
    subject, as_json = given.pop("subject"), given.pop("json")
    if given["seed"] is None:
        given["seed"] = secrets.randbelow(1_000_000)
    report = asyncio.run(_run(subject, given))
    if as_json:
        sys.stdout.buffer.write(
            msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
        )
    else:
        sys.stdout.write(report.text() + "\n")
    return 0 if report.as_expected else 1


async def _run(
    subject: str, given: Mapping[str, Any]
) -> Report | slots.Report | work.Report:
    match subject:
        case "populations":
            return await populations.run(populations.Options(**given))
        case "slots":
            return await slots.run(slots.Options(**given))
        case "work":
            return await work.run(work.Options(**given))
        case _:
            return await campaign.run(campaign.Options(**given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    subjects = parser.add_subparsers(dest="subject", required=True)
    for name, (told, defaults, without) in SUBJECTS.items():
        subject = subjects.add_parser(name, help=told, description=told)
        fields = {field.name for field in msgspec.structs.fields(type(defaults))}
        for count in fields & COUNTS.keys():
            default = getattr(defaults, count)
            help_ = f"{COUNTS[count]} ({default:,})"
            subject.add_argument(f"--{count}", type=int, default=default, help=help_)
        subject.add_argument("--seed", type=int, help="of what is asked and killed")
        subject.add_argument("--seconds", type=float, default=defaults.seconds)
        subject.add_argument("--json", action="store_true", help="print JSON")
        subject.add_argument(
            "--embedded",
            action="store_true",
            help="use the PostgreSQL that came with the wheel, not this machine's",
        )
        if without:
            subject.add_argument(
                "--without",
                choices=without,
                help="take it out, to see that the audit finds what then goes wrong",
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
