"""A provider that says the user's last message again, to the letter: for texts that matter.

The upstream model's name steers it: ``echo-3-20`` gives pieces of 3 characters, 20 ms apart;
``echo-3-20-think`` says it as reasoning first, ``echo-3-20-sound`` with a second of sound and
``echo-3-20-picture`` with a picture beside it. A `HOLD` in the message is not said: there it waits
until `release` is called. A message that is a name in `texts` is answered with that text, late
pieces of it at once.
"""

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

# No other text has it.
HOLD = "\N{SYMBOL FOR DEVICE CONTROL THREE}"


class EchoUpstream:
    """The provider, running in a thread. `url` is a channel's base URL."""

    key = "sk-echo"

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0
        self.texts: dict[str, str] = {}
        self._gate = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def release(self) -> None:
        """Let the answers go on that wait."""
        self._loop.call_soon_threadsafe(self._open_gate)

    def _open_gate(self) -> None:
        self._gate.set()
        self._gate = asyncio.Event()

    def _run(self) -> None:
        async def serve() -> asyncio.Server:
            return await asyncio.start_server(self._answer, "127.0.0.1", 0)

        server = self._loop.run_until_complete(serve())
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            if not body.get("stream"):
                writer.write(_whole(body["messages"][-1]["content"]))
            else:
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                    b"connection: close\r\n\r\n"
                )
                await self._say(writer, body)
        writer.close()

    async def _say(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        _, size, delay_ms, *options = body["model"].split("-")
        text = body["messages"][-1]["content"]
        named = self.texts.get(text)
        text = named or text
        fields = ["reasoning_content", "content"] if options == ["think"] else ["content"]
        for delta in MEDIA.get("".join(options), []):
            writer.write(_chunk(delta))
        for field in fields:
            *held, rest = text.split(HOLD)
            for part in held:
                # Whoever sees the part may release what is behind it.
                gate = self._gate
                await _write(writer, field, _pieces(part, int(size)), int(delay_ms))
                await gate.wait()
            pieces = _pieces(rest, int(size))
            await _write(writer, field, pieces, int(delay_ms), catch_up=bool(named))
        tokens = max(1, len(text.split()))
        usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": 2 * tokens}
        writer.write(_chunk({}, finish="stop"))
        writer.write(
            b"data: %s\n\n" % json.dumps({**_HEAD, "choices": [], "usage": usage}).encode()
        )
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()


async def _write(
    writer: asyncio.StreamWriter,
    field: str,
    pieces: Iterator[str],
    delay_ms: int,
    *,
    catch_up: bool = False,
) -> None:
    time = asyncio.get_running_loop().time
    due = time()
    for piece in pieces:
        writer.write(_chunk({field: piece}))
        if delay_ms:
            await writer.drain()
            due = (due if catch_up else time()) + delay_ms / 1000
            await asyncio.sleep(max(0.0, due - time()))


_HEAD = {"id": "chatcmpl-echo", "object": "chat.completion.chunk", "created": 1, "model": "echo"}


# One violet pixel.
_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg"
    "=="
)
# Sound as OpenAI streams it, in two pieces of 24,000 samples a second; a picture as OpenRouter has.
_SAMPLES = base64.b64encode(bytes(24_000)).decode()
MEDIA: dict[str, list[dict[str, Any]]] = {
    "sound": [
        {"audio": {"id": "audio_1", "data": _SAMPLES}},
        {"audio": {"id": "audio_1", "data": _SAMPLES, "transcript": ""}},
    ],
    "picture": [
        {
            "images": [
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{_PIXEL}"},
                }
            ]
        }
    ],
}


def _whole(text: str) -> bytes:
    """The answer to who asked for no stream."""
    tokens = max(1, len(text.split()))
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": 2 * tokens}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    fields = {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}
    body = json.dumps(fields).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(body), body)
    )


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %s\n\n" % json.dumps({**_HEAD, "choices": [choice]}).encode()


def _pieces(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]
