"""The authorities that outgoing connections trust: public ones, those of this machine, and those in
the file named by SSL_CERT_FILE. A channel with its own authorities trusts only these
(lib/network/outbound.py)."""

import datetime as dt
import ssl
from functools import cache
from typing import Any, Final, NamedTuple

import httpx

from lib import env

FILE: Final = "SSL_CERT_FILE"


class Authority(NamedTuple):
    """An authority in the installation's own file, and its expiry."""

    name: str
    ends_at: dt.datetime


@cache
def own_authorities() -> tuple[Authority, ...]:
    """Return the authorities in the installation's own file, read once. Raises
    ConfigurationError."""
    path = env.text(FILE, "")
    if not path:
        return ()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise _wrong(path, "holds no certificates in PEM") from error
    except OSError as error:
        raise _wrong(path, f"cannot be read ({error.strerror})") from error
    certificates = context.get_ca_certs()
    if not certificates:
        raise _wrong(path, "holds no certificate of an authority")
    return tuple(map(_authority, certificates))


def trusted_context() -> ssl.SSLContext:
    """Return a TLS context that trusts the installation's authorities. Loading them takes some
    milliseconds."""
    # Public authorities, from the client library's bundle.
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    if own_authorities():
        context.load_verify_locations(cafile=env.text(FILE, ""))
    return context


def _authority(certificate: dict[str, Any]) -> Authority:
    words = dict(pair for part in certificate["subject"] for pair in part)
    name = words.get("commonName") or ", ".join(words.values())
    ends_s = ssl.cert_time_to_seconds(certificate["notAfter"])
    return Authority(name, dt.datetime.fromtimestamp(ends_s, dt.UTC))


def _wrong(path: str, why: str) -> env.ConfigurationError:
    return env.ConfigurationError(
        f"{FILE} names {path}, which {why}. Name a file with the certificates of your certificate "
        "authorities in PEM, which every process can read."
    )
