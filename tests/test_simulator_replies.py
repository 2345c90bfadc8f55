"""What is answered."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.simulator.audio import PCM
from rt_proxy.simulator.items import Item, spoken_item
from rt_proxy.simulator.replies import Call, Say, answer, heard

_WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer", "minimum": 3},
            "wind": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string", "default": "now"}},
            "when": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        },
    },
}
_OTHER = {"type": "function", "name": "hangUp"}


def _user(text: str) -> Item:
    content = [{"type": "input_text", "text": text}]
    return Item("item_1", {"type": "message", "role": "user", "content": content})


def _reply(
    *context: Item,
    wish: str = "",
    tools: tuple[dict[str, Any], ...] = (),
    tool_choice: str | dict[str, Any] = "auto",
) -> Say | Call:
    return answer(context, wish=wish, tools=tools, tool_choice=tool_choice)


def test_a_text_is_echoed() -> None:
    """The answer says what was said, and a long text is cut."""
    assert _reply(_user("Hello")) == Say("You said: Hello")
    long = _reply(_user("x" * 10**6))
    assert isinstance(long, Say)
    assert len(long.text) < 500


def test_speech_is_answered() -> None:
    """Speech without a transcript is answered by its length."""
    speech = spoken_item("i", bytes(48 * 1500), PCM)
    assert _reply(speech) == Say("I heard you for 1.5 seconds.")
    assert heard(1500) == "I spoke for 1.5 seconds."


def test_nothing_said_is_a_greeting_or_the_wish() -> None:
    """Without a user the answer is a greeting, or what the response was told."""
    greeting = _reply()
    assert isinstance(greeting, Say)
    assert greeting.text.startswith("Hello")
    assert _reply(wish="Greet me.") == Say("I was told: Greet me.")


@pytest.mark.parametrize(
    "text",
    ["call get_weather", "What's the weather like?", "WEATHER, please", "use Get_Weather now"],
)
def test_a_tool_is_called_when_the_text_asks_for_it(text: str) -> None:
    """Its name or the telling words of it are enough."""
    reply = _reply(_user(text), tools=(_OTHER, _WEATHER))
    assert isinstance(reply, Call)
    assert reply.name == "get_weather"


def test_a_tool_is_called_when_the_response_is_told_to() -> None:
    """The instructions of the one response count as asking."""
    reply = _reply(_user("Hi"), wish="Now hang up, with hangUp.", tools=(_OTHER,))
    assert reply == Call("hangUp", "{}")


def test_arguments_fit_the_schema() -> None:
    """Every property has a value of its type; enum, default and minimum are kept."""
    reply = _reply(_user("weather"), tools=(_WEATHER,))
    assert isinstance(reply, Call)
    assert json.loads(reply.arguments) == {
        "city": "Paris",
        "unit": "celsius",
        "days": 3,
        "wind": True,
        "tags": ["now"],
        "when": "2026-01-31",
    }


def test_tool_choice_decides() -> None:
    """``none`` calls nothing, ``required`` something, and a named tool that one."""
    tools = (_WEATHER, _OTHER)
    assert isinstance(_reply(_user("weather"), tools=tools, tool_choice="none"), Say)
    required = _reply(_user("Hello"), tools=tools, tool_choice="required")
    assert isinstance(required, Call)
    named = {"type": "function", "name": "hangUp"}
    assert _reply(_user("weather"), tools=tools, tool_choice=named) == Call("hangUp", "{}")
    assert isinstance(_reply(_user("Hello"), tools=tools), Say)


def test_a_tools_output_is_told_and_not_asked_again() -> None:
    """After the output the answer is words, whatever was asked before."""
    output = Item("i", {"type": "function_call_output", "call_id": "c", "output": "sunny"})
    reply = _reply(_user("weather"), output, tools=(_WEATHER,))
    assert reply == Say("The tool says: sunny")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["type", "properties", "items", "enum", "anyOf", "format", "x"]), inner
        )
    ),
    max_leaves=30,
)


@given(_JSON, st.text())
def test_any_schema_gives_an_object(parameters: object, text: str) -> None:
    """Whatever stands in the schema, the arguments are a JSON object."""
    tool = {"type": "function", "name": "f", "parameters": parameters}
    reply = _reply(_user(text), tools=(tool,), tool_choice="required")
    assert isinstance(reply, Call)
    assert isinstance(json.loads(reply.arguments), dict)


def test_a_long_text() -> None:
    """A tool is looked for where a text begins: a long one with many tools takes no time."""
    tools = tuple({**_OTHER, "name": f"tool{number}"} for number in range(128))
    assert isinstance(_reply(_user("ab " * 1_000_000 + "weather"), tools=(*tools, _WEATHER)), Say)
    reply = _reply(_user("weather " + "ab " * 1_000_000), tools=(*tools, _WEATHER))
    assert isinstance(reply, Call)
