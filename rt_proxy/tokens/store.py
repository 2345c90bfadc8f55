"""What the proxy asks of a token store, and the store that lives in memory.

``TokenTable`` decides, without I/O; ``MemoryTokenStore`` keeps the table of the moment,
and ``tokens/file.py`` keeps it in a file. No HTTP and no files here.
"""

import enum
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Protocol

import attrs
import trio

from rt_proxy.errors import TokenStoreError
from rt_proxy.settings import Budget, ClientDialect, Secret
from rt_proxy.tokens.token import Token, as_utc, hash_secret, new_id, new_secret, problems

#: How long a store may take to take up what changed, in seconds.
_PATIENCE = 5.0
_NO_LIMITS: Mapping[str, float] = MappingProxyType({})


class Standing(enum.Enum):
    """Whether a token is still good for the session that it let in."""

    GOOD = "good"
    #: Disabled, or no longer in the store.
    REVOKED = "revoked"
    EXPIRED = "expired"


class TokenStore(Protocol):
    """What the proxy asks of a store; embedders may bring their own."""

    async def refresh(self) -> None:
        """Take up what changed outside; called before each authentication and once a second.

        It must not raise for a store that cannot be read: what was last known stays in force. So
        it does after 5 seconds, when it is cancelled.
        Cancelling it leaves the store as it was, or with the change taken up.
        """

    def authenticate(self, secret: Secret) -> Token | None:
        """Return the token of a secret, also a disabled or expired one; None: unknown."""

    def standing(self, token_id: str, now: datetime) -> Standing:
        """Say how a token stands at a moment (with an offset)."""


async def refresh_in_time(tokens: TokenStore) -> bool:
    """Have a store take up what changed; where that takes too long it goes on in its present state.

    Cancelling it does to the store what ``refresh`` says.

    Returns:
        Whether it did in time.
    """
    with trio.move_on_after(_PATIENCE) as patience:
        await tokens.refresh()
    return not patience.cancelled_caught


@attrs.frozen
class Allowance:
    """What a token may spend and do, as ``Token`` has it."""

    limits: Mapping[str, float]
    budget: Budget | None


def _frozen(limits: Mapping[str, float]) -> Mapping[str, float]:
    """Return limits that nobody can change.

    Raises:
        TokenStoreError: They are no mapping.
    """
    if not isinstance(limits, Mapping):
        raise TokenStoreError(f"limits: must be a mapping, not {type(limits).__name__}")
    return MappingProxyType(dict(limits))


@attrs.frozen
class TokenTable:
    """Tokens, each with an id, a name and a hash of its own, and what can be asked of them."""

    rows: tuple[Token, ...] = ()
    _by_hash: Mapping[str, Token] = attrs.field(init=False, repr=False, eq=False)
    _by_id: Mapping[str, Token] = attrs.field(init=False, repr=False, eq=False)

    @_by_hash.default
    def _index_by_hash(self) -> Mapping[str, Token]:
        return MappingProxyType({token.sha256: token for token in self.rows})

    @_by_id.default
    def _index_by_id(self) -> Mapping[str, Token]:
        return MappingProxyType({token.id: token for token in self.rows})

    def authenticate(self, secret: Secret) -> Token | None:
        """Return the token of a secret, also a disabled or expired one; None: unknown."""
        # The time of a dict lookup may tell how a guess's hash compares with the hashes kept.
        # That is no help: nobody can choose guesses by their SHA-256, and even a whole hash
        # does not give the secret away. So nothing is gained by comparing in constant time.
        return self._by_hash.get(hash_secret(secret))

    def standing(self, token_id: str, now: datetime) -> Standing:
        """Say how a token stands at a moment (with an offset)."""
        token = self._by_id.get(token_id)
        if token is None or token.disabled:
            return Standing.REVOKED
        if token.expires is not None and token.expires <= now:
            return Standing.EXPIRED
        return Standing.GOOD

    def find(self, name_or_id: str) -> Token | None:
        """Return the token with this name or id, or None."""
        return next((token for token in self.rows if name_or_id in (token.name, token.id)), None)

    def adding(self, token: Token) -> "TokenTable":
        """Return the table with one token more.

        Raises:
            TokenStoreError: The token is wrong in itself, or its name, id or secret is taken.
        """
        for field, reason in problems(token):
            raise TokenStoreError(f"{field}: {reason}")
        if other := self.find(token.name):
            state = ", which is revoked" if other.disabled else ""
            raise TokenStoreError(
                f"name: {token.name!r} is taken by {other.id}{state}; choose another name"
            )
        if self.find(token.id) or token.sha256 in self._by_hash:
            raise TokenStoreError(f"{token.id} is there already, or its secret is")
        return TokenTable((*self.rows, token))

    def revoking(self, name_or_id: str) -> "TokenTable":
        """Return the table with one token disabled; the same table if it is already.

        Raises:
            TokenStoreError: No token has this name or id.
        """
        token = self.find(name_or_id)
        if token is None:
            # What was asked for is not repeated: it may be a secret.
            raise TokenStoreError("no token has that name or id")
        if token.disabled:
            return self
        revoked = attrs.evolve(token, disabled=True)
        return TokenTable(tuple(revoked if row is token else row for row in self.rows))

    def changing(self, name_or_id: str, change: Callable[[Token], Allowance]) -> "TokenTable":
        """Return the table with other limits and another budget of one token.

        The same table is returned where they are those that it has already.

        Args:
            name_or_id: Which token.
            change: Makes the new ones of the token as it is now.

        Raises:
            TokenStoreError: No token has this name or id, or something is wrong with them.
        """
        token = self.find(name_or_id)
        if token is None:
            raise TokenStoreError("no token has that name or id")
        allowance = change(token)
        changed = attrs.evolve(token, limits=_frozen(allowance.limits), budget=allowance.budget)
        for field, reason in problems(changed):
            raise TokenStoreError(f"{field}: {reason}")
        if changed == token:
            return self
        return TokenTable(tuple(changed if row is token else row for row in self.rows))


class MemoryTokenStore:
    """A store that forgets: for tests, and for embedders that bring their own tokens.

    Mutable by purpose: it holds the table that is in force now.
    A change puts a whole new table in its place, so readers never see half of one.
    """

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        self._table = TokenTable()
        for token in tokens:
            self._table = self._table.adding(token)

    async def refresh(self) -> None:
        """Take up nothing, as there is no outside; cancelling it changes nothing."""
        await trio.lowlevel.checkpoint()

    def authenticate(self, secret: Secret) -> Token | None:
        """Return the token of a secret, also a disabled or expired one; None: unknown."""
        return self._table.authenticate(secret)

    def standing(self, token_id: str, now: datetime) -> Standing:
        """Say how a token stands at a moment (with an offset)."""
        return self._table.standing(token_id, now)

    def tokens(self) -> tuple[Token, ...]:
        """Return every token, in the order of making."""
        return self._table.rows

    def find(self, name_or_id: str) -> Token | None:
        """Return the token with this name or id, or None."""
        return self._table.find(name_or_id)

    def add(
        self,
        name: str,
        *,
        now: datetime | None = None,
        models: Iterable[str] = (),
        default_model: str | None = None,
        client_dialect: ClientDialect | None = None,
        channels: Iterable[str] = (),
        transcription_channel: str | None = None,
        expires: datetime | None = None,
        limits: Mapping[str, float] = _NO_LIMITS,
        budget: Budget | None = None,
    ) -> tuple[Token, Secret]:
        """Make a token; its secret is returned here and kept nowhere.

        Args:
            name: The operator's word for it; must be new, also among revoked tokens.
            now: When it is made (with an offset); None: at present.
            models: The models it may use; empty: any.
            default_model: The model of a client that names none; None: the proxy's own.
            client_dialect: The dialect of its clients; None: as the proxy has it.
            channels: The channels it may use, by name; empty: any.
            transcription_channel: The channel of its transcription sessions; None: as the
                proxy has it.
            expires: From when on it lets nobody in (with an offset); None: never.
            limits: Its own limits, by their names in ``ScopeLimits``.
            budget: What may be spent with it; None: as much as the proxy may spend.

        Raises:
            TokenStoreError: The name is taken, an argument is wrong, or the change cannot be kept.
            ValueError: A moment has no offset.
        """
        secret = new_secret()
        created = datetime.now(UTC).replace(microsecond=0) if now is None else as_utc(now)
        token = Token(
            id=new_id(),
            name=name,
            sha256=hash_secret(secret),
            created=created,
            expires=None if expires is None else as_utc(expires),
            models=tuple(models),
            default_model=default_model,
            client_dialect=client_dialect,
            channels=tuple(channels),
            transcription_channel=transcription_channel,
            limits=_frozen(limits),
            budget=budget,
        )
        self._change(lambda table: table.adding(token))
        return token, secret

    def revoke(self, name_or_id: str) -> None:
        """Disable a token; its row stays. Revoking it again changes nothing.

        Raises:
            TokenStoreError: No token has this name or id, or the change cannot be kept.
        """
        self._change(lambda table: table.revoking(name_or_id))

    def change(self, name_or_id: str, change: Callable[[Token], Allowance]) -> None:
        """Give a token other limits and another budget; its secret stays.

        They hold for newcomers; sessions that live share the new budget with the next of them.

        Args:
            name_or_id: Which token.
            change: Makes the new ones of the token as the store holds it at that moment, so that
                of two changes at once none is lost. What it raises goes through, and nothing
                is changed.

        Raises:
            TokenStoreError: No token has this name or id, something is wrong with them, or the
                change cannot be kept.
        """
        self._change(lambda table: table.changing(name_or_id, change))

    def _change(self, change: Callable[[TokenTable], TokenTable]) -> None:
        self._table = change(self._table)
