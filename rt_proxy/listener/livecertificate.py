"""The certificate that newcomers are shown, which may be renewed while the listener lives.

Theory: loading the new files into the context that is in use is enough.
Practice: files that are wrong, or replaced just then, would leave that context with half of
each pair. So each pair gets a context of its own, and the whole context is swapped.
"""

import ssl

import trio

from rt_proxy.errors import ListenError
from rt_proxy.listener.certificate import server_context
from rt_proxy.settings import TlsSettings


class LiveCertificate:
    """The TLS context of the moment (mutable: certificates run out).

    Attributes:
        context: What the next newcomer is met with.
    """

    context: ssl.SSLContext

    def __init__(self, tls: TlsSettings) -> None:
        self.renew(tls)

    def renew(self, tls: TlsSettings) -> None:
        """Read the files for newcomers; who is here keeps what was agreed with it.

        Raises:
            ListenError: The files cannot be used; the pair that is in use stays.
        """
        try:
            self.context = server_context(tls)
        except (OSError, ValueError) as error:  # replaced since they were looked at
            raise ListenError(f"listen.tls: the files cannot be used: {error}") from error


class TlsListener(trio.abc.Listener[trio.abc.Stream]):
    """Meets each connection of a listener with the certificate of the moment.

    As with ``trio.SSLListener`` the handshake is left to whoever is handed the stream.
    """

    def __init__(
        self, listener: trio.abc.Listener[trio.abc.Stream], certificate: LiveCertificate
    ) -> None:
        self._listener = listener
        self._certificate = certificate

    async def accept(self) -> trio.abc.Stream:
        """Wait for a connection. Cancelling is safe."""
        stream = await self._listener.accept()
        return trio.SSLStream(
            stream, self._certificate.context, server_side=True, https_compatible=True
        )

    async def aclose(self) -> None:
        """Stop listening. Cancelling changes nothing."""
        await self._listener.aclose()
