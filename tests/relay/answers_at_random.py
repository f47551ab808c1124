"""HTTP/1.1 answers as an upstream might send them, well-formed and spoiled, and what two parsers
make of each: ours, without sockets, and h11, which shares no code with it."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, cast

import h11

from relay.upstream.http1 import Connection, Reason, State

_LIMIT = 64 * 1024


class Verdict(NamedTuple):
    """What came of an answer whose server closed the connection behind it.

    `end`: it is whole, its head never was one, or its body breaks off or cannot be read, with the
    parser's word for it. `body` is what was given of it, `reusable` whether the connection could
    have carried another request.
    """

    end: Literal["whole", "head", "body"]
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    reusable: bool = False
    why: str = ""


# ---- ours


class _Failed(Exception):
    pass


class _Owner:
    head_s = 30.0

    def failed(self, reason: Reason, detail: str) -> Exception:
        return _Failed(detail or "ended too early")

    def keep(self, connection: Connection) -> None:
        self.kept = connection

    def forget(self, connection: Connection) -> None:
        return


class _Nowhere:
    """A transport and a loop that do nothing."""

    def write(self, data: bytes) -> None:
        return

    def abort(self) -> None:
        return

    pause_reading = resume_reading = cancel = abort

    def get_write_buffer_size(self) -> int:
        return 0

    def call_later(self, seconds: float, call: Callable[[], None]) -> "_Nowhere":
        return self


_NOWHERE = _Nowhere()
_OWNER = _Owner()


def by_us(pieces: Sequence[bytes]) -> Verdict:
    """The verdict of the relay's own connection."""
    connection = Connection(_OWNER, cast(asyncio.AbstractEventLoop, _NOWHERE))
    connection.connection_made(cast(asyncio.Transport, _NOWHERE))
    response = connection._response
    response.ask()
    body: list[bytes] = []
    for piece in pieces:
        # A closed socket is read no further.
        if connection.closed:
            break
        connection.get_buffer(-1)[: len(piece)] = piece
        connection.buffer_updated(len(piece))
        while response.pieces:
            body.append(connection._take_pieces())
    reusable = response.state is State.COMPLETE and response.persists
    reusable = reusable and not connection.closed
    if not connection.closed:
        connection.connection_lost(None)
    if response.state in (State.AWAITING, State.HEADERS):
        assert connection._error is not None
        return Verdict("head", why=str(connection._error))
    assert (response.state is State.COMPLETE) == (connection._error is None)
    headers = response.headers
    if "transfer-encoding" in headers:
        # h11 writes its one word in small letters.
        headers["transfer-encoding"] = headers["transfer-encoding"].lower()
    messages = tuple(sorted(headers.items()))
    end: Literal["whole", "body"] = "body" if connection._error else "whole"
    why = str(connection._error or "")
    return Verdict(end, response.status, messages, b"".join(body), reusable, why)


# ---- h11


_REQUEST = h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")])


class _Read:
    """What h11 has told so far."""

    def __init__(self) -> None:
        self.connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LIMIT)
        self.connection.send(_REQUEST)
        self.connection.send(h11.EndOfMessage())
        self.head: h11.Response | None = None
        self.body: list[bytes] = []
        self.whole = False

    def hears(self, piece: bytes) -> bool:
        """Whether it goes on."""
        self.connection.receive_data(piece)
        while True:
            event = self.connection.next_event()
            match event:
                case h11.Response():
                    self.head = event
                case h11.Data():
                    self.body.append(bytes(event.data))
                case h11.EndOfMessage():
                    self.whole = True
                    return False
                case h11.InformationalResponse():
                    continue
                case _:
                    return event is h11.NEED_DATA

    @property
    def reusable(self) -> bool:
        connection = self.connection
        ready = connection.our_state is h11.DONE and connection.their_state is h11.DONE
        return ready and not connection.trailing_data[0]


def by_h11(pieces: Sequence[bytes]) -> Verdict:
    """The verdict of h11."""
    read, left, reusable, why = _Read(), iter(pieces), False, ""
    try:
        for piece in left:
            if not read.hears(piece):
                break
        reusable = read.whole and read.reusable and next(left, None) is None
        if not read.whole:
            read.hears(b"")
    except h11.RemoteProtocolError as error:
        why = str(error)
    if read.head is None:
        return Verdict("head", why=why)
    joined: dict[str, str] = {}
    for raw_name, raw_value in read.head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    message, body = tuple(sorted(joined.items())), b"".join(read.body)
    end: Literal["whole", "body"] = "whole" if read.whole else "body"
    return Verdict(end, read.head.status_code, message, body, reusable, why)


# ---- answers


_NAMES = (b"Content-Type", b"x-a", b"X-A", b"Server", b"Set-Cookie", b"!#$%&'*+-.^_`|~1")
_VALUES = (b"application/json", b"", b"a", b"a, b", b"a\tb", b"\xe4", b" padded ", b'"quoted"')
_STATUSES = (200,) * 8 + (201, 204, 304, 400, 404, 413, 429, 500, 503, 529, 999)
_INTERIM = (100, 102, 103, 199)
_BODIES = (b"", b"{}", b"hello world", b"data: {}\n\n" * 3, b"\r\n", b"0\r\n\r\n", b"HTTP/1.1 200")
# What a mutation puts in somewhere.
_BITS = (
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b";", b",", b"0", b"1", b"a",
    b"\x80", b"\xff", b"\x7f", b"+", b"-", b"0x", b"_", b'"', b"\\", b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"Content-Length: 5\r\n", b"content-length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n", b"transfer-encoding: gzip\r\n", b"Connection: close\r\n",
    b"Connection: keep-alive\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"chunked",
    b"identity", b"0\r\n\r\n", b"5\r\n", b"ffffffffffffffffff", b"HTTP/1.0", b"HTTP/2", b"204",
    b"304", b"101", b"099", b"\r\n x: folded\r\n", b" \r\n", b"\x0b", b"\xc2\x85",
)  # fmt: skip


def _headers(dice: random.Random) -> list[bytes]:
    lines = [
        b"%b:%b%b" % (dice.choice(_NAMES), dice.choice((b" ", b"", b"\t", b"  ")), value)
        for value in dice.choices(_VALUES, k=dice.choice((0, 0, 1, 1, 2, 4)))
    ]
    if dice.random() < 0.15:
        options = (b"close", b"keep-alive", b"Close", b"x, close", b"upgrade")
        lines.append(b"Connection: " + dice.choice(options))
    return lines


def _chunked(dice: random.Random, body: bytes) -> bytes:
    parts: list[bytes] = []
    while body:
        size = dice.randint(1, len(body))
        extension = dice.choice((b"", b"", b"", b";x", b";x=y", b';x="y"'))
        digits = dice.choice((b"%x", b"%X", b"0%x", b"000%x")) % size
        parts.append(digits + extension + b"\r\n" + body[:size] + b"\r\n")
        body = body[size:]
    trailers = b"".join(line + b"\r\n" for line in _headers(dice)) if dice.random() < 0.3 else b""
    return (
        b"".join(parts) + dice.choice((b"0", b"0", b"000", b"0;x")) + b"\r\n" + trailers + b"\r\n"
    )


def _well_formed(dice: random.Random) -> bytes:
    """Interim answers, then one that has its end in one of the ways that there are."""
    raw = b""
    while dice.random() < 0.1:
        lines = [b"HTTP/1.1 %d Wait" % dice.choice(_INTERIM), *_headers(dice), b"", b""]
        raw += b"\r\n".join(lines)
    body, status = dice.choice(_BODIES), dice.choice(_STATUSES)
    version = dice.choice((b"1.1",) * 9 + (b"1.0",))
    lines = _headers(dice)
    framing = dice.choice(("length", "length", "chunked", "chunked", "close"))
    if framing == "length":
        lines.append(b"%b: %d" % (dice.choice((b"Content-Length", b"content-length")), len(body)))
    elif framing == "chunked":
        lines.append(dice.choice((b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked")))
    dice.shuffle(lines)
    reason = dice.choice((b" OK", b" Not Found", b" ", b"", b" \xe4 t\tab"))
    head = [b"HTTP/%b %d%b" % (version, status, reason), *lines, b"", b""]
    if status in (204, 304):
        return raw + b"\r\n".join(head)
    return raw + b"\r\n".join(head) + (_chunked(dice, body) if framing == "chunked" else body)


def _spoiled(dice: random.Random, raw: bytes) -> bytes:
    at, end = sorted((dice.randint(0, len(raw)), dice.randint(0, len(raw))))
    near = min(len(raw), at + dice.randint(1, 4))
    match dice.randrange(8):
        case 0:
            return raw[:at]
        case 1:
            return raw[:at] + raw[near:]
        case 2:
            return raw[:at] + raw[end:]
        case 3:
            return raw[:end] + raw[at:]
        case 4:
            return raw[:at] + bytes([dice.randrange(256)]) + raw[at + 1 :]
        case 5:
            return raw[:at] + dice.choice(_BITS) + raw[near:]
        case 6:
            return raw + dice.choice(_BITS)
        case _:
            return raw[:at] + dice.choice(_BITS) + raw[at:]


def answer_at_random(dice: random.Random) -> bytes:
    """Two in three are spoiled, once or more often."""
    raw = _well_formed(dice)
    if dice.random() < 0.1:
        raw += _well_formed(dice)
    if dice.random() < 0.67:
        raw = _spoiled(dice, raw)
        while dice.random() < 0.3:
            raw = _spoiled(dice, raw)
    return raw


def cut_at_random(dice: random.Random, raw: bytes) -> list[bytes]:
    """As one, byte by byte, or anyhow."""
    how = dice.random()
    if how < 0.3 or len(raw) < 2:
        return [raw] if raw else []
    if how < 0.4:
        return [raw[n : n + 1] for n in range(len(raw))]
    cuts = sorted({dice.randint(1, len(raw) - 1) for _ in range(dice.randint(1, 5))})
    return [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
