"""The steps by which credentials are fetched.

CredentialsFailed         no credentials came of it; the message is for operators
  CredentialsRefused      the source refused this key
BadKey          the text is no key of the provider's kinds; the message says what is missing
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple, Protocol

from gateway.providers.signing import Signer

# Credentials are renewed when less than this is left (google-auth has 3:45 minutes, botocore 10),
# but not in their first half; and no longer used when less than UNUSABLE_S is left: a request needs
# some time to arrive.
RENEW_S: Final = 240
UNUSABLE_S: Final = 10
# Shorter ones would be fetched again for every request.
_LIFETIME_S_MIN: Final = 30
_LIFETIME_S_MAX: Final = 10**9
_SHOWN_MAX: Final = 300
FORM: Final = "application/x-www-form-urlencoded"


class CredentialsFailed(Exception):
    """No credentials came of it. The message names the cause, and no secret."""


class CredentialsRefused(CredentialsFailed):
    """The source refused the key: it is wrong, revoked, or may not do this."""


class BadKey(ValueError):
    """The text is no key of these kinds. The message says what is missing, and names no secret."""


class Ask(NamedTuple):
    """A request to a source. `near`: it goes to an address of the machine itself, never through a
    proxy."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    near: bool = False


class ReadFile(NamedTuple):
    """A file of the machine, whose content is the reply's body."""

    path: str


class Reply(NamedTuple):
    """What came of a step; header names are lower-case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Credentials(NamedTuple):
    """What signs requests until `ends_at_s`, and is to be renewed from `renew_at_s` on (Unix
    seconds by our clock)."""

    signer: Signer
    renew_at_s: int
    ends_at_s: int

    def is_usable(self, now_s: int) -> bool:
        return now_s < self.ends_at_s - UNUSABLE_S

    def is_fresh(self, now_s: int) -> bool:
        """Return whether it need not be renewed yet."""
        return now_s < self.renew_at_s


Steps = Generator[Ask | ReadFile, Reply, Credentials]


class CredentialSource(Protocol):
    """A key by which credentials are fetched; equal keys share them. `ending` is what tells it
    from others on pages."""

    @property
    def ending(self) -> str: ...

    def fetch(self, now_s: int) -> Steps:
        """Yield what is to be sent or read, one after another. Raises CredentialsFailed."""


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """An access token (RFC 6750)."""

    token: str = field(repr=False)

    def headers(self, method: str, url: str, body: bytes, now_s: int) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.token}"}


KeyMembers = Mapping[str, Any]
Readers = Mapping[str, Callable[[KeyMembers], CredentialSource]]


def read_key(text: str, readers: Readers) -> CredentialSource | None:
    """Return the source that a key in JSON names by its `type`; None for any other key. Raises
    BadKey."""
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
    """Return an address in a key, "" where that is the default. Raises BadKey."""
    value = key_text(key, name, default)
    if value and not (value.startswith(("https://", "http://")) and value.isascii()):
        raise BadKey(f"{name} must be an address")
    return value.rstrip("/")


def tag(text: str, name: str) -> str:
    """Return the content of the first element of Amazon's XML by that name, "" for none."""
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
    """Raise CredentialsRefused for a refusal (4xx), and CredentialsFailed for any other status
    than a success."""
    if 200 <= reply.status < 300:
        return
    text = f"{who} answered with status {reply.status}{_reason(reply)}"
    if 400 <= reply.status < 500 and reply.status not in (408, 429):
        raise CredentialsRefused(text)
    raise CredentialsFailed(text)


def member(members: Mapping[str, Any], name: str, who: str) -> str:
    """Return a text that a reply must have. Raises CredentialsFailed."""
    value = members.get(name)
    if not isinstance(value, str) or not value or not (value.isascii() and value.isprintable()):
        raise CredentialsFailed(f"{who} did not answer with {name}")
    return value


def credentials_for(signer: Signer, seconds: int, now_s: int, who: str) -> Credentials:
    """Return credentials for so many seconds. Raises CredentialsFailed if they end at once."""
    if not _LIFETIME_S_MIN <= seconds < _LIFETIME_S_MAX:
        raise CredentialsFailed(
            f"{who} gave credentials for {seconds} seconds; check the clock of this server"
        )
    return Credentials(signer, now_s + max(seconds - RENEW_S, seconds // 2), now_s + seconds)


def clock_of(reply: Reply, now_s: int) -> int:
    """Return the time by the source's clock, else by ours."""
    try:
        return int(parsedate_to_datetime(reply.headers.get("date", "")).timestamp())
    except (ValueError, OverflowError):
        return now_s


def _reason(reply: Reply) -> str:
    """Return what the source says, as a part of our sentence: in OAuth's members (RFC 6749, section
    5.2), Google's, or Amazon's XML."""
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
