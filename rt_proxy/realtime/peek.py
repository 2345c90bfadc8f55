"""What type an event has, told from its first bytes, without parsing JSON.

Over nine tenths of the bytes are audio that nobody here needs to read. A frame
may go on unread where its start *proves* that its type is none of those to be
read: the object opens with the key ``type``, or with a string ``event_id`` and
then ``type``, both without escapes. Everything else has to be parsed. A later,
second ``type`` key could still differ; so nothing that protects money or access
may rest on what a client's frame was taken for.
"""

import re
from collections.abc import Callable, Collection

_SPACE = rb"[ \t\r\n]*"
_START = re.compile(
    rb"%(s)s\{%(s)s"
    rb'(?:"event_id"%(s)s:%(s)s"[^"\\]*"%(s)s,%(s)s)?'
    rb'"type"%(s)s:%(s)s"([^"\\]*)"' % {b"s": _SPACE}
)


def proven_type(start: bytes) -> bytes | None:
    """Return the event type that the first bytes of a message prove, else None."""
    found = _START.match(start)
    return None if found is None else found[1]


def reader_of(types: Collection[str]) -> Callable[[bytes, bool], bool | None]:
    """Return the rule "read messages of these types, and those that prove no type".

    The rule is a ``framereader.NeedsReading``. JSON that is not an object is no
    event and goes on unread: the other side is the judge of it.
    """
    read = frozenset(type_.encode() for type_ in types)

    def needs_reading(start: bytes, enough: bool) -> bool | None:
        proven = proven_type(start)
        if proven is not None:
            return proven in read
        if not enough:
            return None
        return start.lstrip(b" \t\r\n")[:1] in (b"{", b"")

    return needs_reading
