import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from config.server import protocol as module
from config.server.protocol import Protocol
from lib.process.asgi import HEED, RESPOND, WRITE_PIECE

App = Callable[[Any, Any, Any], Awaitable[None]]


class Transport(asyncio.Transport):
    """Keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.high: int | None = None
        self.written: list[bytes] = []
        self.closed = False
        self.ended = asyncio.Event()
        self.cut = asyncio.Event()
        self.paused: list[bool] = []
        self.resumed = asyncio.Event()
        self.unsent = 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True
        self.ended.set()

    def abort(self) -> None:
        self.close()
        self.cut.set()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.paused.append(True)

    def resume_reading(self) -> None:
        self.paused.append(False)
        self.resumed.set()


def connect(app: App, state: ServerState | None = None) -> tuple[Protocol, Transport]:
    config = Config(app, loop="none", log_config=None, server_header=False, date_header=False)
    config.load()
    transport = Transport()
    protocol = Protocol(config, state or ServerState(), {})
    protocol.connection_made(transport)
    return protocol, transport


async def start(send: Any, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def body(send: Any, raw: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": raw, "more_body": more})


async def finish(protocol: Protocol) -> None:
    """Until the answers of all requests are done, and a turn of the loop after them."""
    while protocol.tasks:
        await asyncio.wait(protocol.tasks)
    await asyncio.sleep(0)


async def test_little_waits_for_a_slow_reader() -> None:
    """P9; what a stream holds in all is measured in tests/relay/front/test_memory.py."""

    async def nothing(scope: object, receive: object, send: object) -> None:
        """Nobody asks."""

    _, transport = connect(nothing)
    assert transport.high == 16 * 1024


@pytest.mark.parametrize("size", [0, 5, 100_000])
async def test_a_whole_answer_is_one_write(size: int) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, (b"content-length", b"%d" % size))
        await body(send, b"x" * size)

    protocol, transport = connect(app)
    for _ in range(2):
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        await finish(protocol)
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
    assert b"".join(transport.written) == answer * 2
    # What is large is not copied once more.
    assert len(transport.written) == (4 if size == 100_000 else 2)


async def responded(request: bytes, *fields: tuple[bytes, bytes], paused: bool = False) -> bytes:
    """What is written for a request whose application has a whole response; b"" where it is to be
    sent as messages."""

    async def app(scope: Any, receive: object, send: object) -> None:
        respond = scope[RESPOND]
        if paused:
            protocol.pause_writing()
        before = len(transport.written)
        done = respond(scope, 200, [*fields, (b"content-length", b"2")], b"hi")
        at_once.extend(transport.written[before:])
        assert done is (len(transport.written) == before + 1)
        # Once, and by nobody else.
        assert not respond(scope, 200, [], b"")
        assert not respond(dict(scope), 200, [], b"")
        protocol.resume_writing()
        if not done:
            await start(send, (b"content-length", b"0"))
            await body(send, b"")

    at_once: list[bytes] = []
    protocol, transport = connect(app)
    protocol.access_log = False
    for _ in range(2):
        protocol.data_received(request)
        await finish(protocol)
        if transport.closed:
            break
    # A connection that ends leaves nothing behind that leads back to it.
    scope = protocol.scope
    protocol.connection_lost(None)
    assert RESPOND not in scope
    assert HEED not in scope
    return b"".join(at_once)


async def test_whole_response_equals_one_sent_in_messages() -> None:
    answer = b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 2\r\n\r\nhi"
    assert await responded(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", (b"a", b"b")) == answer * 2


@pytest.mark.parametrize(
    ("request_", "field", "paused"),
    [
        (b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n", (b"a", b"b"), False),
        (b"GET / HTTP/1.0\r\n\r\n", (b"a", b"b"), False),
        (b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", (b"a", b"b"), False),
        (b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", (b"connection", b"close"), False),
        (b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", (b"a", b"b\r\nc: d"), False),
        (b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", (b"a", b"b\rc"), False),
        (b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", (b"a\n", b"b"), False),
        (b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", (b"a", b"b"), True),
    ],
)
async def test_unusual_answers_are_sent_in_messages(
    request_: bytes, field: tuple[bytes, bytes], paused: bool
) -> None:
    assert await responded(request_, field, paused=paused) == b""


async def written_in_pieces(
    *fields: tuple[bytes, bytes], request: bytes, direct: bool, paused: bool = False
) -> tuple[bytes, list[bool]]:
    """What is written for a response in pieces, and which of its pieces the server wrote itself."""

    async def app(scope: Any, receive: object, send: Any) -> None:
        async def pass_on(piece: bytes) -> None:
            before = len(transport.written)
            done = direct and scope[WRITE_PIECE](scope, piece)
            assert not done or len(transport.written) == before + 1
            taken.append(done)
            if not done:
                protocol.resume_writing()
                await body(send, piece, more=True)

        assert not scope[WRITE_PIECE](scope, b"before its head")
        await start(send, *fields)
        assert not scope[WRITE_PIECE](dict(scope), b"of another request")
        # The head waits for the first of them.
        await body(send, b"first", more=True)
        if paused:
            protocol.pause_writing()
        for piece in (b"a", b"", b"x" * 300):
            await pass_on(piece)
        await body(send, b"")
        assert not scope[WRITE_PIECE](scope, b"behind its end")

    taken: list[bool] = []
    protocol, transport = connect(app)
    protocol.data_received(request)
    await finish(protocol)
    scope = protocol.scope
    protocol.connection_lost(None)
    assert WRITE_PIECE not in scope
    return b"".join(transport.written), taken


_GET = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "fields", "paused", "taken"),
    [
        (_GET, [], False, [True, False, True]),
        (_GET, [], True, [False, False, True]),
        (_GET, [(b"content-length", b"306")], False, [False] * 3),
        (_GET.replace(b"GET", b"HEAD"), [], False, [False] * 3),
        (b"GET / HTTP/1.0\r\n\r\n", [], False, [False] * 3),
    ],
)
async def test_a_piece_is_as_if_sent_in_a_message(
    request_: bytes, fields: list[tuple[bytes, bytes]], paused: bool, taken: list[bool]
) -> None:
    """One that is out of the ordinary is sent in one."""
    pieces = await written_in_pieces(*fields, request=request_, direct=True, paused=paused)
    messages = await written_in_pieces(*fields, request=request_, direct=False, paused=paused)
    assert pieces == (messages[0], taken)


async def test_no_piece_is_written_to_a_client_that_left() -> None:
    async def app(scope: Any, receive: object, send: Any) -> None:
        write_piece = scope[WRITE_PIECE]
        await start(send)
        await body(send, b"first", more=True)
        protocol.connection_lost(None)
        assert not write_piece(scope, b"second")

    protocol, transport = connect(app)
    protocol.data_received(_GET)
    await finish(protocol)
    assert b"second" not in b"".join(transport.written)


@pytest.mark.parametrize("answered", [True, False])
async def test_request_leaves_nothing_for_garbage_collection(answered: bool) -> None:
    async def app(scope: Any, receive: Any, send: object) -> None:
        if answered:
            assert scope[RESPOND](scope, 200, [(b"content-length", b"0")], b"")
        else:
            await receive()  # Its client leaves.

    gc.disable()
    try:
        protocol, _ = connect(app)
        protocol.access_log = False
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        cycle = weakref.ref(protocol.cycle)
        if not answered:
            protocol.connection_lost(None)
        await finish(protocol)
        if answered:
            protocol.connection_lost(None)
        # In place of the connection itself, which its timer may still have.
        del protocol.cycle, protocol._running, protocol.scope
        assert cycle() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("ahead", [False, True])
async def test_leaving_client_is_noticed_immediately(ahead: bool) -> None:
    left: list[str] = []
    over = asyncio.Event()

    async def app(scope: Any, receive: object, send: object) -> None:
        assert not scope[HEED](dict(scope), lambda: left.append("another"))
        assert scope[HEED](scope, lambda: left.append("this"))
        await over.wait()

    protocol, transport = connect(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    await asyncio.sleep(0)
    if ahead:
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        # Who is not read is not heard either.
        assert transport.paused == [True, False]
    protocol.connection_lost(None)
    assert left == ["this"]
    over.set()
    await finish(protocol)


async def test_client_leaving_after_the_answer_did_not_abandon_it() -> None:
    left: list[bool] = []

    async def app(scope: Any, receive: object, send: object) -> None:
        assert scope[HEED](scope, lambda: left.append(True))
        await start(send, (b"content-length", b"0"))
        await body(send, b"")
        assert not scope[HEED](scope, lambda: left.append(True))

    protocol, _ = connect(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    await finish(protocol)
    protocol.connection_lost(None)
    assert not left


async def test_client_that_left_earlier_is_reported_as_a_message() -> None:
    messages: list[object] = []

    async def app(scope: Any, receive: Any, send: object) -> None:
        heed = scope[HEED]
        await gone.wait()
        messages.append(heed(scope, lambda: messages.append("left")))
        messages.append((await receive())["type"])

    gone = asyncio.Event()
    protocol, _ = connect(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    await asyncio.sleep(0)
    protocol.connection_lost(None)
    gone.set()
    await finish(protocol)
    assert messages == [False, "http.disconnect"]


async def test_lone_head_does_not_wait_for_its_body() -> None:
    later = asyncio.Event()

    async def app(scope: object, receive: object, send: object) -> None:
        await start(send)
        await later.wait()
        await body(send, b"one", more=True)
        await body(send, b"two")

    protocol, transport = connect(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    for _ in range(3):
        await asyncio.sleep(0)
    assert transport.written == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]
    later.set()
    await finish(protocol)
    assert transport.written[1:] == [b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n"]


async def ask_old(length: bool) -> tuple[bytes, bool]:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, *[(b"content-length", b"6")] * length)
        await body(send, b"one", more=True)
        await body(send, b"", more=True)
        await body(send, b"two")

    protocol, transport = connect(app)
    protocol.data_received(b"GET / HTTP/1.0\r\n\r\n")
    await finish(protocol)
    return b"".join(transport.written), transport.closed


async def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    """RFC 9112, section 6.1: what has no length ends with its connection."""
    head = b"HTTP/1.1 200 OK\r\n%bconnection: close\r\n\r\nonetwo"
    assert await ask_old(length=False) == (head % b"", True)
    assert await ask_old(length=True) == (head % b"content-length: 6\r\n", True)


async def test_an_answer_without_a_body_is_sent() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, (b"content-length", b"7"))
        await body(send, b"nothing")

    protocol, transport = connect(app)
    protocol.data_received(b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n")
    await finish(protocol)
    assert transport.written == [b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"]


async def test_body_awaiting_its_continue_request() -> None:
    async def app(scope: object, receive: Any, send: object) -> None:
        message = await receive()
        await start(send, (b"content-length", b"2"))
        await body(send, message["body"])

    protocol, transport = connect(app)
    protocol.data_received(
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    )
    for _ in range(3):
        await asyncio.sleep(0)
    assert transport.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    protocol.data_received(b"hi")
    await finish(protocol)
    assert b"".join(transport.written[1:]) == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


async def test_broken_off_answer_is_closed_after_its_head() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, (b"content-length", b"2"))
        raise ValueError

    protocol, transport = connect(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    await finish(protocol)
    assert transport.written == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"]
    assert transport.closed


async def test_departed_client_is_not_written_to() -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, (b"content-length", b"2"))
        transport.close()
        protocol.connection_lost(ConnectionResetError())
        await body(send, b"hi")

    protocol, transport = connect(app)
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
    await finish(protocol)
    assert transport.written == []


async def test_first_of_two_pipelined_requests_learns_that_its_client_left() -> None:
    """P6: it is the one that is answered; the second one would never have been."""
    asked, received = [], []

    async def app(scope: Any, receive: Any, send: object) -> None:
        asked.append(scope["path"])
        await receive()
        received.append((await receive())["type"])

    protocol, transport = connect(app)
    protocol.data_received(b"GET /1 HTTP/1.1\r\nhost: h\r\n\r\nGET /2 HTTP/1.1\r\nhost: h\r\n\r\n")
    for _ in range(3):
        await asyncio.sleep(0)
    transport.close()
    protocol.connection_lost(ConnectionResetError())
    await asyncio.wait_for(finish(protocol), 30)
    assert (asked, received) == (["/1"], ["http.disconnect"])


# Bounds that hold without nginx -------------------------------------------------------------------


class Asked:
    """An application that keeps what it was asked, and answers with two letters."""

    def __init__(self) -> None:
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers.append(scope["headers"])
        raw, more = b"", True
        while more:
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(raw)
        await start(send, (b"content-length", b"2"))
        await body(send, b"hi")


HEAD = b"GET / HTTP/1.1\r\nhost: h\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
LARGE = b"y" * 33_000


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"x: " + LARGE,
        HEAD + b"x: " + LARGE + b"\r\n\r\n",
        b"GET /" + LARGE,
        b"GET /" + LARGE + b" HTTP/1.1\r\nhost: h\r\n\r\n",
        HEAD + b"".join(b"x%d: y\r\n" % n for n in range(100)) + b"\r\n",
        CHUNKED + b"1\r\na\r\n0\r\nx: " + LARGE * 2,
    ],
    ids=["header", "whole head", "address", "whole address", "headers", "trailer"],
)
@pytest.mark.parametrize("piece", [1000, 1_000_000])
async def test_oversized_head_is_rejected_and_reaches_no_view(head: bytes, piece: int) -> None:
    """docs/promises.md, "Requests": 32 KiB and 100 headers, at every cut."""
    asked = Asked()
    protocol, transport = connect(asked)
    for at in range(0, len(head), piece):
        if not transport.closed:
            protocol.data_received(head[at : at + piece])
    if head.startswith(CHUNKED):
        # Some bytes of the trailer may have come together with the body's end.
        protocol.data_received(LARGE)
    assert transport.closed
    assert asked.bodies == []
    if not head.startswith(CHUNKED):
        assert transport.written[0].startswith(b"HTTP/1.1 431 ")


async def test_head_of_the_maximum_size_is_accepted() -> None:
    asked = Asked()
    protocol, transport = connect(asked)
    head = HEAD + b"x: " + b"y" * 31_000 + b"\r\n\r\n"
    protocol.data_received(head[:30_000])
    protocol.data_received(head[30_000:])
    await finish(protocol)
    assert transport.written[0].startswith(b"HTTP/1.1 200 ")


async def test_a_large_body_before_the_next_head_is_no_head() -> None:
    asked = Asked()
    protocol, _ = connect(asked)
    post = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 40000\r\n\r\n" + b"b" * 40_000
    protocol.data_received(post + HEAD)
    protocol.data_received(b"\r\n")
    await finish(protocol)
    assert [len(raw) for raw in asked.bodies] == [40_000, 0]


async def test_a_trailer_is_no_header() -> None:
    """docs/promises.md, "Requests": what comes behind a body names nobody."""
    asked = Asked()
    protocol, _ = connect(asked)
    protocol.data_received(CHUNKED + b"1\r\na\r\n")
    protocol.data_received(b"0\r\nauthorization: Bearer evil\r\n\r\n")
    await finish(protocol)
    assert asked.bodies == [b"a"]
    assert asked.headers == [[(b"host", b"h"), (b"transfer-encoding", b"chunked")]]


async def test_few_requests_are_sent_ahead() -> None:
    protocol, transport = connect(Asked())
    protocol.data_received((HEAD + b"\r\n") * 5000)
    assert transport.closed
    assert len(protocol.pipeline) <= 8


@pytest.mark.parametrize(
    ("sent", "raw"), [(b"", b""), (b"G", b"HTTP/1.1 408 "), (HEAD, b"HTTP/1.1 408 ")]
)
async def test_stalled_head_ends(monkeypatch: pytest.MonkeyPatch, sent: bytes, raw: bytes) -> None:
    monkeypatch.setattr(module, "HEAD_S", 0.001)
    protocol, transport = connect(Asked())
    if sent:
        protocol.data_received(sent)
    await asyncio.wait_for(transport.ended.wait(), 30)
    assert b"".join(transport.written).startswith(raw)


async def test_stalled_second_head_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte stops the time between two requests; it may not stop all time."""
    monkeypatch.setattr(module, "HEAD_S", 0.001)
    protocol, transport = connect(Asked())
    protocol.data_received(HEAD + b"\r\n")
    await finish(protocol)
    assert protocol._head_timer is None
    protocol.data_received(b"G")
    await asyncio.wait_for(transport.ended.wait(), 30)


async def test_a_running_answer_is_not_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = asyncio.Event()

    async def app(scope: object, receive: object, send: object) -> None:
        await go_on.wait()
        await start(send, (b"content-length", b"2"))
        await body(send, b"hi")

    protocol, transport = connect(app)
    protocol.data_received(HEAD + b"\r\n")
    assert protocol._head_timer is None
    go_on.set()
    await finish(protocol)
    assert not transport.closed


@pytest.mark.parametrize("whole", [False, True])
async def test_client_reading_nothing_is_cut(monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    """docs/promises.md, "Numbers": in a stream as behind the end of an answer."""
    monkeypatch.setattr(module, "_STALL_S", 0.006)

    async def app(scope: object, receive: object, send: object) -> None:
        await start(send)
        transport.unsent = 20_000
        if not whole:
            protocol.pause_writing()
        await body(send, b"one", more=not whole)
        await body(send, b"two")

    protocol, transport = connect(app)
    protocol.data_received(HEAD + b"\r\n")
    await asyncio.wait_for(transport.cut.wait(), 30)
    protocol.connection_lost(None)
    await finish(protocol)


async def test_bytes_after_an_answer_are_read_slowly_and_dropped() -> None:
    """A body that was refused by its length: read at full speed it would take all pages' time."""

    async def app(scope: object, receive: object, send: object) -> None:
        await start(send, (b"content-length", b"2"))
        await body(send, b"no")

    protocol, transport = connect(app)
    protocol.data_received(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 310000\r\n\r\n")
    await finish(protocol)
    protocol.data_received(b"x" * 200_000)
    assert transport.paused == []
    protocol.data_received(b"x" * 100_000)
    assert transport.paused == [True]
    assert protocol._head_timer is not None
    await asyncio.wait_for(transport.resumed.wait(), 30)
    protocol.data_received(b"x" * 10_000 + HEAD + b"\r\n")
    await finish(protocol)
    assert transport.paused == [True, False]
    assert b"".join(transport.written).count(b"HTTP/1.1 200 ") == 2
    assert len(protocol.cycle.body) == 0


async def test_client_reading_a_little_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STALL_S", 0.0)
    protocol, transport = connect(Asked())
    transport.unsent = 20_000
    protocol.pause_writing()
    while transport.unsent:
        transport.unsent -= 500
        await asyncio.sleep(0)
        assert not transport.closed


async def test_the_longest_silent_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """P9: a crowd that says nothing keeps nobody out."""
    monkeypatch.setattr(module, "connections_max", lambda: 3)
    state = ServerState()
    crowd = [connect(Asked(), state) for _ in range(3)]
    crowd[0][0].data_received(HEAD)
    crowd[2][0].data_received(HEAD + b"\r\n")
    asker, transport = connect(Asked(), state)
    assert [one.closed for _, one in crowd] == [False, True, False]
    asker.data_received(HEAD + b"\r\n")
    await finish(asker)
    assert transport.written[0].startswith(b"HTTP/1.1 200 ")


async def test_a_full_server_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "connections_max", lambda: 1)
    state = ServerState()
    busy, _ = connect(Asked(), state)
    busy.data_received(HEAD + b"\r\n")
    _, transport = connect(Asked(), state)
    assert transport.closed
    assert transport.written[0].startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5\r\n" in transport.written[0]
    await finish(busy)
