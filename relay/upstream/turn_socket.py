"""Turns of the Responses API on a WebSocket to the provider, which is kept for the turns of a lane.

    post --first turn at a channel--> handshake --the provider has none--> HTTP from now on
         --a later turn--> the same socket; what it has read is not sent again
         --another channel or key--> another socket
    a socket that closes under a turn is F32 or F33, like a connection of HTTP
    a turn that is cut closes its socket, so that the provider notices

The answer to a turn is read like one over HTTP: each message becomes a frame of its stream.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, cast

import msgspec

from dialects.codec import EVENT_STREAM
from dialects.json.body import read_body
from dialects.json.not_json import NOT_JSON
from dialects.responses import websocket
from gateway.providers.provider import Quirk
from lib.network.egress import EgressPolicy
from relay.catalogue.snapshot import Channel
from relay.upstream.failures import (
    UpstreamFailed,
    connection_lost,
    failure_of_status,
    upstream_failure,
)
from relay.upstream.outgoing import OutgoingRequest
from relay.upstream.upstream import Answer, Upstreams
from relay.upstream.websocket import EVENT_BYTES_MAX, SocketLost, UpstreamSocket

# How long a socket waits for the next turn. A channel's connections are limited, and after this the
# next turn sends the whole conversation on another one.
_IDLE_S: Final = 300.0
_TOO_LARGE: Final = 1009
# The statuses of servers that know no WebSocket at this path.
_NO_SOCKETS: Final = frozenset({400, 404, 405, 426, 501})
# The provider has lost what the socket had read, or ends the socket: another one is opened.
_AGAIN: Final = frozenset({"previous_response_not_found", "websocket_connection_limit_reached"})
_NAME: Final = re.compile(r"[a-z_.]+")
_raws: Final = msgspec.json.Decoder(list[msgspec.Raw])
_encode: Final = msgspec.json.encode


class Post(Protocol):
    """Sends a request: see `Upstreams.post`."""

    async def __call__(
        self,
        channel: Channel,
        policy: EgressPolicy,
        request: OutgoingRequest,
        attempt_id: str,
        *,
        key: int,
        fresh: bool,
        on_sent: Callable[[], None] | None = None,
    ) -> Answer: ...


class Continued(NamedTuple):
    """What a turn continues: the id of the response, and how many of the turn's `items` input items
    come from before the end of that response."""

    response_id: str
    before: int
    items: int


class TurnSocket:
    """The WebSocket of one lane, used by one turn at a time. `without` are the ids of channels that
    turned out not to offer WebSockets, shared by the lanes of a connection. Set `continues` before
    each turn."""

    def __init__(self, upstreams: Upstreams, without: set[str]) -> None:
        self._upstreams = upstreams
        self._without = without
        self.continues: Continued | None = None
        self._socket: UpstreamSocket | None = None
        self._made_for: tuple[Channel, EgressPolicy, int] | None = None
        self._answer: SocketAnswer | None = None
        # The newest response that it has read.
        self._held = ""
        self._idle: asyncio.TimerHandle | None = None

    async def post(
        self,
        channel: Channel,
        policy: EgressPolicy,
        request: OutgoingRequest,
        attempt_id: str,
        *,
        key: int,
        fresh: bool,
        on_sent: Callable[[], None] | None = None,
    ) -> Answer:
        """Send a turn; return its answer. Raises UpstreamFailed."""
        if self._may_use(channel, request):
            if fresh:
                self.close()
            again = False
            while await self._connect(channel, policy, request, attempt_id, key):
                if on_sent is not None:
                    on_sent()
                answer = await self._send_turn(request, whole=again)
                if answer is not None:
                    return cast("Answer", answer)
                if again:
                    raise connection_lost("F33")
                again = True
        return await self._upstreams.post(
            channel, policy, request, attempt_id, key=key, fresh=fresh, on_sent=on_sent
        )

    def close(self) -> None:
        """Close the socket."""
        self._stop_waiting()
        socket, self._socket, self._held = self._socket, None, ""
        if socket is not None:
            socket.close()

    def end(self, answer: "SocketAnswer", response_id: str) -> None:
        """Record the end of an answer; `response_id` is "" for a response that cannot be continued.
        The socket is kept."""
        if answer is not self._answer:
            return
        self._held = response_id
        self._stop_waiting()
        self._idle = asyncio.get_running_loop().call_later(_IDLE_S, self.close)

    def _may_use(self, channel: Channel, request: OutgoingRequest) -> bool:
        return (
            Quirk.RESPONSES_SOCKETS in channel.provider.quirks
            and request.codec.name == "responses"
            and request.content_type == EVENT_STREAM
            and len(request.body) < EVENT_BYTES_MAX
            and channel.id not in self._without
        )

    async def _connect(
        self,
        channel: Channel,
        policy: EgressPolicy,
        request: OutgoingRequest,
        attempt_id: str,
        key: int,
    ) -> bool:
        """Open the socket unless it is open. Return False if the provider offers no WebSocket.
        Raises UpstreamFailed."""
        made_for = (channel, policy, key)
        self._stop_waiting()
        if self._socket is not None:
            ended = self._answer is None or self._answer.at_end
            if ended and self._socket.is_open and self._made_for == made_for:
                return True
            self.close()
        try:
            socket = await self._upstreams.change_over(
                channel, policy, request, attempt_id, key=key
            )
        except UpstreamFailed as failure:
            if failure.upstream_status not in _NO_SOCKETS and failure.fault != "F22":
                raise
            self._without.add(channel.id)
            return False
        self._socket, self._made_for, self._answer = socket, made_for, None
        return True

    def forget(self, socket: UpstreamSocket) -> None:
        """Forget a socket that was cut."""
        if socket is self._socket:
            self._socket, self._held = None, ""

    async def _send_turn(self, request: OutgoingRequest, *, whole: bool) -> "SocketAnswer | None":
        """Send a turn, and wait for the start of its answer. Return None if the whole conversation
        must be sent on another socket. Raises UpstreamFailed."""
        socket, used = self._socket, self._answer is not None
        if socket is None:
            raise connection_lost("F33")
        self._answer = answer = SocketAnswer(self, socket)
        message = write_message(request.body, None if whole else self._continued())
        begun = False
        try:
            await socket.send(message)
            error = await answer.begin()
            begun = error is None
        except SocketLost as lost:
            if lost.code == _TOO_LARGE:
                raise upstream_failure("F17") from None
            # The fault depends on whether the connection was kept or new, as over HTTP.
            raise connection_lost("F32" if used else "F33") from None
        finally:
            if not begun:
                self.close()
        if error is None:
            return answer
        if error.code in _AGAIN and (used or not whole):
            return None
        body = _encode({"error": error.members})
        raise failure_of_status(error.status, error.headers, body, request.codec)

    def _continued(self) -> Continued | None:
        continues = self.continues
        if continues is None or not self._held or continues.response_id != self._held:
            return None
        return continues

    def _stop_waiting(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


class SocketAnswer:
    """The answer to one turn, with the methods of `Answer` by which answers are read."""

    status: Final = 200

    def __init__(self, owner: TurnSocket, socket: UpstreamSocket) -> None:
        self._owner = owner
        self._socket = socket
        self._first = b""
        self.at_end = False
        self.headers = {"content-type": EVENT_STREAM}

    async def begin(self) -> "_Refusal | None":
        """Wait for the first message. Return the error if the turn was refused. Raises
        SocketLost.
        """
        first = await self._socket.receive()
        event = _read_event(first)
        if event.type == "error":
            return _read_refusal(first)
        response_id = websocket.read_stream_event(first).response_id
        if response_id:
            self.headers["x-request-id"] = response_id
        self._first = self._frame(first)
        return None

    async def next_bytes(self) -> bytes:
        """Return the next frame, b"" at the end. Raises UpstreamFailed if the answer ends too
        early."""
        if self._first:
            first, self._first = self._first, b""
            return first
        if self.at_end:
            return b""
        try:
            return self._frame(await self._socket.receive())
        except SocketLost as lost:
            raise upstream_failure("F17" if lost.code == _TOO_LARGE else "F14") from None

    async def hand_to(self, take: Callable[[bytes], bool]) -> None:
        """Pass each frame to `take` until it returns True; b"" means that no more will arrive, for
        whatever reason.
        """
        while True:
            try:
                frame = await self.next_bytes()
            except UpstreamFailed as failure:
                if failure.fault == "F17":
                    raise
                frame = b""
            if take(frame) or not frame:
                return

    def release(self) -> None:
        """Keep the socket if the answer has ended; otherwise close it."""
        if not self.at_end:
            self.cut()

    def cut(self) -> None:
        """Close the socket now, so that the provider notices the disconnect."""
        self.at_end = True
        self._owner.forget(self._socket)
        self._socket.cut()

    def _frame(self, message: bytes) -> bytes:
        event = _read_event(message)
        if event.type in websocket.ENDS or event.type == "error":
            self.at_end = True
            end = websocket.read_stream_event(message)
            self._owner.end(self, end.response_id if end.continuable else "")
        return _write_frame(event, message)


class _Event(msgspec.Struct):
    type: str = ""
    sequence_number: int | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Refusal(NamedTuple):
    """An error that is the whole answer to a turn, in the form of an HTTP response."""

    status: int
    code: str
    members: Any
    headers: dict[str, str]


class _ErrorEvent(msgspec.Struct):
    error: dict[str, Any]
    status: int = 500
    headers: dict[str, Any] = {}


_event: Final = msgspec.json.Decoder(_Event)
_error_event: Final = msgspec.json.Decoder(_ErrorEvent)


def _read_event(message: bytes) -> _Event:
    try:
        return _event.decode(message)
    except NOT_JSON:
        return _Event()


def _read_refusal(message: bytes) -> _Refusal:
    try:
        event = _error_event.decode(message)
    except NOT_JSON:
        return _Refusal(500, "", {"message": "", "type": "server_error"}, {})
    inside = event.error.get("headers")
    headers = event.headers or (inside if isinstance(inside, dict) else {})
    texts = {name.lower(): text for name, text in headers.items() if isinstance(text, str)}
    status = event.status if 400 <= event.status < 600 else 500
    members = {name: value for name, value in event.error.items() if name != "headers"}
    return _Refusal(status, str(members.get("code") or ""), members, texts)


def read_frame(message: bytes) -> bytes:
    """Return a message as a frame of a stream. Errors in messages are not nested, unlike in
    frames."""
    return _write_frame(_read_event(message), message)


def _write_frame(event: _Event, message: bytes) -> bytes:
    if event.type == "error":
        refusal = _read_refusal(message)
        flat = {name: refusal.members.get(name) for name in ("code", "message", "param")}
        number = {"sequence_number": event.sequence_number or 0}
        message = _encode({"type": "error", **number, **flat})
    elif b"\n" in message or b"\r" in message:
        # Only line ends between values are replaced; inside a text the decoder reports invalid
        # JSON.
        message = message.replace(b"\r", b" ").replace(b"\n", b" ")
    name = event.type if _NAME.fullmatch(event.type) else ""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + message + b"\n\n"


def write_message(raw: bytes, continued: Continued | None) -> bytes:
    """Return the event that begins a turn, from the body of a request over HTTP."""
    body = read_body(raw)
    edits: dict[str, bytes | None] = dict.fromkeys(("stream", "stream_options", "background"))
    edits["type"] = b'"response.create"'
    raw_input = body.value("input") or b""
    if continued is not None and raw_input.startswith(b"["):
        items = _raws.decode(raw_input)
        # The channel may receive other items than the client sent.
        if len(items) == continued.items:
            edits["previous_response_id"] = _encode(continued.response_id)
            edits["input"] = _encode(items[continued.before :])
    return body.splice(edits)
