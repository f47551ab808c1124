"""What the hub does for one request of each kind, as counts that hold on every machine.

A kind is asked again and again, and counted each time (see `typical`), so that a count does not
depend on how busy the machine is.
"""

import json
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from statistics import median
from typing import Any, Final

from websockets.sync.client import connect

from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.request_costs.costs import Counts
from tests.relay.request_costs.in_step import InStep
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.support.hub import Hub

ROUNDS: Final = 16
BURST: Final = 32
CHUNKS: Final = 64
COUNTED_CHUNKS: Final = 48
SHORT: Final = 2
_END_OF_HEAD: Final = b"\r\n\r\n"


# Counts that are made together. Writes are those of the whole request: functions and opcodes are
# counted without its settlement, which many requests share.
PARTS: Final = {
    "calls": ("c_calls", "functions"),
    "opcodes": ("opcodes",),
    "writes": ("rows", "statements", "transactions", "wal_bytes"),
}
WORKS: Final = ("plain", "burst", "translated", "tool_call", "stream", "chunk", "turn")


class Connection:
    """A connection to the hub on which each request is one write: the hub reads it at once."""

    def __init__(self, hub: Hub) -> None:
        self._socket = socket.create_connection(("127.0.0.1", hub.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""

    def close(self) -> None:
        self._socket.close()

    def send(self, path: str, body: bytes = b"", key: str = "") -> None:
        lines = [
            f"{'POST' if body else 'GET'} {path} HTTP/1.1",
            "host: hub",
            *([f"authorization: Bearer {key}", "content-type: application/json"] if key else []),
            f"content-length: {len(body)}",
        ]
        self._socket.sendall("\r\n".join(lines).encode() + _END_OF_HEAD + body)

    def receive(self) -> bytes:
        """The body of a whole response of status 200."""
        (length,) = [
            int(line.split(b":")[1])
            for line in self._head().split(b"\r\n")
            if line.startswith(b"content-length:")
        ]
        return self._take(length)

    def pieces(self) -> Iterator[bytes]:
        """Those of a streamed response of status 200 that carry text, as they come."""
        assert b"transfer-encoding: chunked" in self._head()
        while size := int(self._until(b"\r\n"), 16):
            piece = self._take(size)
            self._take(2)
            if b"word " in piece:
                yield piece
        self._take(2)

    def _head(self) -> bytes:
        head = self._until(_END_OF_HEAD)
        assert head.startswith(b"HTTP/1.1 200"), head + self._read
        return head.lower()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            self._read += self._more()
        before, _, self._read = self._read.partition(mark)
        return before

    def _take(self, size: int) -> bytes:
        while len(self._read) < size:
            self._read += self._more()
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def _more(self) -> bytes:
        read = self._socket.recv(65536)
        assert read, "the hub closed the connection"
        return read


def typical(rounds: Sequence[Counts]) -> Counts:
    """The counts of rounds in which nothing was written that only time asks for, such as a mark of
    a stream on a busy machine, and the least of them, beside which no timer ran."""
    often = Counter(one.get("transactions", 0) for one in rounds)
    fewest = min(
        number for number, times in often.items() if times > 1 or len(often) == len(rounds)
    )
    rounds = [one for one in rounds if one.get("transactions", 0) == fewest]
    statements, _ = Counter(one.get("statements", 0) for one in rounds).most_common(1)[0]
    rounds = [one for one in rounds if one.get("statements", 0) == statements]
    return least(rounds)


def subtract(counts: Counts, less: Counts) -> Counts:
    return {name: count - less.get(name, 0) for name, count in counts.items()}


def least(rounds: Sequence[Counts]) -> Counts:
    """The least of each count: of what is written, without the pages of indexes that are split, and
    images of pages after a checkpoint."""
    names = {name for one in rounds for name in one}
    return {name: min(one.get(name, 0) for one in rounds) for name in names}


def least_of_bursts(rounds: Sequence[Counts]) -> Counts:
    """The least of each count, but the median of the log: nearly every burst splits pages of some
    indexes, and how many the least one splits depends on what was measured before."""
    return least(rounds) | {"wal_bytes": median(one.get("wal_bytes", 0) for one in rounds)}


class CountedHub:
    """The counts of a running hub (counting.py), and how each kind of work is asked of it."""

    def __init__(self, hub: Hub, fake: FakeUpstream, until: ExitStack) -> None:
        self.hub, self._until = hub, until
        # A request writes to this one only in a range of pages that a vacuum has summed up.
        hub.connection.execute("DROP INDEX posting_by_time")
        self.tenant = hub.tenant("1000.00")
        self.chat = hub.model(fake)
        self._claude = hub.model(fake, **UPSTREAMS["anthropic"])
        self._responses = hub.model(fake, **UPSTREAMS["responses"])
        self.stream_in("openai")

    def stream_in(self, dialect: str) -> None:
        """Stream from a provider of this dialect to a client of the same."""
        self._in_step = self._until.enter_context(InStep(dialect))
        channel = {} if dialect == "openai" else UPSTREAMS[dialect]
        model, speaker = self.hub.model(self._in_step, **channel), SPEAKERS[dialect]
        self._path_of_streams = speaker.path(model, stream=True)
        self._streams = ask(model, stream=True)
        if dialect != "openai":
            self._streams = speaker.body(model, Wish(stream=True))

    def measure(self, work: str, part: str) -> Counts:
        """What one request, chunk or turn of this kind takes: a part of PARTS."""
        self._ask, self._of = f"/_counts/{part}", least if part == "writes" else typical
        if work == "burst":
            self._of = least_of_bursts
        counts: Counts = getattr(self, f"_{work}")()
        return {name: counts.get(name, 0) for name in PARTS[part]}

    def _plain(self) -> Counts:
        return self._one_by_one(ask(self.chat))

    def _translated(self) -> Counts:
        return self._one_by_one(ask(self._claude))

    def _tool_call(self) -> Counts:
        parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
        tool = {"type": "function", "function": {"name": "weather", "parameters": parameters}}
        return self._one_by_one(ask(self.chat, "#tools=1", tools=[tool]))

    def _stream(self) -> Counts:
        return self._stream_of(CHUNKS)

    def _short(self) -> Counts:
        """A stream that is nearly nothing but its beginning and its end. It is in no table."""
        return self._stream_of(SHORT)

    def _chunk(self) -> Counts:
        """One in the middle of a stream: what runs beside the beginning and the end of a stream is
        counted in part, and a busy machine counts another part."""
        opened = self._opener(CHUNKS)

        def counted() -> Counts:
            pieces = opened()
            self._step_through(pieces, CHUNKS - COUNTED_CHUNKS)
            self._counts()
            self._step_through(pieces, COUNTED_CHUNKS)
            counts = self._counts()
            self._step_through(pieces)
            return counts

        return {name: count / COUNTED_CHUNKS for name, count in self._of_rounds(counted).items()}

    def _stream_of(self, chunks: int) -> Counts:
        opened = self._opener(chunks)
        return self._rounds(lambda: self._step_through(opened()))

    def _opener(self, chunks: int) -> Callable[[], Iterator[bytes]]:
        """What asks for a stream, and gives its pieces that carry text."""
        connection = self._connection()
        path, body = self._path_of_streams, json.dumps(self._streams).encode()
        self._in_step.pieces = chunks

        def opened() -> Iterator[bytes]:
            connection.send(path, body, self.tenant.key)
            return connection.pieces()

        return opened

    def _step_through(self, pieces: Iterator[bytes], count: int = CHUNKS + 1) -> None:
        """As many pieces as that, or all that are left: each comes after a step, and so does the
        end."""
        for _ in range(count):
            self._in_step.step()
            if next(pieces, None) is None:
                break

    def _burst(self) -> Counts:
        connections = [self._connection() for _ in range(BURST)]
        body = json.dumps(ask(self.chat)).encode()
        process = self.hub.process
        assert process is not None

        def round() -> None:
            # It finds them all at once, however busy the machine is.
            process.send_signal(signal.SIGSTOP)
            for one in connections:
                one.send("/v1/chat/completions", body, self.tenant.key)
            process.send_signal(signal.SIGCONT)
            for one in connections:
                one.receive()

        return {name: count / BURST for name, count in self._rounds(round).items()}

    def _turn(self) -> Counts:
        headers = {"authorization": f"Bearer {self.tenant.key}"}
        url = f"{self.hub.url.replace('http', 'ws')}/v1/responses"
        event = {"type": "response.create", "model": self._responses, "input": "#batch=16"}
        sent = json.dumps(event | {"store": False})
        with connect(url, additional_headers=headers) as client:

            def turn() -> None:
                client.send(sent)
                while json.loads(client.recv(timeout=60))["type"] != "response.completed":
                    pass

            return self._rounds(turn)

    def _one_by_one(self, body: Any) -> Counts:
        connection, sent = self._connection(), json.dumps(body).encode()

        def request() -> None:
            connection.send("/v1/chat/completions", sent, self.tenant.key)
            connection.receive()

        return self._rounds(request)

    def _rounds(self, once: Callable[[], None]) -> Counts:
        """What it takes, less what asking for the counts takes."""

        def counted() -> Counts:
            once()
            return self._counts()

        return self._of_rounds(counted)

    def _of_rounds(self, counted: Callable[[], Counts]) -> Counts:
        for _ in range(3):
            counted()
        self._counts()
        asked = self._of([self._counts() for _ in range(ROUNDS)])
        return self._of([subtract(counted(), asked) for _ in range(ROUNDS)])

    def _counts(self) -> Counts:
        # The hub would have closed one that waited for a slow round.
        with closing(Connection(self.hub)) as control:
            control.send(self._ask)
            counts: Counts = json.loads(control.receive())
        return counts

    def _connection(self) -> Connection:
        return self._until.enter_context(closing(Connection(self.hub)))
