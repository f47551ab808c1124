"""The steps that fetch credentials.

CredentialsFailed         the credentials could not be fetched; the message is for operators
  CredentialsRefused      the source refused this key
BadKey                    the text is not a valid key of the provider; the message says why
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple, Protocol

from gateway.providers.signing import Signer

# Credentials are renewed when less time than this is left (google-auth uses 3:45 minutes, botocore
# 10), but not in the first half of their life. They are no longer used when less than UNUSABLE_S is
# left, because a request needs some time to arrive.
RENEW_S: Final = 240
UNUSABLE_S: Final = 10
# Shorter-lived ones would be fetched again for every request.
_LIFETIME_S_MIN: Final = 30
_LIFETIME_S_MAX: Final = 10**9
_SHOWN_MAX: Final = 300
FORM: Final = "application/x-www-form-urlencoded"


class CredentialsFailed(Exception):
    """The credentials could not be fetched. The message names the cause, and contains no secret."""


class CredentialsRefused(CredentialsFailed):
    """The source refused the key: it is wrong, revoked, or may not do this."""


class BadKey(ValueError):
    """The text is not a valid key of these kinds. The message says what is missing, and contains no
    secret."""


class Ask(NamedTuple):
    """A request to a source. `near` means that it goes to an address of the machine itself, never
    through a proxy."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    near: bool = False


class ReadFile(NamedTuple):
    """A local file to read; its content becomes the reply's body."""

    path: str


class Reply(NamedTuple):
    """The result of a step. Header names are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Credentials(NamedTuple):
    """Credentials that sign requests until `ends_at_s`, and should be renewed from `renew_at_s` on
    (Unix seconds by our clock)."""

    signer: Signer
    renew_at_s: int
    ends_at_s: int

    def is_usable(self, now_s: int) -> bool:
        return now_s < self.ends_at_s - UNUSABLE_S

    def is_fresh(self, now_s: int) -> bool:
        """Return whether the credentials need no renewal yet."""
        return now_s < self.renew_at_s


Steps = Generator[Ask | ReadFile, Reply, Credentials]


class CredentialSource(Protocol):
    """A key with which credentials are fetched. Equal keys share credentials. `ending`
    distinguishes it from others on pages."""

    @property
    def ending(self) -> str: ...

    def fetch(self, now_s: int) -> Steps:
        """Yield what to send or read, one after another. Raises CredentialsFailed."""


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """An access token (RFC 6750)."""

    token: str = field(repr=False)

    def headers(self, method: str, url: str, body: bytes, now_s: int) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.token}"}


KeyMembers = Mapping[str, Any]
Readers = Mapping[str, Callable[[KeyMembers], CredentialSource]]


def read_key(text: str, readers: Readers) -> CredentialSource | None:
    """Return the source for a JSON key, by its `type`, or None for any other key. Raises BadKey."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        raise BadKey("the key begins like JSON, and is none") from None
    kind = key.get("type")
    read = readers.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise BadKey(f"the key's type must be one of {', '.join(readers)}")
    return read(key)


def key_text(key: KeyMembers, name: str, default: str | None = None) -> str:
    """Return a member of a key; without a default it is required. Raises BadKey."""
    value = key.get(name, default)
    if not isinstance(value, str) or (not value and default is None):
        raise BadKey(f"the key needs {name}")
    return value


def key_url(key: KeyMembers, name: str, default: str | None = None) -> str:
    """Return a URL in a key, "" if that is the default. Raises BadKey."""
    value = key_text(key, name, default)
    if value and not (value.startswith(("https://", "http://")) and value.isascii()):
        raise BadKey(f"{name} must be an address")
    return value.rstrip("/")


def tag(text: str, name: str) -> str:
    """Return the content of the first element with that name in Amazon's XML, or ""."""
    return text.partition(f"<{name}>")[2].partition(f"</{name}>")[0].strip()


def read_members(reply: Reply, who: str) -> dict[str, Any]:
    """Return the members of a successful reply in JSON. Raises CredentialsFailed."""
    check_status(reply, who)
    try:
        members = json.loads(reply.body)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise CredentialsFailed(f"{who} did not answer with JSON")
    return members


def check_status(reply: Reply, who: str) -> None:
    """Raise CredentialsRefused for a status 4xx, and CredentialsFailed for any other error."""
    if 200 <= reply.status < 300:
        return
    text = f"{who} answered with status {reply.status}{_reason(reply)}"
    if 400 <= reply.status < 500 and reply.status not in (408, 429):
        raise CredentialsRefused(text)
    raise CredentialsFailed(text)


def member(members: Mapping[str, Any], name: str, who: str) -> str:
    """Return a required text of a reply. Raises CredentialsFailed."""
    value = members.get(name)
    if not isinstance(value, str) or not value or not (value.isascii() and value.isprintable()):
        raise CredentialsFailed(f"{who} did not answer with {name}")
    return value


def credentials_for(signer: Signer, seconds: int, now_s: int, who: str) -> Credentials:
    """Return credentials that are valid for `seconds`. Raises CredentialsFailed if they would
    expire immediately."""
    if not _LIFETIME_S_MIN <= seconds < _LIFETIME_S_MAX:
        raise CredentialsFailed(
            f"{who} gave credentials for {seconds} seconds; check the clock of this server"
        )
    return Credentials(signer, now_s + max(seconds - RENEW_S, seconds // 2), now_s + seconds)


def clock_of(reply: Reply, now_s: int) -> int:
    """Return the time by the source's clock, or else by ours."""
    try:
        return int(parsedate_to_datetime(reply.headers.get("date", "")).timestamp())
    except (ValueError, OverflowError):
        return now_s


def _reason(reply: Reply) -> str:
    """Return the source's error text as a part of our message. It is read from OAuth's members (RFC
    6749, section 5.2), Google's, or Amazon's XML."""
    text = reply.body[:4096].decode("utf-8", "replace")
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    if isinstance(members, dict):
        error = members.get("error")
        if isinstance(error, dict):
            texts = [error.get("status"), error.get("message")]
        else:
            texts = [error, members.get("error_description"), members.get("message")]
    else:
        texts = [tag(text, "Code"), tag(text, "Message")]
    reason = ": ".join(part for part in texts if isinstance(part, str) and part)
    return f": {reason[:_SHOWN_MAX]}" if reason else ""
