"""The composition root: joins settings, stores, channels and the gate to one proxy.

Everything here lives in the nursery of ``open_proxy``; nothing outlives it. The
library installs no signal handlers, configures no logging and prints nothing. It is one
long module because all that is joined meets here, and each argument is told where it is given.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import trio

from rt_proxy.channels import Channel, Health, UpstreamRequest, make_channels
from rt_proxy.errors import SettingsError
from rt_proxy.listener.addresses import parse_networks
from rt_proxy.listener.dial import Dial, TcpDial
from rt_proxy.listener.gate import Gate
from rt_proxy.listener.house import House
from rt_proxy.listener.keys import Keys
from rt_proxy.listener.listen import (
    addresses_of,
    doors,
    open_listeners,
    probe_when_silent,
    serve_listeners,
)
from rt_proxy.listener.livecertificate import LiveCertificate
from rt_proxy.listener.pausewatch import watch_for_pauses
from rt_proxy.listener.roster import Roster
from rt_proxy.listener.tokenwatch import watch_tokens
from rt_proxy.observe import SessionRecord, log_session
from rt_proxy.realtime import closing
from rt_proxy.settings import Settings, UsageSettings
from rt_proxy.settingsrules import check
from rt_proxy.simulated import open_simulated
from rt_proxy.simulator import fault_problem
from rt_proxy.tokens.file import FileTokenStore
from rt_proxy.tokens.store import TokenStore
from rt_proxy.usage.books import Books, OnBudgetWarning, OnUsage
from rt_proxy.usage.journal import Journal
from rt_proxy.usage.ledger import Ledger, NoLedger
from rt_proxy.usage.prices import Prices
from rt_proxy.usage.record import PriceFunction
from rt_proxy.usage.sqliteledger import SqliteLedger

_logger = logging.getLogger("rt_proxy")

OnSessionEnd = Callable[[SessionRecord], None]

#: How long the last usage records may take to be written, in seconds.
_LAST_WRITE = 5.0
#: How often a draining proxy looks for sessions that have come to rest, in seconds.
_DRAIN_WATCH = 0.1
#: How long it takes, beyond the goodbyes, until those who are ended have left, in seconds.
_LAST_LOOK = 1.0


class Proxy:
    """One proxy at work; made by ``open_proxy`` (mutable: clients come and go).

    Attributes:
        addresses: Where it listens, such as ``http://127.0.0.1:8080``; empty for an
            embedder that brings its own listener.
    """

    #: Where its tasks live while it is at work.
    _nursery: trio.Nursery
    #: Of its own listeners, where they have one.
    _certificate: LiveCertificate | None = None

    def __init__(
        self,
        settings: Settings,
        *,
        tokens: TokenStore | None,
        dial: Dial | None,
        on_session_end: OnSessionEnd | None,
        books: Books,
        price: PriceFunction | None,
    ) -> None:
        self.addresses: tuple[str, ...] = ()
        self._own_tokens = tokens
        self._file_tokens: FileTokenStore | None = None
        self._own_price = price
        self._books = books
        self._own_dial = dial
        self._dial_network = self._dial_for(settings)
        self._on_session_end = on_session_end
        self._roster = Roster()
        self._visits: set[trio.CancelScope] = set()
        self._closed = False
        self._drained = trio.Event()
        random = Random()  # noqa: S311 - it spreads load, it protects nothing
        self._health = Health(settings.health, random)
        self._house = self._make_house(settings)
        self._gate = Gate(
            self._roster, lambda: self._house, on_session_end=self._report, random=random
        )

    @property
    def sessions(self) -> int:
        """How many clients are here, those included whose upstream is being opened."""
        return len(self._roster)

    @property
    def faults(self) -> int:
        """How many visits ended in an exception of rt-proxy itself; each is in the log."""
        return self._gate.faults

    @property
    def usage_waiting(self) -> int:
        """How many usage records are in memory only; many, if the ledger is in trouble."""
        return self._books.journal.waiting

    @property
    def ledger_failures(self) -> int:
        """How often the ledger could not be written; what waited is written when it can be."""
        return self._books.journal.failures

    async def handle_stream(self, stream: trio.abc.Stream) -> None:
        """Receive one visitor on a connected stream, and close the stream.

        Nothing a visitor does comes out of here. Cancelling cuts the session: both
        sides are still told why, within a quarter of a second.
        """
        with trio.CancelScope() as visit:
            if self._closed:
                visit.cancel("the proxy is closed")
            self._visits.add(visit)
            probe_when_silent(stream, self._house.settings.timeouts.tcp_keepalive)
            try:
                await self._gate.handle(stream)
            finally:
                self._visits.remove(visit)

    def reload(self, settings: Settings) -> None:
        """Put new settings in force for newcomers; live sessions keep theirs.

        The certificate of ``serve`` is read again, for new connections. Else the listener
        stays as it is: ``listen.host``, ``port``, and TLS or not, need a restart.

        Raises:
            ListenError: The certificate cannot be used; the old one and all settings stay.
            SettingsError: The settings are wrong; the old ones stay in force.
            TokenStoreError: The token file cannot be read; the old settings stay in force.
        """
        house = self._make_house(settings)
        if self._certificate is not None and settings.listen.tls is not None:
            self._certificate.renew(settings.listen.tls)
        if settings.timeouts.tcp_keepalive != self._house.settings.timeouts.tcp_keepalive:
            self._dial_network = self._dial_for(settings)
        unchanged = {new.name for new in house.channels if new in self._house.channels}
        self._house = house
        self._health.renew(settings.health, unchanged)

    async def drain(self, seconds: float = 20) -> bool:
        """Let no newcomers in, and wait until the present clients have left.

        A session without a response in progress is asked to leave at once (close
        code 1001); one with a response, when that is done. What is left after
        ``seconds`` is ended then; ``serve`` cuts what is left after the goodbyes.
        A proxy that drains stays so. Cancelling stops the waiting; the sessions
        live on until the proxy is cancelled.

        Returns:
            Whether everybody had left before ``seconds`` were over.
        """
        self._roster.draining = True
        with trio.move_on_after(seconds) as patience:
            await self._end_until_empty(only_idle=True)
        timeouts = self._house.settings.timeouts
        with trio.move_on_after(timeouts.farewell + timeouts.usage + _LAST_LOOK):
            await self._end_until_empty(only_idle=False)
        self._drained.set()
        return not patience.cancelled_caught

    async def _end_until_empty(self, *, only_idle: bool) -> None:
        """End sessions as they come, until no client is left."""
        while len(self._roster):
            self._roster.end_all(closing.DRAIN, only_idle=only_idle)
            with trio.move_on_after(_DRAIN_WATCH):
                await self._roster.wait_empty()

    @asynccontextmanager
    async def _at_work(self, ledger: Ledger) -> AsyncIterator[None]:
        """Have a nursery for as long as the block lasts, and part from everybody after it."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(watch_tokens, self._roster, lambda: self._house.tokens)
            self._nursery.start_soon(watch_for_pauses)
            self._nursery.start_soon(self._books.journal.run)
            others_wrote = ledger.others_wrote if isinstance(ledger, SqliteLedger) else None
            self._nursery.start_soon(self._books.keep_current, others_wrote)
            try:
                yield
            finally:
                try:
                    await self._close()
                finally:
                    self._nursery.cancel_scope.cancel("the proxy is closed")
                    await self._books.journal.close(_LAST_WRITE)

    async def _close(self) -> None:
        """Cut who is left, and wait for the goodbyes; who comes later is turned away."""
        self._closed = True
        for visit in self._visits:
            visit.cancel("the proxy is closed")
        with trio.move_on_after(_LAST_LOOK, shield=True):
            await self._roster.wait_empty()

    async def wait_drained(self) -> None:
        """Wait until ``drain`` has done its work. Cancelling is safe."""
        await self._drained.wait()

    def _make_house(self, settings: Settings) -> House:
        problems = [*check(settings), *_wrong_faults(settings)]
        try:
            channels = make_channels(settings)
        except SettingsError as error:
            problems += error.problems
        if problems:
            raise SettingsError("settings", problems)
        return House(
            settings=settings,
            channels=channels,
            trusted_proxies=parse_networks(settings.listen.trusted_proxies),
            tokens=self._tokens_of(settings.tokens.file),
            dial=self._dial,
            keys=Keys(),
            health=self._health,
            books=self._books,
            price_of=self._own_price or _prices_of(settings),
        )

    def _tokens_of(self, file: Path) -> TokenStore:
        """Return the store in use where the file is the same: it knows what was good last."""
        if self._own_tokens is not None:
            return self._own_tokens
        if self._file_tokens is None or self._file_tokens.path != file:
            self._file_tokens = FileTokenStore(file)
        return self._file_tokens

    def _dial_for(self, settings: Settings) -> Dial:
        return self._own_dial or TcpDial(keepalive=settings.timeouts.tcp_keepalive)

    async def _dial(self, channel: Channel, request: UpstreamRequest) -> trio.abc.Stream:
        if channel.provider == "simulator":
            return await open_simulated(self._nursery, channel)
        return await self._dial_network(channel, request)

    def _report(self, record: SessionRecord) -> None:
        log_session(record)
        if self._on_session_end is None:
            return
        try:
            self._on_session_end(record)
        except Exception:
            _logger.exception("on_session_end raised")


def _wrong_faults(settings: Settings) -> Iterator[str]:
    for index, channel in enumerate(settings.channels):
        problem = fault_problem(channel.fault)
        if problem is not None:
            yield f"channels[{index}].fault: {problem}"


def _prices_of(settings: Settings) -> Prices:
    return Prices(settings.prices, {channel.name: channel.prices for channel in settings.channels})


@asynccontextmanager
async def _ledger_of(settings: Settings, given: Ledger | None) -> AsyncIterator[Ledger]:
    """Have a ledger for as long as the block lasts; one that was given is left open."""
    if given is not None or settings.usage is None:
        yield given or NoLedger()
        return
    ledger = await SqliteLedger.open(settings.usage.file, keep_days=settings.usage.keep_days)
    try:
        yield ledger
    finally:
        with trio.move_on_after(_LAST_WRITE, shield=True):
            await ledger.aclose()


@asynccontextmanager
async def open_proxy(
    settings: Settings,
    *,
    tokens: TokenStore | None = None,
    dial: Dial | None = None,
    ledger: Ledger | None = None,
    price: PriceFunction | None = None,
    on_session_end: OnSessionEnd | None = None,
    on_usage: OnUsage | None = None,
    on_budget_warning: OnBudgetWarning | None = None,
) -> AsyncIterator[Proxy]:
    """Open a proxy that listens nowhere: give it streams with ``handle_stream``.

    Leaving the block cuts what is left, in whatever nursery it was received, and so
    does cancelling: both sides of each session are still told.

    Args:
        settings: What is in force; ``listen`` is not looked at but for its
            ``origins`` and ``trusted_proxies``.
        tokens: A token store; default: the file of the settings.
        dial: How upstreams are reached; default: TCP, and TLS with the system's certificates.
        ledger: Where usage is kept; default: the file of the section [usage], if there is one.
        price: What usage costs; default: by the settings and the built-in table.
        on_session_end: Called with each session's record; it must not block.
        on_usage: Called with the record of each response and transcription; it must not block.
        on_budget_warning: Called when a budget is nearly spent, once in each of its periods.

    Raises:
        LedgerError: The ledger cannot be opened.
        SettingsError: The settings are wrong.
        TokenStoreError: The token file cannot be read.
    """
    problems = check(settings)
    if problems:
        raise SettingsError("settings", problems)
    async with _ledger_of(settings, ledger) as kept:
        books = Books(
            Journal(kept, sync=(settings.usage or UsageSettings()).sync),
            are_kept=on_usage is not None or not isinstance(kept, NoLedger),
            on_usage=on_usage,
            on_budget_warning=on_budget_warning,
        )
        # Made outside the nursery, so that what it raises comes out as it is, not in a group.
        proxy = Proxy(
            settings,
            tokens=tokens,
            dial=dial,
            on_session_end=on_session_end,
            books=books,
            price=price,
        )
        async with proxy._at_work(kept):  # noqa: SLF001 - this function is how a Proxy is made
            yield proxy


async def serve(
    settings: Settings,
    *,
    tokens: TokenStore | None = None,
    dial: Dial | None = None,
    ledger: Ledger | None = None,
    price: PriceFunction | None = None,
    on_session_end: OnSessionEnd | None = None,
    on_usage: OnUsage | None = None,
    on_budget_warning: OnBudgetWarning | None = None,
    listeners: Sequence[trio.SocketListener] | None = None,
    task_status: trio.TaskStatus[Proxy] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Listen where the settings say, and serve until drained or cancelled.

    Start it with ``await nursery.start(rt_proxy.serve, settings)``, which returns
    the ``Proxy`` once it listens. It returns when ``Proxy.drain`` is done.
    Cancelling cuts every session; both sides of each are still told.

    Args:
        settings: What is in force.
        tokens: A token store; default: the file of the settings.
        dial: How upstreams are reached; default: TCP, and TLS with the system's certificates.
        ledger: Where usage is kept; default: the file of the section [usage], if there is one.
        price: What usage costs; default: by the settings and the built-in table.
        on_session_end: Called with each session's record; it must not block.
        on_usage: Called with the record of each response and transcription; it must not block.
        on_budget_warning: Called when a budget is nearly spent, once in each of its periods.
        listeners: Listen here, and not on the host and port of the settings, whose TLS is in
            force all the same; they are closed in the end.
        task_status: Set by ``nursery.start``.

    Raises:
        LedgerError: The ledger cannot be opened.
        ListenError: The address cannot be bound, or the certificate cannot be used.
        SettingsError: The settings are wrong.
        TokenStoreError: The token file cannot be read.
    """
    opened = listeners or ()
    tls = settings.listen.tls
    try:
        certificate = None if tls is None else LiveCertificate(tls)
        if listeners is None:
            opened = await open_listeners(settings.listen)
        async with open_proxy(
            settings,
            tokens=tokens,
            dial=dial,
            ledger=ledger,
            price=price,
            on_session_end=on_session_end,
            on_usage=on_usage,
            on_budget_warning=on_budget_warning,
        ) as proxy:
            proxy.addresses = addresses_of(opened, tls=tls is not None)
            proxy._certificate = certificate  # noqa: SLF001 - the listeners are its own here
            async with trio.open_nursery() as visitors, trio.open_nursery() as entrance:
                entries = doors(opened, certificate)
                entrance.start_soon(serve_listeners, entries, visitors, proxy.handle_stream)
                task_status.started(proxy)
                await proxy.wait_drained()
                entrance.cancel_scope.cancel("drained")
                visitors.cancel_scope.cancel("drained")
    finally:
        with trio.CancelScope(shield=True):  # closing a listener cannot block
            await _close_all(opened)


async def _close_all(listeners: Sequence[trio.SocketListener]) -> None:
    for listener in listeners:
        await listener.aclose()
