"""Bytes that no HTTP head may have, found before a parser looks at it.

h11 looks at white space again and again where such a byte follows it: sixteen kilobytes of a
stranger's would hold the process for most of a second.
"""

import re

#: A field value has no NUL, and a CR at its end only (RFC 9110, 5.5); VT and FF are no white space
#: of HTTP, but of regular expressions.
_ILLEGAL = re.compile(rb"[\x00\x0b\x0c]|\r[^\n]")
_HEAD_END = re.compile(rb"\n\r?\n")


def is_illegal_head(data: bytes | bytearray, since: int = 0) -> bool:
    """Whether what has come of a head, and perhaps of what follows it, cannot become a good one.

    Args:
        data: What has come.
        since: So much of it was found good before.
    """
    illegal = _ILLEGAL.search(data, max(0, since - 1))  # a CR may have been the last
    if illegal is None:
        return False
    end = _HEAD_END.search(data)
    return end is None or illegal.start() < end.start()
