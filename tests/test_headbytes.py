"""Facts about bytes that no HTTP head may have."""

import pytest

from rt_proxy.realtime.headbytes import is_illegal_head

GOOD = b"GET / HTTP/1.1\r\nHost: a\r\nX: \t b \x80\r\n"


@pytest.mark.parametrize("data", [GOOD, GOOD + b"\r\n", GOOD.replace(b"\r", b""), GOOD + b"\r"])
def test_good(data: bytes) -> None:
    """White space, bytes beyond ASCII and lines that end in either way are legal."""
    assert not is_illegal_head(data)


@pytest.mark.parametrize("byte", [b"\0", b"\x0b", b"\x0c", b"\ra"])
def test_illegal(byte: bytes) -> None:
    """Such a byte is found wherever it stands in the head, whole or not."""
    for head in (byte + GOOD, GOOD + b"Y:" + b" " * 99 + byte, GOOD + byte + b"\r\n\r\n"):
        assert is_illegal_head(head)


@pytest.mark.parametrize("byte", [b"\0", b"\ra"])
def test_byte_by_byte(byte: bytes) -> None:
    """What was found good is not looked at again, but for a CR at its end."""
    head = GOOD + b"Y: " + byte
    found = [is_illegal_head(head[:size], size - 1) for size in range(1, len(head) + 1)]
    assert found.index(True) == len(head) - 1
    assert not is_illegal_head(head + b"Z", len(head) + 1)


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_behind_the_head(end: bytes) -> None:
    """What comes after the head is none of it: frames may have any bytes."""
    assert not is_illegal_head(GOOD + end + b"\x81\x00\x0b\ra")
