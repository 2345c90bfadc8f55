"""The two dialects, and how a client shows which one it speaks.

First by the head of its request; where that says nothing, by the shape of the
first event that only one of the dialects has.
"""

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: The forms of Azure's address: the preview only ever spoke Beta, the other one GA.
_AZURE_PREVIEW_PATH = "/openai/realtime"
_AZURE_PATH = "/openai/v1/realtime"

_BETA_FEATURE = b"realtime=v1"
_BETA_SUBPROTOCOL = b"openai-beta.realtime-v1"


class Dialect(enum.Enum):
    """The shape of the events that one side of a session speaks."""

    GA = "ga"
    BETA = "beta"


def dialect_of_head(
    path: str, beta_features: Iterable[bytes], subprotocols: Iterable[bytes]
) -> Dialect | None:
    """Return the dialect that a client asks for in the head of its request; None: it does not say.

    ``OpenAI-Beta: realtime=v1`` and the subprotocol ``openai-beta.realtime-v1``
    are the marks of the Beta API (API reference); they count on every address.

    Args:
        path: The address, without a trailing ``/``.
        beta_features: The items of the ``OpenAI-Beta`` headers.
        subprotocols: The WebSocket subprotocols that the client offers.
    """
    marked = (
        any(feature.lower() == _BETA_FEATURE for feature in beta_features)
        or _BETA_SUBPROTOCOL in subprotocols
    )
    if marked or path == _AZURE_PREVIEW_PATH:
        return Dialect.BETA
    return Dialect.GA if path == _AZURE_PATH else None


#: The client events whose shape can show a dialect.
TELLING_CLIENT_EVENTS = frozenset(
    {
        "session.update",
        "transcription_session.update",
        "response.create",
        "conversation.item.create",
    }
)

# Keys that show a dialect, at the top level of the object. In GA a session has a ``type`` in each
# update (API reference), so that what both dialects have is a sign of Beta where it is missing.
_BETA_SESSION = frozenset(
    {
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
        "instructions",
        "tools",
        "tool_choice",
    }
)
_GA_SESSION = frozenset(
    {"type", "output_modalities", "audio", "max_output_tokens", "reasoning", "parallel_tool_calls"}
)
# What no server of the other dialect shows; some mix the rest.
_BETA_SHOWN = frozenset({"modalities", "input_audio_format", "output_audio_format"})
_GA_SHOWN = frozenset({"type", "output_modalities"})
_BETA_RESPONSE = frozenset(
    {"modalities", "voice", "output_audio_format", "temperature", "max_response_output_tokens"}
)
_GA_RESPONSE = frozenset({"output_modalities", "audio", "reasoning"})
_BETA_PARTS = frozenset({"text", "audio"})
_GA_PARTS = frozenset({"output_text", "output_audio", "input_image"})


def dialect_of_event(event: Mapping[str, Any]) -> Dialect | None:
    """Return the dialect that the shape of a client event shows; None: it fits both.

    A key of the GA dialect decides for it: clients that mix the two read GA
    events, or they would not have got so far.
    """
    match event.get("type"):
        case "transcription_session.update":
            return Dialect.BETA
        case "session.update":
            return _by_keys(event.get("session"), _GA_SESSION, _BETA_SESSION)
        case "response.create":
            response = event.get("response")
            given = response.get("input") if isinstance(response, dict) else None
            items = given if isinstance(given, list) else []
            shown = _by_keys(response, _GA_RESPONSE, _BETA_RESPONSE)
            return shown or _by_parts(part for item in items for part in _assistant_parts(item))
        case "conversation.item.create":
            return _by_parts(_assistant_parts(event.get("item")))
        case _:
            return None


def dialect_of_first_event(event: Mapping[str, Any]) -> Dialect | None:
    """Return the dialect that an upstream shows with its first event; None: it fits both."""
    match event.get("type"):
        case "transcription_session.created":
            return Dialect.BETA
        case "session.created":
            return _by_keys(event.get("session"), _GA_SHOWN, _BETA_SHOWN)
        case _:
            return None


def _by_keys(thing: object, ga: frozenset[str], beta: frozenset[str]) -> Dialect | None:
    if not isinstance(thing, dict):
        return None
    if not ga.isdisjoint(thing):
        return Dialect.GA
    return None if beta.isdisjoint(thing) else Dialect.BETA


def _assistant_parts(item: object) -> Iterator[str]:
    """Yield what the parts of an item are called, as far as the dialects differ in it."""
    if not isinstance(item, dict) or not isinstance(item.get("content"), list):
        return
    for part in item["content"]:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and (item.get("role") == "assistant" or kind in _GA_PARTS):
            yield kind


def _by_parts(parts: Iterable[str]) -> Dialect | None:
    named = set(parts)
    if named & _GA_PARTS:
        return Dialect.GA
    return Dialect.BETA if named & _BETA_PARTS else None
