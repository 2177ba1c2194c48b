"""HTML from outside."""

import pytest

from events.errors import Refused
from services.playgrounds.markup import (
    Agent,
    UnknownEmbed,
    clean,
    embed_code,
    parsed,
)


WIDGET = '<elevenlabs-convai agent-id="{}"></elevenlabs-convai>'
SCRIPT = '<script src="{}" async type="text/javascript"></script>'
KNOWN_SCRIPT = SCRIPT.format("https://unpkg.com/@elevenlabs/convai-widget-embed")


def test_support_text_keeps_plain_elements_and_safe_links() -> None:
    html = '<p>Ask <b>Bo</b>, <a href="https://help.example/">here</a>.</p>'
    assert clean(html) == (
        '<p>Ask <b>Bo</b>, <a href="https://help.example/"'
        ' rel="noopener noreferrer nofollow">here</a>.</p>'
    )


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        '<a href="javascript:alert(1)">x</a>',
        '<p onclick="alert(1)" style="x">x</p>',
        "<svg/onload=alert(1)>",
        '<iframe src="https://evil.example"></iframe>',
        "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
        "<style>@import 'https://evil.example'</style>",
        '<form action="https://evil.example"><input name="p"></form>',
    ],
)
def test_support_text_loses_what_could_act(html: str) -> None:
    cleaned = clean(html).lower()
    for bad in ("script", "onerror", "onclick", "style", "iframe", "svg", "form"):
        assert f"<{bad}" not in cleaned
        assert f"{bad}=" not in cleaned
    assert "javascript:" not in cleaned


@pytest.mark.parametrize("end", ["", KNOWN_SCRIPT, "\n  " + KNOWN_SCRIPT + "\n"])
def test_a_widget_is_read_as_provider_and_agent(end: str) -> None:
    code = WIDGET.format("agent_01jz-x") + end
    assert parsed(code, path="$") == Agent("elevenlabs", "agent_01jz-x")


def test_what_else_a_widget_says_is_not_kept() -> None:
    code = WIDGET.format('agent-1" onload="alert(1)')
    assert parsed(code, path="$") == Agent("elevenlabs", "agent-1")


def test_a_frame_is_read_as_its_address() -> None:
    code = '<iframe src="https://bot.example/chat?id=1&amp;x=2"></iframe>'
    address = "https://bot.example/chat?id=1&x=2"
    assert parsed(code, path="$") == Agent("iframe", address)


@pytest.mark.parametrize(
    "agent",
    [Agent("elevenlabs", "agent-1"), Agent("iframe", "https://bot.example/?a=1&b=2")],
)
def test_embed_code_that_is_made_anew_names_the_same_agent(agent: Agent) -> None:
    assert parsed(embed_code(agent.provider, agent.agent_id), path="$") == agent


@pytest.mark.parametrize(
    "code",
    [
        "",
        "hello",
        "<script>alert(1)</script>",
        WIDGET.format(""),
        WIDGET.format("a b"),
        WIDGET.format("x") + "and more",
        WIDGET.format("x") + "<!-- more -->",
        WIDGET.format("x") + WIDGET.format("y"),
        WIDGET.format("x") + SCRIPT.format("https://evil.example/x.js"),
        WIDGET.format("x") + SCRIPT.format("http://unpkg.com/x.js"),
        WIDGET.format("x") + SCRIPT.format("https://unpkg.com@evil.example/x.js"),
        WIDGET.format("x") + "<script>alert(1)</script>" + KNOWN_SCRIPT,
        WIDGET.format("x") + KNOWN_SCRIPT.replace("></", ">alert(1)</"),
        '<iframe src="http://bot.example/"></iframe>',
        '<iframe src="https://127.0.0.1/"></iframe>',
        '<iframe src="https://localhost/"></iframe>',
        '<iframe src="https://[::1]/"></iframe>',
        '<iframe src="https://bot.example:99999/"></iframe>',
        '<iframe src="https://user@bot.example/"></iframe>',
        '<iframe src="javascript:alert(1)"></iframe>',
        '<iframe srcdoc="x"></iframe>',
        '<iframe src="https://a.example/" src="https://b.example/"></iframe>',
        "<" * 8_000,
    ],
)
def test_what_is_not_plainly_a_provider_s_embed_code_is_refused(code: str) -> None:
    with pytest.raises(UnknownEmbed) as refused:
        parsed(code, path="$.models[0].embed_code")
    assert isinstance(refused.value, Refused)
    assert refused.value.path == "$.models[0].embed_code"
