"""What a client may send: the check of every client event.

Values only; ``dialogue.py`` says what each event does. The shapes are those of
the API reference (GA), and a field that is not in them is refused.
"""

from rt_proxy.simulator.items import input_item, item_fields
from rt_proxy.simulator.schema import (
    Check,
    anything,
    array,
    audio,
    boolean,
    choice,
    clearable,
    integer,
    nullable,
    shape,
    string,
    strings,
)
from rt_proxy.simulator.session import (
    audio_format,
    instructions,
    max_output_tokens,
    output_modalities,
    prompt,
    reasoning,
    tool_choice,
    tools,
    voice,
)

_response_audio = shape({"output": shape({"format": audio_format, "voice": voice})})
_response = shape(
    {
        "output_modalities": output_modalities,
        "instructions": instructions,
        "audio": clearable(_response_audio, {}),
        "tools": tools,
        "tool_choice": tool_choice,
        "parallel_tool_calls": nullable(boolean),
        "reasoning": reasoning,
        "max_output_tokens": max_output_tokens,
        "conversation": clearable(choice("auto", "none"), "auto"),
        "input": nullable(array(input_item)),
        "metadata": nullable(strings(16, 64, 512)),
        "prompt": prompt,
    }
)


def client_event(*required: str, **fields: Check) -> Check:
    """Accept a client event of exactly these fields, besides ``type`` and ``event_id``."""
    common = {"type": anything, "event_id": nullable(string(512))}
    return shape({**common, **fields}, required=required)


_item_id = string(64)

#: Type -> check, of the events of a transcription session.
TRANSCRIPTION_EVENTS: dict[str, Check] = {
    "session.update": client_event("session", session=anything),
    "input_audio_buffer.append": client_event("audio", audio=audio),
    "input_audio_buffer.commit": client_event(),
    "input_audio_buffer.clear": client_event(),
    "conversation.item.retrieve": client_event("item_id", item_id=_item_id),
    "conversation.item.delete": client_event("item_id", item_id=_item_id),
}

#: Type -> check, of the events of a speech-to-speech session.
REALTIME_EVENTS: dict[str, Check] = {
    **TRANSCRIPTION_EVENTS,
    "conversation.item.create": client_event(
        "item", item=item_fields, previous_item_id=nullable(_item_id)
    ),
    "conversation.item.truncate": client_event(
        "item_id",
        "content_index",
        "audio_end_ms",
        item_id=_item_id,
        content_index=integer(0, 1000),
        audio_end_ms=integer(0, 10**9),
    ),
    "response.create": client_event(response=nullable(_response)),
    "response.cancel": client_event(response_id=nullable(_item_id)),
}
