"""Facts about fields that an upstream does not take."""

import json

import pytest

from rt_proxy.realtime.fieldrules import mcp_tool_in, without_fields

MCP = {"type": "mcp", "server_label": "s"}
FUNCTION = {"type": "function", "name": "f"}


@pytest.mark.parametrize(
    ("type_", "holder"),
    [
        ("session.update", "session"),
        ("transcription_session.update", "session"),
        ("response.create", "response"),
    ],
)
def test_what_is_left_out(type_: str, holder: str) -> None:
    """A field goes with all that is in it, wherever it stands, and the rest keeps its text."""
    text = (
        f'{{ "event_id":"e", "type":"{type_}","{holder}":'
        '{"tracing":{"a":[1]}, "n" : 1.0, "b":"\\u00e9","reasoning":null} }'
    )
    assert without_fields(text, {"reasoning", "tracing", "prompt"}) == (
        f'{{"event_id":"e","type":"{type_}","{holder}":{{"n":1.0,"b":"\\u00e9"}}}}'
    )


@pytest.mark.parametrize(
    "text",
    [
        '{ "type":"session.update", "session":{"n": 1.0} }',
        '{"type":"session.update","tracing":"auto","session":{"x":{"tracing":1}}}',
        '{"type":"session.update","session":null}',
        '{"type":"session.update","session":["tracing"]}',
        '{"type":"session.update","response":{"tracing":1}}',
        '{"type":"session.update"}',
        '{"type":"conversation.item.create","session":{"tracing":1},"item":{"tracing":1}}',
        '{"type":5,"session":{"tracing":1}}',
        '{"session":{"tracing":1}}',
        "{}",
    ],
)
def test_what_is_left_alone(text: str) -> None:
    """Without the field at its place nothing changes, white space included."""
    assert without_fields(text, {"tracing", "session.tracing"}) == text


def test_no_fields() -> None:
    """A channel that drops nothing leaves every event as it is."""
    assert without_fields("not even JSON", ()) == "not even JSON"


def test_a_path() -> None:
    """Names with dots lead into objects, and what stands around the field stays."""
    text = json.dumps(
        {
            "type": "session.update",
            "session": {
                "audio": {"input": {"noise_reduction": None, "format": 1}, "output": {"speed": 2}},
                "audio.output.speed": 3,
            },
        }
    )
    fields = {"audio.input.noise_reduction", "audio.output.speed", "audio.x.y", "model.a"}
    assert json.loads(without_fields(text, fields))["session"] == {
        "audio": {"input": {"format": 1}, "output": {}},
        "audio.output.speed": 3,
    }


def test_a_path_through_no_object() -> None:
    """Where the path does not lead on, what stands there is the upstream's to judge."""
    text = '{"type":"session.update", "session":{"audio":[{"input":1}], "x":null}}'
    assert without_fields(text, {"audio.input", "x.y", "z.y"}) == text


def test_a_field_that_is_written_with_escapes_or_twice() -> None:
    """No spelling of a key keeps a field."""
    text = '{"type":"session.update","session":{"tr\\u0061cing":1,"tracing":2,"a":3,"a":4}}'
    assert without_fields(text, {"tracing"}) == '{"type":"session.update","session":{"a":4}}'


def test_nothing_is_left() -> None:
    """An update of which nothing is left is still an update."""
    text = '{"type":"session.update","session":{"tracing":"auto"}}'
    assert without_fields(text, {"tracing"}) == '{"type":"session.update","session":{}}'


@pytest.mark.parametrize("depth", range(900, 1_000))
def test_no_depth_is_too_deep(depth: int) -> None:
    """What can just be parsed is edited, or goes on as it is."""
    nested = "[" * depth + "]" * depth
    text = f'{{"type":"session.update","session":{{"y":{nested},"tracing":1}}}}'
    assert without_fields(text, {"tracing"}) in (text, text.replace(',"tracing":1', ""))


@pytest.mark.parametrize(
    ("type_", "holder"), [("session.update", "session"), ("response.create", "response")]
)
def test_an_mcp_tool(type_: str, holder: str) -> None:
    """The first one is told by its path."""
    event = {"type": type_, holder: {"tools": [FUNCTION, MCP, MCP]}}
    assert mcp_tool_in(event) == f"{holder}.tools[1].type"


@pytest.mark.parametrize("tools", [None, [], {}, "mcp", [FUNCTION], ["mcp"], [{"type": ["mcp"]}]])
def test_no_mcp_tool(tools: object) -> None:
    """What is no list, or has none in it, has none."""
    assert mcp_tool_in({"type": "session.update", "session": {"tools": tools}}) is None


@pytest.mark.parametrize("type_", ["conversation.item.create", "session.created", None, 5])
def test_no_place_for_tools(type_: object) -> None:
    """Other events have no tools to look for."""
    assert mcp_tool_in({"type": type_, "session": {"tools": [MCP]}, "tools": [MCP]}) is None
    assert mcp_tool_in({}) is None
