"""A turn of the client, event by event: what it asks, follows, counts and calls a problem."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy import clientturn
from rt_proxy.clientturn import Question, Reply, Turn
from rt_proxy.realtime.frames import Close

CREATED = {"type": "session.created", "session": {"type": "realtime"}}
RESPONDS = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}
USAGE = {"total_tokens": 30, "input_tokens": 10, "output_tokens": 20}


def done(status: str = "completed", **more: Any) -> dict[str, Any]:
    """Return the event that ends a response."""
    return {"type": "response.done", "response": {"id": "resp_1", "status": status, **more}}


def audio(samples: bytes) -> dict[str, Any]:
    """Return a piece of the answer's audio."""
    return {"type": "response.output_audio.delta", "delta": base64.b64encode(samples).decode()}


def error(**fields: object) -> dict[str, Any]:
    """Return an ``error`` event."""
    return {"type": "error", "error": fields}


class Follower:
    """A turn that began at second 100, and what it heard."""

    def __init__(self, *, keep_audio: bool = True) -> None:
        self.heard: list[str] = []
        self.turn = Turn(100, self.heard.append, keep_audio=keep_audio)

    def take(self, *events: object) -> None:
        """Follow events, each half a second after the one before."""
        for number, event in enumerate(events, 1):
            self.turn.take(json.dumps(event).encode(), 100 + number / 2)

    def reply(self) -> Reply:
        """Return what came of it, ten seconds after the beginning."""
        return self.turn.reply(110)


def test_question_asks_for_audio_as_samples() -> None:
    """A spoken answer is asked for as audio of 24 kHz, whatever the server's default is."""
    update, create, respond = Question("Hello").events()

    assert update["session"] == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24_000}}},
    }
    assert create["item"]["content"] == [{"type": "input_text", "text": "Hello"}]
    assert respond == {"type": "response.create"}


def test_question_asks_for_text() -> None:
    """An answer in text says nothing of audio, which some models have none of."""
    update = Question("Hello", spoken=False).events()[0]

    assert update["session"] == {"type": "realtime", "output_modalities": ["text"]}


def test_a_server_of_the_beta() -> None:
    """A server that shows Beta is asked in Beta, and its events are understood."""
    follower = Follower()

    follower.take({"type": "session.created", "session": {"modalities": ["text", "audio"]}})
    update, create, respond = map(json.loads, follower.turn.questions(Question("Hello")))
    follower.take(
        RESPONDS,
        {"type": "response.audio_transcript.delta", "delta": "Hi"},
        {"type": "response.audio.delta", "delta": "AQI="},
        done(usage=USAGE),
    )

    assert update["session"] == {"modalities": ["text", "audio"], "output_audio_format": "pcm16"}
    assert create["item"]["content"] == [{"type": "input_text", "text": "Hello"}]
    assert respond == {"type": "response.create"}
    assert follower.heard == ["Hi"]
    assert follower.reply().completed
    assert follower.reply().audio == b"\x01\x02"


def test_a_long_number_of_the_beta() -> None:
    """An integer of more digits than Python reads changes nothing."""
    follower = Follower()
    follower.take({"type": "session.created", "session": {"modalities": ["text"]}})

    digits = b"1" * 5_000
    follower.turn.take(b'{"type":"response.created","response":{"n":' + digits + b"}}", 101)
    follower.take({"type": "response.text.delta", "delta": "Hi"}, done())

    assert follower.heard == ["Hi"]


def test_completed() -> None:
    """A spoken answer gives its transcript, its audio, its usage and four times."""
    follower = Follower()

    follower.take(
        CREATED,
        RESPONDS,
        {"type": "response.output_audio_transcript.delta", "delta": "Hi "},
        audio(b"\x01\x02"),
        {"type": "response.output_audio_transcript.delta", "delta": "you"},
        audio(b"\x03\x04"),
        done(usage=USAGE),
    )

    reply = follower.reply()
    assert follower.turn.over
    assert follower.heard == ["Hi ", "you"]
    assert reply.completed
    assert reply.problems == ()
    assert reply.audio == b"\x01\x02\x03\x04"
    assert reply.usage is not None
    assert reply.usage["output_tokens"] == 20
    assert reply.times == clientturn.Times(
        session_created=0.5, first_text=1.5, first_audio=2.0, total=10
    )


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        ({"total_tokens": True, "output_tokens": 20}, None),
        ({"total_tokens": 5, "output_tokens": 20, "input_token_details": 7}, 5),
    ],
)
def test_odd_usage(usage: dict[str, Any], total: object) -> None:
    """What is odd in the usage is missing; the response is done, and the rest is told."""
    follower = Follower()

    follower.take(CREATED, RESPONDS, done(usage=usage))

    reply = follower.reply()
    assert reply.completed
    assert reply.usage is not None
    assert (reply.usage.get("total_tokens"), reply.usage["output_tokens"]) == (total, 20)


@pytest.mark.parametrize("usage", [None, 5, [], "none"])
def test_no_usage(usage: object) -> None:
    """A usage that is no object is none, and the response is done all the same."""
    follower = Follower()

    follower.take(CREATED, RESPONDS, done(usage=usage))

    assert follower.reply().completed
    assert follower.reply().usage is None


def test_text_answer() -> None:
    """An answer in text is heard, and has no audio and no time of it."""
    follower = Follower()

    follower.take(CREATED, RESPONDS, {"type": "response.output_text.delta", "delta": "Hi"}, done())

    assert follower.heard == ["Hi"]
    assert follower.reply().times.first_audio is None


def test_audio_that_is_not_kept_is_counted() -> None:
    """Who saves nothing holds nothing, and still learns how long the answer was."""
    follower = Follower(keep_audio=False)

    follower.take(audio(b"\x01\x02" * 50))

    assert follower.reply().audio == b""
    assert follower.reply().audio_bytes == 100


def test_audio_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audio beyond the bound is counted and not kept."""
    monkeypatch.setattr(clientturn, "MOST_AUDIO_BYTES", 6)
    follower = Follower()

    follower.take(audio(b"1234"), audio(b"5678"), audio(b"90"), done())

    assert follower.reply().audio == b"123456"
    assert follower.reply().audio_bytes == 10
    assert follower.reply().completed


def test_half_a_sample_is_left_out() -> None:
    """The audio ends at a whole sample, wherever the pieces were cut."""
    follower = Follower()

    follower.take(audio(b"123"), audio(b"45"))

    assert follower.reply().audio == b"1234"


def test_audio_that_cannot_be_read() -> None:
    """Audio that is not base64 ends the turn as a problem."""
    follower = Follower()

    follower.take(RESPONDS, {"type": "response.output_audio.delta", "delta": "%%%"})

    assert follower.turn.over
    assert follower.reply().problems == ("the server sent audio that is not base64",)


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (
            done("failed", status_details={"error": {"code": "server_error", "message": "oops"}}),
            "the response is failed: server_error: oops",
        ),
        (
            done("incomplete", status_details={"reason": "max_output_tokens"}),
            "the response is incomplete: max_output_tokens",
        ),
        (done("cancelled", status_details=None), "the response is cancelled"),
        (done("failed", status_details={}), "the response is failed"),
        ({"type": "response.done", "response": {}}, "the response is without a status"),
        ({"type": "response.done"}, "the server sent a response.done that cannot be read"),
    ],
)
def test_response_that_did_not_complete(event: dict[str, Any], problem: str) -> None:
    """A response that ends in another way is a problem with the server's reason."""
    follower = Follower()

    follower.take(CREATED, RESPONDS, event)

    assert follower.turn.over
    assert not follower.reply().completed
    assert follower.reply().problems == (problem,)


def test_error_before_the_response() -> None:
    """An error in place of a response ends the turn; the close frame then adds its code."""
    follower = Follower()

    follower.take(error(type="invalid_request_error", code="invalid_api_key", message="No."))
    assert follower.turn.refused
    assert follower.turn.over
    follower.turn.close(Close(3000, "invalid_request_error.invalid_api_key", b""))

    assert follower.reply().problems == (
        "error invalid_api_key: No.",
        "closed by the server with code 3000 (invalid_request_error.invalid_api_key)",
    )


def test_error_during_the_response() -> None:
    """An error in the midst of a response is told, and the response may still complete."""
    follower = Follower()

    follower.take(CREATED, RESPONDS, error(type="server_error", message="Odd."), done())

    assert follower.reply().completed
    assert follower.reply().problems == ("error server_error: Odd.",)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"error":{"code":"invalid_api_key","message":"No."}}', " invalid_api_key: No."),
        (b'{"error":"no"}', ""),
        (b"<html>", ""),
        (b"", ""),
    ],
)
def test_refused_upgrade(body: bytes, problem: str) -> None:
    """A refusal in HTTP is told with its status, and with the error in its body if there is one."""
    follower = Follower()

    follower.turn.refuse("HTTP 401", body)

    assert follower.turn.over
    assert follower.reply().problems == (f"refused: HTTP 401{problem}",)


def test_close_without_a_reason() -> None:
    """A close frame is told by its code alone where it has no reason."""
    follower = Follower()

    follower.turn.close(Close(1011, "", b""))

    assert follower.reply().problems == ("closed by the server with code 1011",)


def test_waits_for() -> None:
    """What a turn waits for changes as it goes on."""
    follower = Follower()
    waits = [follower.turn.waits_for]

    follower.turn.connected = True
    waits.append(follower.turn.waits_for)
    for event in (CREATED, RESPONDS):
        follower.take(event)
        waits.append(follower.turn.waits_for)

    assert waits == ["no connection", "no session.created", "no response",
                     "the response was not done"]  # fmt: skip


def test_long_words_of_a_server_are_cut() -> None:
    """A server cannot fill the screen with a problem."""
    follower = Follower()

    follower.take(error(code="x", message="y" * 10_000))

    assert len(follower.reply().problems[0]) < 600


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_TYPES = st.sampled_from(
    ["session.created", "response.created", "response.output_text.delta", "error",
     "response.output_audio.delta", "response.done"]
)  # fmt: skip


@given(
    st.fixed_dictionaries(
        {"type": _TYPES | _JSON},
        optional={"delta": _JSON, "error": _JSON, "response": _JSON, "session": _JSON},
    )
    | _JSON
)
def test_nothing_raises(event: object) -> None:
    """Whatever shape a server gives an event, the turn goes on or has a problem."""
    follower = Follower()

    follower.take(event)

    assert follower.reply().times.total == 10


@given(st.binary())
def test_no_bytes_raise(payload: bytes) -> None:
    """Bytes that are no event change nothing."""
    follower = Follower()

    follower.turn.take(payload, 101)

    assert not follower.turn.over
