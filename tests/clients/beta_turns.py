"""A program for the Beta API, as its users have them: a text, a spoken turn, a function call.

It runs in a process of its own, with whatever ``openai`` package is found there, and
prints what it saw as JSON. Where to and with which key is in the environment, where the
package looks for it.

Usage: beta_turns.py (AsyncOpenAI | AsyncAzureOpenAI) (beta.realtime | realtime)
"""

import array
import asyncio
import base64
import json
import sys
from collections.abc import Sequence
from typing import Any, get_args

import openai
from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import ValidationError

MODEL = "gpt-4o-realtime-preview"
#: Half a second of a square wave in 24 kHz PCM.
NOISE = array.array("h", ([8000] * 30 + [-8000] * 30) * 200).tobytes()
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TEXT_SESSION: Any = {
    "modalities": ["text"],
    "voice": "verse",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1"},
    "turn_detection": {"type": "server_vad", "threshold": 0.4},
    "temperature": 0.7,
    "max_response_output_tokens": 500,
    "instructions": "Be brief.",
}
AUDIO_SESSION: Any = {
    "modalities": ["text", "audio"],
    "voice": "verse",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "turn_detection": None,
}
TOOL_SESSION: Any = {"modalities": ["text"], "tools": [WEATHER], "tool_choice": "auto"}

#: Type of event -> the class that the package has for it.
CLASSES: dict[str, Any] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(RealtimeServerEvent)[0])
}


class Program:
    """One turn after the other on connections of one client; remembers the URLs it opened."""

    def __init__(self, client: str, resource: str) -> None:
        self._client = getattr(openai, client)()
        self._realtime = (
            self._client.beta.realtime if resource == "beta.realtime" else self._client.realtime
        )
        self.opened: list[str] = []

    async def text_turn(self) -> dict[str, Any]:
        """Ask in text, and be answered in text."""
        async with self._realtime.connect(model=MODEL) as connection:
            self._note_url(connection)
            await connection.session.update(session=TEXT_SESSION)
            await say(connection, "Hello there")
            events = await answer(connection)
        return summary(events)

    async def audio_turn(self) -> dict[str, Any]:
        """Speak, and be answered in speech."""
        async with self._realtime.connect(model=MODEL) as connection:
            self._note_url(connection)
            await connection.session.update(session=AUDIO_SESSION)
            for start in range(0, len(NOISE), 4800):
                piece = base64.b64encode(NOISE[start : start + 4800]).decode()
                await connection.input_audio_buffer.append(audio=piece)
            await connection.input_audio_buffer.commit()
            events = await answer(connection)
        return summary(events)

    async def function_call(self) -> dict[str, Any]:
        """Ask for what a tool knows, and give the tool's answer."""
        async with self._realtime.connect(model=MODEL) as connection:
            self._note_url(connection)
            await connection.session.update(session=TOOL_SESSION)
            await say(connection, "How is the weather in Paris?")
            events = await answer(connection)
            output = {
                "type": "function_call_output",
                "call_id": events[-1].response.output[0].call_id,
                "output": '{"sky": "clear"}',
            }
            await connection.conversation.item.create(item=output)
            further = await answer(connection)
        return {**summary(events), "then": summary(further)["text"]}

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    def _note_url(self, connection: Any) -> None:
        request = connection._connection.request
        self.opened.append(f"{request.headers['Host']}{request.path}")


async def say(connection: Any, text: str) -> None:
    """Add what the user says."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await connection.conversation.item.create(item=item)


async def answer(connection: Any) -> list[Any]:
    """Ask for a response, and return all events up to its end."""
    await connection.response.create()
    events: list[Any] = []
    while not events or events[-1].type not in ("response.done", "error"):
        data = await connection.recv_bytes()
        event = connection.parse_event(data)
        event.misfits = misfits(event, data)
        events.append(event)
    return events


def misfits(event: Any, data: bytes) -> list[str]:
    """Return what the package's own types of the Beta API find wrong with an event.

    They list the models of their day, and a channel may show another.
    """
    try:
        CLASSES[event.type].model_validate_json(data)
    except KeyError:
        return [f"{event.type}: unknown"]
    except ValidationError as error:
        wrong = [one for one in error.errors() if one["loc"] != ("session", "model")]
        return [f"{event.type}: {one['loc']}: {one['msg']}" for one in wrong]
    return []


def summary(events: Sequence[Any]) -> dict[str, Any]:
    """Return what a user of the package would look at."""
    deltas: dict[str, list[str]] = {}
    for event in events:
        if event.type.endswith(".delta"):
            deltas.setdefault(event.type, []).append(event.delta)
    audio = b"".join(map(base64.b64decode, deltas.get("response.audio.delta", [])))
    sessions = {event.type: event.session for event in events if "session" in event.type}
    created = [event.item for event in events if event.type == "conversation.item.created"]
    last = events[-1]
    if last.type == "error":
        return {"error": last.error.to_dict()}
    return {
        "types": [event.type for event in events],
        "misfits": [misfit for event in events for misfit in event.misfits],
        "sessions": {type_: chosen(session) for type_, session in sessions.items()},
        "created": [item.id for item in created],
        "text": "".join(deltas.get("response.text.delta", [])),
        "transcript": "".join(deltas.get("response.audio_transcript.delta", [])),
        "arguments": "".join(deltas.get("response.function_call_arguments.delta", [])),
        "samples": len(audio) // 2,
        "loudest": max(array.array("h", audio), default=0),
        "response": last.response.to_dict(warnings=False),
    }


def chosen(session: Any) -> dict[str, Any]:
    """Return fields of a session as the package's types have them."""
    told = {name: getattr(session, name, None) for name in ("model", *TEXT_SESSION)}
    return json.loads(json.dumps(told, default=lambda value: value.to_dict()))


async def main() -> None:
    """Hold the turns, and print what came."""
    program = Program(*sys.argv[1:])
    seen = {
        "version": openai.__version__,
        "text": await program.text_turn(),
        "audio": await program.audio_turn(),
        "call": await program.function_call(),
        "opened": program.opened,
    }
    await program.close()
    print(json.dumps(seen))


asyncio.run(main())
