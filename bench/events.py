"""The events that load generator and upstream exchange, as the bytes of one text frame each.

Sizes and shapes are those of the GA Realtime API. An echoed event carries the times at which it
passed each end, as digits at the end of its audio (digits are legal base64), so that the delay of
every single event is known in each direction. All times are `time.monotonic_ns`, one clock for the
whole machine.
"""

import json
from typing import Any

MODEL = "gpt-realtime-2.1"

APPEND_BYTES = 4096
DELTA_BYTES = 4096
BURST_DELTA_BYTES = 6144
BURST_DELTAS = 100

DELTA_START = b'{"type":"response.output_audio.delta",'
_STAMP_DIGITS = 20
_TAIL = b'"}'


def _event(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _delta_fields() -> dict[str, object]:
    return {
        "type": "response.output_audio.delta",
        "event_id": "event_CxM5nTq0EPuMsPNnRZWw1",
        "response_id": "resp_CxM5mJ1mV1zoFuQ8XPXrN",
        "item_id": "item_CxM5mZ6kP7Hs4QAn8dTtB",
        "output_index": 0,
        "content_index": 0,
    }


def _audio_event(size: int, stamps: int, audio_field: str, **fields: object) -> bytes:
    """An event of `size` bytes, cut off where its stamps and its tail go."""
    empty = _event(**fields, **{audio_field: ""})
    room = size - len(empty) - stamps * _STAMP_DIGITS
    return empty.removesuffix(_TAIL) + b"A" * room


_AUDIO = {
    "input": {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        },
    },
    "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
}

SESSION_CREATED = _event(
    type="session.created",
    event_id="event_CxM5kD6wqzR8Yp1u3lVbS",
    session={
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_CxM5kN0cFh2aJt9dWvKeL",
        "model": MODEL,
        "output_modalities": ["audio"],
        "instructions": "You are a helpful, witty and friendly assistant. Talk quickly.",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": 4102444800,
        "audio": _AUDIO,
        "include": None,
    },
)

RESPONSE_CREATE = _event(type="response.create")


def _response(event_type: str, status: str, **fields: object) -> bytes:
    response = {
        "object": "realtime.response",
        "id": "resp_CxM5mJ1mV1zoFuQ8XPXrN",
        "status": status,
        "status_details": None,
        "conversation_id": "conv_CxM5kQ4nUgBz7XoT1sYmC",
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "audio": {"output": _AUDIO["output"]},
        "metadata": None,
        **fields,
    }
    return _event(type=event_type, event_id="event_CxM5nTq0EPuMsPNnRZWw2", response=response)


RESPONSE_CREATED = _response("response.created", "in_progress", output=[], usage=None)
RESPONSE_DONE = _response(
    "response.done",
    "completed",
    output=[
        {
            "id": "item_CxM5mZ6kP7Hs4QAn8dTtB",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_audio", "transcript": "Nine seconds of good advice."}],
        }
    ],
    usage={
        "total_tokens": 318,
        "input_tokens": 119,
        "output_tokens": 199,
        "input_token_details": {
            "text_tokens": 119,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 30, "audio_tokens": 169},
    },
)

BURST_DELTA = _audio_event(BURST_DELTA_BYTES, 0, "delta", **_delta_fields()) + _TAIL


def beta(event: bytes) -> dict[str, Any]:
    """`RESPONSE_CREATED` or `RESPONSE_DONE` as a Beta client must get it."""
    translated: dict[str, Any] = json.loads(event)
    response = translated["response"]
    del response["output_modalities"]
    output = response.pop("audio")["output"]
    response |= {
        "modalities": ["text", "audio"],
        "voice": output["voice"],
        "output_audio_format": "pcm16",
        "temperature": 0.8,
    }
    if "speed" in output:
        response["audio"] = {"output": {"speed": output["speed"]}}
    for item in response["output"]:
        item["object"] = "realtime.item"
        for part in item["content"]:
            part["type"] = part["type"].removeprefix("output_")
    return translated


BETA_BURST_DELTA = BURST_DELTA.replace(b"response.output_audio.delta", b"response.audio.delta")

_APPEND = _audio_event(APPEND_BYTES, 1, "audio", type="input_audio_buffer.append")
_DELTA = _audio_event(DELTA_BYTES, 3, "delta", **_delta_fields())


def append(sent: int) -> bytes:
    """`input_audio_buffer.append`, stamped with the time it is sent."""
    return b'%b%020d"}' % (_APPEND, sent)


def read_append(payload: bytes) -> int:
    """The time at which an append was sent."""
    return int(payload[-_STAMP_DIGITS - 2 : -2])


def delta(sent: int, arrived: int, answered: int) -> bytes:
    """The answer to an append: when that was sent and arrived, and when this one is sent."""
    return b'%b%020d%020d%020d"}' % (_DELTA, sent, arrived, answered)


def read_delta(payload: bytes) -> tuple[int, int, int]:
    """The three times of `delta`."""
    stamps = payload[-3 * _STAMP_DIGITS - 2 : -2]
    return int(stamps[:20]), int(stamps[20:40]), int(stamps[40:])
