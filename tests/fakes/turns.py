"""The Responses API over a WebSocket, as OpenAI has it: `response.create` is answered as a request
over HTTP is, with the same directives and the same row in the books, and each frame of its stream
is a message. A connection remembers its newest response, so that the next request may send only
what is new; GET /_sockets has what each connection was sent.
"""

import asyncio
import json
from typing import Any, cast

import httptools
from websockets.exceptions import ConnectionClosed, InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from tests.fakes.answer import compact
from tests.fakes.server import Connection, Request, Upstream
from tests.fakes.wire import error_object

_MESSAGE_BYTES_MAX = 64 << 20
_ENDS = ("response.completed", "response.incomplete", "response.failed")


class Turns(Connection):
    """One connection after its handshake."""

    def __init__(self, upstream: Upstream, request: Request, transport: asyncio.Transport) -> None:
        super().__init__(upstream)
        self._request = request
        self._socket = transport
        self._ws = ServerProtocol(max_size=_MESSAGE_BYTES_MAX)
        self._pieces: list[bytes] = []
        self._known: tuple[str, list[Any]] = ("", [])
        self._asked: list[Any] = []
        self.events: list[dict[str, Any]] = []
        self.upstream.sockets.append(self)
        self._ws.receive_data(_head_of(request))
        super().connection_made(cast(asyncio.Transport, _Frames(self)))
        for handshake in self._ws.events_received():
            assert isinstance(handshake, Handshake)
            self._ws.send_response(self._ws.accept(handshake))
        self._send()

    def _send(self) -> None:
        self._socket.write(b"".join(self._ws.data_to_send()))

    # ---- what comes in

    def data_received(self, data: bytes) -> None:
        self._ws.receive_data(data)
        for frame in self._ws.events_received():
            if not isinstance(frame, Frame) or frame.opcode not in (Opcode.TEXT, Opcode.CONT):
                continue
            self._pieces.append(bytes(frame.data))
            if frame.fin:
                raw, self._pieces = b"".join(self._pieces), []
                self._hear(json.loads(raw))
        self._send()

    def _hear(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        body = {name: value for name, value in event.items() if name != "type"} | {"stream": True}
        previous = event.get("previous_response_id")
        items = event.get("input") or []
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        if previous is not None and previous == self._known[0]:
            items = body["input"] = [*self._known[1], *items]
            del body["previous_response_id"]
        elif previous is not None and event.get("store") is False:
            text = f"Previous response with id '{previous}' not found."
            error = error_object(text, code="previous_response_not_found")["error"]
            self.tell({"type": "error", "status": 400, "error": error})
            return
        self._asked = list(items)
        request = Request(self._request.target, "POST", self._request.headers, [compact(body)])
        if self._active is None:
            self._active = request
            self.upstream.handle(self, request)
        else:
            self._queue.append(request)

    def eof_received(self) -> bool:
        self._ws.receive_eof()
        return super().eof_received()

    # ---- what goes out

    def tell(self, event: dict[str, Any]) -> None:
        self.say(compact(event))

    def say(self, message: bytes) -> None:
        """Send a message of an answer."""
        try:
            self._ws.send_text(message)
        except (ConnectionClosed, InvalidState):
            return
        self._send()

    def finish(self, response: dict[str, Any]) -> None:
        """Remember a response that may be continued."""
        whole = response["status"] in ("completed", "incomplete")
        self._known = (response["id"], [*self._asked, *response["output"]]) if whole else ("", [])

    def forget(self) -> None:
        self._known = ("", [])

    def bye(self, code: int = CloseCode.NORMAL_CLOSURE) -> None:
        self._ws.send_close(code)
        self._send()
        self._socket.close()


class _Frames:
    """The transport of an answer: what HTTP would carry becomes messages."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._parser = httptools.HttpResponseParser(self)
        self._pending = b""
        self._error = b""
        self._ended = False
        self._headers: dict[str, str] = {}

    def write(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._turns._socket.abort()

    def on_message_begin(self) -> None:
        self._pending = self._error = b""
        self._ended = False
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode()] = value.decode()

    def on_body(self, body: bytes) -> None:
        if self._parser.get_status_code() != 200:
            self._error += body
            return
        *frames, self._pending = (self._pending + body).split(b"\n\n")
        for frame in frames:
            for line in frame.split(b"\n"):
                if line.startswith(b"data: "):
                    self._pass_on(line.removeprefix(b"data: "))

    def _pass_on(self, message: bytes) -> None:
        self._turns.say(message)
        try:
            event = json.loads(message)
        except ValueError:
            return
        self._ended = self._ended or event["type"] in (*_ENDS, "error")
        if event["type"] in _ENDS:
            self._turns.finish(event["response"])

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != 200:
            error = json.loads(self._error)["error"]
            event = {"type": "error", "status": status, "error": error}
            self._turns.tell(event | {"headers": self._headers})
        elif not self._ended:
            # Whoever breaks off an answer has no other way to say so.
            self.close()

    def set_write_buffer_limits(self, **limits: int) -> None:
        self._turns._socket.set_write_buffer_limits(**limits)

    def get_extra_info(self, name: str) -> Any:
        return self._turns._socket.get_extra_info(name)

    def close(self) -> None:
        self._turns._socket.close()

    def abort(self) -> None:
        self._turns._socket.abort()


def _head_of(request: Request) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"GET {request.target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")
