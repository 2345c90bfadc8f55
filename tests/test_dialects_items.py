"""Facts about items and their content parts in the two dialects."""

import json
from typing import Any

import pytest

from rt_proxy.realtime.dialects.items import item_to_beta, item_to_beta_upstream, item_to_ga
from rt_proxy.realtime.dialects.members import NoCounterpartError, Untranslated


def message(role: str, *parts: dict[str, Any], **more: object) -> dict[str, Any]:
    """Return a message."""
    return {"type": "message", "role": role, **more, "content": list(parts)}


def to_ga(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item in GA."""
    translated: dict[str, Any] = json.loads(item_to_ga(json.dumps(item)))
    return translated


def to_beta(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as a Beta client is shown it."""
    translated: dict[str, Any] = json.loads(item_to_beta(json.dumps(item)))
    return translated


def to_beta_upstream(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item of a GA client for a Beta upstream."""
    translated: dict[str, Any] = json.loads(item_to_beta_upstream(json.dumps(item), "item"))
    return translated


#: Items that are the same in both dialects, but for ``object``.
COMMON = [
    message("user", {"type": "input_text", "text": "Hi"}),
    message("user", {"type": "input_audio", "audio": "AA==", "transcript": None}),
    message("system", {"type": "input_text", "text": "Hi"}),
    message("user", {"type": "other", "text": "Hi"}),
    message("assistant"),
    message("assistant", {"type": "input_text", "text": "Hi"}),
    message("assistant", {"type": ["text"]}, {"type": "text/plain"}),
    message("other", {"type": "audio"}),
    {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c", "status": "x"},
    {"type": "item_reference", "id": "item_1"},
    {"type": "message", "role": "assistant", "content": None},
    {"type": "message", "role": "assistant", "content": "text"},
    {"type": "message", "role": "assistant", "content": ["text", None, ["text"], 5]},
    {"type": "message", "role": "assistant"},
    {"type": "message", "role": ["assistant"], "content": [{"type": "output_text"}]},
]
each_common_item = pytest.mark.parametrize("item", COMMON, ids=lambda item: json.dumps(item)[:80])


class TestParts:
    """What an assistant said is called differently; what others said is not."""

    PARTS = (
        ({"type": "text", "text": "Hi"}, {"type": "output_text", "text": "Hi"}),
        (
            {"type": "audio", "transcript": "Hi", "audio": "AA=="},
            {"type": "output_audio", "transcript": "Hi", "audio": "AA=="},
        ),
        ({"type": "audio", "transcript": "Hi"}, {"type": "output_audio", "transcript": "Hi"}),
    )

    @pytest.mark.parametrize(("beta", "ga"), PARTS)
    def test_of_an_assistant(self, beta: dict[str, Any], ga: dict[str, Any]) -> None:
        """The type alone is renamed, with audio bytes or without."""
        old, new = message("assistant", beta, status="x"), message("assistant", ga, status="x")
        assert to_ga(old) == new
        assert to_beta(new) == {**old, "object": "realtime.item"}
        assert to_beta_upstream(new) == old

    def test_each_of_many(self) -> None:
        """Every part of a message is looked at."""
        beta = message("assistant", *(part for part, _ in self.PARTS), {"type": "x"})
        ga = message("assistant", *(part for _, part in self.PARTS), {"type": "x"})
        assert to_ga(beta) == ga
        assert to_beta_upstream(ga) == beta

    @pytest.mark.parametrize("role", ["user", "system", None])
    def test_a_users_text(self, role: str) -> None:
        """Some Beta clients call a user's text ``text``, which GA would refuse."""
        written = message(role, {"type": "text", "text": "Hi"})
        assert to_ga(written) == message(role, {"type": "input_text", "text": "Hi"})

    @pytest.mark.parametrize("role", ["user", "system"])
    @pytest.mark.parametrize("kind", ["output_text", "output_audio"])
    def test_a_user_says_no_output(self, role: str, kind: str) -> None:
        """Only an assistant's parts are renamed towards Beta."""
        item = message(role, {"type": kind})
        assert to_beta(item) == {**item, "object": "realtime.item"}
        assert to_beta_upstream(item) == item

    @each_common_item
    def test_what_is_common(self, item: dict[str, Any]) -> None:
        """Any other part, of whatever type, is the other side's to judge."""
        assert to_ga(item) == item
        assert to_beta(item) == {**item, "object": "realtime.item"}
        assert to_beta_upstream(item) == item

    @each_common_item
    def test_what_is_common_stays_to_the_letter(self, item: dict[str, Any]) -> None:
        """An item in which nothing changes keeps its spaces."""
        text = json.dumps({"object": "realtime.item", **item}, indent=1)
        assert item_to_ga(text) == text
        assert item_to_beta(text) == text
        assert item_to_beta_upstream(text, "item") == text

    def test_the_rest_of_a_part_stays_to_the_letter(self) -> None:
        """Numbers, escapes and members that nobody knows are the text that they were."""
        rest = '"x":1e400,"text":"\\u00e9\\/","y":{ "z": [0.10] }'
        beta = f'{{"role":"assistant","content":[{{"type":"text",{rest}}}],"n":{"1" * 5_000}}}'
        assert item_to_ga(beta) == beta.replace('"text",', '"output_text",')
        assert item_to_beta_upstream(item_to_ga(beta), "item") == beta


@pytest.mark.parametrize("text", ["null", "[]", '"message"', "5", '[ {"role":"assistant"} ]'])
def test_what_is_no_item(text: str) -> None:
    """Another value stays to the letter."""
    assert item_to_ga(text) == item_to_beta(text) == item_to_beta_upstream(text, "item") == text


class TestObject:
    """Beta clients expect ``object`` in an item; in GA it may be missing."""

    def test_it_is_added(self) -> None:
        """It stands where it always stood, behind the id."""
        assert item_to_beta('{"type":"x","id":"item_1"}') == (
            '{"id":"item_1","object":"realtime.item","type":"x"}'
        )
        assert item_to_beta('{"type":"x"}') == '{"object":"realtime.item","type":"x"}'

    def test_what_is_there_stays(self) -> None:
        """One that is there is not overwritten, and the item not changed for it."""
        text = '{ "type":"x", "object":"other" }'
        assert item_to_beta(text) == text

    def test_an_upstream_does_not_need_it(self) -> None:
        """It is added for clients only."""
        assert "object" not in to_beta_upstream({"type": "message"})
        assert "object" not in to_ga({"type": "message"})


class TestForABetaUpstream:
    """What Beta does not know is dropped where that is harmless, and refused where it is not."""

    def test_the_status_of_an_output(self) -> None:
        """GA ignores it, early Beta refuses it."""
        item = {"type": "function_call_output", "call_id": "c", "output": "{}", "status": "x"}
        assert to_beta_upstream(item) == {k: v for k, v in item.items() if k != "status"}

    def test_the_status_of_other_items_stays(self) -> None:
        """It means something there."""
        assert to_beta_upstream({"type": "message", "status": "x"})["status"] == "x"

    @pytest.mark.parametrize(
        "kind", ["mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"]
    )
    def test_mcp_items(self, kind: str) -> None:
        """The client is told which item, and why."""
        with pytest.raises(NoCounterpartError) as raised:
            item_to_beta_upstream(json.dumps({"type": kind}), "response.input[3]")
        assert raised.value.untranslated == Untranslated(
            f"Items of the type '{kind}' have no counterpart in the Beta dialect, "
            "which this session's upstream speaks.",
            "response.input[3].type",
        )

    @pytest.mark.parametrize("role", ["user", "assistant", "system"])
    def test_images(self, role: str) -> None:
        """The client is told which part, and why."""
        item = message(role, {"type": "input_text", "text": "?"}, {"type": "input_image"})
        with pytest.raises(NoCounterpartError) as raised:
            item_to_beta_upstream(json.dumps(item), "item")
        assert raised.value.untranslated == Untranslated(
            "Images ('input_image') have no counterpart in the Beta dialect, "
            "which this session's upstream speaks.",
            "item.content[1].type",
        )

    def test_images_that_are_shown(self) -> None:
        """A Beta client is shown what is there: nobody is refused anything."""
        item = message("user", {"type": "input_image", "image_url": "data:"})
        assert to_beta(item) == {**item, "object": "realtime.item"}
