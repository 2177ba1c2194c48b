"""Logs: one JSON object a line, context included, secrets struck out."""

import io
import logging
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest
import structlog
from multidict import CIMultiDict
from structlog.testing import capture_logs

from infra.logs import configure_logs
from services import log_context


class Terminal(io.TextIOWrapper):
    """A stream whose content can be read back."""

    def __init__(self, *, terminal: bool = False) -> None:
        self._terminal = terminal
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()

    def line(self) -> dict[str, Any]:
        line: dict[str, Any] = msgspec.json.decode(self.text())
        return line


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    log_context.clear()


def test_a_line_is_json_with_its_context() -> None:
    stream = Terminal()
    configure_logs(form="json", stream=stream)
    log_context.bind(command_id="c-1")
    structlog.get_logger().info("command_handled", stream="s-1", ids=[UUID(int=1)])
    line = stream.line()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "command_handled",
        "level": "info",
        "command_id": "c-1",
        "stream": "s-1",
        "ids": ["00000000-0000-0000-0000-000000000001"],
    }


def test_secrets_are_struck_out_at_any_depth() -> None:
    stream = Terminal()
    configure_logs(form="json", stream=stream)
    structlog.get_logger().info(
        "started",
        password="hush",  # noqa: S106 - to be struck out
        dsn="postgresql://app:hush@db/x",
        headers={"Authorization": "Bearer hush"},
        given=CIMultiDict(password="hush"),  # noqa: S106 - to be struck out
        kept=MappingProxyType({"token": "hush"}),
        tried=["postgresql://app:hush@db/y", {"api_key": "hush"}],
        error=ValueError("postgresql://app:hush@db/z"),
    )
    assert "hush" not in stream.text()
    assert "postgresql://app:***@db/x" in stream.text()


@pytest.mark.parametrize(
    "told",
    [
        {"api_key": "hush"},
        {"headers": {"cookie": "hush"}},
        {"given": [CIMultiDict({"password": "hush"})]},
        {"text": "postgresql://app:hush@db/x"},
        {"text": "?password=hush"},
        {"text": "BEARER hush"},
        {"error": ValueError("bearer  hush")},
    ],
)
def test_a_secret_is_struck_out_where_it_is_the_only_one(
    told: dict[str, object],
) -> None:
    stream = Terminal()
    configure_logs(form="json", stream=stream)
    structlog.get_logger().info("started", **told)
    assert "hush" not in stream.text()
    assert "***" in stream.text()


def test_a_line_that_a_stream_takes_in_parts_is_written_whole() -> None:
    class Narrow(io.RawIOBase):
        taken = b""

        def writable(self) -> bool:
            return True

        def write(self, given: Any) -> int:  # noqa: ANN401 - any buffer
            self.taken += bytes(given[:7])
            return min(7, len(given))

    narrow = Narrow()
    stream = io.TextIOWrapper(io.BufferedWriter(narrow))
    configure_logs(form="json", stream=stream)
    for number in range(3):
        structlog.get_logger().info("command_handled", number=number)
    lines = [msgspec.json.decode(line) for line in narrow.taken.splitlines()]
    assert [line["number"] for line in lines] == [0, 1, 2]


def test_a_traceback_is_one_line_without_secrets() -> None:
    stream = Terminal()
    configure_logs(form="json", stream=stream)
    try:
        raise ValueError("postgresql://app:hush@db/x")  # noqa: TRY301 - to be logged
    except ValueError:
        structlog.get_logger().exception("defect_found")
    assert stream.text().count("\n") == 1
    assert "ValueError" in stream.line()["exception"]
    assert "hush" not in stream.text()


def test_a_terminal_is_shown_no_local_variables() -> None:
    output = Terminal()
    configure_logs(form="console", stream=output)
    held = "what the function " + "held"
    try:
        int(held[:0])
    except ValueError:
        structlog.get_logger().exception("job_failed")
    assert "ValueError: invalid literal" in output.text()
    assert held not in output.text()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_value_begins_no_line_of_its_own(form: Literal["json", "console"]) -> None:
    stream = Terminal()
    configure_logs(form=form, stream=stream)
    forged = 'x"}\r\n{"event":"request_handled"}\u2028\x1b[2J'
    structlog.get_logger().info("command_handled", reason=forged)
    assert stream.text().count("\n") == 1
    assert not {"\r", "\x1b"} & set(stream.text())


def test_a_logger_says_what_was_bound_to_it() -> None:
    stream = Terminal()
    configure_logs(form="json", stream=stream)
    logger = structlog.get_logger().bind(stream="s-1", status="ok")
    logger.warning("command_handled: %s", 7, status="duplicate")
    line = stream.line()
    assert line["event"] == "command_handled: 7"
    assert (line["stream"], line["status"]) == ("s-1", "duplicate")
    assert line["level"] == "warning"


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        (logging.DEBUG, None),
        (logging.INFO, None),
        (logging.WARNING, "warning"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "critical"),
    ],
)
def test_a_line_of_a_severity_is_that_of_its_name(
    severity: int, level: str | None
) -> None:
    stream = Terminal()
    configure_logs(level="warning", form="json", stream=stream)
    logger = structlog.get_logger()
    logger.log(severity, "command_handled", ms=1)
    logger.log(severity, "command_handled: %s", 7, ms=1)
    lines = [msgspec.json.decode(line) for line in stream.text().splitlines()]
    told = [(line["event"], line["level"], line["ms"]) for line in lines]
    assert told == (
        []
        if level is None
        else [("command_handled", level, 1), ("command_handled: 7", level, 1)]
    )


def test_lines_can_be_captured_instead_of_written() -> None:
    stream = Terminal()
    configure_logs(form="json", stream=stream)
    logger = structlog.get_logger().bind(stream="s-1")
    with capture_logs() as lines:
        logger.info("command_handled", ms=1)
    assert lines == [
        {"event": "command_handled", "stream": "s-1", "ms": 1, "log_level": "info"}
    ]
    assert stream.text() == ""


def test_lines_below_the_level_are_not_written() -> None:
    stream = Terminal()
    configure_logs(level="warning", form="json", stream=stream)
    structlog.get_logger().info("quiet")
    assert stream.text() == ""


def test_what_libraries_log_comes_out_in_the_same_form() -> None:
    stream = Terminal()
    configure_logs(form="json", stream=stream)
    logging.getLogger("some.library").error("no %s", "luck")
    line = stream.line()
    assert line["event"] == "library_logged"
    assert (line["library"], line["message"]) == ("some.library", "no luck")


def test_what_our_own_lines_tell_is_heard_of_libraries_when_debugging() -> None:
    stream = Terminal()
    for level in ("info", "debug"):
        configure_logs(level=level, form="json", stream=stream)
        logging.getLogger("aiormq.connection").error("lost, at %s", level)
    assert stream.line()["message"] == "lost, at debug"


def test_a_value_that_json_cannot_say_does_not_lose_the_line() -> None:
    stream = Terminal()
    configure_logs(form="json", stream=stream)
    structlog.get_logger().info("odd", value=object)
    assert stream.line()["value"] == "<class 'object'>"


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, {(): 1}])
def test_a_value_that_breaks_the_encoder_does_not_lose_the_line(value: object) -> None:
    stream = Terminal()
    configure_logs(form="json", stream=stream)
    structlog.get_logger().info("odd", value=value)
    assert "odd" in stream.text()
    assert stream.line()


@pytest.mark.parametrize(
    ("form", "terminal", "json"),
    [("auto", True, False), ("auto", False, True), ("console", False, False)],
)
def test_a_terminal_gets_lines_for_people(
    form: Any,  # noqa: ANN401 - one of the forms
    terminal: bool,  # noqa: FBT001 - a parameter of the test
    json: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    stream = Terminal(terminal=terminal)
    configure_logs(form=form, stream=stream)
    structlog.get_logger().info("command_handled")
    assert "command_handled" in stream.text()
    assert stream.text().startswith("{") == json
