"""Sockets that fail before any request: F1 refused, F3 bad TLS, F4 a connect that hangs."""

import contextlib
import ipaddress
import socket
import ssl
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextlib.contextmanager
def refused_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses connections as long as the context lasts (F1)."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        yield port


@contextlib.contextmanager
def hanging_port() -> Iterator[int]:
    """A port of 127.0.0.1 whose backlog is full: a connect gets no answer (F4)."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


def _certificate(directory: Path, host: str, *, expired: bool, trusted: bool) -> tuple[Path, Path]:
    """Write `cert.pem` (with its key) and `ca.pem`; an untrusted one is signed by itself."""
    now = datetime.now(UTC)
    begin, end = now - timedelta(days=30), now + timedelta(days=-1 if expired else 30)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fake authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])

    def build(
        name: x509.Name, owner: ec.EllipticCurvePrivateKey, issuer: x509.Name, ca: bool
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(owner.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )

    names: list[x509.GeneralName] = [x509.DNSName(host)]
    with contextlib.suppress(ValueError):
        names = [x509.IPAddress(ipaddress.ip_address(host))]
    leaf = build(subject, key, authority if trusted else subject, ca=False).add_extension(
        x509.SubjectAlternativeName(names), critical=False
    )
    root = build(authority, authority_key, authority, ca=True).sign(authority_key, hashes.SHA256())
    signed = leaf.sign(authority_key if trusted else key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    cert_path, ca_path = directory / "cert.pem", directory / "ca.pem"
    cert_path.write_bytes(private + signed.public_bytes(pem))
    ca_path.write_bytes(root.public_bytes(pem))
    return cert_path, ca_path


def tls_context(directory: Path, kind: str = "good") -> tuple[ssl.SSLContext, Path]:
    """A server context for `FakeUpstream(tls=…)` and the file of the authority to trust (F3).

    `kind`: good (for 127.0.0.1) | expired | wrong_host | self_signed | old (TLS 1.1 at most).
    """
    if kind not in ("good", "expired", "wrong_host", "self_signed", "old"):
        raise ValueError(kind)
    host = "other.example" if kind == "wrong_host" else "127.0.0.1"
    cert, authority = _certificate(
        directory, host, expired=kind == "expired", trusted=kind != "self_signed"
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert)
    if kind == "old":
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context, authority
