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


class Authority:
    """An authority that signs certificates; `path` is the file by which it is trusted."""

    def __init__(self, directory: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Fake authority")
        self.path = directory / "ca.pem"
        now = datetime.now(UTC)
        span = (now - timedelta(days=30), now + timedelta(days=30))
        root = _built(self._name, self._key, self._name, self._key, span, ca=True)
        signed = root.sign(self._key, hashes.SHA256())
        self.path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def certificate(self, directory: Path, host: str, *, expired: bool, trusted: bool) -> Path:
        """Write `cert.pem` with its key; an untrusted one is signed by itself."""
        key, subject = ec.generate_private_key(ec.SECP256R1()), _named(host)
        now = datetime.now(UTC)
        span = (now - timedelta(days=30), now + timedelta(days=-1 if expired else 30))
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        with contextlib.suppress(ValueError):
            names = [x509.IPAddress(ipaddress.ip_address(host))]
        issuer, signer = (self._name, self._key) if trusted else (subject, key)
        leaf = _built(subject, key, issuer, signer, span, ca=False)
        leaf = leaf.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = leaf.sign(signer, hashes.SHA256())
        pem = serialization.Encoding.PEM
        private = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = directory / "cert.pem"
        path.write_bytes(private + signed.public_bytes(pem))
        return path


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _built(
    name: x509.Name,
    owner: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    span: tuple[datetime, datetime],
    *,
    ca: bool,
) -> x509.CertificateBuilder:
    # RFC 5280 asks for the identifiers and an authority's usage, and so does Python from 3.13 on.
    identifier = x509.SubjectKeyIdentifier.from_public_key(owner.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(owner.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(span[0])
        .not_valid_after(span[1])
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(authority, critical=False)
    )
    if not ca:
        return built
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
         "key_agreement", "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    signs = x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage)
    return built.add_extension(signs, critical=True)


def tls_context(
    directory: Path, kind: str = "good", authority: Authority | None = None
) -> tuple[ssl.SSLContext, Path]:
    """A server context for `FakeUpstream(tls=…)` and the file of the authority to trust (F3), which
    is made unless one is given.

    `kind`: good (for 127.0.0.1) | expired | wrong_host | self_signed | old (TLS 1.1 at most).
    """
    if kind not in ("good", "expired", "wrong_host", "self_signed", "old"):
        raise ValueError(kind)
    host = "other.example" if kind == "wrong_host" else "127.0.0.1"
    signer = Authority(directory) if authority is None else authority
    cert = signer.certificate(
        directory, host, expired=kind == "expired", trusted=kind != "self_signed"
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert)
    if kind == "old":
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context, signer.path
