"""The command line: `rehearsal --help` lists what it can do.

A command's module is imported only when the command is called, so that a role holds
no more in memory than it uses.
"""

import gc
import sys
from typing import Final

from cyclopts import App


PLACES: Final = {
    "demo": ("demo:demo", "Start everything, hold a set, kill a worker, show it all."),
    "up": ("up:up", "Run every role under one supervisor."),
    "api": ("api:api", "Run the HTTP role alone."),
    "project": ("stack:project", "Run the projection role alone."),
    "dispatch": ("stack:dispatch", "Run the dispatch role alone."),
    "work": ("stack:work", "Run the work role alone."),
    "intake": ("messaging:intake", "Run the role that takes commands over AMQP."),
    "relay": ("messaging:relay", "Run the role that publishes events over AMQP."),
    "background": (
        "stack:background",
        "Run all but the API in one process.",
    ),
    "migrate": (
        "migrating:migrate",
        "Bring the schema and the read tables up to date.",
    ),
    "secrets": ("deploying:secrets", "Write the secret files of a containers' stack."),
    "import": ("importing:importer", "Import what was recorded elsewhere."),
    "send": ("data:send", "Send commands from a file."),
    "sql": ("data:sql", "Read the tables of a schema with SQL."),
    "events": ("data:events", "Read the event log."),
    "audit": ("audit:audit", "Say who did what: the audit log, by page or as a file."),
    "policies": ("policies:policies", "Say who may do and see what."),
    "runs": ("runs:runs", "Hold set runs, and look at them."),
    "playgrounds": (
        "playgrounds:playgrounds",
        "Look at playgrounds, and prove their places.",
    ),
    "experiments": (
        "experiments:experiments",
        "Run populations by design, prove and branch the runs.",
    ),
    "projections": (
        "projections:projections",
        "List, rebuild, compare and switch read tables.",
    ),
    "verify": ("verifying:verify", "Prove the log whole and the read tables equal."),
    "letters": ("letters:letters", "Look after messages and jobs that failed."),
    "account": ("account:account", "Register and sign in, as a person, over HTTP."),
    "users": ("users:users", "Look after the people who have accounts."),
    "organisations": (
        "organisations:organisations",
        "Say which organisations keep accounts, and for whom.",
    ),
    "service-tokens": (
        "service_tokens:service_tokens",
        "Give services what they sign in with, and take it away.",
    ),
    "sql-logins": (
        "sql_logins:sql_logins",
        "Give people logins in PostgreSQL that see what they see, and take them away.",
    ),
    "keys": ("keys:keys", "Look after the keys that seal personal text."),
    "token": ("local:token", "Print a bearer token for an embedded stack."),
    "settings": ("local:settings", "Print every setting and its value."),
    "doctor": ("doctor:doctor", "Examine the stack and say what is wrong."),
}


def version() -> str:
    """Return the version that is installed."""
    import importlib.metadata  # noqa: PLC0415 - slow to import, and seldom used

    return importlib.metadata.version("rehearsal")


app: Final = App(
    name="rehearsal",
    help="An event-sourced backend that runs simulations and keeps them replayable.",
    version=version,
    result_action="return_value",
)
for name, (place, told) in PLACES.items():
    app.command(f"infra.commands.{place}", name=name, help=told)


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Modules are many objects and no garbage: looking for it is a tenth of a start.
    gc.set_threshold(50_000, 10, 10)
    sys.exit(app())


if __name__ == "__main__":
    main()
