"""Recognise the session of a request: a series of turns that its client names, such as one task of
a coding agent. It names one in one of SOURCES, which the reference shows. Nothing is guessed from
content, unless an operator turns on `session_prefix.py`.

The id is derived from the key and the name, so that no key can write into another one's session,
and the client's text is no id. Whatever a client sends, the request is answered.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote_to_bytes
from uuid import UUID

import msgspec

from dialects.json.body import Body
from usage.sessions.sources import FIRST_RESPONSE, REALTIME

NAME_LENGTH: Final = 128
"""The maximum length of a displayed name. The id is derived from the whole name."""
OWN_HEADER: Final = "x-weir-session"


class Source(NamedTuple):
    """A header, or a member of the body, that names a session."""

    place: str
    kind: Literal["header", "member"]


SOURCES: Final = (
    Source(OWN_HEADER, "header"),
    Source("x-claude-code-session-id", "header"),
    Source("session-id", "header"),
    Source("session_id", "header"),
    Source("conversation_id", "header"),
    Source("thread-id", "header"),
    Source("x-opencode-session-id", "header"),
    Source("x-opencode-session", "header"),
    Source("x-session-affinity", "header"),
    Source("x-session-id", "header"),
    Source("baggage", "header"),
    Source("metadata.session_id", "member"),
    Source("metadata.user_id", "member"),
    Source("session_id", "member"),
    Source("prompt_cache_key", "member"),
    Source("previous_response_id", "member"),
)
"""In their order: the first one that a request has applies."""


class AgentHeaders(NamedTuple):
    """The headers with which a client names the sub-agent of a request, and its parent."""

    agent: str
    parent: str


AGENT_HEADERS: Final = (
    AgentHeaders("x-claude-code-agent-id", "x-claude-code-parent-agent-id"),
    AgentHeaders("thread-id", "x-codex-parent-thread-id"),
)
PARENT_SESSION_HEADERS: Final = ("x-opencode-parent-session-id", "x-parent-session-id")
"""In these headers opencode names the session above a sub-agent's own. The request counts to the
parent session, and the sub-agent's own session names the agent."""

# Longer texts are not looked at: no client sends them.
_TEXT_MAX: Final = 64 * 1024
# In a header `baggage`.
_CONVERSATION_KEYS: Final = (b"gen_ai.conversation.id", b"session.id")
_BEFORE_ID: Final = "_session_"
_HEADERS: Final = tuple(one.place for one in SOURCES if one.kind == "header")
_METADATA: Final = ("metadata.session_id", "metadata.user_id")
_MEMBERS: Final = tuple(
    one.place for one in SOURCES if one.kind == "member" and one.place not in _METADATA
)

SESSION_HEADERS: Final = frozenset(
    name.encode()
    for name in (
        *_HEADERS,
        *PARENT_SESSION_HEADERS,
        *(name for one in AGENT_HEADERS for name in (one.agent, one.parent)),
    )
)
"""Everything that `read_session_headers` reads."""


class Session(NamedTuple):
    """The session of a request. `name` is the client's name for the session, and `source` where the
    client states it; `agent` is the sub-agent that sends the request, "" for the main one, and
    `parent` the sub-agent that started it."""

    id: UUID
    name: str
    source: str
    agent: str = ""
    parent: str = ""

    @property
    def details(self) -> str:
        """Return what a record stores of the session besides its id, as JSON."""
        kept = {name: value for name, value in self._asdict().items() if value and name != "id"}
        return msgspec.json.encode(kept).decode()


class _Metadata(msgspec.Struct):
    session_id: Any = None
    user_id: Any = None


class _UserId(msgspec.Struct):
    session_id: Any = None


_metadata: Final = msgspec.json.Decoder(_Metadata)
_user_id: Final = msgspec.json.Decoder(_UserId)
_any: Final = msgspec.json.Decoder()


def session_of_connection(request_id: UUID) -> Session:
    """Return the session of a realtime connection, named after the request that opened it."""
    return Session(request_id, "", REALTIME)


def opening_session(key_id: UUID, request_id: UUID) -> tuple[str, str]:
    """Return the id and the name of a session that a response opens if its request names none.
    Responses that continue it belong to the same session."""
    return str(session_id(key_id, str(request_id))), ""


def session_id(key_id: UUID, name: str) -> UUID:
    """Return the id of a key's session."""
    digest = sha256(b"session|%b|%b" % (key_id.bytes, name.encode(errors="surrogatepass"))).digest()
    return UUID(bytes=digest[:16])


def read_session_headers(key_id: UUID, headers: Mapping[bytes, bytes]) -> Session | None:
    """Return the session that the headers name."""
    texts = {name.decode(): value.decode(errors="replace") for name, value in headers.items()}
    for place in _HEADERS:
        if place not in texts:
            continue
        text = _conversation_of(headers[b"baggage"]) if place == "baggage" else texts[place]
        if _clean(text):
            break
    else:
        return None
    name, agent, parent = text.strip(), "", ""
    for above in PARENT_SESSION_HEADERS:
        if _clean(texts.get(above, "")):
            name, agent = texts[above].strip(), name
            break
    else:
        for header in AGENT_HEADERS:
            if _clean(texts.get(header.agent, "")) and header.agent != place:
                agent, parent = texts[header.agent].strip(), texts.get(header.parent, "").strip()
                break
    agent, parent = ("" if one == name else _clean(one) for one in (agent, parent))
    return Session(session_id(key_id, name), _clean(name), place, agent, parent if agent else "")


def read_session_members(
    key_id: UUID, body: Body, earlier: tuple[str, str] | None = None
) -> Session | None:
    """Return the session that a body names. `earlier` is the id and name of the session of the
    response that the request continues, or that its own response opens."""
    members = body.members
    if "metadata" in members:
        for place, text in zip(_METADATA, _read_metadata(body), strict=True):
            if session := _make_session(key_id, text, place):
                return session
    for place in _MEMBERS:
        value = body.value(place) if place in members else None
        if value is None:
            continue
        if place == "previous_response_id" and earlier is not None:
            return Session(UUID(earlier[0]), earlier[1], place)
        if session := _make_session(key_id, _text_of(value), place):
            return session
    return None if earlier is None else Session(UUID(earlier[0]), earlier[1], FIRST_RESPONSE)


def _make_session(key_id: UUID, text: str, place: str) -> Session | None:
    name = _clean(text)
    return Session(session_id(key_id, text.strip()), name, place) if name else None


def _read_metadata(body: Body) -> tuple[str, str]:
    """Return the session names in `metadata.session_id` and in `metadata.user_id`."""
    value = body.value("metadata")
    if value is None or len(value) > _TEXT_MAX:
        return "", ""
    try:
        metadata = _metadata.decode(value)
    except (msgspec.DecodeError, ValueError):
        return "", ""
    return _as_text(metadata.session_id), _session_in(_as_text(metadata.user_id))


def _session_in(user_id: str) -> str:
    """Return the session in Claude Code's user id: `user_…_account_…_session_…`, or an object."""
    if user_id.startswith("{"):
        try:
            return _as_text(_user_id.decode(user_id.encode(errors="replace")).session_id)
        except (msgspec.DecodeError, ValueError):
            return ""
    _, marker, session = user_id.rpartition(_BEFORE_ID)
    return session if marker else ""


def _conversation_of(baggage: bytes) -> str:
    """Return the conversation in a header `baggage` (W3C): `key=value;property, …`."""
    pairs = (one.partition(b";")[0].partition(b"=") for one in baggage[:_TEXT_MAX].split(b","))
    values = {key.strip(): value.strip() for key, _, value in pairs}
    value = next((values[key] for key in _CONVERSATION_KEYS if values.get(key)), b"")
    return unquote_to_bytes(value).decode(errors="replace")


def _text_of(value: bytes) -> str:
    if not value.startswith(b'"') or len(value) > _TEXT_MAX:
        return ""
    try:
        return _as_text(_any.decode(value))
    except (msgspec.DecodeError, ValueError):
        return ""


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _clean(text: str) -> str:
    """Return a text as it can be stored and shown: visible characters only, limited in length."""
    if len(text) > NAME_LENGTH:
        text = text.strip()[:NAME_LENGTH]
    if not text.isprintable():
        text = "".join(letter for letter in text if letter.isprintable())
    return text.strip()
