"""What has been spent and is not in the ledger yet: noted at once, written in batches.

The data plane only notes. One task writes, and whatever befalls the ledger stays here: no
session waits for a disk, and no record is forgotten while there is memory for it.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

import attrs
import trio

from rt_proxy.errors import LedgerError
from rt_proxy.usage.ledger import Ledger, Spent
from rt_proxy.usage.record import UsageRecord

_logger = logging.getLogger("rt_proxy.usage")

#: So many records wait in memory for a ledger that cannot be written, some 60 MB; those that come
#: then are written to the log, whole.
_MOST_WAITING = 100_000
#: So many are written at once.
_BATCH = 1_000
#: How long to wait until a ledger that failed is tried again, in seconds: at first, and at most.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
#: How long a question to the ledger may take, the writing before it included, in seconds.
PATIENCE = 10.0
#: How often it is said again that a ledger cannot be written, in seconds.
_REMINDER = 60.0


class Journal:
    """The records of one proxy on their way to the ledger (mutable: they come and go).

    Attributes:
        failures: How often the ledger could not be written.
    """

    def __init__(self, ledger: Ledger, *, sync: float) -> None:
        """Keep records for a ledger.

        Args:
            ledger: Where they are kept.
            sync: How long a record may wait until it is in the ledger, in seconds.
        """
        self.failures = 0
        self._ledger = ledger
        # Half of the time for waiting, so that as much is left for the writing.
        self._wait = sync / 2
        self._waiting: deque[UsageRecord] = deque()
        #: What is being written.
        self._under_way: list[UsageRecord] = []
        #: What waits may be in the ledger already: nobody knows what became of the last write.
        self._is_doubtful = False
        self._noted = trio.Event()
        self._writing = trio.Lock()
        self._is_failing = False
        self._is_closed = False
        self._next_reminder = -math.inf

    @property
    def waiting(self) -> int:
        """How many records are not in the ledger yet."""
        return len(self._waiting) + len(self._under_way)

    def note(self, record: UsageRecord) -> None:
        """Take a record; it is written soon. Never waits."""
        if self._is_closed or self.waiting >= _MOST_WAITING:
            self._write_to_log(record)
            return
        self._waiting.append(record)
        self._noted.set()

    async def run(self) -> None:
        """Write what is noted, for ever. Cancelling it loses nothing: ``close`` writes the rest."""
        pause = _FIRST_PAUSE
        while True:
            await self._noted.wait()
            await trio.sleep(self._wait)
            if await self._write_all():
                pause = _FIRST_PAUSE
            else:
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def spent(
        self, token_id: str | None, since: datetime | None, begin: Callable[[], None]
    ) -> Spent:
        """Return what a token has spent since a moment, with what is not in the ledger yet.

        Cancelling is safe.

        Args:
            token_id: The token; None: all of them.
            since: The moment; None: since ever.
            begin: Called at the moment of the count: what is noted after it is not in the sum.

        Raises:
            LedgerError: The ledger cannot be read now, or does not answer in time.
        """
        with trio.move_on_after(PATIENCE):
            async with self._writing:
                if not await self._write_waiting() and self._is_doubtful:
                    raise LedgerError("it may have kept what it did not acknowledge")
                begin()
                waiting = [
                    of_record(record)
                    for record in self._waiting
                    if token_id in (None, record.token_id)
                    if since is None or record.time >= since
                ]
                return sum(waiting, await self._read(token_id, since))
        raise LedgerError(f"it did not answer within {PATIENCE:g} s")

    async def _read(self, token_id: str | None, since: datetime | None) -> Spent:
        try:
            return await self._ledger.spent(token_id, since)
        except LedgerError:
            raise
        except Exception as error:  # an embedder's own ledger may fail; the sessions need not
            raise LedgerError(f"it raised {type(error).__name__}: {error}") from error

    async def close(self, seconds: float) -> None:
        """Write what is left; what cannot be written in time goes to the log, record by record.

        So does what is noted after it.

        Args:
            seconds: The time for it. It is also kept where the caller is cancelled.
        """
        with trio.move_on_after(seconds, shield=True):
            await self._write_all()
        self._is_closed = True
        for record in (*self._under_way, *self._waiting):
            self._write_to_log(record)
        self._waiting.clear()

    async def _write_all(self) -> bool:
        async with self._writing:
            return await self._write_waiting()

    async def _write_waiting(self) -> bool:
        """Write what waits now; return whether the ledger took it."""
        left = len(self._waiting)
        while left > 0:
            self._under_way = [self._waiting.popleft() for _ in range(min(left, _BATCH))]
            left -= len(self._under_way)
            is_written = False
            try:
                is_written = await self._write(self._under_way)
            except BaseException:
                self._is_doubtful = True
                raise
            finally:
                if not is_written:
                    self._put_back()
                self._under_way = []
            if not is_written:
                return False
            self._is_doubtful = False
        if not self._waiting and self._noted.is_set():  # else the writing task waits for this one
            self._noted = trio.Event()
        if self._is_failing:
            self._is_failing = False
            self._next_reminder = -math.inf
            _logger.warning("the usage ledger is written again")
        return True

    async def _write(self, batch: Sequence[UsageRecord]) -> bool:
        """Write a batch; return whether the ledger took it, in time."""
        why = f"it did not answer within {PATIENCE:g} s"
        try:
            with trio.move_on_after(PATIENCE):
                await self._ledger.write(batch)
                return True
            self._is_doubtful = True
        except LedgerError as error:
            why = str(error)
        except Exception:  # an embedder's own ledger may fail; the sessions need not
            self._is_doubtful = True
            _logger.exception("the ledger raised")
            why = "it raised"
        self._note_failure(why)
        return False

    def _put_back(self) -> None:
        """Have a batch wait again; the ledger keeps what it has after all only once."""
        if not self._is_closed:
            self._waiting.extendleft(reversed(self._under_way))

    def _note_failure(self, why: str) -> None:
        self.failures += 1
        self._is_failing = True
        now = trio.current_time()
        if now >= self._next_reminder:
            self._next_reminder = now + _REMINDER
            _logger.error(
                "usage is kept in memory, for the ledger cannot be written: %s"
                " (records that wait: %d)",
                why,
                self.waiting,
            )

    def _write_to_log(self, record: UsageRecord) -> None:
        """Put a record where it can still be found."""
        _logger.error("a usage record is not in the ledger", extra={"fields": fields_of(record)})


def of_record(record: UsageRecord) -> Spent:
    """Return what a record adds to what was spent."""
    return Spent(record.nano_usd or 0, record.tokens.total)


def fields_of(record: UsageRecord) -> dict[str, object]:
    """Return a record as flat fields of a log line, without what is None or 0."""
    tokens = {f"{name}_tokens": count for name, count in attrs.asdict(record.tokens).items()}
    every = attrs.asdict(record, recurse=False) | tokens
    every |= {"tokens": None, "time": record.time.isoformat(), "kind": record.kind.value}
    return {name: value for name, value in every.items() if value not in (None, 0, "")}
