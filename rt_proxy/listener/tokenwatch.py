"""Ends the sessions of tokens that are no longer good: revoked, gone, or expired."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import trio

from rt_proxy.listener.roster import Roster
from rt_proxy.realtime import closing
from rt_proxy.tokens.store import Standing, TokenStore, refresh_in_time

_logger = logging.getLogger("rt_proxy")

#: How often the token stores are looked at, in seconds.
_PAUSE = 1.0
_ENDINGS = {
    Standing.REVOKED: closing.TOKEN_REVOKED,
    Standing.EXPIRED: closing.TOKEN_EXPIRED,
}


async def watch_tokens(roster: Roster, store: Callable[[], TokenStore]) -> None:
    """Look once a second, for ever. Cancelling is safe.

    Args:
        roster: Who is here.
        store: Gives the store in force; sessions may be of one that was in force before.
    """
    while True:
        await trio.sleep(_PAUSE)
        stores = [store(), *(guest.tokens for guest in roster.guests())]
        for tokens in {id(tokens): tokens for tokens in stores}.values():
            try:
                if not await refresh_in_time(tokens):
                    _logger.error("the token store does not answer; what it knew last is in force")
                _end_bad_tokens(roster, tokens)
            except Exception:  # an embedder's own store may fail; its sessions need not
                _logger.exception("the token store failed, the sessions go on")


def _end_bad_tokens(roster: Roster, tokens: TokenStore) -> None:
    now = datetime.now(UTC)
    for guest in roster.guests():
        if guest.tokens is tokens:
            standing = tokens.standing(guest.token_id, now)
            if standing is not Standing.GOOD:
                guest.session.end(_ENDINGS[standing])
