"""Recognise the session of a chat request that names none, by the beginning of its conversation:
its instructions, and what the user says before the first answer. An operator turns this on.

The id is a digest under a key of the installation, for one organisation and one API key. It cannot
be traced back to the text, and is compared with no other organisation's.

Texts are compared, not bytes: clients move their marks of what to cache from turn to turn, and
write a text now as a string and now as a part.
"""

import hmac
from collections.abc import Iterator, Sequence
from hashlib import blake2b, sha256
from typing import Any, Final
from uuid import UUID

import msgspec

from dialects.json.body import Body
from relay.requests.sessions import Session

PREFIX: Final = "prefix"
"""The source of a request that names no session and begins like others of its key."""
_INSTRUCTIONS: Final = ("instructions", "system", "systemInstruction", "system_instruction")
_MESSAGES: Final = ("messages", "contents", "input")
_INSTRUCTING: Final = ("system", "developer")
# The user's steps and contents in the interactions dialect, which have no role.
_USER_TYPES: Final = ("user_input", "text", "image", "audio", "document", "video")
# Anthropic's mark, and Bedrock's.
_CACHE_MARKS: Final = ("cache_control", "cachePoint")
_PURPOSE: Final = b"weir session prefix|"

_decoder: Final = msgspec.json.Decoder()
_items: Final = msgspec.json.Decoder(list[msgspec.Raw])


def prefix_session(pepper: str, organisation_id: UUID, key_id: UUID, body: Body) -> Session | None:
    """Return the session of a chat request by the beginning of its conversation; None if it has no
    message of the user. `pepper` is the key of the installation."""
    try:
        texts = _read_prefix(body)
    except (msgspec.DecodeError, ValueError):
        # A number that the parser does not accept.
        return None
    if texts is None:
        return None
    key = hmac.digest(pepper.encode(), _PURPOSE + organisation_id.bytes, sha256)
    digest = blake2b(key_id.bytes, key=key, digest_size=16)
    for text in texts:
        raw = text.encode(errors="surrogatepass")
        digest.update(b"%d|%b" % (len(raw), raw))
    return Session(UUID(bytes=digest.digest()), "", PREFIX)


def _read_prefix(body: Body) -> list[str] | None:
    instructions = [
        text
        for raw in map(body.value, _INSTRUCTIONS)
        if raw is not None
        for text in _texts_of(_decoder.decode(raw))
    ]
    raw = next(filter(None, map(body.value, _MESSAGES)), b"")
    user: list[str] = []
    for message in map(_decoder.decode, _messages_in(raw)):
        if _is_instruction(message):
            # Clients insert some between turns, and may leave them out of the next request.
            instructions += () if user else _texts_of(message)
        elif _is_of_user(message):
            user += _texts_of(message)
        elif user:
            break
    return [*instructions, "", *user] if user else None


def _messages_in(raw: bytes) -> Sequence[bytes]:
    if raw.startswith(b"["):
        return _items.decode(raw)
    return [raw] if raw else ()


def _is_instruction(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in _INSTRUCTING


def _is_of_user(message: Any) -> bool:
    if not isinstance(message, dict):
        return isinstance(message, str)
    role, kind = message.get("role"), message.get("type")
    return role == "user" or (role is None and (kind is None or kind in _USER_TYPES))


def _texts_of(value: Any) -> Iterator[str]:
    """Return the texts of a message, its parts, or instructions; other parts as their JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts_of(one)
    elif isinstance(value, dict):
        inner = next((value[name] for name in ("text", "content", "parts") if name in value), None)
        if isinstance(inner, str | list | dict):
            yield from _texts_of(inner)
        elif rest := {name: one for name, one in value.items() if name not in _CACHE_MARKS}:
            yield msgspec.json.encode(rest).decode()
