"""The description as pages: rendered here, with one style sheet, no script, no network.

The search is a form, so it needs no script either, and the pages allow none. All of it
is written when first asked for, once, since few processes are ever asked.
"""

import asyncio
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from html import escape
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from events.errors import Missing
from services import problems
from services.problems import PROBLEMS


Schema = Mapping[str, Any]

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --link: #0b62c4 }
@media (prefers-color-scheme: dark) { :root { --link: #7db7ff } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto;
  padding: 1rem 1.25rem 4rem }
h1 { font-size: 1.6rem; margin: .5rem 0 } h2 { margin: 2.2rem 0 .5rem }
a { color: var(--link) } code, pre { font: 13px/1.45 ui-monospace, monospace }
pre { background: var(--soft); padding: .7rem .9rem; overflow-x: auto;
  border-radius: .3rem }
details { border-bottom: 1px solid var(--line); padding: .45rem 0 }
summary { cursor: pointer } summary code { font-size: 14px; font-weight: 600 }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
  border-bottom: 1px solid var(--line) }
input { font: inherit; padding: .35rem .6rem; width: min(24rem, 60%) }
button { font: inherit; padding: .35rem .9rem }
"""
POLICY: Final = (
    "default-src 'none'; style-src 'sha256-"
    + b64encode(sha256(STYLE.encode()).digest()).decode()
    + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that can be found: its chapter, its HTML, the words it is found by."""

    chapter: str
    html: str
    words: str


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The descriptions as they are answered."""

    json: bytes
    messages: bytes
    title: str
    about: str
    sections: tuple[Section, ...]


def written(description: Schema, messages: Schema) -> Written:
    """Write the descriptions of HTTP and of messages down."""
    return Written(
        json=msgspec.json.encode(description),
        messages=msgspec.json.encode(messages),
        title=str(description["info"]["title"]),
        about=str(description["info"]["description"]),
        sections=(*sections(description), *channels(messages)),
    )


class Docs:
    """The routes that describe this interface; `write` takes a tenth of a second."""

    def __init__(self, write: Callable[[], Written]) -> None:
        self._write = write
        self._writing: asyncio.Future[Written] | None = None

    async def openapi(self, _request: web.Request) -> web.Response:
        """Answer the description as JSON."""
        return _json((await self._written()).json)

    async def asyncapi(self, _request: web.Request) -> web.Response:
        """Answer the description of what goes over AMQP as JSON."""
        return _json((await self._written()).messages)

    async def page(self, request: web.Request) -> web.Response:
        """Answer the description as a page, all of it or what holds every word."""
        told = await self._written()
        asked = request.query.get("q", "")
        words = asked.lower().split()
        found = [
            section
            for section in told.sections
            if all(word in section.words for word in words)
        ]
        chapters = dict.fromkeys(section.chapter for section in found)
        body = "".join(
            f"<h2>{escape(chapter)}</h2>"
            + "".join(each.html for each in found if each.chapter == chapter)
            for chapter in chapters
        )
        shown = escape(asked.encode("utf-8", "replace").decode())
        return _html(
            told.title,
            f"<h1>{escape(told.title)}</h1><p>{escape(told.about)}</p>"
            f"<p>{_origin(request)}</p>"
            '<form><input name="q" type="search" aria-label="Search" '
            f'value="{shown}"> <button>Search</button></form>'
            '<p><a href="/v1/openapi.json">OpenAPI 3.1</a> '
            '<a href="/v1/asyncapi.json">AsyncAPI 3.0</a></p>'
            + (body or "<p>Nothing has all of these words.</p>"),
        )

    async def _written(self) -> Written:
        """Return the descriptions, written by a thread while others are answered."""
        if self._writing is None:
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._write))
        # Who goes away in the meantime must not take it from the others.
        return await asyncio.shield(self._writing)

    async def problem(self, request: web.Request) -> web.Response:
        """Answer what a kind of problem means, and which failures are of it."""
        asked = request.match_info["slug"]
        for kind, problem in PROBLEMS.items():
            if problems.slug(kind) == asked:
                rows = [
                    (problems.slug(each), _summary(each.__doc__))
                    for each in problems.refusals(kind)
                ]
                return _html(
                    problem.title,
                    f"<h1>{escape(problem.title)}</h1>"
                    f"<p>HTTP status <code>{problem.status}</code>. "
                    f"Again? {escape(problem.again)}</p>"
                    + _table(("code", "meaning"), rows)
                    + '<p><a href="/v1/docs">All of the interface</a></p>',
                )
        raise Missing("There is no such kind of problem.")


def sections(description: Schema) -> Iterator[Section]:
    """Return everything that the description holds, in the order of a reader."""
    schemas = description["components"]["schemas"]
    for name, reference in schemas["Command"]["discriminator"]["mapping"].items():
        schema = schemas[reference.rpartition("/")[2]]
        yield _section(
            "Commands",
            name,
            schema["description"],
            _fields(schema) + f"<pre>{escape(curl(schema['examples'][0]))}</pre>",
            schema["properties"],
        )
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            yield _section(
                _chapter(route["tags"][0]),
                f"{method.upper()} {path}",
                route["summary"],
                _route(route) + _shown_rows(route, schemas),
                [parameter["name"] for parameter in route.get("parameters", ())],
            )
    for kind, problem in PROBLEMS.items():
        slug = problems.slug(kind)
        yield _section(
            "Problems",
            f"{problem.status} {slug}",
            problem.title,
            f'<p>Again? {escape(problem.again)} <a href="{problems.PATH}/{slug}">'
            "More</a></p>",
            [problems.slug(each) for each in problems.refusals(kind)],
        )


def channels(messages: Schema) -> Iterator[Section]:
    """Return what can be done over AMQP, a section for each operation."""
    for operation in messages["operations"].values():
        channel = messages["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
        exchange = channel["bindings"]["amqp"]["exchange"]["name"]
        kinds = [each["$ref"].rpartition("/")[2] for each in operation["messages"]]
        first = messages["components"]["messages"][kinds[0]]
        schemas = messages["components"]["schemas"]
        carried = schemas["CommandHeaders" if "headers" in first else "CloudEvent"]
        yield _section(
            "AMQP",
            f"{exchange} {channel['address']}",
            operation["summary"],
            f"<p>{escape(channel['description'])}</p>"
            f"<p>{escape(carried.get('description', ''))}</p>"
            + _table(
                ("header" if "headers" in first else "attribute", "type", ""),
                [
                    (name, _type(field), field.get("description", ""))
                    for name, field in carried["properties"].items()
                ],
            ),
            [*carried["properties"], *(each.replace("-", ".") for each in kinds)],
        )


def curl(command: Mapping[str, object]) -> str:
    """Return the line of a shell that sends a command."""
    body = msgspec.json.format(msgspec.json.encode(command), indent=2).decode()
    safe = body.replace("'", "'\\''")
    return (
        'curl "$REHEARSAL/v1/commands" \\\n'
        '  -H "Authorization: Bearer $TOKEN" \\\n'
        '  -H "Idempotency-Key: $(uuidgen)" \\\n'
        "  --json '" + safe + "'"
    )


def _origin(request: web.Request) -> str:
    host = request.host if re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", request.host) else "-"
    return f"<code>export REHEARSAL={escape(request.scheme)}://{escape(host)}</code>"


def _chapter(tag: str) -> str:
    return {"commands": "Sending", "about": "About"}.get(tag, tag.capitalize())


def _section(
    chapter: str, name: str, summary: str, html: str, words: Iterable[str]
) -> Section:
    return Section(
        chapter=chapter,
        html=f'<details id="{quote(name)}"><summary><code>{escape(name)}</code> '
        f"{escape(summary)}</summary>{html}</details>",
        words=" ".join((chapter, name, summary, *words)).lower(),
    )


def _fields(schema: Schema) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (name, _type(field), "required" if name in required else "")
        for name, field in schema["properties"].items()
        if name != "type"
    ]
    return _table(("field", "type", ""), rows)


def _route(route: Schema) -> str:
    text = f"<p>{escape(route['description'])}</p>" if "description" in route else ""
    shown = [
        (each["name"], _type(each["schema"]), each["description"])
        for each in route.get("parameters", ())
        if "." not in each["name"]
    ]
    return text + (_table(("parameter", "type", ""), shown) if shown else "")


def _shown_rows(route: Schema, schemas: Schema) -> str:
    """Return the columns of a read table and the operators that each is asked with."""
    content = route["responses"].get("200", {}).get("content", {})
    page = content.get("application/json", {}).get("schema", {})
    items = page.get("properties", {}).get("rows", {}).get("items")
    if items is None:
        return ""
    operators: dict[str, list[str]] = {}
    for parameter in route["parameters"]:
        name, _, operator = parameter["name"].partition(".")
        operators.setdefault(name, []).append(operator or "=")
    row = schemas[items["$ref"].rpartition("/")[2]]
    return _table(
        ("column", "type", "asked with", ""),
        [
            (
                name,
                _type(column),
                " ".join(operators.get(name, ())),
                column["description"],
            )
            for name, column in row["properties"].items()
        ],
    )


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2].rpartition(".")[2])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    kind = schema.get("format") or schema.get("type", "JSON")
    name = " | ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{name} of {_type(schema['items'])}" if "items" in schema else name


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(
        f"<tr><td><code>{escape(first)}</code></td>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _summary(doc: str | None) -> str:
    return (doc or "").strip().partition("\n")[0]


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": "application/json"})


def _html(title: str, body: str) -> web.Response:
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body>{body}</body></html>"
    )
    return web.Response(body=page.encode(), headers=HEADERS)
