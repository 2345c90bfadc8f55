"""Facts about events that come too fast, and are refused."""

import json

import pytest

from rt_proxy.realtime.frames import Splice
from rt_proxy.realtime.gauge import Gauge
from rt_proxy.realtime.overrate import reading_all, refused_for_rate
from rt_proxy.realtime.peek import Lanes


def test_reading_all() -> None:
    """What would pass, counted or not, is read if it is small enough; the rest is as it was."""
    lanes = Lanes(["read"])
    lanes.lay(["read"], large=["large"], renamed={"old": "new"}, counted={"counted": Gauge()})
    rule = reading_all(lanes)
    told = {
        kind: rule(b'{"type":"%b"' % kind.encode(), True)
        for kind in ("read", "large", "counted", "any")
    }
    assert told == {"read": True, "large": "large", "counted": "small", "any": "small"}
    assert isinstance(rule(b'{"type":"old"', True), Splice)
    assert rule(b'{"ty', False) is None


def test_the_answer() -> None:
    """The client hears which limit it was, and which of its events."""
    payload = b'{"type":"input_audio_buffer.append","event_id":"mine","audio":"AAAA"}'
    event = json.loads(refused_for_rate(payload, "the limit x of this token").payload)
    assert event["type"] == "error"
    assert event["error"]["type"] == "rate_limit_error"
    assert event["error"]["code"] == "rate_limit_exceeded"
    assert event["error"]["event_id"] == "mine"
    assert "the limit x of this token" in event["error"]["message"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"event_id":7}',
        b'{"event_id":"%b"}' % (b"x" * 600),
        b'{"event_id":"late","audio":"%b"}' % (b"A" * 70_000),
        b'{"event_id":"deep","x":%b}' % (b"[" * 60_000),
    ],
)
def test_an_event_without_an_id(payload: bytes) -> None:
    """What has no id, or one that would take long to find or to tell, is refused without it."""
    event = json.loads(refused_for_rate(payload, "it").payload)
    assert event["error"]["event_id"] is None
