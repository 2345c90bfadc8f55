"""The conversation's items: their shapes, their order, and what may be done to them.

Pure and bounded: a conversation remembers its latest items, and what is older
falls out, as with the API's automatic truncation.
"""

import base64
from collections.abc import Iterator
from typing import Any

import attrs

from rt_proxy.simulator.audio import AudioFormat
from rt_proxy.simulator.events import EventRefused, new_id
from rt_proxy.simulator.schema import (
    Check,
    anything,
    array,
    audio,
    by,
    choice,
    nullable,
    shape,
    string,
)

MOST_ITEMS = 1000
#: All text and audio that one conversation keeps, in bytes.
MOST_BYTES = 64 * 1024 * 1024

_COMMON: dict[str, Check] = {
    "type": anything,
    "id": nullable(string(32)),
    "object": nullable(choice("realtime.item")),
    "status": nullable(choice("completed", "incomplete", "in_progress")),
}


def _part(**fields: Check) -> Check:
    required = tuple(fields)[:1]
    return shape({"type": anything, **fields}, required=required)


_INPUT_TEXT = _part(text=string())
_USER_PARTS = {
    "input_text": _INPUT_TEXT,
    "input_audio": _part(audio=audio, transcript=nullable(string())),
    "input_image": _part(
        image_url=string(20_000_000), detail=nullable(choice("auto", "low", "high"))
    ),
}


def _message(parts: dict[str, Check]) -> Check:
    fields = {"role": anything, "content": array(by("type", parts), longest=64)}
    return shape({**_COMMON, **fields}, required=("content",))


_KINDS = {
    "message": by(
        "role",
        {
            "system": _message({"input_text": _INPUT_TEXT}),
            "user": _message(_USER_PARTS),
            "assistant": _message({"output_text": _INPUT_TEXT}),
        },
    ),
    "function_call": shape(
        {**_COMMON, "name": string(64), "arguments": string(), "call_id": nullable(string(64))},
        required=("name", "arguments"),
    ),
    "function_call_output": shape(
        {**_COMMON, "call_id": string(64), "output": string()},
        required=("call_id", "output"),
    ),
}

#: An item as a client may create it; MCP items are not simulated.
item_fields = by("type", _KINDS)
#: An item of ``response.create``, which may be a reference to one that exists.
input_item = by(
    "type",
    {
        **_KINDS,
        "item_reference": shape({"type": anything, "id": string(64)}, required=("id",)),
    },
)


@attrs.define
class Sound:
    """The audio of one content part; grows while a response is spoken."""

    format: AudioFormat
    data: bytearray = attrs.field(factory=bytearray, repr=False)

    @property
    def milliseconds(self) -> int:
        """How long it sounds."""
        return self.format.milliseconds(len(self.data))


@attrs.define(eq=False)
class Item:
    """One item; changes while a response writes it, or when it is truncated.

    Attributes:
        id: Unique in its conversation.
        fields: What is sent of it, but for the id and the audio.
        sounds: The audio, by index of its content part.
    """

    id: str
    fields: dict[str, Any]
    sounds: dict[int, Sound] = attrs.field(factory=dict)

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The content parts of a message; empty for a function call and its output."""
        content: list[dict[str, Any]] = self.fields.get("content", [])
        return content

    @property
    def text(self) -> str:
        """All that can be read in it: texts, transcripts, arguments or output."""
        if "content" not in self.fields:
            return str(self.fields.get("arguments", self.fields.get("output", "")))
        texts = (part.get("text") or part.get("transcript") for part in self.parts)
        return " ".join(filter(None, texts))

    @property
    def size(self) -> int:
        """About how many bytes it holds."""
        images = sum(len(part.get("image_url", "")) for part in self.parts)
        return len(self.text) + images + sum(len(sound.data) for sound in self.sounds.values())

    def wire(self, *, with_audio: bool = False) -> dict[str, Any]:
        """Return the item as it is sent; only ``conversation.item.retrieved`` has the audio."""
        sent: dict[str, Any] = {"id": self.id, **self.fields}
        if "content" in self.fields:
            sent["content"] = [dict(part) for part in self.parts]
        if with_audio:
            for index, sound in self.sounds.items():
                sent["content"][index]["audio"] = base64.b64encode(sound.data).decode()
        return sent


def item_from(fields: dict[str, Any], audio_format: AudioFormat) -> Item:
    """Return the item of checked client fields; its audio is in ``audio_format``."""
    kept = {key: value for key, value in fields.items() if key not in ("id", "object")}
    kept["status"] = "completed"
    if kept["type"] == "function_call":
        kept["call_id"] = kept.get("call_id") or new_id("call")
    sounds = {}
    for index, part in enumerate(kept.get("content", ())):
        if "audio" in part:
            sounds[index] = Sound(audio_format, bytearray(part.pop("audio")))
            part.setdefault("transcript", None)
    return Item(fields.get("id") or new_id("item"), kept, sounds)


def spoken_item(item_id: str, data: bytes, audio_format: AudioFormat) -> Item:
    """Return the user item that a committed input buffer becomes."""
    fields = {
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
    return Item(item_id, fields, {0: Sound(audio_format, bytearray(data))})


class Items:
    """The items of one conversation, in order; changes with every turn."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def find(self, item_id: str) -> Item | None:
        """Return the item of this id, if there is one."""
        return next((item for item in self._items if item.id == item_id), None)

    def before(self, item: Item) -> str | None:
        """Return the id of the item before this one; None also if it is not here (any more)."""
        place = self._items.index(item) if item in self._items else 0
        return self._items[place - 1].id if place else None

    def append(self, item: Item) -> str | None:
        """Put an item at the end and return the id of the one before it."""
        return self._insert(len(self._items), item)

    def create(self, item: Item, previous_item_id: str | None) -> str | None:
        """Put a client's item in its place and return the id of the one before it.

        Args:
            item: The new item.
            previous_item_id: After which one; None: at the end; ``root``: in front.

        Raises:
            EventRefused: The place is unknown, the id is taken, or the output is
                that of a call that was never made.
        """
        if self.find(item.id) is not None:
            raise EventRefused(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with id '{item.id}' already exists.",
                "item.id",
            )
        if item.fields["type"] == "function_call_output" and not self._was_called(item):
            raise EventRefused(
                "invalid_tool_call_id",
                f"Tool call ID '{item.fields['call_id']}' not found in conversation.",
                "item.call_id",
            )
        if previous_item_id is None:
            return self.append(item)
        if previous_item_id == "root":
            return self._insert(0, item)
        previous = self._existing("create", previous_item_id, "previous_item_id")
        return self._insert(self._items.index(previous) + 1, item)

    def retrieve(self, item_id: str) -> Item:
        """Return an item, or raise ``EventRefused``."""
        return self._existing("retrieve", item_id, "item_id")

    def delete(self, item_id: str) -> None:
        """Remove an item, or raise ``EventRefused``."""
        self._items.remove(self._existing("delete", item_id, "item_id"))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Cut the audio of an assistant's item; its transcript goes, as nobody heard it all.

        Raises:
            EventRefused: No such item, no audio of the assistant in it, or less than
                ``audio_end_ms`` of it.
        """
        item = self._existing("truncate", item_id, "item_id")
        if item.fields.get("role") != "assistant" or not item.sounds:
            raise EventRefused(
                "invalid_value", "Only model output audio messages can be truncated.", "item_id"
            )
        sound = item.sounds.get(content_index)
        if sound is None:
            raise EventRefused(
                "invalid_value",
                f"Item '{item_id}' has no audio at content index {content_index}.",
                "content_index",
            )
        if audio_end_ms > sound.milliseconds:
            raise EventRefused(
                "invalid_value",
                f"Audio content of {sound.milliseconds}ms is already shorter than {audio_end_ms}ms",
                "audio_end_ms",
            )
        del sound.data[audio_end_ms * sound.format.bytes_per_ms :]
        item.parts[content_index]["transcript"] = ""

    def _was_called(self, output: Item) -> bool:
        call_id = output.fields["call_id"]
        return any(
            item.fields["type"] == "function_call" and item.fields["call_id"] == call_id
            for item in self._items
        )

    def _existing(self, what: str, item_id: str, param: str) -> Item:
        item = self.find(item_id)
        if item is None:
            raise EventRefused(
                f"item_{what}_invalid_{param}",
                f"Error: the item with id '{item_id}' does not exist.",
                param,
            )
        return item

    def _insert(self, place: int, item: Item) -> str | None:
        previous = self._items[place - 1].id if place else None
        self._items.insert(place, item)
        size = sum(kept.size for kept in self._items)
        while len(self._items) > MOST_ITEMS or (size > MOST_BYTES and len(self._items) > 1):
            oldest = next(kept for kept in self._items if kept is not item)
            self._items.remove(oldest)
            size -= oldest.size
        return previous
