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


class Load:
    """What became of the requests: `whole` were answered, and of the others `lost` says how."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.whole = 0
        self.lost: Counter[str] = Counter()
        self._ending = threading.Event()
        self._lock = threading.Lock()

    def run(self, number: int) -> None:
        """One client, until the load ends. Every second keeps its connection; every third reads
        streams."""
        keeps, streams = bool(number % 2), not number % 3
        words = "hi #tokens=12 #delay_ms=25" if streams else "hi #tokens=2"
        message = {"role": "user", "content": words}
        body = json.dumps({"model": "fake", "stream": streams, "messages": [message]}).encode()
        connection: http.client.HTTPConnection | None = None
        while not self._ending.is_set():
            if connection is None:
                connection = http.client.HTTPConnection(
                    "127.0.0.1", self.port, timeout=WAIT_SECONDS
                )
            try:
                end = _end_of(connection, body, streams)
            except (OSError, http.client.HTTPException) as error:
                end = type(error).__name__
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

    def end(self) -> None:
        self._ending.set()


def _end_of(connection: http.client.HTTPConnection, body: bytes, streams: bool) -> str:
    """How a request was lost; empty where it was answered whole."""
    headers = {"Content-Type": "application/json", **bearer()}
    connection.request("POST", CHAT, body, headers)
    response = connection.getresponse()
    read = response.read()
    if response.status != 200:
        return f"{response.status} {read[:200].decode(errors='replace')}"
    return "cut" if streams and b"[DONE]" not in read else ""


@contextlib.contextmanager
def load_on(port: int, clients: int) -> Iterator[Load]:
    """So many clients ask for the length of the block; each ends with its running request."""
    load = Load(port)
    threads = [threading.Thread(target=load.run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.end()
        for thread in threads:
            thread.join(2 * WAIT_SECONDS)
