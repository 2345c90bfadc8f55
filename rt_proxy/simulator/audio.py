"""Audio formats of the API: bytes to samples and back, and how loud they are.

pcm16 at 24 kHz and G.711 (ITU-T G.711, mu-law and A-law) at 8 kHz, all mono.
Pure arithmetic; nothing here knows an event.
"""

import math
import operator
import sys
from array import array
from collections.abc import Callable, Sequence

import attrs


def _ulaw_encoded(sample: int) -> int:
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = 0x80 if sample < 0 else 0
    return ~(sign | exponent << 4 | mantissa) & 0xFF


def _ulaw_decoded(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 132 << ((code & 0x70) >> 4)) - 132
    return -magnitude if code & 0x80 else magnitude


def _alaw_encoded(sample: int) -> int:
    mask = 0xD5 if sample >= 0 else 0x55
    magnitude = (sample if sample >= 0 else ~sample) >> 3
    segment = max(0, magnitude.bit_length() - 5)
    return (segment << 4 | (magnitude >> max(1, segment)) & 0x0F) ^ mask


def _alaw_decoded(code: int) -> int:
    code ^= 0x55
    segment = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + (0x08 if segment == 0 else 0x108)
    magnitude <<= max(0, segment - 1)
    return magnitude if code & 0x80 else -magnitude


def _pcm_encoded(samples: Sequence[int]) -> bytes:
    words = array("h", samples)
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def _pcm_decoded(data: bytes) -> Sequence[int]:
    words = array("h", data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _table(decode: Callable[[int], int]) -> tuple[int, ...]:
    return tuple(decode(code) for code in range(256))


_ULAW = _table(_ulaw_decoded)
_ALAW = _table(_alaw_decoded)


@attrs.frozen
class AudioFormat:
    """How sound is written as bytes.

    Attributes:
        type: The name in the API, such as ``audio/pcm``.
        rate: Samples per second.
        bytes_per_ms: Bytes of one millisecond.
        encode: Samples (16 bit, signed) -> bytes.
        decode: Bytes -> samples; half a sample at the end is left out.
    """

    type: str
    rate: int
    bytes_per_ms: int
    encode: Callable[[Sequence[int]], bytes] = attrs.field(repr=False)
    decode: Callable[[bytes], Sequence[int]] = attrs.field(repr=False)

    def milliseconds(self, size: int) -> int:
        """Return how long so many bytes sound, in whole milliseconds."""
        return size // self.bytes_per_ms

    def loudness(self, data: bytes) -> float:
        """Return the root mean square of the samples, from 0 to 1.

        Every seventh sample is enough to tell speech from silence, and a large
        append holds up the other sessions of the process that much less.
        """
        one_byte = self.bytes_per_ms * 1000 == self.rate
        samples = self.decode(data[::7]) if one_byte else self.decode(data)[::7]
        if not samples:
            return 0.0
        return math.sqrt(sum(map(operator.mul, samples, samples)) / len(samples)) / 32768


PCM = AudioFormat("audio/pcm", 24000, 48, _pcm_encoded, _pcm_decoded)
PCMU = AudioFormat(
    "audio/pcmu",
    8000,
    8,
    lambda samples: bytes(map(_ulaw_encoded, samples)),
    lambda data: [_ULAW[code] for code in data],
)
PCMA = AudioFormat(
    "audio/pcma",
    8000,
    8,
    lambda samples: bytes(map(_alaw_encoded, samples)),
    lambda data: [_ALAW[code] for code in data],
)

#: The API's name of a format -> the format.
FORMATS = {format_.type: format_ for format_ in (PCM, PCMU, PCMA)}
