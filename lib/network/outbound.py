"""The network route to a host: by a proxy or directly, the authorities that its TLS trusts, and our
client certificate. Pure except for `tls_context`; the connector checks every address
(lib/network/egress.py).

    http      CONNECT, for http and https alike; the proxy gets the name of the host
    socks5    RFC 1928, login by RFC 1929; the proxy gets an address of the host
"""

import base64
import binascii
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from lib.network.trust import trusted_context

ProxyScheme = Literal["http", "socks5"]
_PORTS: Final[dict[ProxyScheme, int]] = {"http": 8080, "socks5": 1080}
_EXPECTED: Final = "The proxy's address must be http://host:port or socks5://host:port."
_HEAD_BYTES_MAX: Final = 16 * 1024
_LOGIN_BYTES_MAX: Final = 255

# SOCKS (RFC 1928, sections 3 to 6).
_VERSION: Final = 5
_NO_LOGIN: Final = 0
_LOGIN: Final = 2
_CONNECT: Final = 1
_IPV4: Final = 1
_NAME: Final = 3
_IPV6: Final = 4
_REPLIES: Final = (
    "succeeded",
    "general failure",
    "not allowed by its rules",
    "network unreachable",
    "host unreachable",
    "connection refused",
    "time to live expired",
    "command not supported",
    "address type not supported",
)


class ProxyFault(OSError):
    """The proxy refuses the connection; the message says why, and contains no login."""


class BadProxy(ValueError):
    """The address or login of a proxy is invalid; the message says why."""


class BadPem(ValueError):
    """The text contains no certificate, no key, or a key of another certificate."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """The address of a proxy, and `user:password` if it requires a login, else ""."""

    scheme: ProxyScheme
    host: str
    port: int
    login: str = field(default="", repr=False)

    @property
    def by_address(self) -> bool:
        """Return whether the proxy gets an address. Otherwise the proxy resolves the name
        itself."""
        return self.scheme == "socks5"


@dataclass(frozen=True, slots=True)
class Outbound:
    """The route to a host. `ca_pem` are the authorities that are trusted instead of the
    installation's; `cert_pem` with `key_pem` is our client certificate; "" for none.
    """

    proxy: Proxy | None = None
    ca_pem: str = ""
    cert_pem: str = ""
    key_pem: str = field(default="", repr=False)

    @property
    def own_tls(self) -> bool:
        return bool(self.ca_pem or self.cert_pem)


DIRECT: Final = Outbound()


def read_proxy(url: str, login: str = "") -> Proxy:
    """Parse a proxy address, `http://host[:port]` or `socks5://host[:port]`. Raises BadProxy for
    any other form. The connector decides which hosts are acceptable."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadProxy(f"The proxy's address cannot be read: {error}") from error
    scheme, host = parts.scheme, parts.hostname or ""
    if scheme not in _PORTS or not url.isascii() or not url.isprintable() or " " in url:
        raise BadProxy(_EXPECTED)
    if parts.username is not None or parts.password is not None:
        raise BadProxy("The proxy's address contains a user name. Enter the login apart.")
    if parts.path.strip("/") or "?" in url or "#" in url or "\\" in url or port == 0 or not host:
        raise BadProxy(_EXPECTED)
    return Proxy(scheme, host, port or _PORTS[scheme], login)


def check_login(login: str) -> None:
    """Refuse a login that a proxy cannot accept. Raises BadProxy."""
    user, colon, password = login.partition(":")
    if not colon or not user or not login.isprintable() or not login.isascii():
        raise BadProxy("The login must be user:password in visible ASCII characters.")
    if max(len(user), len(password)) > _LOGIN_BYTES_MAX:
        raise BadProxy(f"User and password can have at most {_LOGIN_BYTES_MAX} characters each.")


# ---- messages to a proxy

Talk = Generator[bytes, bytes, None]
"""Yields the bytes to send, is sent the received bytes, and returns once the tunnel is established.
Raises ProxyFault; b"" means that the proxy has closed.
"""


def tunnel(proxy: Proxy, host: str, port: int) -> Talk:
    """Negotiate a connection to a host with a proxy: by address if the proxy requires one, else by
    ASCII name."""
    return _socks5(proxy, host, port) if proxy.scheme == "socks5" else _connect(proxy, host, port)


def _connect(proxy: Proxy, host: str, port: int) -> Talk:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.login:
        login = base64.b64encode(proxy.login.encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {login}")
    head = yield "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
    head = yield from _read_at_least(1, head)
    while b"\r\n\r\n" not in head:
        if len(head) > _HEAD_BYTES_MAX:
            raise ProxyFault("the proxy's answer is too long")
        head += yield from _read_more()
    head_bytes, _, rest = head.partition(b"\r\n\r\n")
    words = head_bytes.partition(b"\r\n")[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or len(words[1]) != 3:
        raise ProxyFault("the proxy does not speak HTTP")
    if words[1] == b"407":
        raise ProxyFault("the proxy wants another login")
    if not words[1].startswith(b"2"):
        raise ProxyFault(f"the proxy answered {words[1].decode('latin-1')}")
    _check_end(rest)


def _socks5(proxy: Proxy, host: str, port: int) -> Talk:
    method = _LOGIN if proxy.login else _NO_LOGIN
    got = yield from _exactly(2, (yield bytes((_VERSION, 1, method))))
    if got[0] != _VERSION:
        raise ProxyFault("the proxy does not speak SOCKS5")
    if got[1] != method:
        raise ProxyFault("the proxy wants a login" if not proxy.login else "no login is taken")
    if proxy.login:
        user, _, password = (part.encode() for part in proxy.login.partition(":"))
        login = b"\1" + bytes((len(user),)) + user + bytes((len(password),)) + password
        got = yield from _exactly(2, (yield login))
        if got[1] != 0:
            raise ProxyFault("the proxy wants another login")
    command = bytes((_VERSION, _CONNECT, 0)) + _encode_host(host) + port.to_bytes(2, "big")
    got = yield from _read_at_least(5, (yield command))
    if got[0] != _VERSION:
        raise ProxyFault("the proxy does not speak SOCKS5")
    if got[1] != 0:
        why = _REPLIES[got[1]] if got[1] < len(_REPLIES) else f"code {got[1]}"
        raise ProxyFault(f"the proxy does not connect: {why}")
    sizes = {_IPV4: 4, _IPV6: 16, _NAME: 1 + got[4]}
    if got[3] not in sizes:
        raise ProxyFault("the proxy does not speak SOCKS5")
    yield from _exactly(4 + sizes[got[3]] + 2, got)


def _encode_host(host: str) -> bytes:
    address = ipaddress.ip_address(host)
    return bytes((_IPV4 if address.version == 4 else _IPV6,)) + address.packed


def _exactly(size: int, got: bytes) -> Generator[bytes, bytes, bytes]:
    got = yield from _read_at_least(size, got)
    _check_end(got[size:])
    return got


def _read_at_least(size: int, got: bytes) -> Generator[bytes, bytes, bytes]:
    if not got:
        raise ProxyFault("the proxy closed the connection")
    while len(got) < size:
        got += yield from _read_more()
    return got


def _read_more() -> Generator[bytes, bytes, bytes]:
    got = yield b""
    if not got:
        raise ProxyFault("the proxy closed the connection")
    return got


def _check_end(rest: bytes) -> None:
    """Raise ProxyFault if bytes follow the proxy's answer: nothing was sent to the host yet."""
    if rest:
        raise ProxyFault("the proxy sent more than its answer")


# ---- TLS


def tls_context(outbound: Outbound) -> ssl.SSLContext:
    """Return the TLS context of a connection. Reading the installation's authorities takes some
    milliseconds. Raises BadPem."""
    try:
        context = (
            ssl.create_default_context(cadata=outbound.ca_pem)
            if outbound.ca_pem
            else trusted_context()
        )
    except (ssl.SSLError, ValueError) as error:
        raise BadPem("the authorities cannot be read: expected certificates in PEM") from error
    if outbound.cert_pem:
        _load_client_certificate(context, outbound.cert_pem, outbound.key_pem)
    return context


def read_certificates(pem: str) -> str:
    """Return certificates in canonical PEM, without surrounding text. Raises BadPem."""
    return _encode_pem(_certificates(pem))


def read_authorities(pem: str) -> str:
    """Parse certificate authorities to trust. Raises BadPem."""
    whole = read_certificates(pem)
    tls_context(Outbound(ca_pem=whole))
    return whole


def read_identity(cert_pem: str, key_pem: str) -> tuple[str, str]:
    """Return a chain of certificates, and the key of the first one, in canonical PEM. Raises
    BadPem."""
    chain, key = _certificates(cert_pem), _private_key(key_pem)
    shape = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*shape) != chain[0].public_key().public_bytes(*shape):
        raise BadPem("the key is not that of the certificate")
    written = _key_as_pem(key)
    tls_context(Outbound(cert_pem=_encode_pem(chain), key_pem=written))
    return _encode_pem(chain), written


def read_key(key_pem: str) -> str:
    """Return a private key in canonical PEM. Raises BadPem."""
    return _key_as_pem(_private_key(key_pem))


def _private_key(pem: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnicodeEncodeError, UnsupportedAlgorithm) as error:
        raise BadPem("expected a private key in PEM, not encrypted") from error


def _key_as_pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _encode_pem(certificates: Iterable[x509.Certificate]) -> str:
    return "".join(item.public_bytes(Encoding.PEM).decode() for item in certificates)


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except (ValueError, UnicodeEncodeError, binascii.Error) as error:
        raise BadPem("expected certificates in PEM") from error


def _load_client_certificate(context: ssl.SSLContext, cert_pem: str, key_pem: str) -> None:
    """Load the certificate and key. OpenSSL reads them only from files, so the key is written to
    one for a moment, encrypted with a password that only this call knows."""
    password = base64.b64encode(os.urandom(24))
    try:
        key = load_pem_private_key(key_pem.encode(), None)
        sealed = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password)
        )
        with tempfile.NamedTemporaryFile() as file:
            file.write(cert_pem.encode() + b"\n" + sealed)
            file.flush()
            context.load_cert_chain(file.name, password=password)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise BadPem("the client certificate cannot be used with its key") from error
