"""The two dialects of the Realtime API, and the translation of one into the other.

Pure: JSON text in, JSON text out, with a small bounded memory of the session.
What is the same in both dialects is never touched, and what somebody wrote that
is in neither goes on for the other side to judge.
"""

from rt_proxy.realtime.dialects.betaclient import BetaClientTranslator
from rt_proxy.realtime.dialects.dialect import (
    TELLING_CLIENT_EVENTS,
    Dialect,
    dialect_of_event,
    dialect_of_first_event,
    dialect_of_head,
)
from rt_proxy.realtime.dialects.gaclient import GaClientTranslator
from rt_proxy.realtime.dialects.members import Untranslated
from rt_proxy.realtime.dialects.translator import Translator

__all__ = [
    "TELLING_CLIENT_EVENTS",
    "BetaClientTranslator",
    "Dialect",
    "GaClientTranslator",
    "Translator",
    "Untranslated",
    "dialect_of_event",
    "dialect_of_first_event",
    "dialect_of_head",
    "translator_between",
]


def translator_between(
    client: Dialect, upstream: Dialect, *, owes_conversation: bool = False
) -> Translator | None:
    """Return what translates between two sides; None: they speak the same dialect.

    Args:
        client: The client's dialect.
        upstream: The upstream's.
        owes_conversation: The client has seen ``session.created`` as the upstream sent it,
            and is known to speak Beta only now.
    """
    if client is upstream:
        return None
    if client is Dialect.BETA:
        return BetaClientTranslator(owes_conversation=owes_conversation)
    return GaClientTranslator()
