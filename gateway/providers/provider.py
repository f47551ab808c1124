"""The shape of a provider: data, and the functions that read it.

    BadAddress        no request is possible with this base URL, secret or model name
      NotOffered      the provider has no such operation or dialect
      BadModelName    the model name cannot be part of a path

A secret is only sent in a header, and to a cloud's sign-in service in the body. A model name is
only put into a URL if the provider requires it, and only as one segment of the path.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from dialects.chat.chat import Dialect, Flag
from dialects.chat.media import MediaKind
from dialects.chat.operation import Operation
from dialects.codec import Codec
from gateway.providers.cloud_credentials.credentials import BadKey, CredentialSource
from gateway.providers.cloud_places import CloudPlace
from gateway.providers.hosted_tools import UNPUBLISHED, HostedToolData
from gateway.providers.signing import MakeSigner, Signer

USER_AGENT: Final = "user-agent"

_SECRET = re.compile(r"[\x21-\x7e]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{1,1024}")
_HOST = re.compile(r"[A-Za-z0-9.\-_]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
# Only RFC 3986's unreserved characters are allowed in a path: no `%`, no `@`, nothing that a server
# could read as another path.
_PATH = re.compile(r"(/[A-Za-z0-9\-_~]+(\.[A-Za-z0-9\-_~]+)*)*")
_VALUE = re.compile(r"[A-Za-z0-9.\-_]+")
# Gemini's paths have the method after such a colon.
_NOT_IN_SEGMENT = re.compile(r"[\\?#%\x00-\x1f\x7f-\x9f\ud800-\udfff]|\.\.|:[a-z]+[A-Z]")
_MODEL: Final = "{model}"
_ATTEMPT: Final = "{attempt}"


class Quirk(StrEnum):
    """Differences from a dialect that do not follow from its requests and answers."""

    NO_CONNECTION_REUSE = "no_connection_reuse"
    NO_TOOLS = "no_tools"
    # The provider's Responses API also accepts WebSockets.
    RESPONSES_SOCKETS = "responses_sockets"


class BadAddress(ValueError):
    """The base URL or secret cannot be used in a request. The message says why."""


class NotOffered(BadAddress):
    """The provider has no such operation, or does not speak the dialect."""


class BadModelName(BadAddress):
    """The name cannot be a segment of a path, so no provider has such a model."""


@dataclass(frozen=True, slots=True)
class Auth:
    """The header that carries the secret, and the text before the secret in it."""

    header: str
    scheme: str = ""


BEARER: Final = Auth("authorization", "Bearer ")
# Upper limits for a hold, above the tables of OpenAI's images and vision guide (as of 2026-01): a
# picture of high detail on the most expensive small model, ten minutes of sound, a long document.
MEDIA_TOKENS_MAX: Final[Mapping[MediaKind, int]] = MappingProxyType(
    {"image": 50_000, "audio": 10_000, "file": 200_000, "video": 200_000}
)


class ChatTemplate(NamedTuple):
    """The tokens that a provider counts besides the text of a chat: once, and for each message."""

    start: int
    message: int


NO_TEMPLATE: Final = ChatTemplate(0, 0)


@dataclass(frozen=True, slots=True)
class Spoken:
    """How a provider supports one dialect. `paths` are relative to a channel's base URL; `{model}`
    stands for the model's name. `headers` are sent with every request. `passed_headers` are headers
    of a client of the same dialect that are passed on, with its user agent, and replace ours.
    `codec` is the provider's own form of the dialect. `owner` means that only this owner's models
    support it; `not_owners`, that the models of these owners do not."""

    paths: Mapping[Operation, str]
    auth: Auth = BEARER
    headers: Mapping[str, str] = field(default_factory=dict)
    passed_headers: tuple[str, ...] = ()
    codec: Codec[Any] | None = None
    owner: str = ""
    not_owners: frozenset[str] = frozenset()


# Computes the paths of a provider below a channel's path and query: (paths, path, query) -> paths
# from the root of the host.
Shape = Callable[[Mapping[Operation, str], str, str], Mapping[Operation, str]]


def paths_below(paths: Mapping[Operation, str], path: str, query: str) -> Mapping[Operation, str]:
    """Return the usual shape: all paths below the channel's path, without a query."""
    return {operation: path + end for operation, end in paths.items()}


@dataclass(frozen=True, slots=True)
class Address:
    """The URLs of a channel's operations, computed once."""

    urls: Mapping[Operation, str]
    provider_name: str

    def url(self, operation: Operation, model: str = "") -> str:
        """Return the URL of an operation. `model` is the upstream's name, for paths that contain
        it.

        The URL is ready to send: the HTTP client must not quote it again. Raises NotOffered,
        BadModelName.
        """
        url = self.urls.get(operation)
        if url is None:
            raise NotOffered(f"provider {self.provider_name} does not offer {operation}")
        return url.replace(_MODEL, write_segment(model)) if _MODEL in url else url


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """A provider. All values are defaults of the catalogue.

    `note` is advice for operators who choose it. `base_url` is the proposal for a new channel, or
    ""; a base URL without a path gets the path of this one, or `default_path`. `dialects` are in
    the order of preference for translating a client's other dialect. `query_names` are the query
    parameters allowed in a base URL. `aliases` map names to the provider's names. `flags` apply to
    every model there, `lifted` to none: a server of many owners' models has one API for all of
    them. `own_search` says whether models use their owner's form of web search. An unknown name is
    treated like `unknown_like`.

    `usage_look_up` is a path below the base URL where the provider reports its counts for an
    attempt, with `{attempt}` for its id: a JSON object with `usage` as in an answer of the first
    dialect, and `final`, false while the counts may grow; 404 for a request that never arrived.
    `models_origin` is where the list of models is, from the origin of everything else.
    `signer` signs each request with a key in parts (`access|secret`), of which there are at most
    `key_parts_max`; `credential_source` reads the keys by which temporary credentials are fetched.
    `place` makes the base URL of a region and a project.
    `media_tokens_max` bounds the tokens of one content part of each kind for a
    hold; where a provider's figures are unknown, OpenAI's are used. `hosted_tools` are its own
    tools. `chat_template` is that of models whose own is not known by their names; only the text is
    counted where nobody publishes it.
    """

    name: str
    label: str
    base_url: str
    needs_secret: bool
    dialects: Mapping[Dialect, Spoken]
    default_path: str = "/v1"
    shape: Shape = paths_below
    query_names: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    quirks: frozenset[Quirk] = frozenset()
    flags: frozenset[Flag] = frozenset()
    lifted: frozenset[Flag] = frozenset()
    own_search: bool = True
    unknown_like: str = ""
    usage_look_up: str = ""
    media_tokens_max: Mapping[MediaKind, int] = field(default_factory=lambda: MEDIA_TOKENS_MAX)
    hosted_tools: HostedToolData = UNPUBLISHED
    chat_template: ChatTemplate = NO_TEMPLATE
    models_origin: Callable[[str], str] = str
    signer: MakeSigner | None = None
    key_parts_max: int = 2
    credential_source: Callable[[str], CredentialSource | None] | None = None
    place: CloudPlace | None = None
    note: str = ""

    def address(self, base_url: str) -> Address:
        """Return the URLs below a channel's base URL.

        Raises BadAddress for anything but http(s)://host[:port][/path], and for a query other than
        one of `query_names`.
        """
        parts = _split(base_url, self.query_names)
        path = parts.path.rstrip("/") or urlsplit(self.base_url).path or self.default_path
        urls: dict[Operation, str] = {}
        for spoken in reversed(tuple(self.dialects.values())):
            shaped = self.shape(spoken.paths, path, parts.query)
            urls |= {operation: parts.origin + end for operation, end in shaped.items()}
        if "models" in urls:
            listed = self.models_origin(parts.origin)
            urls["models"] = listed + urls["models"].removeprefix(parts.origin)
        return Address(MappingProxyType(urls), self.name)

    def look_up_url(self, base_url: str, attempt: str) -> str:
        """Return the URL that reports the usage of an attempt. Raises BadAddress, NotOffered."""
        if not self.usage_look_up:
            raise NotOffered(f"provider {self.name} tells no usage by the id of an attempt")
        parts = _split(base_url, self.query_names)
        path = parts.path.rstrip("/") or urlsplit(self.base_url).path or self.default_path
        return parts.origin + path + self.usage_look_up.replace(_ATTEMPT, attempt)

    def url(self, operation: Operation, base_url: str, model: str = "") -> str:
        """Return the URL of one operation below a channel's base URL; see `address`."""
        return self.address(base_url).url(operation, model)

    def spoken(self, dialect: Dialect | None = None) -> Spoken:
        """Return how a dialect is supported; None means the first dialect. Raises NotOffered."""
        if dialect is None:
            return next(iter(self.dialects.values()))
        spoken = self.dialects.get(dialect)
        if spoken is None:
            raise NotOffered(f"provider {self.name} does not speak {dialect}")
        return spoken

    def speaks(self, dialect: Dialect, owner: str) -> bool:
        """Return whether an owner's models support a dialect here."""
        spoken = self.dialects.get(dialect)
        return spoken is not None and spoken.owner in ("", owner) and owner not in spoken.not_owners

    def headers(self, secret: str | None, dialect: Dialect | None = None) -> dict[str, str]:
        """Return the headers of every request: authentication, and those of the dialect. Raises
        NotOffered, and BadAddress for an unusable secret."""
        spoken = self.spoken(dialect)
        if not secret:
            if self.needs_secret:
                raise BadAddress(f"a channel of provider {self.name} needs a key")
            return dict(spoken.headers)
        if self.credential_source_of(secret) is not None:
            return dict(spoken.headers)
        if not _SECRET.fullmatch(secret):
            raise BadAddress("a provider's key may hold visible ASCII characters only")
        if self.signer_of(secret) is not None:
            return dict(spoken.headers)
        return {spoken.auth.header: spoken.auth.scheme + secret, **spoken.headers}

    def credential_source_of(self, secret: str | None) -> CredentialSource | None:
        """Return the source of credentials for a key, or None if the key signs or is sent itself.
        Raises BadAddress."""
        if self.credential_source is None or not secret:
            return None
        try:
            return self.credential_source(secret)
        except BadKey as error:
            raise BadAddress(str(error)) from None

    def signer_of(self, secret: str | None) -> Signer | None:
        """Return the signer for a key, or None if the key is sent unchanged. Raises BadAddress."""
        if (
            self.signer is None
            or not secret
            or "|" not in secret
            or self.credential_source_of(secret)
        ):
            return None
        parts = secret.split("|")
        if not all(parts) or not 2 <= len(parts) <= self.key_parts_max:
            raise BadAddress("the key must be the access key and the secret key: access|secret")
        return self.signer(*parts)

    def passed_headers(self, dialect: Dialect, client: Mapping[str, str]) -> dict[str, str]:
        """Return the client headers (by lower-case name) to forward; they override `headers`. Only
        for a client of the same dialect. Invalid header values are left out."""
        names = (*self.spoken(dialect).passed_headers, USER_AGENT)
        values = {name: client.get(name, "") for name in names}
        return {name: value for name, value in values.items() if _HEADER_VALUE.fullmatch(value)}


def write_segment(model: str) -> str:
    """Return a model's name as one segment of a path, percent-encoded.

    Owners, versions and variants have `/`, `@`, `:`, `+` and spaces in their names. Raises
    BadModelName for "", and for a name that could lead to another path, however often a server
    decodes it.
    """
    if not {"", "."}.isdisjoint(model.split("/")) or _NOT_IN_SEGMENT.search(model):
        raise BadModelName("the model's name cannot stand in a path")
    return quote(model, safe="")


@dataclass(frozen=True, slots=True)
class _Parts:
    origin: str
    path: str
    query: str


def _split(base_url: str, query_names: frozenset[str]) -> _Parts:
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as fault:
        raise BadAddress(f"the base URL cannot be read: {fault}") from None
    if not base_url.isascii() or not base_url.isprintable() or " " in base_url:
        raise BadAddress("the base URL may hold visible ASCII characters only")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise BadAddress("the base URL must be http(s)://host[:port][/path]")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("the base URL may not hold a user or a password")
    if "#" in base_url or ("?" in base_url and not _is_known(parts.query, query_names)):
        raise BadAddress("the base URL may not hold a query or a fragment")
    if not _HOST.fullmatch(parts.netloc) or not _PATH.fullmatch(parts.path.rstrip("/")):
        raise BadAddress("the base URL may hold letters, digits and - . _ ~ between its slashes")
    return _Parts(f"{parts.scheme}://{parts.netloc}", parts.path, parts.query)


def _is_known(query: str, names: frozenset[str]) -> bool:
    name, _, value = query.partition("=")
    return name in names and _VALUE.fullmatch(value) is not None
