"""Ports to listen on that nobody else takes meanwhile.

The kernel gives those above 32767 to who connects: a server that comes back to such a port may find
it taken, and who tries again and again to connect to one that is closed may in the end be connected
to itself.
"""

import itertools
import os
import socket
from collections.abc import Iterator
from functools import cache

_FIRST, _COUNT = 12_000, 20_000


@cache
def _numbers(process: int) -> Iterator[int]:
    """Every process begins elsewhere, each fork as well."""
    return itertools.count(process * 97)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, another one at each call."""
    for number in itertools.islice(_numbers(os.getpid()), _COUNT):
        port = _FIRST + number % _COUNT
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("Every port is taken.")
