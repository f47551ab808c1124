"""A provider of Google's live sessions, with its own count of what it made. It knows nothing of the
code under test.

The text of a turn says what its answer is to be: `#tokens=20` its length, `#audio` that it is said,
`#call` that a function is called first, `#think=7` thoughts beside it, `#search=2` searches,
`#slow=5` milliseconds between pieces, `#update` a handle behind it, `#goaway` that it closes then.
A setup with a transcription has its answers said.
Sound of a second or more is answered by five tokens of sound, and interrupts what is being said.
`#fault=close@3` says what goes wrong behind three pieces:

    close     the connection ends without a word      bye      it ends in order
    silent    nothing more comes                      garbage  a message that is no JSON
    nousage   the turn ends without usage             late     its usage comes too late
    odd       usage with an unknown member            film     usage of film
    goaway    it says that it closes, and does
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

# Bytes of a token of sound: 40 ms of PCM at 24 kHz, two bytes each.
TOKEN_BYTES = 1920
# Heard sound: 25 tokens a second of PCM at 16 kHz.
HEARD_BYTES = 1280
_DIRECTIVE = re.compile(r"#(\w+)(?:=([\w@]+))?")


@dataclass
class LiveCall:
    """One connection, as the provider's books have it."""

    path: str
    headers: dict[str, str]
    setup: dict[str, Any] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)
    usages: list[dict[str, Any]] = field(default_factory=list)
    closed: int | None = None
    sent: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


class FakeGeminiLive:
    """A server on a port of its own, in a thread of its own. `refuses` is the close with which it
    answers further setups, or a message in place of the one that completes them; `contexts` are
    its conversations, by their handle; `script` is read behind every text."""

    key = "AIza-live-upstream-0123456789"

    def __init__(self) -> None:
        self.calls: list[LiveCall] = []
        self.refuses: tuple[int, str] | bytes | None = None
        self.contexts: dict[str, dict[str, int]] = {}
        self.script = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._server: Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1beta"

    @property
    def usages(self) -> list[dict[str, Any]]:
        """The usage of every turn of every session."""
        return [usage for call in self.calls for usage in call.usages]

    def __enter__(self) -> "FakeGeminiLive":
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
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        headers = {name.lower(): value for name, value in connection.request.headers.raw_items()}
        call = LiveCall(connection.request.path, headers)
        if headers.get("x-goog-api-key") != self.key:
            # Google opens the session of any key, and closes it.
            await connection.close(1007, "API key not valid. Please pass a valid API key.")
            return
        self.calls.append(call)
        talk = _Talk(self, connection, call)
        try:
            await talk.run()
        except ConnectionClosed:
            pass
        finally:
            talk.stop()
        call.closed = connection.close_code
        call.ended.set()


class _Talk:
    """One conversation."""

    def __init__(self, fake: FakeGeminiLive, connection: ServerConnection, call: LiveCall) -> None:
        self._fake = fake
        self._connection = connection
        self._call = call
        self._context = {"TEXT": 0, "AUDIO": 0, "IMAGE": 0}
        self._heard = b""
        self._making: asyncio.Task[None] | None = None
        self._results = asyncio.Event()

    def stop(self) -> None:
        if self._making is not None:
            self._making.cancel()

    async def run(self) -> None:
        first = json.loads(await self._connection.recv())
        self._call.setup = setup = first["setup"]
        if isinstance(self._fake.refuses, bytes):
            await self._connection.send(self._fake.refuses)
            await self._connection.wait_closed()
            return
        if self._fake.refuses is not None:
            await self._connection.close(*self._fake.refuses)
            return
        handle = (setup.get("sessionResumption") or {}).get("handle")
        if handle is not None:
            if handle not in self._fake.contexts:
                await self._connection.close(1008, "BidiGenerateContent session not found")
                return
            self._context = dict(self._fake.contexts[handle])
        if instruction := setup.get("systemInstruction"):
            self._context["TEXT"] += len(json.dumps(instruction).split())
        await self.send({"setupComplete": {"sessionId": f"live-{secrets.token_hex(4)}"}})
        async for raw in self._connection:
            message = json.loads(raw)
            self._call.received.append(next(iter(message)))
            await self._hear(message)

    async def _hear(self, message: dict[str, Any]) -> None:
        content = message.get("clientContent") or message.get("client_content")
        heard = message.get("realtimeInput") or message.get("realtime_input")
        if content is not None:
            text = " ".join(
                part.get("text", "")
                for turn in content.get("turns") or ()
                for part in turn["parts"]
            )
            self._context["TEXT"] += len(text.split())
            if content.get("turnComplete") or content.get("turn_complete"):
                await self._begin(text)
        elif heard is not None:
            await self._follow(heard)
        else:
            self._results.set()

    async def _follow(self, heard: dict[str, Any]) -> None:
        if text := heard.get("text"):
            self._context["TEXT"] += len(text.split())
            await self._begin(text)
        if video := heard.get("video"):
            assert base64.b64decode(video["data"])
            self._context["IMAGE"] += 258
        if sound := heard.get("audio"):
            self._heard += base64.b64decode(sound["data"])
        if len(self._heard) >= 32_000:
            self._context["AUDIO"] += len(self._heard) // HEARD_BYTES
            self._heard = b""
            await self._begin("#audio #tokens=5")

    async def _begin(self, text: str) -> None:
        if self._making is not None and not self._making.done():
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)
            await self.send({"serverContent": {"interrupted": True}})
            await self._end(self._said, {}, audio=self._audio)
        self._making = asyncio.create_task(self._answer(text))

    async def _answer(self, text: str) -> None:
        wishes = dict(_DIRECTIVE.findall(f"{text} {self._fake.script}"))
        tokens = int(wishes.get("tokens") or 5)
        transcribed = "outputAudioTranscription" in self._call.setup
        self._audio, self._said = transcribed or "audio" in wishes, 0
        fault, _, behind = wishes.get("fault", "").partition("@")
        if "call" in wishes:
            self._results.clear()
            call = {"id": f"fc-{secrets.token_hex(3)}", "name": "look_up", "args": {"of": "river"}}
            await self.send({"toolCall": {"functionCalls": [call]}})
            await self._results.wait()
        for number in range(tokens):
            if fault and number == int(behind or 0) and await self._spoil(fault):
                return
            part: dict[str, Any] = {"text": f"w{number} "}
            if self._audio:
                data = base64.b64encode(bytes(TOKEN_BYTES)).decode()
                part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}
            await self.send({"serverContent": {"modelTurn": {"role": "model", "parts": [part]}}})
            if transcribed:
                told = {"outputTranscription": {"text": f"w{number} "}}
                await self.send({"serverContent": told})
            self._said += 1
            if "slow" in wishes:
                await asyncio.sleep(int(wishes["slow"] or 5) / 1000)
        await self.send({"serverContent": {"generationComplete": True}})
        await self._end(self._said, wishes, audio=self._audio, fault=fault)
        if "update" in wishes:
            handle = f"handle-{secrets.token_hex(8)}"
            self._fake.contexts[handle] = dict(self._context)
            await self.send({"sessionResumptionUpdate": {"newHandle": handle, "resumable": True}})
        if "goaway" in wishes:
            await self.send({"goAway": {"timeLeft": "0.1s"}})
            await self._connection.close(1011, "Deadline expired")

    async def _spoil(self, fault: str) -> bool:
        """Do what goes wrong in the middle; whether nothing follows."""
        if fault == "close":
            self._connection.transport.abort()
        elif fault == "bye":
            await self._connection.close(1000)
        elif fault == "garbage":
            await self._connection.send(b'{"serverContent":')
        elif fault == "goaway":
            await self.send({"goAway": {"timeLeft": "0.1s"}})
            await self._connection.close(1011, "Deadline expired")
        elif fault == "silent":
            await asyncio.Event().wait()
        return fault in ("close", "bye", "garbage", "goaway")

    async def _end(
        self, count: int, wishes: dict[str, str], *, audio: bool, fault: str = ""
    ) -> None:
        thoughts, searches = int(wishes.get("think") or 0), int(wishes.get("search") or 0)
        prompt = sum(self._context.values())
        usage: dict[str, Any] = {
            "promptTokenCount": prompt,
            "responseTokenCount": count,
            "totalTokenCount": prompt + count,
            "promptTokensDetails": [
                {"modality": name, "tokenCount": tokens}
                for name, tokens in self._context.items()
                if tokens
            ],
            "responseTokensDetails": [
                {"modality": "AUDIO" if audio else "TEXT", "tokenCount": count}
            ],
        }
        if thoughts:
            usage["thoughtsTokenCount"] = thoughts
        if fault == "odd":
            usage["holographicTokenCount"] = 5
        if fault == "film":
            usage["responseTokensDetails"] = [{"modality": "VIDEO", "tokenCount": count}]
        self._call.usages.append({**usage, "searches": searches})
        self._context["AUDIO" if audio else "TEXT"] += count
        content: dict[str, Any] = {"turnComplete": True}
        if searches:
            queries = [f"river {number}" for number in range(searches)]
            content["groundingMetadata"] = {"webSearchQueries": queries}
        message: dict[str, Any] = {"serverContent": content}
        if fault not in ("nousage", "late"):
            message["usageMetadata"] = usage
        await self.send(message)
        if fault == "late":
            await asyncio.sleep(2.5)
            await self.send({"usageMetadata": usage})

    async def send(self, message: dict[str, Any]) -> None:
        await self._connection.send(json.dumps(message).encode())
        self._call.sent += 1
