"""What happens to a message, told by its type from its first bytes, without parsing JSON.

Over nine tenths of the bytes are audio that nobody here needs to read. A frame
may go on unread where its start *proves* that its type is none of those to be
read: the object opens with the key ``type``, or with a string ``event_id`` and
then ``type``, both without escapes. Everything else has to be parsed. A later,
second ``type`` key could still differ; so nothing that protects money or access
may rest on what a client's frame was taken for.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from rt_proxy.realtime.framereader import Reads
from rt_proxy.realtime.frames import Splice
from rt_proxy.realtime.gauge import Gauge

_SPACE = rb"[ \t\r\n]*"
_START = re.compile(
    rb"%(s)s\{%(s)s"
    rb'(?:"event_id"%(s)s:%(s)s"[^"\\]*"%(s)s,%(s)s)?'
    rb'"type"%(s)s:%(s)s"([^"\\]*)"' % {b"s": _SPACE}
)
_NO_SPLICE = Splice(0, 0, b"")
_NO_NAMES: Mapping[str, str] = MappingProxyType({})
_NO_GAUGES: Mapping[str, Gauge] = MappingProxyType({})


def proven_type(start: bytes) -> bytes | None:
    """Return the event type that the first bytes of a message prove, else None."""
    found = _START.match(start)
    return None if found is None else found[1]


class Lanes:
    """The lanes of one direction, by type (mutable: a session may learn a dialect late).

    It is a ``framereader.NeedsReading``: messages of some types are read, and those that
    prove no type; of some others the type is replaced in passing. JSON that is not an
    object is no event and goes on unread: the other side is the judge of it.
    """

    __slots__ = ("_gauges", "_last", "_names", "_reads")

    def __init__(self, read: Iterable[str] = ()) -> None:
        self.lay(read)

    def lay(
        self,
        read: Iterable[str],
        *,
        large: Iterable[str] = (),
        small: Iterable[str] = (),
        renamed: Mapping[str, str] = _NO_NAMES,
        counted: Mapping[str, Gauge] = _NO_GAUGES,
    ) -> None:
        """Lay the lanes anew, for the messages that are yet to come.

        Args:
            read: The types that are read.
            large: The types that are read unless they are far too large for it.
            small: The types that are read unless they are too large for it.
            renamed: The types that are replaced in passing -> by which; these are not read.
            counted: The types that are counted in passing, if they are not read -> where.
        """
        gauges = {kind.encode(): gauge for kind, gauge in counted.items()}
        self._reads: dict[bytes, Reads] = dict(gauges)
        self._reads |= dict.fromkeys((kind.encode() for kind in read), True)
        self._reads |= dict.fromkeys((kind.encode() for kind in large), "large")
        self._reads |= dict.fromkeys((kind.encode() for kind in small), "small")
        self._names = {old.encode(): new.encode() for old, new in renamed.items()}
        self._gauges = gauges
        self._last = _NO_SPLICE

    def __call__(self, start: bytes, enough: bool) -> Reads:
        """Say what happens to a message that starts so; None: too short to tell."""
        found = _START.match(start)
        if found is not None:
            name = self._names.get(found[1])
            if name is None:
                return self._reads.get(found[1], False)
            # Neighbouring deltas are alike, and a value that is there costs nothing to make.
            if self._last.replacement is not name or self._last.start != found.start(1):
                self._last = Splice(*found.span(1), name, self._gauges.get(found[1]))
            return self._last
        if not enough:
            return None
        # With a byte order mark, of which this is the first, it is no JSON, but some read it.
        return start.lstrip(b" \t\r\n")[:1] in (b"{", b"", b"\xef")
