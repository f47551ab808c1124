"""A fake provider of every dialect that keeps its own books: the judge of ours.

Start:  python -m tests.fakes.upstream --port 0 --books DIR --name a
        (the port is the first line on stdout; SIGTERM ends it)
or in a test:  with FakeUpstream(name="a") as fake: ...

Directives steer one answer from within the request. They stand in the last user message
(`#tokens=500 #delay_ms=5`), in the model name (`fake-64` = 64 tokens, `fake-64+delay_ms=5`), in
`--directives` or in a script (`fake.script("#fault=F10")`). Later ones win in the order: server,
model, message, script. A prefix is a condition: `#a.fault=F10` only on the server named a,
`#1.fault=F10` only the first time that this very body comes, `#a.1.fault=F10` both.

A word is a token (see answer.py). The first word of an answer names the server. The path says the
dialect, and each takes its key only where the real one has it (routes.py):

chat         /v1/chat/completions                      Authorization: Bearer
completions  /v1/completions                           Bearer
responses    /v1/responses, …/input_tokens             Bearer
             GET /v1/responses as a WebSocket, if `sockets` is set (turns.py)
messages     /v1/messages, …/count_tokens              x-api-key (or Bearer) and anthropic-version
gemini       /v1beta/models/{m}:generateContent,       x-goog-api-key, or ?key=
             :streamGenerateContent (array, or ?alt=sse), :countTokens, :embedContent,
             :batchEmbedContents
interactions /v1beta/interactions                      x-goog-api-key, or ?key=
embeddings   /v1/embeddings · moderations /v1/moderations · rerank /v1/rerank (Jina),
             /v2/rerank (Cohere)                       Bearer
images       /v1/images/generations, …/edits, …/variations, and DashScope's
             …/multimodal-generation/generation        Bearer
sound        /v1/audio/speech, …/transcriptions, …/translations             Bearer
usage        GET /v1/usage/{x-client-request-id}: {"final", "usage"} as billed      Bearer
usage        /v1/usage/{x-client-request-id}: what is billed for it, {"final", "usage"}   Bearer
models       /v1/models[/{m}], /v1beta/models[/{m}] in the form of the credential
Azure        /openai/v1/… and /openai/deployments/{m}/…?api-version=, /openai/responses?api-version=
             for all of the OpenAI family              api-key

Text      tokens=16 · prompt=N (what it counts as input) · cached=N · reasoning=N (shown, counted)
          caches (what its key has read before of the conversation is cached)
          call=[["read",{"path":"a"}]] calls these tools with these arguments; no white space
          searches=N (so often it searches, reads found=8000 tokens, and all before once more; those
          are cached, unless `cold`; gemini counts them as prompts of its tools)
          hidden=N (counted, not shown; messages: a redacted_thinking block) · cache_write=N ·
          cache_write_1h=N · tools=N calls with args=4 words in the argument arg=city ·
          finish=length (stop, length, tool_calls, content_filter, stop_sequence and responses'
          failed in the dialect's word,
          any other as it stands) · lang=en|cjk|emoji|mixed · echo (says the user's words again)
          uncapped (ignores caps) · dims=8 of a vector
          Tool results that came since the user's last words are said again, and no tool is
          called then (`again`: still; `silent`: they are not said). A JSON schema is answered
          with JSON that fits.
Rules     seals (gemini: a call without its signature is refused, as every model `gemini-3…` does;
          chat: a turn with calls without its reasoning_content) · strict (unknown fields are
          refused, else noted). A seal that comes back wrong is always refused.
Pace      first_ms=N before the head · delay_ms=N after each write · batch=N tokens in a write
          hold=N waits after N tokens, a plain answer before its head, until released
          (POST /_release), linger (chat, messages, gemini) behind the finish · times (note each
          write)
Bytes     chunk_bytes=N cuts every write (also inside a code point), gap_ms=N between the cuts
          crlf · nospace (`data:{`) · comments (pings, white space of an array) · chunked (plain)
          nodone (no [DONE], message_stop, response.completed, finishReason)
          cut=N / rst=N: connection closed / reset after exactly N bytes of the body
Usage     usage=auto (final chunk if asked) | always | finish (in the finish chunk) | none | twice
          early (a low one first) | start (only that one) | cumulative (in every chunk)
          groq (in `x_groq` alone) | behind (the end marker) | open (none, and the connection
          stays open; all of chat)
          zero | null | negative | float | string | nan | huge | context
          cached (above the input)
Books     keep (body and headers in the row)
Faults    fault=F13, fault=F14:chunk, fault=F14:chunk@20 (after 20 tokens; else before any content)
          F5 401 403 · F6 400 413 422 context content · F7 · F8 seconds date junk ms none huge
          (retry_after=2) · F9 429 402 · F10 500 502 503 504 529 · F11 headers content (wait_ms)
          F12 (every_ms per byte) · F13 stall comments (wait_ms, every_ms) · F14 eof close short
          chunk · F15 · F16 · F17 (bytes=N, else endless) · F18 · F19 html json sse
          F20 gzip deflate bomb (bytes=N unpacked) · F21 302 301 303 307 308 (location=URL)
          F22 flood giant · F23 error body · F24 200 204 stream · F25 F26 F27 F28 (see usage)
          F29 · F30 · F31 · F32 reused idle · F33 · F34 (bytes=N) · F35 · F37 both 1xx trailers
          F38 eof closed · F39 404 500.   F1 F3 F4 are in listeners.py.
          Waiting faults last wait_ms (an hour unless told) and then go on as if nothing was.
          Each in its dialect's words. Where a dialect has no such status: messages answers F6:422
          and F9:429 with 400; gemini F5:401 and F6:422 with 400, F9 with 402, F10:529 with 503, and
          F6:content with a 200 without candidates, which is billed.

Terms: a request that was answered with 2xx, or taken in and then dropped, is *accepted* and
billed for its input and for what was emitted; an error status or a redirect is billed nothing.
A token is emitted when the whole event that carries it has been given to the socket; those of a
plain answer all at once with the last byte of its body. Only visible tokens count for `@N` and
`hold=N`.

Control   GET /_books[?rows=0][&since=SEQ] · GET /_books/{x-client-request-id} · POST /_reset
          POST /_script {"directives", "model" pattern, "times", "with_tools"}
          DELETE /_script · POST /_release[?id=…]
          GET /_wait?version=V&seconds=S answers when the books have changed since V
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import uvloop

from tests.fakes.answer import expected_text
from tests.fakes.books import Books
from tests.fakes.server import Config, Upstream, port_of, serve
from tests.support.ports import free_port

__all__ = ["FakeUpstream", "expected_text", "main"]

START_LIMIT = 20.0


class FakeUpstream:
    """The fake, running: in a thread of this process, or (`process=True`) in one of its own.

    The books live in `books_dir` (a temporary directory by default) and are read again when a
    fake of the same name is started there once more.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        keys: tuple[str, ...] = ("sk-fake",),
        models: tuple[str, ...] = ("fake", "fake-64", "fake-1000"),
        directives: str = "",
        keep_bodies: bool = True,
        sockets: bool = False,
        fsync: bool = True,
        books_dir: Path | None = None,
        port: int = 0,
        process: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.config = Config(name, keys, models, directives, keep_bodies, sockets)
        self.key = keys[0]
        self.port = port
        self._fsync = fsync
        self._tls = tls
        self._as_process = process
        self._temporary = tempfile.TemporaryDirectory() if books_dir is None else None
        self.books_dir = books_dir or Path(self._temporary.name if self._temporary else ".")
        self.process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def origin(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What the `base_url` of a channel of the OpenAI family is set to; others: `origin`."""
        return f"{self.origin}/v1"

    # ---- life

    def start(self) -> Self:
        self.port = self.port or free_port()
        if self._as_process:
            self._start_process()
        else:
            self._start_thread()
        return self

    def _start_process(self) -> None:
        command = [sys.executable, "-m", "tests.fakes.upstream"]
        command += ["--port", str(self.port), "--books", str(self.books_dir)]
        command += ["--name", self.config.name, "--directives", self.config.directives]
        for key in self.config.keys:
            command += ["--key", key]
        for model in self.config.models:
            command += ["--model", model]
        command += ["--keep-bodies"] if self.config.keep_bodies else []
        command += ["--sockets"] if self.config.sockets else []
        command += [] if self._fsync else ["--no-fsync"]
        root = Path(__file__).parents[2]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            self.stop()
            raise RuntimeError("the fake upstream did not start")
        self.port = int(line)

    def _start_thread(self) -> None:
        ready = threading.Event()
        failure: list[BaseException] = []

        async def live() -> None:
            books = Books(self.books_dir / f"{self.config.name}.jsonl", fsync=self._fsync)
            try:
                self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
                upstream = Upstream(self.config, books)
                server = await serve(upstream, "127.0.0.1", self.port, self._tls)
                self.port = port_of(server)
                ready.set()
                await self._stop.wait()
                await _end(server, upstream)
            finally:
                books.close()

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(live())
            except BaseException as error:
                failure.append(error)
                raise
            finally:
                ready.set()

        self._thread = threading.Thread(target=run, name=f"fake-{self.config.name}", daemon=True)
        self._thread.start()
        ready.wait(START_LIMIT)
        if failure:
            raise failure[0]

    def stop(self) -> None:
        """End it in order; its books stay until the context ends."""
        if self.process is not None:
            self.process.terminate()
            self._reap()
        if self._thread is not None and self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(START_LIMIT)
            self._thread = None

    def kill(self) -> None:
        """`kill -9`; only for a fake with a process of its own."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def _reap(self) -> None:
        assert self.process is not None
        self.process.wait(START_LIMIT)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    # ---- questions and orders

    def _call(self, method: str, path: str, body: Any = None, limit: float = 60) -> Any:
        if self._tls:
            trusting = ssl.create_default_context()
            trusting.check_hostname = False
            trusting.verify_mode = ssl.CERT_NONE
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=limit, context=trusting
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=limit)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            document = json.loads(answer.read())
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise ValueError(document)
        return document

    def books(self, since: int = 0) -> list[dict[str, Any]]:
        """All rows, oldest first (`Row` in books.py, and `usage` and `final`)."""
        rows: list[dict[str, Any]] = self._call("GET", f"/_books?since={since}")["rows"]
        return rows

    def sockets(self) -> list[list[dict[str, Any]]]:
        """What each WebSocket was sent."""
        sockets: list[list[dict[str, Any]]] = self._call("GET", "/_sockets")
        return sockets

    def hang_up(self) -> None:
        """Close every WebSocket in order, as at a provider's own limit of its time."""
        self._call("POST", "/_hang_up")

    def forget_turns(self) -> None:
        """Let every WebSocket forget what it has read."""
        self._call("POST", "/_forget_turns")

    def totals(self) -> dict[str, Any]:
        """Counts per outcome, sums of tokens, `unauthorized`, `canary`, `holding`."""
        totals: dict[str, Any] = self._call("GET", "/_books?rows=0")["totals"]
        return totals

    def row(self, client_request_id: str) -> dict[str, Any] | None:
        """The row of an attempt id (`count` says how many came with it), or None."""
        row: dict[str, Any] | None = self._call("GET", f"/_books/{quote(client_request_id)}")
        return row

    def reset(self) -> None:
        """Forget rows, scripts and sightings; running answers go on, unbooked."""
        self._call("POST", "/_reset")

    def forget_scripts(self) -> None:
        """Lay no directives over the requests that follow."""
        self._call("DELETE", "/_script")

    def script(
        self, directives: str, *, model: str = "*", times: int = 1, with_tools: bool = False
    ) -> None:
        """Lay directives over the next `times` requests whose model fits the pattern, or over those
        alone that offer tools."""
        wish = {"directives": directives, "model": model, "times": times, "with_tools": with_tools}
        self._call("POST", "/_script", wish)

    def release(self, client_request_id: str | None = None) -> None:
        """Let answers go on that wait at their `#hold`: one, or all."""
        query = "" if client_request_id is None else f"?id={quote(client_request_id)}"
        self._call("POST", f"/_release{query}")

    def wait_for(
        self, holds: Callable[[dict[str, Any]], bool], *, seconds: float = 30.0
    ) -> dict[str, Any]:
        """Block until the totals fulfil `holds`; TimeoutError. In async code: asyncio.to_thread."""
        end = time.monotonic() + seconds
        totals = self.totals()
        while not holds(totals):
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"books of {self.config.name} stay at {totals}")
            path = f"/_wait?version={totals['version']}&seconds={left:.3f}"
            totals = self._call("GET", path)
        return totals

    def wait_for_row(
        self,
        client_request_id: str,
        holds: Callable[[dict[str, Any]], bool] = lambda row: bool(row["final"]),
        *,
        seconds: float = 30.0,
    ) -> dict[str, Any]:
        """Block until the row of an attempt id fulfils `holds` (by default: has ended)."""
        results: dict[str, Any] = {}

        def look(_: dict[str, Any]) -> bool:
            results.clear()
            results.update(self.row(client_request_id) or {})
            return bool(results) and holds(results)

        self.wait_for(look, seconds=seconds)
        return results


async def _end(server: asyncio.Server, upstream: Upstream) -> None:
    """Close the listener and cut what still runs."""
    server.close()
    for connection in list(upstream.connections):
        connection.shut()
    await server.wait_closed()


async def _run(args: argparse.Namespace) -> None:
    books = Books(args.books / f"{args.name}.jsonl", fsync=not args.no_fsync)
    config = Config(
        args.name,
        tuple(args.key or ("sk-fake",)),
        tuple(args.model or ("fake", "fake-64", "fake-1000")),
        args.directives,
        args.keep_bodies,
        args.sockets,
    )
    upstream = Upstream(config, books)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await serve(upstream, args.host, args.port)
    sys.stdout.write(f"{port_of(server)}\n")
    sys.stdout.flush()
    await stop.wait()
    await _end(server, upstream)
    books.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.upstream")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--books", required=True, type=Path, help="directory of the books")
    parser.add_argument("--name", default="fake")
    parser.add_argument("--key", action="append", help="an accepted key; may be repeated")
    parser.add_argument("--model", action="append", help="a listed model; may be repeated")
    parser.add_argument("--directives", default="", help="for every request")
    parser.add_argument("--keep-bodies", action="store_true")
    parser.add_argument("--sockets", action="store_true")
    parser.add_argument("--no-fsync", action="store_true", help="for load: leave it to the OS")
    args = parser.parse_args()
    args.books.mkdir(parents=True, exist_ok=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(args))


if __name__ == "__main__":
    main()
