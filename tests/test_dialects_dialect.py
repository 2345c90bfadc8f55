"""Facts about how a client shows which dialect it speaks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime.dialects import (
    TELLING_CLIENT_EVENTS,
    Dialect,
    dialect_of_event,
    dialect_of_first_event,
    dialect_of_head,
)

GA, BETA = Dialect.GA, Dialect.BETA


def test_values_are_the_names_in_settings() -> None:
    """A dialect is made from its name in the settings."""
    assert Dialect("ga") is GA
    assert Dialect("beta") is BETA


class TestHead:
    """First of all the head of the request shows it."""

    @pytest.mark.parametrize("path", ["/v1/realtime", "/realtime"])
    def test_a_head_without_a_mark(self, path: str) -> None:
        """A client that says nothing may speak either."""
        assert dialect_of_head(path, [], [b"realtime"]) is None

    @pytest.mark.parametrize("path", ["/v1/realtime", "/realtime", "/openai/v1/realtime"])
    @pytest.mark.parametrize("feature", [b"realtime=v1", b"Realtime=V1"])
    def test_beta_header(self, path: str, feature: bytes) -> None:
        """The feature realtime=v1 in OpenAI-Beta means Beta, also among others, everywhere."""
        assert dialect_of_head(path, [b"assistants=v2", feature], []) is BETA

    def test_other_beta_features_mean_nothing(self) -> None:
        """Another feature, or another version of this one, shows no dialect."""
        features = [b"assistants=v2", b"realtime=v10", b"realtime", b"realtime=v1.1", b"=v1"]
        assert dialect_of_head("/realtime", features, []) is None
        assert dialect_of_head("/openai/v1/realtime", features, []) is GA

    @pytest.mark.parametrize("path", ["/v1/realtime", "/openai/v1/realtime"])
    def test_beta_subprotocol(self, path: str) -> None:
        """A browser says Beta by the subprotocol openai-beta.realtime-v1."""
        offered = [b"realtime", b"openai-beta.realtime-v1"]
        assert dialect_of_head(path, [], offered) is BETA

    def test_other_subprotocols_mean_nothing(self) -> None:
        """A key in a subprotocol, or another version, shows no dialect."""
        offered = [b"realtime", b"openai-insecure-api-key.x", b"openai-beta.realtime-v2"]
        assert dialect_of_head("/v1/realtime", [], offered) is None

    def test_azure_addresses(self) -> None:
        """Azure's preview address is Beta by itself; its v1 address is GA."""
        assert dialect_of_head("/openai/realtime", [], []) is BETA
        assert dialect_of_head("/openai/v1/realtime", [], []) is GA


def update(**session: object) -> dict[str, Any]:
    """Return a ``session.update``."""
    return {"type": "session.update", "session": session}


def create(**response: object) -> dict[str, Any]:
    """Return a ``response.create``."""
    return {"type": "response.create", "response": response}


def message(role: str, *kinds: str) -> dict[str, Any]:
    """Return a message with parts of these types."""
    return {"type": "message", "role": role, "content": [{"type": kind} for kind in kinds]}


def item(role: str, *kinds: str) -> dict[str, Any]:
    """Return the ``conversation.item.create`` of a message."""
    return {"type": "conversation.item.create", "item": message(role, *kinds)}


class TestEvents:
    """Where the head says nothing, the first event that only one dialect has shows it."""

    @pytest.mark.parametrize(
        "key",
        [
            "modalities",
            "voice",
            "speed",
            "input_audio_format",
            "output_audio_format",
            "input_audio_transcription",
            "input_audio_noise_reduction",
            "turn_detection",
            "temperature",
            "max_response_output_tokens",
        ],
    )
    @pytest.mark.parametrize("value", [None, "x"])
    def test_keys_of_a_beta_session(self, key: str, value: object) -> None:
        """Each key that only a Beta session has means Beta, also where it is null."""
        assert dialect_of_event(update(include=None, **{key: value})) is BETA

    @pytest.mark.parametrize(
        "key",
        [
            "type",
            "output_modalities",
            "audio",
            "max_output_tokens",
            "reasoning",
            "parallel_tool_calls",
        ],
    )
    def test_keys_of_a_ga_session(self, key: str) -> None:
        """Each key that only a GA session has means GA."""
        assert dialect_of_event(update(instructions="Hi", **{key: None})) is GA

    def test_a_mixed_client_reads_ga(self) -> None:
        """A key of GA decides for it, whatever of the Beta is beside it."""
        assert dialect_of_event(update(type="realtime", voice="x", turn_detection=None)) is GA
        assert dialect_of_event(create(output_modalities=["text"], temperature=1)) is GA
        assert dialect_of_event(item("assistant", "text", "output_text")) is GA

    @pytest.mark.parametrize("key", ["instructions", "tools", "tool_choice"])
    def test_a_session_without_a_type(self, key: str) -> None:
        """What both dialects have means Beta where the type is missing, which GA asks for."""
        assert dialect_of_event({"type": "session.update", "session": {key: None}}) is BETA
        assert dialect_of_event(update(type="realtime", **{key: None})) is GA
        assert dialect_of_event(update(max_output_tokens=5, **{key: None})) is GA

    @pytest.mark.parametrize("session", [{}, {"model": "m", "x": 5}, None, [], "x"])
    def test_a_session_that_fits_both(self, session: object) -> None:
        """What neither dialect has of its own shows nothing."""
        assert dialect_of_event({"type": "session.update", "session": session}) is None
        assert dialect_of_event({"type": "session.update"}) is None

    def test_an_update_of_a_transcription(self) -> None:
        """GA has no ``transcription_session.update``, whatever is in it."""
        assert dialect_of_event({"type": "transcription_session.update"}) is BETA
        event = {"type": "transcription_session.update", "session": {"type": "transcription"}}
        assert dialect_of_event(event) is BETA

    @pytest.mark.parametrize(
        "key",
        [
            "modalities",
            "voice",
            "output_audio_format",
            "temperature",
            "max_response_output_tokens",
        ],
    )
    def test_keys_of_a_beta_response(self, key: str) -> None:
        """Each key that only Beta has in a ``response.create`` means Beta."""
        assert dialect_of_event(create(**{key: 1})) is BETA

    @pytest.mark.parametrize("key", ["output_modalities", "audio", "reasoning"])
    def test_keys_of_a_ga_response(self, key: str) -> None:
        """Each key that only GA has in a ``response.create`` means GA."""
        assert dialect_of_event(create(**{key: None})) is GA

    @pytest.mark.parametrize(
        "response",
        [{}, {"instructions": "Hi", "max_output_tokens": 5, "conversation": "none"}, None, "x"],
    )
    def test_a_response_that_fits_both(self, response: object) -> None:
        """A ``response.create`` of what both have shows nothing, nor does one without any."""
        assert dialect_of_event({"type": "response.create", "response": response}) is None
        assert dialect_of_event({"type": "response.create"}) is None

    @pytest.mark.parametrize(
        ("kind", "dialect"),
        [
            ("text", BETA),
            ("audio", BETA),
            ("output_text", GA),
            ("output_audio", GA),
            ("input_text", None),
            ("item_reference", None),
            ("other", None),
        ],
    )
    def test_parts_of_an_assistants_message(self, kind: str, dialect: Dialect | None) -> None:
        """What an assistant said is called differently, alone or in a response's input."""
        assert dialect_of_event(item("assistant", kind)) is dialect
        given = [message("user", "input_text"), message("assistant", kind)]
        assert dialect_of_event(create(input=given)) is dialect

    @pytest.mark.parametrize("part", [None, "text", {}, {"type": ["text"]}, {"type": None}])
    def test_parts_that_are_none(self, part: object) -> None:
        """What has no type shows nothing."""
        given = {"type": "message", "role": "assistant", "content": [part]}
        assert dialect_of_event({"type": "conversation.item.create", "item": given}) is None

    @pytest.mark.parametrize("role", ["user", "system"])
    @pytest.mark.parametrize("kind", ["text", "audio", "input_text", "input_audio"])
    def test_parts_of_other_messages(self, role: str, kind: str) -> None:
        """What clients of both dialects write in a user's message shows nothing."""
        assert dialect_of_event(item(role, kind)) is None

    def test_an_image(self) -> None:
        """Only GA has images."""
        assert dialect_of_event(item("user", "input_text", "input_image")) is GA

    def test_the_keys_of_a_response_come_before_its_input(self) -> None:
        """A key is a better sign than a part."""
        given = [message("assistant", "text")]
        assert dialect_of_event(create(audio={}, input=given)) is GA

    def test_the_events_that_can_show_one(self) -> None:
        """A session need not read any other for that."""
        assert {
            "session.update",
            "transcription_session.update",
            "response.create",
            "conversation.item.create",
        } == TELLING_CLIENT_EVENTS

    @pytest.mark.parametrize(
        "type_",
        ["input_audio_buffer.append", "response.cancel", "conversation.item.delete", "x", None, 5],
    )
    def test_other_events_show_nothing(self, type_: object) -> None:
        """They are the same in both dialects, whatever is put into them."""
        event = {**update(voice="x"), **item("assistant", "text"), "type": type_}
        assert dialect_of_event(event) is None


class TestFirstEvents:
    """An upstream shows its dialect with the first thing it says."""

    @pytest.mark.parametrize(
        ("session", "dialect"),
        [
            ({"type": "realtime", "instructions": ""}, GA),
            ({"object": "realtime.session", "output_modalities": ["text"], "voice": "x"}, GA),
            ({"object": "realtime.session", "modalities": ["text"], "voice": "x"}, BETA),
            ({"object": "realtime.session", "output_audio_format": "pcm16"}, BETA),
            ({"object": "realtime.session", "turn_detection": None, "voice": "x"}, None),
            ({"id": "sess_1", "object": "realtime.session", "model": "m"}, None),
            ({}, None),
            (None, None),
            ("x", None),
        ],
    )
    def test_a_session(self, session: object, dialect: Dialect | None) -> None:
        """It is told by what no server of the other dialect shows; some mix the rest."""
        event = {"type": "session.created", "session": session}
        assert dialect_of_first_event(event) is dialect

    def test_a_transcription(self) -> None:
        """Only Beta had an event of its own for it."""
        assert dialect_of_first_event({"type": "transcription_session.created"}) is BETA

    @pytest.mark.parametrize("type_", ["session.updated", "conversation.created", "error", None])
    def test_another_event(self, type_: str | None) -> None:
        """It shows nothing."""
        event = {"type": type_, "session": {"voice": "x"}}
        assert dialect_of_first_event(event) is None
        assert dialect_of_first_event({"session": {"type": "realtime"}}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "input", "item", "audio", "voice"]), inner
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["session", "response", "item"]), JSON),
    st.sampled_from([*sorted(TELLING_CLIENT_EVENTS), "response.cancel"]) | JSON,
)
def test_never_raises(event: dict[str, Any], type_: object) -> None:
    """Whatever an event holds, it shows a dialect or none; only telling events show one."""
    shown = dialect_of_event({**event, "type": type_})
    assert shown in (GA, BETA, None)
    if not isinstance(type_, str) or type_ not in TELLING_CLIENT_EVENTS:
        assert shown is None
