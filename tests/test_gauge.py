"""Facts about counting what passes unread."""

import pytest

from rt_proxy.realtime.gauge import Gauge


def frame(delta: bytes, before: bytes = b"") -> tuple[bytes, int, int]:
    """Return bytes with an event in their middle, and where it begins and ends."""
    event = b'{"type":"response.output_audio.delta",%b"delta":"%b"}' % (before, delta)
    return b"##" + event + b"##", 2, 2 + len(event)


def test_counts_the_value_alone() -> None:
    """Of an event only the characters of its delta count, to the last one."""
    gauge = Gauge()
    gauge.note_frame(*frame(b"AAAA"))
    gauge.note_frame(*frame(b"", before=b'"response_id":"resp_1",'))
    gauge.note_frame(*frame(b"B" * 5_000))
    assert gauge.amount == 5_004


def test_counts_whole_what_it_cannot_find() -> None:
    """A key that is spelled otherwise, or stands too far behind, lets the event count whole."""
    gauge = Gauge()
    data = rb'{"type":"response.output_audio.delta","d\u0065lta":"AAAA"}'
    gauge.note_frame(data, 0, len(data))
    assert gauge.amount == len(data)
    whole, start, end = frame(b"AAAA", before=b'"x":"' + b"x" * 2_000 + b'",')
    gauge.note_frame(whole, start, end)
    assert gauge.amount == len(data) + end - 2


@pytest.mark.parametrize("spelled", [b'"delta": "', b'"delta" :\n\t"'])
def test_with_spaces(spelled: bytes) -> None:
    """Upstreams that write their JSON with spaces are counted as exactly."""
    data = b'{"type": "response.output_audio.delta", ' + spelled + b'AAAA"}'
    gauge = Gauge()
    gauge.note_frame(data, 0, len(data))
    assert gauge.amount == 4


def test_does_not_look_into_the_next_frame() -> None:
    """A key that stands behind the frame is not its own."""
    gauge = Gauge()
    gauge.note_frame(b'{"a":1}' + frame(b"AAAA")[0], 0, 7)
    assert gauge.amount == 7


def test_counts_a_frame_of_which_only_the_start_is_here() -> None:
    """A large frame is counted by its header, before all of it has come."""
    data, start, end = frame(b"A" * 100)
    gauge = Gauge()
    gauge.note_frame(data[:60], start, end)
    assert gauge.amount == 100


def test_masked_frames_count_whole() -> None:
    """Nothing can be found in bytes that are masked; without a key all of them count."""
    gauge = Gauge(b"")
    gauge.note_frame(b"\x01" * 100, 10, 90)
    assert gauge.amount == 78


def test_calls_once_at_each_mark() -> None:
    """When the amount has come so far the function is called, and not again until it is set."""
    gauge = Gauge()
    calls: list[int] = []
    gauge.on_mark = lambda: calls.append(gauge.amount)
    gauge.note(5)
    gauge.mark = 10
    for _ in range(3):
        gauge.note(3)
    gauge.note(100)
    assert calls == [11]
    gauge.mark = 120
    gauge.note(6)
    assert calls == [11, 120]
