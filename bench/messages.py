"""A WebSocket listener of whole messages: what both ends of the bench are made from."""

from picows import WSFrame, WSListener, WSMsgType, WSTransport


class MessageListener(WSListener):
    """Puts fragments together and keeps data apart from CLOSE; picows itself answers pings."""

    transport: WSTransport

    def __init__(self) -> None:
        self._fragments: list[bytes] = []

    def on_message(self, payload: bytes) -> None:
        """A whole data message."""
        raise NotImplementedError

    def on_close_frame(self, why: str) -> None:
        """A CLOSE frame, not answered yet, with its code and reason."""
        raise NotImplementedError

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        match frame.msg_type:
            case WSMsgType.TEXT | WSMsgType.BINARY | WSMsgType.CONTINUATION:
                self._on_data(frame)
            case WSMsgType.CLOSE:
                reason = frame.get_close_reason() or "without a reason"
                self.on_close_frame(f"{frame.get_close_code()} {reason}")

    def _on_data(self, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if frame.fin and not self._fragments:
            self.on_message(payload)
            return
        self._fragments.append(payload)
        if frame.fin:
            whole = b"".join(self._fragments)
            self._fragments.clear()
            self.on_message(whole)

    def send(self, payload: bytes) -> None:
        """Send one text message."""
        self.transport.send(WSMsgType.TEXT, payload)
