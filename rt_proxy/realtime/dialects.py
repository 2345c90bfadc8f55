"""The two dialects of the Realtime API, and how a client shows which one it speaks.

Decided from what stands in the request head alone.
Nothing here reads a head itself or looks at an event.
"""

import enum
from collections.abc import Iterable

#: The preview form of Azure's address, which only ever spoke Beta.
AZURE_PREVIEW_PATH = "/openai/realtime"

_BETA_FEATURE = b"realtime=v1"
_BETA_SUBPROTOCOL = b"openai-beta.realtime-v1"


class Dialect(enum.Enum):
    """The shape of the events that one side of a session speaks."""

    GA = "ga"
    BETA = "beta"


def detect_dialect(
    path: str, beta_features: Iterable[bytes], subprotocols: Iterable[bytes]
) -> Dialect:
    """Return the dialect that a client asks for; GA unless something says Beta.

    ``OpenAI-Beta: realtime=v1`` and the subprotocol ``openai-beta.realtime-v1``
    are the marks of the Beta API (API reference); they count on every address.

    Args:
        path: The address, without a trailing ``/``.
        beta_features: The items of the ``OpenAI-Beta`` headers.
        subprotocols: The WebSocket subprotocols that the client offers.
    """
    marked = (
        any(feature.lower() == _BETA_FEATURE for feature in beta_features)
        or _BETA_SUBPROTOCOL in subprotocols
    )
    return Dialect.BETA if marked or path == AZURE_PREVIEW_PATH else Dialect.GA
