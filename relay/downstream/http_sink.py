"""Write the answer to an HTTP request: headers and body, whole or as a stream. Every response has
the request's id and may be read by any web page (CORS), because these paths use no cookies.
"""

import re
import time
import types
from collections.abc import Awaitable, Generator
from operator import itemgetter
from typing import Any, Final
from urllib.parse import quote

import msgspec

from billing.currency.money import format_usd
from dialects.codec import Framing
from dialects.errors.errors import RequestFault, message_of
from dialects.errors.masking import quote_value
from lib.id_types import RequestId
from lib.ids import id_text
from lib.process.asgi import RESPOND, WRITE_PIECE, Fields, Respond, Scope, Send, WritePiece
from relay.downstream.downstream import ErrorAnswer, Head, NobodySink, Sink
from relay.downstream.error_answers import OVERLOADED, answer_to, error_response
from relay.downstream.limit_answers import limit_headers
from relay.health.channels_out import ChannelsOut
from relay.requests.invocation import Invocation

# What pages of other origins may send and read (CORS): everything except cookies.
ALLOW_ORIGIN: Final = (b"access-control-allow-origin", b"*")
EXPOSE_HEADERS: Final = (
    b"access-control-expose-headers",
    b"x-request-id, request-id, x-weir-hold, x-weir-cost, x-weir-output-cap, "
    b"x-weir-dropped-params, x-weir-fallback, x-weir-content-log, x-weir-end-user, "
    b"cache-status, age, deprecation, sunset, "
    b"retry-after, retry-after-ms, x-should-retry, idempotent-replayed, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens",
)
PREFLIGHT: Final = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"*, authorization"),
    (b"access-control-max-age", b"86400"),
]
# A parameter name from the client is only sent in a header if it is a plain name.
_PARAMETER = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_DROPPED_MAX: Final = 1024
# A model's output is never served as a page, whatever its content.
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_REPLAYED: Final = (b"idempotent-replayed", b"true")
_name_of = itemgetter(0)


class HttpSink:
    """The sink of an HTTP request, in the form of its endpoint."""

    __slots__ = (
        "_began",
        "_framing",
        "_from_page",
        "_replayed",
        "_respond",
        "_scope",
        "_send",
        "_write_piece",
        "begun",
        "end_user",
        "invocation",
        "request_id",
    )

    def __init__(
        self, scope: Scope, send: Send, request_id: RequestId, invocation: Invocation
    ) -> None:
        self._began = time.monotonic()
        self._scope = scope
        self._send = send
        self._respond: Respond | None = scope.get(RESPOND)
        self._write_piece: WritePiece | None = scope.get(WRITE_PIECE)
        # Only a web page needs the list of readable headers.
        self._from_page = b"origin" in map(_name_of, scope["headers"])
        self.request_id = request_id
        self.invocation = invocation
        self.begun = False
        self._replayed = False
        # What is known of the end user that the request names; None if its key names none.
        self.end_user: tuple[bytes, bytes] | None = None
        # Writes a stream that the client does not read as server-sent events.
        self._framing: Framing | None = None

    async def respond(self, status: int, fields: Fields, body: bytes) -> None:
        """Send a whole response."""
        section = self._section(status, fields, len(body))
        if self._respond is None or not self._respond(self._scope, status, section, body):
            await self._send({"type": "http.response.start", "status": status, "headers": section})
            await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def fault(self, fault: RequestFault | ChannelsOut) -> None:
        """Refuse a request that was not run, or whose run failed by a bug of ours."""
        await self.refuse(answer_to(fault))

    async def overloaded(self) -> None:
        await self.refuse(OVERLOADED)

    async def unknown(self, path: str) -> None:
        """Refuse a path without a row."""
        message = message_of("route_not_found", quote_value(path))
        error = ErrorAnswer("route_not_found", 404, message)
        await self.refuse(error)

    async def refuse(self, error: ErrorAnswer, *fields: tuple[bytes, bytes]) -> None:
        request_id = id_text(self.request_id)
        if self.begun:
            codec, target = self.invocation.codec, self.invocation.target
            frame = codec.error_frame(
                error.kind, error.message, request_id, target, error.guard_code
            )
            await self.write(frame, last=True)
            return
        response = error_response(error, self.invocation, request_id)
        await self.respond(response.status, [*response.fields, *fields], response.body)

    def replay(self, request_id: RequestId) -> None:
        """Announce that the answer which follows is the stored answer of this earlier request, and
        use that request's id."""
        self.request_id = request_id
        self._replayed = True

    def without_client(self) -> Sink:
        """Return the sink of what follows after the client has left."""
        return NobodySink()

    async def answer(self, head: Head, raw: bytes) -> None:
        raw = self.invocation.codec.add_time(raw, self._elapsed_ms())
        await self.respond(200, self._fields(head), raw)

    async def begin(self, head: Head) -> None:
        self._framing = self.invocation.codec.framing(self._elapsed_ms)
        if self._framing is not None:
            head = msgspec.structs.replace(head, content_type=self._framing.content_type)
        fields = self._fields(head)
        fields += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        await self._start(200, fields)

    async def begin_bytes(self, status: int, fields: Fields) -> None:
        """Begin a response of bytes: the status and the headers."""
        await self._start(status, fields)

    async def write(self, raw: bytes, *, last: bool) -> None:
        if self._framing is not None:
            raw = self._framing.feed(raw)
        if raw or last:
            await self._send({"type": "http.response.body", "body": raw, "more_body": not last})

    async def cut(self) -> None:
        """Return without sending an end, so that the server closes the connection."""

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        if self._framing is not None:
            raw = self._framing.feed(raw)
        if self._write_piece is not None and self._write_piece(self._scope, raw):
            return None
        sending = self._send(
            {"type": "http.response.body", "body": raw, "more_body": True}
        ).__await__()
        try:
            awaited = next(sending)
        except StopIteration:
            return None
        return _resume_sending(awaited, sending)

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._began) * 1_000)

    def _fields(self, head: Head) -> list[tuple[bytes, bytes]]:
        fields = _answer_fields(head)
        if head.headroom:
            fields += limit_headers(self.invocation.codec.name, head.headroom, time.time())
        return fields

    async def _start(self, status: int, own: Fields) -> None:
        section = self._section(status, own, None)
        await self._send({"type": "http.response.start", "status": status, "headers": section})

    def _section(self, status: int, own: Fields, length: int | None) -> Fields:
        """Return the message that begins the response, with the headers common to all responses."""
        request_id = id_text(self.request_id).encode()
        fields = [*own, (b"x-request-id", request_id), ALLOW_ORIGIN, _NOSNIFF]
        if (header := self.invocation.codec.request_header) and status == 200:
            fields.append((header, request_id))
        if self.end_user is not None:
            fields.append(self.end_user)
        if self._replayed:
            fields.append(_REPLAYED)
        if self._from_page:
            fields.append(EXPOSE_HEADERS)
        self.begun = True
        if length is not None and status != 204:
            fields.append((b"content-length", b"%d" % length))
        return fields


def _answer_fields(head: Head) -> list[tuple[bytes, bytes]]:
    fields = [
        (b"content-type", head.content_type.encode()),
        (b"x-weir-hold", format_usd(head.hold_nano).encode()),
    ]
    if head.cost_nano is not None:
        fields.append((b"x-weir-cost", format_usd(head.cost_nano).encode()))
    if head.output_cap is not None:
        fields.append((b"x-weir-output-cap", b"%d" % head.output_cap))
    if head.channel is not None:
        fields.append((b"x-weir-channel", quote(head.channel, safe=" /:()+").encode()))
        fields.append((b"x-weir-attempts", b"%d" % head.attempts))
    if head.dropped:
        dropped = ",".join(filter(_PARAMETER.fullmatch, head.dropped))
        fields.append((b"x-weir-dropped-params", dropped[:_DROPPED_MAX].encode()))
    fields += [(name.encode(), value.encode()) for name, value in head.notices]
    return fields


@types.coroutine
def _resume_sending(
    awaited: Any, sending: Generator[Any, None, None]
) -> Generator[Any, None, None]:
    """Await `awaited`, then run the rest of a write that was started outside a task."""
    yield awaited
    yield from sending
