"""A provider of realtime connections, with its own count of what it made. It knows nothing of the
code under test.

With `server_vad` it answers by itself to every second of sound. A user's text says what its answer
is to be: `#tokens=20` its length, `#audio` that it is said, `#words` with its words beside it,
`#cached=5` of its input, `#odd` that its ID is a strange one, `#twice` that its end is told twice,
`#fault=close@3` what goes wrong behind three deltas:

    close     the connection ends without a word      bye      it ends in order
    silent    nothing more comes                      lie      a usage that cannot be
    nousage   no usage                                failed   the response failed
    garbage   an event that is no JSON                big      an event that is too large
"""

import asyncio
import base64
import json
import re
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

# Bytes of a token of sound: 50 ms of PCM at 24 kHz, two bytes each.
TOKEN_BYTES = 2400
_DIRECTIVE = re.compile(r"#(\w+)(?:=([\w@]+))?")


@dataclass
class Session:
    """One connection, as the provider's books have it."""

    path: str
    headers: dict[str, str]
    received: list[dict[str, Any]] = field(default_factory=list)
    responses: list[dict[str, Any]] = field(default_factory=list)
    closed: int | None = None
    sent: int = 0


class FakeRealtime:
    """A server on a port of its own, in a thread of its own. `refuses` is the status that further
    handshakes get, with the body of an error; `usage` is what responses tell in place of what they
    used; `script` is read behind every user's text; `adds` are more headers of its handshakes."""

    key = "sk-realtime-upstream-0123456789"

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.refuses: tuple[int, dict[str, Any], dict[str, str]] | None = None
        self.usage: dict[str, Any] | None = None
        self.script = ""
        self.adds: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._server: Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "FakeRealtime":
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

    @property
    def responses(self) -> list[dict[str, Any]]:
        """The usage of every response of every session."""
        return [usage for session in self.sessions for usage in session.responses]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def start() -> None:
            self._server = await serve(
                self._serve, "127.0.0.1", 0, process_request=self._judge, max_size=64 << 20,
                process_response=self._add, compression=None,
            )  # fmt: skip
            self.port = next(iter(self._server.sockets)).getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade") != "websocket":
            return connection.respond(200, "ok")
        if self.refuses is None:
            return None
        status, body, headers = self.refuses
        response = connection.respond(status, json.dumps(body))
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json"
        for name, value in headers.items():
            response.headers[name] = value
        return response

    def _add(self, connection: ServerConnection, request: Request, response: Response) -> None:
        for name, value in self.adds.items():
            response.headers[name] = value

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        headers = {name.lower(): value for name, value in connection.request.headers.raw_items()}
        session = Session(connection.request.path, headers)
        self.sessions.append(session)
        talk = _Talk(connection, session, self.usage, self.script)
        try:
            await talk.run()
        except ConnectionClosed:
            pass
        finally:
            talk.stop()
        session.closed = connection.close_code


class _Talk:
    """One conversation."""

    def __init__(
        self,
        connection: ServerConnection,
        session: Session,
        usage: dict[str, Any] | None,
        script: str,
    ) -> None:
        self._script = script
        self._connection = connection
        self._told = usage
        self._session = session
        self._context = 0
        self._heard_ms = 0
        self._text = ""
        self._events = 0
        self._settings: dict[str, Any] = {}
        self._making: asyncio.Task[None] | None = None
        self._turn_ms = 0
        self._cancelled = asyncio.Event()

    def stop(self) -> None:
        if self._making is not None:
            self._making.cancel()

    async def run(self) -> None:
        model = self._session.path.partition("model=")[2] or "unknown"
        self._settings = {
            "type": "realtime",
            "object": "realtime.session",
            "id": f"sess_{secrets.token_hex(4)}",
            "model": model,
            "output_modalities": ["audio"],
            "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}}},
        }
        await self.send({"type": "session.created", "session": self._settings})
        async for raw in self._connection:
            event = json.loads(raw)
            self._session.received.append(
                {name: value for name, value in event.items() if name != "audio"}
            )
            await self._hear(event)

    async def _hear(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        if kind == "session.update" and "no-such-voice" in json.dumps(event["session"]):
            error = {
                "type": "invalid_request_error",
                "code": "invalid_value",
                "message": "Invalid value: 'no-such-voice'.",
                "param": "session.audio.output.voice",
                "event_id": event.get("event_id"),
            }
            await self.send({"type": "error", "error": error})
        elif kind == "session.update":
            self._settings = {**self._settings, **event["session"]}
            await self.send({"type": "session.updated", "session": self._settings})
        elif kind == "conversation.item.create":
            self._text = event["item"]["content"][0]["text"]
            await self.send({"type": "conversation.item.added", "item": event["item"]})
        elif kind == "input_audio_buffer.append":
            heard_ms = len(base64.b64decode(event["audio"])) // 48
            self._heard_ms += heard_ms
            await self._follow_turn(heard_ms)
        elif kind == "input_audio_buffer.commit":
            await self.send({"type": "input_audio_buffer.committed", "item_id": "item_said"})
            await self._write_down()
        elif kind == "response.create":
            self._begin()
        elif kind == "response.cancel":
            self._cancelled.set()
        elif kind == "conversation.item.truncate":
            await self.send({**event, "type": "conversation.item.truncated"})
        else:
            error = {
                "type": "invalid_request_error",
                "code": "invalid_value",
                "message": f"Invalid value: '{kind}'.",
                "param": "type",
                "event_id": event.get("event_id"),
            }
            await self.send({"type": "error", "error": error})

    def _begin(self) -> None:
        self._cancelled.clear()
        self._making = asyncio.create_task(self._respond())

    async def _follow_turn(self, heard_ms: int) -> None:
        detected = self._settings.get("audio", {}).get("input", {}).get("turn_detection")
        if not detected:
            return
        if not self._turn_ms:
            await self.send({"type": "input_audio_buffer.speech_started", "item_id": "item_said"})
        self._turn_ms += heard_ms
        if self._turn_ms < 1000:
            return
        self._turn_ms = 0
        await self.send({"type": "input_audio_buffer.speech_stopped", "item_id": "item_said"})
        await self.send({"type": "input_audio_buffer.committed", "item_id": "item_said"})
        await self._write_down()
        self._begin()

    async def _write_down(self) -> None:
        response = self._settings.get("audio", {}).get("input", {})
        if not response.get("transcription"):
            return
        tokens = self._heard_ms // 100
        usage = {
            "type": "tokens",
            "total_tokens": tokens + 3,
            "input_tokens": tokens,
            "input_token_details": {"text_tokens": 0, "audio_tokens": tokens},
            "output_tokens": 3,
        }
        self._session.responses.append(usage)
        await self.send(
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": "item_said",
                "content_index": 0,
                "transcript": "what was said",
                "usage": usage,
            }
        )

    async def _respond(self) -> None:
        try:
            await self._make_response()
        except ConnectionClosed:
            return

    async def _make_response(self) -> None:
        wishes = dict(_DIRECTIVE.findall(f"{self._text} {self._script}"))
        tokens, audio = int(wishes.get("tokens") or 5), "audio" in wishes
        fault, _, behind = wishes.get("fault", "").partition("@")
        id = f"resp_{secrets.token_hex(6)}"
        if "odd" in wishes:
            id += "\x00\"'😀" + "x" * 10_000
        item = f"item_{len(self._session.responses) + 1}"
        part = {"response_id": id, "item_id": item, "output_index": 0, "content_index": 0}
        await self.send(
            {"type": "response.created", "response": {"id": id, "status": "in_progress"}}
        )
        created = 0
        for number in range(tokens):
            if self._cancelled.is_set():
                break
            if fault and number == int(behind or 0) and await self._spoil(fault):
                return
            if "words" in wishes:
                words = {"type": "response.output_audio_transcript.delta", "delta": f"w{number} "}
                await self.send({**words, **part})
            if audio:
                sound = base64.b64encode(bytes(TOKEN_BYTES)).decode()
                await self.send({"type": "response.output_audio.delta", **part, "delta": sound})
            else:
                delta = {"type": "response.output_text.delta", **part, "delta": f"w{number} "}
                await self.send(delta)
            created += 1
            if "slow" in wishes:
                await asyncio.sleep(int(wishes["slow"] or 5) / 1000)
        await self._end_response(id, created, wishes, audio=audio, fault=fault)

    async def _spoil(self, fault: str) -> bool:
        """Do what goes wrong in the middle; whether nothing follows."""
        if fault == "close":
            self._connection.transport.abort()
        elif fault == "bye":
            await self._connection.close(1000)
        elif fault == "silent":
            await asyncio.Event().wait()
        elif fault == "garbage":
            await self._connection.send('{"type":')
        elif fault == "big":
            await self._connection.send(json.dumps({"type": "x", "delta": "x" * (17 << 20)}))
        return fault in ("close", "bye", "garbage", "big")

    async def _end_response(
        self, id: str, count: int, wishes: dict[str, str], *, audio: bool, fault: str
    ) -> None:
        heard_ms = self._heard_ms // 100
        text = self._context + 10 + len(self._text.split())
        cached = int(wishes.get("cached") or 0)
        usage: dict[str, Any] | None = {
            "total_tokens": text + heard_ms + count,
            "input_tokens": text + heard_ms,
            "output_tokens": count,
            "input_token_details": {
                "text_tokens": text,
                "audio_tokens": heard_ms,
                "image_tokens": 0,
                "cached_tokens": cached,
                "cached_tokens_details": {
                    "text_tokens": cached - cached // 2 if heard_ms else cached,
                    "audio_tokens": cached // 2 if heard_ms else 0,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {
                "text_tokens": 0 if audio else count,
                "audio_tokens": count if audio else 0,
            },
        }
        assert usage is not None
        usage = self._told or usage
        self._session.responses.append(usage)
        if fault == "lie":
            usage = {**usage, "output_tokens": -5}
        elif fault == "nousage":
            usage = None
        status = "cancelled" if self._cancelled.is_set() else "completed"
        response: dict[str, Any] = {"id": id, "status": status, "usage": usage}
        if fault == "failed":
            error = {"type": "server_error", "code": "boom", "message": "it broke"}
            response |= {"status": "failed", "status_details": {"type": "failed", "error": error}}
        if not audio:
            self._context += count
        await self.send({"type": "response.done", "response": response})
        if "twice" in wishes:
            await self.send({"type": "response.done", "response": response})

    async def send(self, event: dict[str, Any]) -> None:
        self._events += 1
        await self._connection.send(json.dumps({"event_id": f"event_{self._events}", **event}))
        self._session.sent = self._events
