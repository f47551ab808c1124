"""A provider of Live sessions (GPT-Live), with its own count of their time. It knows nothing of the
code under test. What it receives and sends is judged by the types of the official client.

The time of a session is that of the sound that it hears; it is told every 15 s of it. A text in
`session.commentary.append` says what happens next: `#say=2000` so many ms are said, `#report` the
time is told, `#delegate` work is delegated as the session was set up, `#call` the delegated
response asks for a function first, `#decide` a decision is made, `#tokens=20` the length of a
response, `#searches=2` its web searches, `#talk` what is in `transcripts` is said, `#fault=close`
what goes wrong:

    close     the connection ends without a word      bye      it ends in order, unfinished
    garbage   an event that is no JSON                big      an event that is too large
    half      a delegated response never ends         expired  the session is closed by its provider

`tells` replaces the usage of the session as it is told; `script` is read behind every commentary.
"""

import asyncio
import base64
import contextlib
import json
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from openai.types.live import ClientEvent, ServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

_DIRECTIVE = re.compile(r"#(\w+)(?:=(\w+))?")
_CLIENT: TypeAdapter[Any] = TypeAdapter(ClientEvent)
_SERVER: TypeAdapter[Any] = TypeAdapter(ServerEvent)
# PCM of 24 kHz.
BYTES_MS = 48
REPORT_MS = 15_000


@dataclass
class Session:
    """One connection, as the provider's books have it."""

    path: str
    headers: dict[str, str]
    received: list[dict[str, Any]] = field(default_factory=list)
    start: dict[str, Any] = field(default_factory=dict)
    heard_ms: int = 0
    backend: list[dict[str, Any]] = field(default_factory=list)
    closed: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class FakeLive:
    """A server on a port of its own, in a thread of its own. `refuses` is the error that further
    starts get, or the message in place of their confirmation; `refuses_handshake` is the status
    that further connections get.
    """

    key = "sk-live-upstream-0123456789"

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.refuses: dict[str, Any] | bytes | None = None
        self.refuses_handshake: int | None = None
        self.tells: dict[str, Any] | None = None
        self.script = ""
        # Instead of what it hears: the kind of what is said, the text, and its place in time.
        self.transcripts: list[tuple[str, str, int, int]] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._server: Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "FakeLive":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def start() -> None:
            self._server = await serve(
                self._serve, "127.0.0.1", 0, process_request=self._judge, max_size=64 << 20,
                compression=None,
            )  # fmt: skip
            self.port = next(iter(self._server.sockets)).getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade") != "websocket":
            return connection.respond(200, "ok")
        if self.refuses_handshake is None:
            return None
        error = {"message": "not now", "type": "server_error", "code": None, "param": None}
        response = connection.respond(self.refuses_handshake, json.dumps({"error": error}))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        return response

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        headers = {name.lower(): value for name, value in connection.request.headers.raw_items()}
        session = Session(connection.request.path, headers)
        self.sessions.append(session)
        talk = _Talk(connection, session, self)
        with contextlib.suppress(ConnectionClosed):
            await talk.run()
        session.closed = connection.close_code
        session.ended.set()


class _Talk:
    """One session."""

    def __init__(self, connection: ServerConnection, session: Session, books: FakeLive) -> None:
        self._connection = connection
        self._session = session
        self._books = books
        self._told_ms = 0
        self._resource: dict[str, Any] = {}
        self._waiting: dict[str, Any] | None = None

    async def run(self) -> None:
        async for raw in self._connection:
            event = json.loads(raw)
            _CLIENT.validate_python(event)
            kept = {name: value for name, value in event.items() if name != "audio"}
            self._session.received.append(kept)
            if not self._resource:
                await self._start(event)
            elif await self._hear(event):
                return

    async def _start(self, event: dict[str, Any]) -> None:
        assert event["type"] == "session.start", event
        if isinstance(self._books.refuses, bytes):
            await self._connection.send(self._books.refuses, text=True)
            await self._connection.wait_closed()
            return
        if self._books.refuses is not None:
            await self.send({"type": "error", "error": self._books.refuses}, unjudged=True)
            await self._connection.close(1008)
            return
        self._session.start = event["session"]
        self._resource = {
            **event["session"],
            "id": f"live_{secrets.token_hex(8)}",
            "expires_at": int(time.time()) + 7200,
            "status": "active",
        }
        await self.send({"type": "session.started", "session": self._resource})

    async def _hear(self, event: dict[str, Any]) -> bool:
        """Do what an event asks for; whether the session is over."""
        kind = event["type"]
        if kind == "session.input_audio.append":
            sound = base64.b64decode(event["audio"])
            self._session.heard_ms += len(sound) // BYTES_MS
            if self._session.heard_ms - self._told_ms >= REPORT_MS:
                if not self._books.transcripts:
                    said = {"type": "session.input_transcript.delta", "delta": "well heard"}
                    place = {"start_ms": self._told_ms, "end_ms": self._session.heard_ms}
                    await self.send({**said, **place})
                await self._report()
        elif kind == "session.commentary.append":
            at = self._session.heard_ms
            appended = {"type": "session.commentary.appended", "start_ms": at, "end_ms": at}
            await self.send(appended)
            text = f"{event['content']} {self._books.script}"
            return await self._obey(dict(_DIRECTIVE.findall(text)))
        elif kind == "session.update":
            for name, value in event["session"].items():
                self._resource[name] = value
            await self.send({"type": "session.updated", "session": self._resource})
        elif kind == "response.create" and self._waiting is not None:
            wishes, self._waiting = self._waiting, None
            await self._respond({name: value for name, value in wishes.items() if name != "call"})
        elif kind == "session.close":
            await self._end("close_requested")
            return True
        return False

    @property
    def _usage(self) -> dict[str, Any]:
        told = self._books.tells
        return {"seconds": self._session.heard_ms / 1000} if told is None else told

    async def _report(self) -> None:
        self._told_ms = self._session.heard_ms
        event = {"type": "session.usage.updated", "usage": self._usage}
        await self.send(event, unjudged=self._books.tells is not None)

    async def _end(self, reason: str) -> None:
        await self.send(
            {
                "type": "session.closed",
                "reason": reason,
                "session": self._resource,
                "usage": self._usage,
            },
            unjudged=self._books.tells is not None,
        )
        await self._connection.close(1000)

    async def _obey(self, wishes: dict[str, str]) -> bool:
        if said_ms := int(wishes.get("say") or 0):
            sound = base64.b64encode(bytes(said_ms * BYTES_MS)).decode()
            await self.send({"type": "session.output_audio.delta", "delta": sound})
            at = {"start_ms": self._session.heard_ms, "end_ms": self._session.heard_ms}
            await self.send({"type": "session.output_transcript.delta", "delta": "well", **at})
        if "talk" in wishes:
            for kind, text, start_ms, end_ms in self._books.transcripts:
                place = {"start_ms": start_ms, "end_ms": end_ms}
                event = {"type": f"session.{kind}_transcript.delta", "delta": text}
                await self.send({**event, **place})
        if "report" in wishes:
            await self._report()
        if "delegate" in wishes:
            await self._delegate(wishes)
        if "decide" in wishes:
            await self._decide()
        match wishes.get("fault"):
            case "close":
                self._connection.transport.abort()
            case "bye":
                await self._connection.close(1000)
            case "garbage":
                await self._connection.send('{"type":')
            case "big":
                await self._connection.send(json.dumps({"type": "x", "delta": "x" * (17 << 20)}))
            case "expired":
                await self._end("expired")
            case _:
                return False
        return True

    async def _delegate(self, wishes: dict[str, str]) -> None:
        delegation = self._resource.get("delegation") or {"type": "client"}
        target = delegation["type"]
        self._delegation = f"item_{secrets.token_hex(4)}"
        created = {"id": self._delegation, "type": "delegation", "target": target}
        await self.send(
            {
                "type": "session.delegation.created",
                "offset_ms": self._session.heard_ms,
                "delegation": created,
            }
        )
        if target == "responses":
            await self._respond(wishes)

    async def _respond(self, wishes: dict[str, str]) -> None:
        """One response of the backend, in the events of the Responses API."""
        id = f"resp_{secrets.token_hex(6)}"
        model = self._resource["delegation"]["responses"]["model"]
        snapshot = {"id": id, "object": "response", "model": model, "output": [], "tools": []}
        tokens = int(wishes.get("tokens") or 5)
        await self._nest("response.created", response={**snapshot, "status": "in_progress"})
        for number in range(int(wishes.get("searches") or 0)):
            item: dict[str, Any] = {"id": f"ws_{number}", "type": "web_search_call"}
            item |= {"status": "completed", "action": {"type": "search", "query": "rivers"}}
            await self._nest("response.output_item.done", output_index=number, item=item)
        part = {"output_index": 9, "content_index": 0, "item_id": "msg_1"}
        for number in range(tokens):
            await self._nest("response.output_text.delta", delta=f"w{number} ", **part)
        if wishes.get("fault") == "half":
            return
        if "call" in wishes:
            self._waiting = wishes
            call = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "look_up"}
            call |= {"arguments": "{}", "status": "completed"}
            await self._nest("response.output_item.done", output_index=8, item=call)
        usage = {
            "input_tokens": 40,
            "input_tokens_details": {"cached_tokens": 10},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 40 + tokens,
        }
        self._session.backend.append(usage)
        done = {**snapshot, "status": "completed", "usage": usage}
        await self._nest("response.completed", response=done)

    async def _nest(self, kind: str, **members: Any) -> None:
        nested = {"type": kind, "sequence_number": 1, **members}
        event = {"type": "response.event", "event": nested, "delegation_id": self._delegation}
        await self.send(event)

    async def _decide(self) -> None:
        usage = {
            "input_tokens": 30,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 32,
        }
        self._session.backend.append(usage)
        answers = [{"type": "predicate", "name": "angry", "probability": 0.25}]
        model = self._resource["delegation"]["decisions"]["model"]
        decision = {"answers": answers, "model": model, "usage": usage}
        nested = {"type": "decision.completed", "decision": decision}
        await self.send({"type": "decision.event", "event": nested})

    async def send(self, event: dict[str, Any], *, unjudged: bool = False) -> None:
        event = {"event_id": f"event_{secrets.token_hex(4)}", **event}
        if not unjudged:
            _SERVER.validate_python(event)
        await self._connection.send(json.dumps(event))
