"""Facts about reading what an upstream answers to our upgrade."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rt_proxy.realtime.upgrade import NotUpgraded, Upgraded, read_upgrade

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


def read_in_pieces(data: bytes) -> Upgraded | NotUpgraded | None:
    """Read an answer that comes byte by byte, and return the first decision."""
    for size in range(len(data) + 1):
        answer = read_upgrade(data[:size])
        if answer is not None:
            return answer
    return None


def test_an_upgrade() -> None:
    """A 101 is given with its head."""
    assert read_upgrade(HEAD) == Upgraded(HEAD, b"")


@given(st.binary(max_size=50))
def test_frames_after_the_head(frames: bytes) -> None:
    """The first frames may come in the same read as the head; none of them is lost."""
    assert read_upgrade(HEAD + frames) == Upgraded(HEAD, frames)


def test_any_cutting() -> None:
    """A decision is made at the last byte of the head, not before."""
    for size in range(len(HEAD)):
        assert read_upgrade(HEAD[:size]) is None
    assert read_in_pieces(HEAD + b"\x81\x00") == Upgraded(HEAD, b"")


@pytest.mark.parametrize("early", [EARLY, b"HTTP/1.1 102 \r\n\r\n", EARLY * 3])
def test_informational_answers_are_passed_over(early: bytes) -> None:
    """What comes before the 101, such as 103, is not the answer (RFC 9110, 15.2)."""
    assert read_upgrade(early + HEAD + b"x") == Upgraded(HEAD, b"x")
    assert read_in_pieces(early + HEAD) == Upgraded(HEAD, b"")
    assert read_upgrade(early) is None


@pytest.mark.parametrize("status", [100, 200, 204, 301, 400, 401, 403, 404, 426, 500, 599])
def test_a_refusal_is_known_by_its_status(status: int) -> None:
    """Any other status is a refusal; neither its head nor its body is waited for."""
    line = f"HTTP/1.1 {status} Why\r\n".encode()
    assert read_upgrade(line) == NotUpgraded(status, f"HTTP {status}")
    assert read_upgrade(EARLY + line) == NotUpgraded(status, f"HTTP {status}")


@pytest.mark.parametrize(
    "line", [b"HTTP/1.0 404 No\r\n", b"HTTP/1.1 404\r\n", b"HTTP/1.1 404 No\n"]
)
def test_status_lines_of_all_kinds(line: bytes) -> None:
    """HTTP/1.0, no reason, and a bare line feed are understood."""
    assert read_upgrade(line) == NotUpgraded(404, "HTTP 404")


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\r\n",
        b"HTTP/2 200\r\n",
        b"HTTP/1.1 abc\r\n",
        b"HTTP/1.1 1010 Long\r\n",
        b"HTTP/1.1 600 Odd\r\n",
        b"<html>\n",
        b"\x16" * 1_025,
        b"HTTP/1.1 200 " + b"x" * 1_025,
        EARLY + b"nonsense\n",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_not_http(data: bytes) -> None:
    """Another protocol is told by its first line, or by a line without an end."""
    assert read_upgrade(data) == NotUpgraded(None, "the answer is not HTTP")


@pytest.mark.parametrize(
    "data",
    [
        HEAD[:-2] + b"X: " + b"a" * 16_384,
        (EARLY * 1_000)[:16_385],
        EARLY * 1_000,
    ],
    ids=["one head", "many heads, in the middle", "many heads"],
)
def test_a_head_without_an_end(data: bytes) -> None:
    """An answer that goes on for more than 16 KiB, in one head or in many, is not waited for."""
    answer = read_upgrade(data)
    assert isinstance(answer, NotUpgraded)
    assert answer.why == "the head of the answer is too long"


@given(st.binary(max_size=300))
def test_never_raises(data: bytes) -> None:
    """Any bytes are an answer, or the beginning of one."""
    assert isinstance(read_upgrade(data), Upgraded | NotUpgraded | None)
    assert isinstance(read_upgrade(EARLY + data), Upgraded | NotUpgraded | None)


REFUSED = b"HTTP/1.1 503 Busy\r\n%b\r\n"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (b"Retry-After: 7\r\n", 7),
        (b"RETRY-AFTER:7\r\n", 7),
        (b"Content-Length: 0\r\nRetry-After: 120 \r\n", 120),
        (
            (
                b"Date: Thu, 26 Nov 2026 12:00:00 GMT\r\n"
                b"Retry-After: Thu, 26 Nov 2026 12:01:30 GMT\r\n"
            ),
            90,
        ),
        (
            (
                b"Date: Thu, 26 Nov 2026 12:00:00 GMT\r\n"
                b"Retry-After: Thu, 26 Nov 2026 11:00:00 GMT\r\n"
            ),
            0,
        ),
        (b"Retry-After: Thu, 26 Nov 2026 12:01:30 GMT\r\n", None),
        (b"Retry-After: soon\r\n", None),
        *(
            (b"Date: %b\r\nRetry-After: %b\r\n" % dates, None)
            for year in (b"99999999999999999999", b"2147483648")
            for zone in (b"GMT", b"+99999999999999999999")
            for absurd in [b"Thu, 26 Nov %b 12:01:30 %b" % (year, zone)]
            for dates in [(absurd, absurd), (b"Thu, 26 Nov 2026 12:00:00 GMT", absurd)]
        ),
        (b"Retry-After: -5\r\n", None),
        (b"Retry-After: \xff\r\n", None),
        (b"", None),
    ],
)
@pytest.mark.parametrize("status", [b"429", b"503"])
def test_when_to_come_again(headers: bytes, seconds: float | None, status: bytes) -> None:
    """An upstream that is busy may say for how long, in seconds or as a date."""
    answer = read_upgrade(REFUSED.replace(b"503", status) % headers)
    assert answer == NotUpgraded(int(status), f"HTTP {int(status)}", seconds)


def test_the_head_of_a_busy_upstream_is_waited_for() -> None:
    """What may say when to come again is read to the end of its head, or of the connection."""
    begun = b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\n"
    assert read_upgrade(begun) is None
    assert read_upgrade(begun, at_end=True) == NotUpgraded(503, "HTTP 503", 5)
    assert read_upgrade(begun + b"X: " + b"x" * 20_000) == NotUpgraded(503, "HTTP 503", 5)


def test_endless_digits() -> None:
    """A number of thousands of digits is a number."""
    answer = read_upgrade(REFUSED % (b"Retry-After: " + b"9" * 5_000 + b"\r\n"))
    assert isinstance(answer, NotUpgraded)
    assert answer.retry_after == 999_999_999


@pytest.mark.parametrize("byte", [b"\0", b"\x0b", b"\x0c", b"\ra"])
def test_bytes_that_no_head_has(byte: bytes) -> None:
    """They are found here: the parser of the 101 would take long over white space before them."""
    head = b"HTTP/1.1 101 X\r\nX:" + b" " * 16_000 + byte + b"\r\n\r\n"
    assert read_upgrade(head) == NotUpgraded(101, "the head of the answer is malformed")
