"""The server of the fake upstream: sockets, requests, and the playing of answers."""

import asyncio
import fnmatch
import hashlib
import json
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import httptools

from tests.fakes.answer import compact
from tests.fakes.books import Books, Row
from tests.fakes.chat import Chat
from tests.fakes.directives import Directives, parse, wishes_in_model
from tests.fakes.lists import list_of, list_talk
from tests.fakes.media import form_of, picture
from tests.fakes.question import Problem, Question, Wrong
from tests.fakes.routes import talk_of
from tests.fakes.story import Ask, Talk, answer
from tests.fakes.wire import Answer, Emit, Raw, Signal, Step, head, refusal, whole

if TYPE_CHECKING:
    from tests.fakes.turns import Turns

TURN_BYTES = 32_768
TURN_STEPS = 256
RESET_DELAY = 0.02  # seconds for the peer to take in what was sent before a reset
WAIT_LIMIT = 30.0


@dataclass(slots=True)
class Config:
    """What the fake is started with."""

    name: str = "fake"
    keys: tuple[str, ...] = ("sk-fake",)
    models: tuple[str, ...] = ("fake", "fake-64", "fake-1000")
    directives: str = ""
    keep_bodies: bool = False
    sockets: bool = False  # the Responses API is served over WebSockets too


@dataclass(slots=True)
class Scripted:
    """Directives that a test has laid out for the next requests of a model pattern."""

    directives: str
    model: str
    times: int
    with_tools: bool


@dataclass(slots=True)
class Request:
    """One request while it is read and answered."""

    target: str = ""
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    keep_alive: bool = True
    watched: bool = False  # a big upload, read as it comes
    early: bool = False  # answered before its end (F35)

    @property
    def body(self) -> bytes:
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)


class Upstream:
    """All state of one fake provider; its methods run on the server's loop."""

    def __init__(self, config: Config, books: Books) -> None:
        self.config = config
        self.books = books
        self.scripts: deque[Scripted] = deque()
        self.held: set[Connection] = set()
        # Digests of the beginnings of conversations that were read, each with its key.
        self.prefixes: set[bytes] = set()
        self.connections: set[Connection] = set()
        # In the order of their handshakes.
        self.sockets: list[Turns] = []
        self.opened = 0
        self._waiting: list[tuple[int, Connection]] = []
        self._marking = False
        self._waking = False
        books.watcher = self._changed

    # ---- news for those who wait

    def note(self, row: Row) -> None:
        """The row has moved; it is written once in this turn of the loop."""
        self.books.mark(row)
        if not self._marking:
            self._marking = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._marking = False
        self.books.flush_marks()

    def _changed(self) -> None:
        if self._waiting and not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_later(0.002, self._wake)

    def hold(self, connection: "Connection") -> None:
        self.held.add(connection)
        self.books.version += 1
        self._changed()

    def _wake(self) -> None:
        self._waking = False
        waiting, self._waiting = self._waiting, []
        for version, connection in waiting:
            if self.books.version > version:
                connection.play(self._status(), None)
            elif not connection.gone:
                self._waiting.append((version, connection))

    def _late(self, connection: "Connection", version: int) -> None:
        if (version, connection) in self._waiting:
            self._waiting.remove((version, connection))
            connection.play(self._status(), None)

    # ---- routes

    def handle(self, connection: "Connection", request: Request) -> None:
        """Answer a request that has been read to its end."""
        url = urlsplit(request.target)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        path = url.path
        row: Row | None = None
        created: Answer | None
        talk = talk_of(path, query)
        if talk is not None:
            created, row = self._serve(connection, request, talk, query)
        elif request.method == "GET" and (lister := list_talk(path, request.headers, query)):
            key, _ = self._authorized(lister, request, query)
            created = list_of(lister, path, self.config.models, self.config.name) if key else None
            created = created or lister.refusal(self._no_key(lister, request, query))
        elif request.method == "GET" and path.startswith("/v1/usage/"):
            created = self._usage(request, path.removeprefix("/v1/usage/"), query)
        elif request.method == "GET" and path.startswith("/pictures/"):
            created = _picture(path, query)
        elif path == "/_canary":
            self.books.note_canary()
            created = whole(200, b"{}")
        elif path.startswith("/_"):
            created = self._control(connection, request, path, query)
        else:
            created = refusal(404, f"Unknown request URL: {request.method} {path}.")
        if created is not None:
            connection.play(created, row)

    def _control(
        self, connection: "Connection", request: Request, path: str, query: dict[str, str]
    ) -> Answer | None:
        match request.method, path:
            case "GET", "/_books":
                return self._books(query)
            case "GET", "/_wait":
                version = int(query.get("version", "0"))
                if self.books.version > version:
                    return self._status()
                self._waiting.append((version, connection))
                seconds = min(float(query.get("seconds", "5")), WAIT_LIMIT)
                connection.loop.call_later(seconds, self._late, connection, version)
                return None
            case "GET", "/_sockets":
                return whole(200, compact([socket.events for socket in self.sockets]))
            case "POST", "/_hang_up" | "/_forget_turns":
                for turns in self.sockets:
                    if path == "/_hang_up":
                        turns.bye()
                    else:
                        turns.forget()
                return self._status()
            case "POST", "/_reset":
                self.books.reset()
                self.scripts.clear()
                return self._status()
            case "POST", "/_script":
                wish = json.loads(request.body)
                scripted = Scripted(
                    wish["directives"], wish["model"], wish["times"], wish["with_tools"]
                )
                try:
                    parse([scripted.directives], self.config.name, 1)
                except ValueError as wrong:
                    return refusal(400, str(wrong), code="bad_directive")
                self.scripts.append(scripted)
                return self._status()
            case "DELETE", "/_script":
                self.scripts.clear()
                return self._status()
            case "POST", "/_release":
                return self._release(query.get("id"))
        if request.method == "GET" and path.startswith("/_books/"):
            return self._look_up(unquote(path.removeprefix("/_books/")), query)
        return refusal(404, f"Unknown request URL: {path}.")

    def _status(self) -> Answer:
        return whole(200, compact(self._totals()))

    def _totals(self) -> dict[str, Any]:
        extra = {
            "version": self.books.version,
            "holding": len(self.held),
            "connections": len(self.connections),
        }
        return {"name": self.config.name, **self.books.totals(), **extra}

    def _books(self, query: dict[str, str]) -> Answer:
        self.books.fsync()
        since = int(query.get("since", "0"))
        results: dict[str, Any] = {"totals": self._totals()}
        if query.get("rows") != "0":
            rows = self.books.rows.values()
            results["rows"] = [row.as_json() for row in rows if row.seq > since]
        return whole(200, compact(results))

    def _look_up(self, client_request_id: str, query: dict[str, str]) -> Answer:
        rows = self.books.by_client_request_id(client_request_id)
        if not rows:
            return refusal(404, f"No request {client_request_id}.", code="not_found")
        first = rows[0].as_json() | {"count": len(rows)}
        return whole(200, compact(first))

    def _usage(self, request: Request, client_request_id: str, query: dict[str, str]) -> Answer:
        """What this provider counts for a request, by the id that its client gave it."""
        key, _ = self._authorized(Chat(), request, query)
        if key is None:
            return refusal(401, "Incorrect API key provided.", code="invalid_api_key")
        rows = self.books.by_client_request_id(unquote(client_request_id))
        if not rows:
            return refusal(404, f"No request {client_request_id}.", code="not_found")
        body = {"final": rows[0].outcome != "open", "usage": rows[0].usage()}
        return whole(200, compact(body))

    def _release(self, client_request_id: str | None) -> Answer:
        for connection in list(self.held):
            row = connection.row
            if client_request_id in (None, row and row.client_request_id):
                self.held.discard(connection)
                connection.resume_answer()
        return self._status()

    def _authorized(
        self, talk: Talk, request: Request, query: dict[str, str]
    ) -> tuple[str | None, str]:
        """The key of the request, if it is one of ours and where the dialect has it."""
        carrier, key = talk.credential(request.headers, query)
        if key in self.config.keys:
            return key, carrier
        self.books.note_unauthorized()
        return None, carrier

    def _no_key(self, talk: Talk, request: Request, query: dict[str, str]) -> Problem:
        return talk.no_key(talk.credential(request.headers, query)[1])

    # ---- a request of a dialect

    def early_answer(self, request: Request) -> Answer | None:
        """F35, seen while the body is still coming; None = read on."""
        seam = request.parts[-2][-16:] if len(request.parts) > 1 else b""
        if b"#fault=F35" in seam + request.parts[-1]:
            problem = Problem(413, "Request body too large.", code="body_too_large")
            talk = talk_of(urlsplit(request.target).path, {}) or Chat()
            return talk.refusal(problem)
        return None

    def _scripted(self, question: Question) -> str:
        for scripted in self.scripts:
            if scripted.with_tools and not question.tools:
                continue
            if fnmatch.fnmatchcase(question.model, scripted.model):
                scripted.times -= 1
                if scripted.times <= 0:
                    self.scripts.remove(scripted)
                return scripted.directives
        return ""

    def _serve(
        self, connection: "Connection", request: Request, talk: Talk, query: dict[str, str]
    ) -> tuple[Answer, Row | None]:
        if request.method != "POST":
            return talk.refusal(Problem(405, "Only POST is allowed here.")), None
        key, carrier = self._authorized(talk, request, query)
        if key is None:
            return talk.refusal(self._no_key(talk, request, query)), None
        row = self._new_row(connection, request, talk, key, carrier)
        try:
            return self._answer(connection, request, talk, row), row
        except Wrong as wrong:
            row.accepted = False
            row.status = wrong.problem.status
            self.books.accept(row)
            return talk.refusal(wrong.problem), row

    def _answer(self, connection: "Connection", request: Request, talk: Talk, row: Row) -> Answer:
        body = form_of(request.body, request.headers)
        try:
            body = json.loads(request.body) if body is None else body
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Wrong(400, "Request body is not valid JSON.")
        if self.config.keep_bodies:
            _keep(row, request)
        try:
            talk.question = question = talk.read(body, request.headers)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise Wrong(400, f"The request has the wrong types: {error!r}") from error
        row.model = question.model
        row.stream = question.stream
        row.unknown = question.unknown
        row.units = talk.row_units
        texts = (
            self.config.directives,
            wishes_in_model(question.model),
            question.user_text,
            self._scripted(question),
        )
        try:
            wish = parse(texts, self.config.name, self.books.sighting(row.sha256))
        except ValueError as wrong:
            raise Wrong(400, str(wrong), code="bad_directive") from wrong
        if wish.keep:
            _keep(row, request)
        if row.body is not None:
            row.heard = question.lines
        talk.check(body, wish)
        if wish.strict and question.unknown:
            problem = talk.unknown(question.unknown[0])
            raise Wrong(400, problem.message, code=problem.code, param=problem.param)
        row.prompt_tokens = left = question.prompt if wish.prompt is None else wish.prompt
        cached = self._read_before(row, question) if wish.caches else wish.cached
        row.cached_tokens = min(cached, left)
        row.cache_write_1h_tokens = min(wish.cache_write_1h, left - row.cached_tokens)
        left -= row.cached_tokens + row.cache_write_1h_tokens
        row.cache_write_tokens = min(wish.cache_write, left)
        if wish.searches:
            _search(row, wish)
        row.media = [asdict(medium) for medium in question.media]
        row.results = question.results
        row.seals = question.seals
        row.fault = wish.fault.text if wish.fault else None
        if wish.times:
            row.chunk_times = []
        ask = Ask(
            name=self.config.name,
            talk=talk,
            question=question,
            wish=wish,
            row=row,
            reused=connection.served > 0,
        )
        created = answer(ask)
        created.on_end = lambda: setattr(row, "reasoning_tokens", min(row.emitted, ask.reasoning))
        self.books.accept(row)
        return created

    def _read_before(self, row: Row, question: Question) -> int:
        """The part of the prompt that this key has read before, as its words are of all words; what
        it reads now it knows afterwards. Caches are for each key of its own, as with the real ones,
        and have no end."""
        beginning, seen, total = hashlib.sha256(row.key.encode()), 0, 0
        for line in question.lines:
            beginning.update(line.encode() + b"\0")
            total += len(line.split())
            if beginning.digest() in self.prefixes:
                seen = total
            self.prefixes.add(beginning.digest())
        return row.prompt_tokens * seen // max(total, 1)

    def _new_row(
        self, connection: "Connection", request: Request, talk: Talk, key: str, carrier: str
    ) -> Row:
        seq = self.books.next_seq()
        return Row(
            seq=seq,
            id=f"{talk.prefix}{self.config.name}-{seq}",
            client_request_id=request.headers.get("x-client-request-id"),
            model="",
            key=key,
            stream=False,
            sha256=hashlib.sha256(request.body).hexdigest(),
            size=len(request.body),
            connection=connection.number,
            fault=None,
            prompt_tokens=0,
            planned=0,
            cached_tokens=0,
            accepted_at=time.monotonic_ns(),
            dialect=talk.dialect,
            operation=talk.operation,
            carrier=carrier,
            free=talk.free,
        )


def _picture(path: str, query: dict[str, str]) -> Answer:
    """A picture that an answer named; with `chunked` its size is not told."""
    created = picture(path, int(query.get("bytes", "0")))
    if "chunked" not in query:
        return whole(200, created, "image/png")
    fields = {"content-type": "image/png", "transfer-encoding": "chunked"}
    return Answer(iter((Raw(head(200, fields)), created)), chunked=True)


def _search(row: Row, wish: Directives) -> None:
    """Count the input of a loop: each search is followed by a reading of all that came before."""
    times, prompt = wish.searches, row.prompt_tokens
    found = times * wish.found
    again = times * prompt + wish.found * times * (times - 1) // 2
    row.prompt_tokens = prompt + found + again
    if not wish.cold:
        row.cached_tokens, row.cache_write_tokens = again, found
    row.units = {"searches": times}


def _keep(row: Row, request: Request) -> None:
    row.headers = request.headers
    row.body = request.body.decode("utf-8", "replace")


class Connection(asyncio.Protocol):
    """One client connection; it plays one answer at a time."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.loop = asyncio.get_running_loop()
        self.parser = httptools.HttpRequestParser(self)
        self.number = 0
        self.served = 0
        self.gone = False
        self.row: Row | None = None
        self._transport: asyncio.Transport
        self._reading: Request | None = None
        self._active: Request | None = None
        self._queue: deque[Request] = deque()
        self._answer: Answer | None = None
        self._steps: Iterator[Step] = iter(())
        self._timer: asyncio.Handle | None = None
        self._full = False
        self._stalled = False
        self._deaf = False  # whatever comes is thrown away

    # ---- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        self._transport.set_write_buffer_limits(high=TURN_BYTES)
        self.upstream.opened += 1
        self.number = self.upstream.opened
        self.upstream.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            self._transport.abort()  # a fault of ours: loud, not a 400
            raise
        except httptools.HttpParserUpgrade:
            return  # answered at the end of the request
        except httptools.HttpParserError:
            self._deaf = True
            if self._active is None:
                self._active = Request(keep_alive=False)
                self.play(refusal(400, "This is not HTTP/1.1."), None)

    def eof_received(self) -> bool:
        self._left()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        self.upstream.connections.discard(self)

    def _left(self) -> None:
        """The client has gone: the answer ends here, and the books say when."""
        if self.gone:
            return
        self.gone = True
        self.upstream.held.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        row = self.row
        if row is not None:
            row.left_at = time.monotonic_ns()
            self._end("faulted" if row.struck else "cut")
        self._steps = iter(())
        self._transport.close()

    def shut(self) -> None:
        """The server ends: what still runs is cut by us, which is a fault of ours."""
        if self.row is not None:
            self._end("lost")
        self._transport.abort()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._stalled:
            self._stalled = False
            self._pump()

    # ---- the parser's calls

    def on_message_begin(self) -> None:
        self._reading = Request()

    def on_url(self, url: bytes) -> None:
        assert self._reading is not None
        self._reading.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._reading is not None
        # A header that comes twice is both its values, as everywhere (RFC 9110, 5.3).
        headers, key, text = (
            self._reading.headers,
            name.decode("latin-1").lower(),
            value.decode("latin-1"),
        )
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        request = self._reading
        assert request is not None
        request.method = self.parser.get_method().decode()
        request.keep_alive = self.parser.should_keep_alive()
        length = request.headers.get("content-length", "")
        request.watched = not length.isdigit() or int(length) > 65_536
        if request.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        request = self._reading
        assert request is not None
        request.parts.append(body)
        if request.watched and not request.early and self._active is None:
            early = self.upstream.early_answer(request)
            if early is not None:
                request.early = True
                request.keep_alive = False
                self._deaf = True
                self._active = request
                self.play(early, None)

    def on_message_complete(self) -> None:
        request, self._reading = self._reading, None
        assert request is not None
        if request.early:
            return
        if self.upstream.config.sockets and _is_handshake(request):
            self.upstream.connections.discard(self)
            self._transport.set_protocol(_open_turns(self.upstream, request, self._transport))
        elif self._active is None:
            self._active = request
            self.upstream.handle(self, request)
        else:
            self._queue.append(request)

    # ---- the playing

    def play(self, new_answer: Answer, row: Row | None) -> None:
        """Send an answer; `row` is kept up to date and ended with it."""
        if self.gone:
            return
        self._answer = new_answer
        self._steps = new_answer.steps
        self.row = row
        self._pump()

    def resume_answer(self) -> None:
        self._timer = self.loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Play steps until one asks for a pause, the peer is slow, or the turn is long enough."""
        if self.gone or self._answer is None:
            return
        if self._full:
            self._stalled = True
            return
        parts: list[bytes] = []
        size = played = 0
        row, chunked = self.row, self._answer.chunked
        before = row.emitted if row is not None else 0
        pause: float | Signal | None = None
        for step in self._steps:
            if type(step) is Emit:
                data = step.data
                if row is not None:
                    row.emitted += step.tokens
                    if row.chunk_times is not None and step.tokens:
                        row.chunk_times.append(time.monotonic_ns())
            elif type(step) is bytes:
                data = step
            elif type(step) is Raw:
                parts.append(step.data)
                size += len(step.data)
                continue
            else:
                assert isinstance(step, float | Signal)
                pause = step
                break
            if chunked:
                if data:
                    parts.append(b"%x\r\n%b\r\n" % (len(data), data))
            else:
                parts.append(data)
            size += len(data)
            played += 1
            if size >= TURN_BYTES or played >= TURN_STEPS:
                pause = Signal.FLUSH
                break
        else:
            if chunked:
                parts.append(b"0\r\n" + self._answer.trailers + b"\r\n")
        if parts:
            self._transport.write(b"".join(parts))
        if row is not None:
            if row.first_at is None and row.emitted:
                row.first_at = time.monotonic_ns()
            if pause is not None and row.emitted != before:
                self.upstream.note(row)
        self._rest(pause)

    def _rest(self, pause: float | Signal | None) -> None:
        """What follows the steps that were just written."""
        if isinstance(pause, float):
            self._timer = self.loop.call_later(pause, self._pump)
        elif pause is Signal.FLUSH:
            self._timer = self.loop.call_soon(self._pump)
        elif pause is Signal.HOLD:
            self.upstream.hold(self)
        elif pause is Signal.CLOSE:
            self._over()
            self._transport.close()
        elif pause is Signal.RESET:
            self._timer = self.loop.call_later(RESET_DELAY, self._reset)
        else:
            self._done()

    def _reset(self) -> None:
        self._over()
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _over(self) -> None:
        """The answer has been played as far as it goes."""
        row = self.row
        if row is not None:
            refused = not row.accepted and not row.struck
            self._end("faulted" if row.struck else "refused" if refused else "finished")
        self._answer = None

    def _end(self, outcome: str) -> None:
        row, self.row = self.row, None
        if row is None:
            return
        if self._answer is not None and self._answer.on_end is not None:
            self._answer.on_end()
        if row.seq in self.upstream.books.rows:
            self.upstream.books.end(row, outcome)

    def _done(self) -> None:
        request, created = self._active, self._answer
        assert request is not None
        assert created is not None
        self._over()
        self._active = None
        self.served += 1
        if request.early:
            # Half-close and read on, so that the answer is not lost in a reset. Over TLS nothing
            # can be closed by half: the client closes.
            if self._transport.can_write_eof():
                self._transport.write_eof()
        elif created.close_after or not request.keep_alive:
            self._transport.close()
        elif self._queue:
            self._active = self._queue.popleft()
            self.upstream.handle(self, self._active)


def _is_handshake(request: Request) -> bool:
    path = urlsplit(request.target).path
    return request.headers.get("upgrade") == "websocket" and path.endswith("/responses")


def _open_turns(
    upstream: Upstream, request: Request, transport: asyncio.Transport
) -> asyncio.BaseProtocol:
    """The protocol of a connection after its handshake."""
    from tests.fakes.turns import Turns  # which is a connection itself

    return Turns(upstream, request, transport)


async def serve(
    upstream: Upstream, host: str, port: int, tls: ssl.SSLContext | None = None
) -> asyncio.Server:
    """Listen; port 0 takes a free one."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: Connection(upstream), host, port, backlog=4096, ssl=tls, reuse_address=True
    )


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
