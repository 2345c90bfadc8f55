"""Facts about frames as bytes: building, masking, close codes."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from rt_proxy.realtime.frames import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    Run,
    build_frame,
    build_header,
    is_legal_close_code,
    mask,
)

KEY = bytes.fromhex("37fa213d")


def test_mask_of_the_rfc() -> None:
    """The masked "Hello" of RFC 6455, 5.7, comes out as printed there."""
    assert mask(b"Hello", KEY) == bytes.fromhex("7f9f4d5158")


@given(data=st.binary(max_size=300), key=st.binary(min_size=4, max_size=4))
def test_mask_is_byte_by_byte(data: bytes, key: bytes) -> None:
    """Byte i is xor-ed with byte i modulo 4 of the key, and masking twice changes nothing."""
    assert mask(data, key) == bytes(byte ^ key[i % 4] for i, byte in enumerate(data))
    assert mask(memoryview(mask(bytearray(data), key)), key) == data


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, "8200"),
        (125, "827d"),
        (126, "827e007e"),
        (256, "827e0100"),
        (65_535, "827effff"),
        (65_536, "827f0000000000010000"),
    ],
)
def test_header_uses_the_shortest_length(length: int, header: str) -> None:
    """The length takes 7, 16 or 64 bits, the fewest that hold it (RFC 6455, 5.2)."""
    assert build_header(0x82, length, None).hex() == header


def test_masked_header() -> None:
    """A masked header has the mask bit set and ends with the key."""
    assert build_header(0x81, 5, KEY) == b"\x81\x85" + KEY
    assert build_header(0x81, 300, KEY) == b"\x81\xfe\x01\x2c" + KEY


@given(
    opcode=st.sampled_from([TEXT, BINARY, PING]),
    size=st.sampled_from([0, 1, 125, 126, 65_535, 65_536]),
    masked=st.booleans(),
)
def test_whole_frames_are_understood_by_others(opcode: int, size: int, masked: bool) -> None:
    """Another implementation reads a built frame as what was put in."""
    payload = b"x" * (min(size, 125) if opcode == PING else size)
    parser = FrameProtocol(client=not masked, extensions=[])
    parser.receive_bytes(build_frame(opcode, payload, masked=masked))
    (frame,) = parser.received_frames()
    assert frame.opcode == opcode
    assert frame.frame_finished
    assert frame.message_finished
    assert frame.payload == (payload.decode() if opcode == TEXT else payload)


def test_fragments_have_no_fin() -> None:
    """A frame that is not the last one of its message lacks the FIN bit."""
    assert build_frame(TEXT, b"a", masked=False, fin=False) == b"\x01\x01a"
    assert build_frame(CONTINUATION, bytearray(b"b"), masked=False) == b"\x80\x01b"


def test_every_masked_frame_has_a_fresh_key() -> None:
    """No two masked frames share a key (RFC 6455, 5.3): it must not be predictable."""
    keys = {build_frame(TEXT, b"", masked=True)[2:] for _ in range(50)}
    assert len(keys) == 50


@given(code=st.integers(-1, 70_000))
@example(1004)
@example(1015)
def test_legal_close_codes(code: int) -> None:
    """A frame may carry 1000-1003, 1007-1014 and 3000-4999, and nothing else (RFC 6455, 7.4)."""
    legal = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
    assert is_legal_close_code(code) is (code in legal)


def test_pieces_are_values() -> None:
    """Pieces compare by what they hold, and cannot be changed."""
    assert Run(b"x", 1) == Run(b"x", 1, message_open=False)
    with pytest.raises(AttributeError):
        Run(b"x", 1).events = 2  # type: ignore[misc]  # that it fails is the point
