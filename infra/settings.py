"""The settings of every process, from the environment and an optional file.

`REHEARSAL_HTTP_PORT=8080` in the environment, or `http_port = 8080` in the TOML file
that REHEARSAL_SETTINGS names; the environment wins. A name that is not a setting is
an error. This module alone reads the environment.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec


PREFIX: Final = "REHEARSAL_"
TESTS: Final = "REHEARSAL_TEST_"
FILE: Final = "REHEARSAL_SETTINGS"
REDACTED: Final = "***"
POSTGRES: Final = "postgres"
RABBITMQ: Final = "rabbitmq"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Address = Annotated[str, msgspec.Meta(pattern=r"^postgres(ql)?://")]
Broker = Annotated[str, msgspec.Meta(pattern=r"^(postgres|rabbitmq|amqps?://.+)$")]
Namespace = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class SetupError(Exception):
    """What keeps the system from starting; the message says what to do about it."""


class SettingsError(SetupError):
    """A setting is unknown or has no meaning."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, with the defaults of an embedded stack.

    A `*_url` is where a PostgreSQL role connects; `direct_url` bypasses a pooler such
    as PgBouncer, for LISTEN, and is `app_url` unless given; with `superuser_url`
    `migrate` makes the roles and the database, `sql-logins` those of people, and
    nothing else uses it. Without any,
    PostgreSQL runs embedded in `data_dir`. `broker` carries work to the workers:
    `postgres`, the amqp:// address of a RabbitMQ, or `rabbitmq` for one that runs here
    or is started in `data_dir`; exchanges and queues are named under
    `broker_namespace`. A worker that is silent for `lease_seconds` loses its jobs to
    others. Port 0 takes a free one. A read waits at most `max_wait_seconds` for a
    position. `proxies` of ours stand in front of the API and add to X-Forwarded-For.

    With `token_private_key_file` people sign in here. Their mail goes to `mail_server`
    (smtp://user:password@host:587, or smtps:// for TLS from the start), else into
    `data_dir`/outbox. `password_cost` is bcrypt's. `identity_providers_file` holds
    those by which people may sign in, too.
    """

    data_dir: Path = Path(".rehearsal")
    region: Word = "local"

    superuser_url: Address | None = None
    owner_url: Address | None = None
    app_url: Address | None = None
    projector_url: Address | None = None
    reader_url: Address | None = None
    keys_url: Address | None = None
    direct_url: Address | None = None
    pool_size: Count = 8
    broker: Broker | None = None
    broker_namespace: Namespace = "rehearsal"
    lease_seconds: Annotated[float, msgspec.Meta(ge=1)] = 30.0

    http_host: Word = "127.0.0.1"
    http_port: Port = 8080
    admin_host: Word = "127.0.0.1"
    admin_port: Port = 9090

    token_issuer: Word = "rehearsal"  # noqa: S105 - a name
    token_audience: Word = "rehearsal"  # noqa: S105 - a name
    token_public_key_files: tuple[Path, ...] = ()
    token_private_key_file: Path | None = None
    master_key_file: Path | None = None
    password_cost: Annotated[int, msgspec.Meta(ge=10, le=16)] = 12
    mail_server: Annotated[str, msgspec.Meta(pattern=r"^smtps?://")] | None = None
    mail_from: Word = "rehearsal@localhost"

    identity_providers_file: Path | None = None

    commands_per_minute: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 300_000

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"

    max_wait_seconds: Seconds = 5.0
    proxies: Annotated[int, msgspec.Meta(ge=0, le=10)] = 0
    shutdown_seconds: Seconds = 10.0

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in printable(self).items())
        return f"Settings({', '.join(shown)})"

    @property
    def embedded(self) -> bool:
        """Whether no address of a PostgreSQL was given."""
        return not any(getattr(self, name) for name in FIELDS if name.endswith("_url"))


FIELDS: Final = {field.name: field for field in msgspec.structs.fields(Settings)}


def load_settings(
    overrides: Mapping[str, object] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings; `overrides`, by field name, win over all other sources.

    An override of `None` is no override. Raises `SettingsError` that names every
    setting at fault.
    """
    given = os.environ if environment is None else environment  # noqa: TID251 - the one place
    problems: list[str] = []
    values: dict[str, Any] = {}
    file = given.get(FILE)
    if file:
        values |= _from_file(Path(file), problems)
    values |= _from_environment(given, problems)
    for name, value in (overrides or {}).items():
        if value is not None:
            values |= _converted(name, value, f"--{name.replace('_', '-')}", problems)
    if problems:
        raise SettingsError("; ".join(problems))
    return Settings(**values)


def whole_environment() -> dict[str, str]:
    """Return the environment of this process, for processes of this system."""
    return dict(os.environ)  # noqa: TID251 - the one place


def inherited() -> dict[str, str]:
    """Return the environment without our settings, for programs of the machine."""
    every = whole_environment()
    return {key: value for key, value in every.items() if not key.startswith(PREFIX)}


def require(settings: Settings, *names: str) -> tuple[str, ...]:
    """Return the values of settings that a process cannot do without.

    Raises `SettingsError` that names what is missing.
    """
    missing = [name for name in names if getattr(settings, name) is None]
    if missing:
        variables = " and ".join(PREFIX + name.upper() for name in missing)
        message = f"{variables} must be set, because other addresses are"
        raise SettingsError(message)
    return tuple(str(getattr(settings, name)) for name in names)


def printable(settings: Settings) -> dict[str, object]:
    """Return the settings by name as JSON values, passwords redacted."""
    values = msgspec.to_builtins(settings, enc_hook=str)
    return {
        name: redacted(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def is_suspicious(text: str) -> bool:
    """Say whether a text could hold what `redacted` strikes out."""
    return "@" in text or "=" in text or (" " in text and "bearer" in text.lower())


def redacted(text: str) -> str:
    """Return a text with the passwords of its URLs and its bearer tokens struck out."""
    if not is_suspicious(text):
        return text
    # A password may hold unescaped signs: all up to the last @ goes.
    text = re.sub(r"""(\w://[^\s:/@]*):[^\s"']*@""", rf"\1:{REDACTED}@", text)
    text = re.sub(r"(?i)([?&]password=)[^&\s]+", rf"\1{REDACTED}", text)
    return re.sub(r"(?i)\b(bearer) +[\w.~+/=-]+", rf"\1 {REDACTED}", text)


def _from_file(path: Path, problems: list[str]) -> dict[str, object]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{FILE}: {path} cannot be read: {error.strerror}")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{FILE}: {path} is not TOML: {error}")
        return {}
    values: dict[str, object] = {}
    for name, value in raw.items():
        if name in FIELDS:
            values |= _converted(name, value, f"{name} in {path}", problems)
        else:
            problems.append(f"{name} in {path} is no setting{_meant(name)}")
    return values


def _from_environment(
    given: Mapping[str, str], problems: list[str]
) -> dict[str, object]:
    values: dict[str, object] = {}
    for variable in sorted(given):
        if not variable.startswith(PREFIX) or variable.startswith(TESTS):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name in FIELDS and variable == PREFIX + name.upper():
            values |= _converted(name, given[variable], variable, problems)
        elif variable != FILE:
            meant = _meant(name, PREFIX, upper=True)
            problems.append(f"{variable} is no setting{meant}")
    return values


def _converted(
    name: str, value: object, source: str, problems: list[str]
) -> dict[str, object]:
    field = FIELDS[name]
    if isinstance(value, str) and name.endswith("_files"):
        value = [part for part in value.split(",") if part]
    try:
        return {name: msgspec.convert(value, field.type, strict=False, dec_hook=_path)}
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        shown = f" (got {redacted(str(value))!r})" if not name.endswith("_url") else ""
        problems.append(f"{source}: {error}{shown}")
        return {}


def _path(kind: type[Any], value: object) -> object:
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    message = f"Expected a path, got `{type(value).__name__}`"
    raise msgspec.ValidationError(message)


def _meant(name: str, prefix: str = "", *, upper: bool = False) -> str:
    near = difflib.get_close_matches(name, FIELDS, n=2, cutoff=0.6)
    shown = (prefix + (one.upper() if upper else one) for one in near)
    return f", did you mean {' or '.join(shown)}?" if near else ""
