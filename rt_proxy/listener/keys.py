"""The providers' keys: which one a session is opened with.

Those that stand in the settings take turns. Those that change by themselves are fetched
again before they expire (``keysource.py``). No text here holds a key.
"""

import base64
import json
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection

import attrs
import trio

from rt_proxy.channels import Channel
from rt_proxy.listener.keysource import KeyUnavailableError, fetch_key
from rt_proxy.settings import KeySource, Secret

_logger = logging.getLogger("rt_proxy.keys")

#: After a fetch there is none for so long, whatever came of it, unless a key is used for even
#: less; in seconds.
_PAUSE = 10.0
#: How long a session that has a good key waits for the next one, in seconds.
_PATIENCE = 10.0
#: So long before it expires a token is replaced; in seconds.
_MARGIN = 60.0


class Keys:
    """The keys of the channels of one house (mutable: they take turns, and change)."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        fetch: Callable[[KeySource], Awaitable[Secret]] | None = None,
    ) -> None:
        """Begin with every key as good as any other.

        Args:
            now: The time of day, in seconds since 1970, for tokens that say when they expire.
            fetch: Gets a key from where it comes from; default: ``fetch_key``.
        """
        self._now = now
        self._fetch = fetch or fetch_key
        self._turns: dict[str, _Turns] = {}
        self._changing: dict[str, _ChangingKey] = {}
        self._have_worked: set[str] = set()

    async def key(self, channel: Channel, but_for: Collection[Secret] = ()) -> Secret | None:
        """Return the key for the next session on a channel; None: its upstream takes none.

        Where a key has to be fetched, one session does it for all that wait for it.
        Cancelling that one ends its fetch, and the next of them begins anew; cancelling
        another changes nothing.

        Args:
            channel: The channel.
            but_for: Keys that this session has tried; ``has_another`` has said that there is one.

        Raises:
            KeyUnavailableError: There is no good key now.
        """
        await trio.lowlevel.checkpoint()
        if channel.auth == "none":
            return None
        if channel.api_key_from is not None:
            return await self._changing_key(channel, channel.api_key_from).get()
        return self._turns_of(channel).next(but_for)

    def has_another(self, channel: Channel, tried: Collection[Secret]) -> bool:
        """Whether a channel has a key in its settings that was neither refused nor tried."""
        if channel.api_key_from is not None or not channel.api_keys:
            return False
        return not self._turns_of(channel).refused.union(tried).issuperset(channel.api_keys)

    def refuse(self, channel: Channel, key: Secret) -> None:
        """Note that the upstream does not take a key.

        One of the settings is not used again until a reload. One that changes by itself is
        fetched anew, and not used until another one comes.
        """
        if channel.api_key_from is not None:
            self._changing_key(channel, channel.api_key_from).refuse(key)
        else:
            self._turns_of(channel).refused.add(key)

    def note_worked(self, channel: Channel) -> None:
        """Note that a key of the channel has opened a session."""
        self._have_worked.add(channel.name)

    def has_worked(self, channel: Channel) -> bool:
        """Whether a key of the channel has opened a session since the settings were read."""
        return channel.name in self._have_worked

    def all_refused(self, channel: Channel) -> bool:
        """Whether a channel has no good key until a reload; a key that changes may come back."""
        if channel.api_key_from is not None or not channel.api_keys:
            return False
        return self._turns_of(channel).refused.issuperset(channel.api_keys)

    def _turns_of(self, channel: Channel) -> "_Turns":
        return self._turns.setdefault(channel.name, _Turns(channel.api_keys))

    def _changing_key(self, channel: Channel, source: KeySource) -> "_ChangingKey":
        if channel.name not in self._changing:
            changing = _ChangingKey(channel.name, source, self._now, self._fetch)
            self._changing[channel.name] = changing
        return self._changing[channel.name]


@attrs.define
class _Turns:
    """Keys that take turns (mutable: whose turn it is, and which are refused)."""

    keys: tuple[Secret, ...]
    refused: set[Secret] = attrs.field(factory=set)
    turn: int = 0

    def next(self, but_for: Collection[Secret]) -> Secret:
        for _ in self.keys:
            key = self.keys[self.turn]
            self.turn = (self.turn + 1) % len(self.keys)
            if key not in self.refused and key not in but_for:
                return key
        alone = len(self.keys) == 1
        raise KeyUnavailableError(f"{'its key was' if alone else 'all of its keys were'} refused")


@attrs.frozen
class _Fetched:
    """A key, when it was fetched by Trio's clock, and when it expires by the time of day."""

    key: Secret
    since: float
    expires: float = math.inf


class _ChangingKey:
    """A key that comes from a command or a file (mutable: it changes)."""

    def __init__(
        self,
        channel: str,
        source: KeySource,
        now: Callable[[], float],
        fetch: Callable[[KeySource], Awaitable[Secret]],
    ) -> None:
        self._channel = channel
        self._source = source
        self._now = now
        self._fetch = fetch
        self._lock = trio.Lock()
        self._current: _Fetched | None = None
        self._refused: Secret | None = None
        self._failure: str | None = None
        self._next_fetch = -math.inf

    async def get(self) -> Secret:
        """Return the key, fetched if need be; several at once wait for one fetch."""
        good = self._good()
        if good is not None and (not self._is_due() or self._lock.locked()):
            return good.key
        async with self._lock:
            if self._is_due():
                await self._renew()
        good = self._good()
        if good is None:
            reason = "its key was refused" if self._refused else "its key has expired"
            raise KeyUnavailableError(self._failure or reason)
        return good.key

    def refuse(self, key: Secret) -> None:
        """Drop the key, if it still is the one."""
        if self._current is not None and self._current.key == key:
            self._current = None
            self._refused = key

    def _good(self) -> _Fetched | None:
        """Return the key that can be used now, perhaps for a moment only."""
        current = self._current
        return None if current is None or current.expires <= self._now() else current

    def _is_due(self) -> bool:
        """Whether a key is to be fetched now."""
        moment = trio.current_time()
        if moment < self._next_fetch:
            return False
        good = self._good()
        return (
            good is None
            or moment >= good.since + self._source.seconds
            or self._now() >= good.expires - _MARGIN
        )

    async def _renew(self) -> None:
        with trio.move_on_after(math.inf if self._good() is None else _PATIENCE) as scope:
            try:
                key = await self._fetch(self._source)
            except KeyUnavailableError as error:
                self._note_failure(str(error))
            else:
                self._take(key)
        if scope.cancelled_caught:
            self._note_failure(f"its source takes more than {_PATIENCE:g} s")
        self._next_fetch = trio.current_time() + min(_PAUSE, self._source.seconds)

    def _take(self, key: Secret) -> None:
        expires = _expiry(key)
        if key == self._refused:
            self._note_failure("its source still gives the key that was refused")
        elif expires <= self._now():
            self._note_failure("its source gives a key that has expired")
        else:
            if self._failure is not None:
                _logger.info("channel %s: there is a new key again", self._channel)
            self._failure = self._refused = None
            self._current = _Fetched(key, trio.current_time(), expires)

    def _note_failure(self, why: str) -> None:
        """Remember why there is no new key; a trouble that goes on is logged once."""
        if self._failure is None:
            rest = "" if self._good() is None else "; the old one is still used"
            _logger.warning("channel %s: no new key: %s%s", self._channel, why, rest)
        self._failure = why


def _expiry(key: Secret) -> float:
    """Return when a key expires, in seconds since 1970; infinite: it does not say (RFC 7519)."""
    parts = key.reveal().split(".")
    if len(parts) != 3:
        return math.inf
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        expires = float(claims["exp"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return math.inf
    return math.inf if math.isnan(expires) else expires
