"""Which port an installation listens on.

A port that somebody asked for is used, or refused with the next free one as a suggestion. Otherwise
it is PORT, or the next free port if another program uses that.
"""

import errno
import socket

from stack.checks import Exit, Refusal
from stack.origin import start_line

PORT = 8000
# How many ports are tried, from the taken one on.
SEARCHED = 100
# The most connections that wait to be accepted.
_WAITING_MAX = 2048


def parse_port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Refusal(Exit.PORT, f"The port is {text!r}; it must be a number from 1 to 65535.")
    return int(text)


def choose_port(host: str) -> int:
    """Return the default port, or the next free port if the default is taken."""
    return next_free(host, PORT) or PORT


def next_free(host: str, port: int) -> int | None:
    """Return the first free port from `port` on; None if SEARCHED ports are taken."""
    ports = range(port, min(port + SEARCHED, 65536))
    return next((other for other in ports if port_free(host, other)), None)


def open_port(host: str, port: int) -> socket.socket:
    """Listen on the port. Raises Refusal, which suggests another port, if that is impossible."""
    try:
        return _listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = start_line(port=next_free(host, port + 1) or "NUMBER")
            raise Refusal(
                Exit.PORT,
                f"Port {port} on {host} is used by another program. Choose another one: {hint}",
            ) from error
        raise Refusal(
            Exit.PORT,
            f"Cannot listen on {host} port {port}: {error.strerror or error}. "
            f"Choose another: {start_line(host='127.0.0.1', port=PORT)}",
        ) from error


def port_free(host: str, port: int) -> bool:
    try:
        _listen(host, port).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """Return a free port of this machine, for the parts that only this machine reaches."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _listen(host: str, port: int) -> socket.socket:
    """Listen on the host's address. For a name with several addresses, the IPv4 one is used. Raises
    OSError."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, _, _, address = min(addresses, key=lambda one: one[0] != socket.AF_INET)
    listening = socket.socket(family, kind)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(_WAITING_MAX)
    except OSError:
        listening.close()
        raise
    return listening
