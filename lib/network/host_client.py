"""Many brief requests to one host, by the guarded connector of lib/network/egress.py but without
the weight
of its client library: who polls thousands of tasks would do little else."""

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple, Self

import httpcore
import httpx

from lib.network.egress import (
    AGENT,
    HTTPS_PORT,
    EgressDenied,
    EgressFailed,
    EgressPolicy,
    GuardedNetwork,
    Resolver,
    check_url,
    host_and_port,
    resolve,
    system_trust,
)
from lib.network.outbound import DIRECT, Outbound, tls_context

_PIECE: Final = 64 * 1024
_ORIGIN: Final = re.compile("^[a-z]+://[^/?#]+", re.IGNORECASE)


class BriefAnswer(NamedTuple):
    """An answer of a few bytes; `body` None where it has more than was wanted."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes | None


class HostClient:
    """Sends many short requests from several threads to the host of a URL, guarded like
    `guarded_client`, at a fifth of the CPU time. Raises EgressDenied for an unacceptable URL, and
    BadPem."""

    def __init__(
        self,
        policy: EgressPolicy,
        url: str,
        *,
        connect_s: float = 3.0,
        read_s: float = 10.0,
        schemes: Sequence[str] = ("https",),
        resolver: Resolver = resolve,
        outbound: Outbound = DIRECT,
    ) -> None:
        _, self._port = host_and_port(url)
        parsed = httpx.URL(url)
        check_url(parsed, schemes)
        self._host = parsed.raw_host.decode("ascii").strip("[]")
        self._origin = "".join(_ORIGIN.findall(url))
        self._network = GuardedNetwork(policy, resolver, outbound.proxy)
        self._trust: ssl.SSLContext | None = None
        if parsed.scheme == "https":
            self._trust = tls_context(outbound) if outbound.own_tls else system_trust()
        self._times = connect_s, read_s
        # No two threads ask by the same one.
        self._free: list[_HostConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for connection in self._free:
            connection.close()

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        bytes_max: int,
        until: float,
    ) -> BriefAnswer:
        """Send a request to this host and return the response, which must be complete by `until`
        (`time.monotonic`). A request that a kept connection does not answer is sent again, so use
        this only for requests that change nothing. Raises EgressError."""
        target = url.removeprefix(self._origin)
        if target == url or target[:1] not in ("", "/", "?"):
            raise EgressDenied("The URL is of another host.")
        if not target.startswith("/"):
            target = f"/{target}"
        sent = {"user-agent": AGENT, "accept": "*/*", **headers}
        try:
            connection = self._free.pop()
        except IndexError:
            connection = _HostConnection(
                self._network, self._trust, self._host, self._port, self._times
            )
        try:
            with _as_host_failed():
                return connection.ask(_BriefRequest(method, target, sent, body, bytes_max, until))
        finally:
            self._free.append(connection)


class _BriefRequest(NamedTuple):
    """A request of `HostClient.ask`."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    bytes_max: int
    until: float


class _HostConnection(http.client.HTTPConnection):
    """A connection by the guarded network. It connects when something is asked, and anew where it
    was closed."""

    def __init__(
        self,
        network: GuardedNetwork,
        trust: ssl.SSLContext | None,
        host: str,
        port: int,
        times: tuple[float, float],
    ) -> None:
        super().__init__(host, port)
        self._network, self._trust = network, trust
        self._connect_s, self._read_s = times
        if trust is not None:
            self.default_port = HTTPS_PORT

    def connect(self) -> None:
        stream = self._network.connect_tcp(self.host, self.port, self._connect_s)
        plain: socket.socket = stream.get_extra_info("socket")
        plain.settimeout(self._read_s)
        if self._trust is None:
            self.sock = plain
            return
        try:
            self.sock = self._trust.wrap_socket(plain, server_hostname=self.host)
        finally:
            # The socket is the secure one's where that stands.
            plain.close()

    def ask(self, asked: _BriefRequest) -> BriefAnswer:
        kept = self.sock is not None
        try:
            return self._ask(asked)
        except (ConnectionError, ssl.SSLEOFError):
            if not kept:
                raise
            # Its other end had closed it meanwhile.
            return self._ask(asked)

    def _ask(self, asked: _BriefRequest) -> BriefAnswer:
        whole = False
        if self.sock is not None:
            self.sock.settimeout(self._read_s)
        self.response_class = partial(  # type: ignore[assignment]
            _TimedResponse, until=asked.until, read_s=self._read_s
        )
        try:
            self.request(asked.method, asked.target, asked.body or None, asked.headers)
            with self.getresponse() as answer:
                content = b""
                while piece := answer.read1(_PIECE):
                    content += piece
                    if len(content) > asked.bytes_max:
                        return BriefAnswer(answer.status, answer.headers, None)
                if answer.length:
                    raise http.client.IncompleteRead(content, answer.length)
            whole = True
            return BriefAnswer(answer.status, answer.headers, content)
        finally:
            if not whole:
                self.close()


class _TimedResponse(http.client.HTTPResponse):
    """A response with a deadline for all of it, however slowly it arrives."""

    def __init__(
        self, sock: socket.socket, *args: Any, until: float, read_s: float, **named: Any
    ) -> None:
        super().__init__(sock, *args, **named)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock, until, read_s))

    def _read_status(self) -> tuple[str, int, str]:
        # Of the interim responses `http.client` passes over one alone. Another would be taken for
        # the answer, and the answer for that to the next request.
        version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, min(status, http.client.CONTINUE) if status < 200 else status, reason


class _TimedReader(io.RawIOBase):
    """Read from a socket until a deadline, with at most `read_s` between two reads."""

    def __init__(
        self, inner: io.RawIOBase, sock: socket.socket, until: float, read_s: float
    ) -> None:
        self._inner, self._sock, self._until, self._read_s = inner, sock, until, read_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(min(left_s, self._read_s))
        return self._inner.readinto(buffer)

    def close(self) -> None:
        self._inner.close()
        super().close()


@contextmanager
def _as_host_failed() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, httpcore.TimeoutException) as error:
        raise EgressFailed("timeout", type(error).__name__) from error
    except ssl.SSLError as error:
        raise EgressFailed("tls", str(error)) from error
    except httpcore.ConnectError as error:
        raise EgressFailed("refused", str(error)) from error
    except (OSError, httpcore.NetworkError) as error:
        raise EgressFailed("broken", str(error) or type(error).__name__) from error
    except (ValueError, http.client.HTTPException) as error:
        # Their messages can contain what was sent, such as a header with its key, or what was
        # received.
        raise EgressFailed("broken", type(error).__name__) from error
