"""The client's end of one response on a WebSocket: each event of its stream is a text message."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from dialects.responses import websocket
from dialects.responses.websocket import StreamEvent
from dialects.streams.sse import FrameSplitter
from lib.id_types import RequestId
from lib.ids import id_text
from relay.downstream.downstream import ErrorAnswer, Head
from relay.downstream.error_answers import answer_of_kind, error_response
from relay.endpoints.responses_socket.outbox import Outbox
from relay.requests.invocation import Invocation

_DONE: Final = b"[DONE]"
_NOT_FOUND: Final = "previous_response_not_found"


class TurnSink:
    """The sink of one response. `end` is the last event once it was sent, None before; `refused` is
    set if an error was sent instead of a response. `created` is called with the id of the
    response."""

    def __init__(
        self,
        outbox: Outbox,
        invocation: Invocation,
        request_id: RequestId,
        stream_id: str | None,
        created: Callable[[str], None],
    ) -> None:
        self._outbox = outbox
        self._invocation = invocation
        self._request_id = request_id
        self._stream_id = stream_id
        self._created = created
        self._frames = FrameSplitter()
        self.end: StreamEvent | None = None
        self.refused = False

    async def refuse(self, error: ErrorAnswer) -> None:
        self.refused = True
        if error.param == "previous_response_id":
            error = error._replace(code=_NOT_FOUND)
        response = error_response(error, self._invocation, id_text(self._request_id))
        headers = {name.decode(): value.decode() for name, value in response.fields}
        del headers["content-type"]
        members = msgspec.json.decode(response.body)["error"]
        self._outbox.put(
            websocket.error_message(response.status, members, self._stream_id, headers)
        )

    async def answer(self, head: Head, raw: bytes) -> None:
        event = b'{"type":"response.completed","sequence_number":0,"response":' + raw + b"}"
        await self.write(b"data: " + event + b"\n\n", last=True)

    async def begin(self, head: Head) -> None:
        """Begin the response. The client learns it from the first event."""

    async def write(self, raw: bytes, *, last: bool) -> None:
        room = self.write_now(raw)
        if room is not None:
            await room

    async def cut(self) -> None:
        if self.end is None:
            await self.refuse(answer_of_kind("upstream_truncated"))

    def write_now(self, raw: bytes) -> Awaitable[Any] | None:
        for frame in self._frames.feed(raw):
            if frame.data and frame.data != _DONE:
                self._outbox.put(self._message(frame.event, frame.data))
        return self._outbox.room()

    def _message(self, name: str, data: bytes) -> str:
        # Few events begin or end their response; the others are not decoded.
        if name.endswith(".delta"):
            return websocket.text_message(data, self._stream_id)
        event = websocket.read_stream_event(data)
        if event.type == "response.created":
            self._created(event.response_id)
        if event.is_end:
            self.end = event
        if event.type == "error":
            return websocket.error_in_stream(event, self._stream_id)
        return websocket.text_message(data, self._stream_id)
