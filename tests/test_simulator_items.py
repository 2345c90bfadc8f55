"""Items: what may be created, and what may be done to them."""

import base64
from typing import Any

import pytest

from rt_proxy.simulator import items as items_module
from rt_proxy.simulator.audio import PCM
from rt_proxy.simulator.events import EventRefused
from rt_proxy.simulator.items import (
    Item,
    Items,
    Sound,
    input_item,
    item_fields,
    item_from,
    spoken_item,
)


def _text(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **more}


def _user(text: str, **more: Any) -> Item:
    return item_from(item_fields(_text(text, **more), "item"), PCM)


def _assistant(milliseconds: int) -> Item:
    fields = {
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_audio", "transcript": "Hello"}],
    }
    return Item("item_a", fields, {0: Sound(PCM, bytearray(48 * milliseconds))})


@pytest.mark.parametrize(
    "fields",
    [
        _text("hi", id="mine", object="realtime.item", status="completed"),
        {
            "type": "message",
            "role": "system",
            "content": [{"type": "input_text", "text": "Be kind."}],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello"}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_audio", "audio": "AAAA", "transcript": "hm"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
            ],
        },
        {"type": "function_call", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    ],
)
def test_every_kind_of_item_is_taken(fields: dict[str, Any]) -> None:
    """Documented items pass and have an id and a status when they are sent back."""
    item = item_from(item_fields(fields, "item"), PCM)
    sent = item.wire()
    assert sent["id"]
    assert sent["status"] == "completed"
    assert sent["type"] == fields["type"]
    assert all("audio" not in part for part in sent.get("content", ()))


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "message"}, "missing_required_parameter", "item.role"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        (_text("x", id="x" * 33), "string_above_max_length", "item.id"),
        (_text("x", colour="red"), "unknown_parameter", "item.colour"),
        ({"type": "mcp_call"}, "invalid_value", "item.type"),
        (
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_audio", "audio": "AAAA"}],
            },
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "text", "text": "x"}]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "!"}]},
            "invalid_value",
            "item.content[0].audio",
        ),
        (
            {"type": "item_reference", "id": "x"},
            "invalid_value",
            "item.type",
        ),
    ],
)
def test_a_wrong_item_is_refused(fields: dict[str, Any], code: str, param: str) -> None:
    """Anything else is refused by its path; the client cannot create assistant audio."""
    with pytest.raises(EventRefused) as caught:
        item_fields(fields, "item")
    assert (caught.value.code, caught.value.param) == (code, param)


def test_a_reference_stands_only_in_a_responses_input() -> None:
    """``item_reference`` passes as input of a response."""
    reference = {"type": "item_reference", "id": "item_1"}
    assert input_item(reference, "response.input[0]") == reference


def test_places_are_kept() -> None:
    """An item goes to the end, to the front, or after the one that is named."""
    items = Items()
    assert items.create(_user("b", id="b"), None) is None
    assert items.create(_user("d", id="d"), None) == "b"
    assert items.create(_user("a", id="a"), "root") is None
    assert items.create(_user("c", id="c"), "b") == "b"
    assert [item.id for item in items] == ["a", "b", "c", "d"]


def test_unknown_places_and_taken_ids_are_refused() -> None:
    """A place that is not there and an id that is are errors, and nothing is added."""
    items = Items()
    items.create(_user("a", id="a"), None)
    with pytest.raises(EventRefused) as unknown:
        items.create(_user("b"), "nowhere")
    with pytest.raises(EventRefused) as taken:
        items.create(_user("b", id="a"), None)
    assert unknown.value.code == "item_create_invalid_previous_item_id"
    assert taken.value.code == "item_create_duplicate_item_id"
    assert len(items) == 1


def test_an_output_belongs_to_a_call() -> None:
    """The output of a call that was never made is refused."""
    items = Items()
    output = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
    with pytest.raises(EventRefused) as caught:
        items.create(item_from(output, PCM), None)
    assert caught.value.param == "item.call_id"
    call = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
    items.create(item_from(call, PCM), None)
    items.create(item_from(output, PCM), None)
    assert len(items) == 2


def test_retrieved_items_have_their_audio() -> None:
    """Only the retrieved form of an item carries the audio."""
    items = Items()
    items.append(spoken_item("item_1", b"\1\0" * 4800, PCM))
    item = items.retrieve("item_1")
    assert "audio" not in item.wire()["content"][0]
    sent = item.wire(with_audio=True)["content"][0]
    assert base64.b64decode(sent["audio"]) == b"\1\0" * 4800


def test_truncation_cuts_the_audio_and_the_transcript() -> None:
    """What was not heard is gone, and so is the text of it."""
    items = Items()
    items.append(_assistant(1000))
    items.truncate("item_a", 0, 400)
    item = items.retrieve("item_a")
    assert item.sounds[0].milliseconds == 400
    assert item.wire()["content"][0]["transcript"] == ""


@pytest.mark.parametrize(
    ("item_id", "index", "end", "code", "param"),
    [
        ("nobody", 0, 0, "item_truncate_invalid_item_id", "item_id"),
        ("user", 0, 0, "invalid_value", "item_id"),
        ("item_a", 1, 0, "invalid_value", "content_index"),
        ("item_a", 0, 1001, "invalid_value", "audio_end_ms"),
    ],
)
def test_a_wrong_truncation_is_refused(
    item_id: str, index: int, end: int, code: str, param: str
) -> None:
    """Only audio of the assistant can be cut, and only what there is."""
    items = Items()
    items.append(_user("x", id="user"))
    items.append(_assistant(1000))
    with pytest.raises(EventRefused) as caught:
        items.truncate(item_id, index, end)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_a_deleted_item_is_gone() -> None:
    """Deleting twice is an error, and so is retrieving after it."""
    items = Items()
    items.append(_user("x", id="x"))
    items.delete("x")
    with pytest.raises(EventRefused) as deleted:
        items.delete("x")
    with pytest.raises(EventRefused) as retrieved:
        items.retrieve("x")
    assert deleted.value.code == "item_delete_invalid_item_id"
    assert retrieved.value.code == "item_retrieve_invalid_item_id"


def test_a_conversation_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest items fall out, by number and by size, never the newest."""
    monkeypatch.setattr(items_module, "MOST_ITEMS", 3)
    items = Items()
    for name in "abcd":
        items.append(_user(name, id=name))
    assert [item.id for item in items] == ["b", "c", "d"]
    monkeypatch.setattr(items_module, "MOST_BYTES", 50)
    items.append(_user("x" * 100, id="e"))
    assert [item.id for item in items] == ["e"]
