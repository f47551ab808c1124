"""Clients that ask the edge one request after the other, and note each that was not answered whole:
on connections that they keep, and on new ones; for whole answers, and for streams."""

import contextlib
import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator

from tests.deploy.client import WAIT_SECONDS
from tests.deploy.stage import CHAT, bearer

# Before a byte of the answer has come.
_CLOSED_BETWEEN = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


class Load:
    """What became of the requests: `whole` were answered, and of the others `lost` says how.

    Where nginx reads its files again, it closes connections between two requests. Clients that keep
    theirs, the providers' own among them, then send on a new one: `reconnected` counts these. That
    nothing was done twice is for the test to say.
    """

    def __init__(self, port: int, *, reconnecting: bool = False, pace_ms: int = 0) -> None:
        self.port = port
        self.pace_ms = pace_ms
        self.reconnecting = reconnecting
        self.whole = self.reconnected = 0
        self.lost: Counter[str] = Counter()
        self._ending = threading.Event()
        self._lock = threading.Lock()

    def run(self, number: int) -> None:
        """One client, until the load ends. Every second keeps its connection; every third reads
        streams."""
        keeps, streams = bool(number % 2), not number % 3
        words = "hi #tokens=12 #delay_ms=25"
        if not streams:
            words = f"hi #tokens=2 #first_ms={self.pace_ms}"
        message = {"role": "user", "content": words}
        body = json.dumps({"model": "fake", "stream": streams, "messages": [message]}).encode()
        connection: http.client.HTTPConnection | None = None
        kept = False
        while not self._ending.is_set():
            if connection is None:
                connection, kept = self._connection(), False
            try:
                end = _end_of(connection, body, streams)
            except (OSError, http.client.HTTPException) as error:
                end = type(error).__name__
                if kept and self.reconnecting and isinstance(error, _CLOSED_BETWEEN):
                    connection.close()
                    connection = None
                    with self._lock:
                        self.reconnected += 1
                    continue
            kept = True
            with self._lock:
                if end:
                    self.lost[end] += 1
                else:
                    self.whole += 1
            if end or not keeps:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)

    def end(self) -> None:
        self._ending.set()


def _end_of(connection: http.client.HTTPConnection, body: bytes, streams: bool) -> str:
    """How a request was lost; empty where it was answered whole."""
    headers = {"Content-Type": "application/json", **bearer()}
    connection.request("POST", CHAT, body, headers)
    response = connection.getresponse()
    try:
        read = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"cut by {type(error).__name__}"
    if response.status != 200:
        return f"{response.status} {read[:200].decode(errors='replace')}"
    return "cut" if streams and b"[DONE]" not in read else ""


@contextlib.contextmanager
def load_on(
    port: int, clients: int, *, reconnecting: bool = False, pace_ms: int = 0
) -> Iterator[Load]:
    """So many clients ask for the length of the block; each ends with its running request. The
    provider takes `pace_ms` for an answer that is no stream: without it they take all of the
    machine, also of who is started meanwhile."""
    load = Load(port, reconnecting=reconnecting, pace_ms=pace_ms)
    threads = [threading.Thread(target=load.run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.end()
        for thread in threads:
            thread.join(2 * WAIT_SECONDS)
