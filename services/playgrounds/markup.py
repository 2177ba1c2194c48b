"""HTML from outside: support text made harmless, embed code read and not kept.

Support text is cleaned to a few elements that show text, when it is written. Embed code
is never stored: only which provider it names, and which agent of that provider. What is
shown is made of these two, in a frame of its own.
"""

import re
from collections.abc import Mapping
from html import escape
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit

import msgspec
import nh3

from events.errors import Refused
from events.playgrounds.playgrounds import Provider


TAGS: Final = {
    *("a", "b", "blockquote", "br", "code", "em", "h2", "h3", "h4", "hr", "i", "li"),
    *("ol", "p", "pre", "strong", "sub", "sup", "u", "ul"),
}
ATTRIBUTES: Final = {"a": {"href", "title"}}
SCHEMES: Final = {"https", "mailto"}

WIDGET: Final = "elevenlabs-convai"
WIDGET_HOSTS: Final = frozenset({"elevenlabs.io", "unpkg.com"})
WIDGET_SCRIPT: Final = "https://unpkg.com/@elevenlabs/convai-widget-embed"
MAX_ADDRESS: Final = 2_000

_AGENT: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,63}")


class UnknownEmbed(Refused):
    """This is not the embed code of a provider that is known."""


class Agent(msgspec.Struct, frozen=True):
    """A model as its provider knows it."""

    provider: Provider
    agent_id: str


def clean(html: str) -> str:
    """Return HTML with nothing in it but text, plain elements and safe links."""
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


class _Elements(HTMLParser):
    """The elements of embed code; `strange` once there is anything else."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.strange = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.strange |= len({name for name, _ in attrs}) != len(attrs)
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.strange |= bool(data.strip())

    def handle_comment(self, data: str) -> None:
        self.strange |= data is not None

    def handle_decl(self, decl: str) -> None:
        self.strange |= decl is not None

    def unknown_decl(self, data: str) -> None:
        self.strange |= data is not None

    def handle_pi(self, data: str) -> None:
        self.strange |= data is not None


def parsed(embed_code: str, *, path: str) -> Agent:
    """Return the agent that embed code names, or raise `UnknownEmbed`."""
    elements = _Elements()
    elements.feed(embed_code)
    elements.close()
    if elements.strange:
        raise UnknownEmbed(path=path)
    match elements.found:
        case [(tag, attributes)] if tag == WIDGET:
            return _widget(attributes, path)
        case [(tag, attributes), ("script", script)] if tag == WIDGET:
            _check_script(script, path)
            return _widget(attributes, path)
        case [("iframe", attributes)]:
            return _frame(attributes, path)
        case _:
            raise UnknownEmbed(path=path)


def _widget(attributes: Mapping[str, str | None], path: str) -> Agent:
    agent_id = attributes.get("agent-id") or ""
    if not _AGENT.fullmatch(agent_id):
        raise UnknownEmbed("The embed code names no agent.", path=path)
    return Agent("elevenlabs", agent_id)


def _check_script(attributes: Mapping[str, str | None], path: str) -> None:
    source = urlsplit(attributes.get("src") or "")
    known = source.scheme == "https" and source.hostname in WIDGET_HOSTS
    if not known or source.port is not None or source.username is not None:
        raise UnknownEmbed("The script is not of a host that is known.", path=path)


def _frame(attributes: Mapping[str, str | None], path: str) -> Agent:
    return Agent("iframe", checked_address(attributes.get("src") or "", path=path))


def checked_address(address: str, *, path: str) -> str:
    """Return the address of a page on the web, or raise `UnknownEmbed`."""
    wrong = UnknownEmbed("A frame shows a page at an https address.", path=path)
    if len(address) > MAX_ADDRESS or not address.isascii() or not address.isprintable():
        raise wrong
    try:
        parts = urlsplit(address)
        plain = parts.port in (None, 443) and parts.username is None
    except ValueError as error:
        raise wrong from error
    named = _HOST.fullmatch(parts.hostname or "") is not None
    if (
        parts.scheme != "https"
        or not plain
        or not named
        or set(address) & set(" \"'<>;")
    ):
        raise wrong
    return address


def embed_code(provider: Provider, agent_id: str) -> str:
    """Return embed code that names an agent, made anew."""
    safe = escape(agent_id, quote=True)
    if provider == "iframe":
        return f'<iframe src="{safe}"></iframe>'
    return (
        f'<{WIDGET} agent-id="{safe}"></{WIDGET}>'
        f'<script src="{WIDGET_SCRIPT}" async type="text/javascript"></script>'
    )
