"""The sources of temporary credentials that a channel's key may use: addresses, and files of the
machine that hold a token."""

from collections.abc import Collection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from lib.network.egress import EgressDenied, EgressPolicy, check_host, literal_address

ANSWER_BYTES_MAX: Final = 64 * 1024
"""The largest answer of a source, and the largest token file."""
FETCH_S: Final = 10.0
"""How long a source may take for all of its steps."""


class FileDenied(Exception):
    """The file is not listed, or cannot be read. The message says which."""


def check_credential_source(policy: EgressPolicy, url: str) -> None:
    """Refuse an address without TLS, because a key or a token would be sent unencrypted; an address
    that the operator lists is permitted. The connector checks what the host name resolves to.
    Raises EgressDenied."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise EgressDenied(f"The address cannot be read: {error}") from error
    check_host(host)
    if parts.username is not None or parts.scheme not in ("https", "http"):
        raise EgressDenied("The address must be https://host[:port][/path].")
    if parts.scheme == "https":
        return
    literal = literal_address(host)
    if literal is None or not policy.lists(literal):
        raise EgressDenied(
            f"{host} is asked for credentials without TLS. "
            "An operator can permit its address in settings.egress_allow."
        )


def read_token_file(path: str, listed: Collection[str]) -> bytes:
    """Return the content of a file that CLOUD_TOKEN_FILES lists. Raises FileDenied."""
    if path not in listed:
        raise FileDenied(f"{path[:200]} is not among the files in CLOUD_TOKEN_FILES")
    try:
        with Path(path).open("rb") as file:
            content = file.read(ANSWER_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it has no such name"
        raise FileDenied(f"{path[:200]} cannot be read: {reason}") from error
    if len(content) > ANSWER_BYTES_MAX:
        raise FileDenied(f"{path[:200]} is no token: it is too large")
    return content
