"""Removes parts of a forwarded conversation that the provider would refuse.

Another provider may have written parts of the history. Its seals are marked and mean nothing here:
they are removed together with their reasoning. If a model requires seals on its calls, a turn
without one is marked as not made by the model.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

import msgspec

from dialects.chat.chat import Flag
from dialects.chat.google_seals import UNSEALED, read_signature
from dialects.json.body import NO_QUIRKS, Body, Quirks
from dialects.json.raw_json import members_of, value_of

WANTS_SEALS: Final[Flag] = "thought_seal_needed"
_CALLS: Final = ("functionCall", "function_call")
_SEALS: Final = ("thoughtSignature", "thought_signature")

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.encode


def quirks_for(body: Body, flags: frozenset[Flag]) -> Quirks:
    """Return the edits that adapt the history to a model with these flags."""
    contents = _items(body.value("contents") or b"")
    before = [_model_parts(content) for content in contents]
    after = [
        [own for part in parts if (own := _without_foreign_seal(part)) is not None]
        for parts in before
    ]
    if WANTS_SEALS in flags:
        after = list(_mark_unsealed_turns(after))
    if all(map(_are_unchanged, before, after)):
        return NO_QUIRKS
    fitted = [
        content if _are_unchanged(was, parts) else _with_parts(content, parts)
        for content, was, parts in zip(contents, before, after, strict=True)
        if parts or not was
    ]
    return Quirks({"contents": _encode(fitted)}, ())


_Part = dict[str, msgspec.Raw]


def _model_parts(content: msgspec.Raw) -> list[_Part]:
    """Return the parts of a content of the model; none for the user's."""
    members = members_of(content)
    if members.get("role") != "model":
        return []
    parts = _items(bytes(_members.decode(content).get("parts", b"")))
    return [_members.decode(part) for part in parts if bytes(part).startswith(b"{")]


def _without_foreign_seal(part: _Part) -> _Part | None:
    """Return a part without its foreign seal; None for a thought with a foreign seal."""
    name = next((name for name in _SEALS if name in part), "")
    seal = value_of(part.get(name))
    if not isinstance(seal, str) or read_signature(seal).owner == "gemini":
        return part
    if bytes(part.get("thought", b"")) == b"true":
        return None
    return {member: value for member, value in part.items() if member != name}


def _mark_unsealed_turns(turns: list[list[_Part]]) -> Iterator[list[_Part]]:
    """Mark the calls of turns without any seal as not made by the model.

    Consecutive contents are one turn, because clients store the chunks of a stream.
    """
    for by_model, turn in groupby(turns, key=bool):
        contents = list(turn)
        sealed = any(name in part for parts in contents for part in parts for name in _SEALS)
        for parts in contents:
            yield parts if sealed or not by_model else [_mark_unsealed(part) for part in parts]


def _mark_unsealed(part: _Part) -> _Part:
    if not any(name in part for name in _CALLS):
        return part
    return part | {"thoughtSignature": msgspec.Raw(_encode(UNSEALED))}


def _are_unchanged(before: list[_Part], after: list[_Part]) -> bool:
    return len(before) == len(after) and all(a is b for a, b in zip(before, after, strict=True))


def _with_parts(content: msgspec.Raw, parts: list[_Part]) -> msgspec.Raw:
    return msgspec.Raw(_encode({**_members.decode(content), "parts": parts}))


def _items(raw: bytes) -> list[msgspec.Raw]:
    """Return an array, or a single object as an array, like Google's parsers."""
    if raw.startswith(b"{"):
        return [msgspec.Raw(raw)]
    return _raws.decode(raw) if raw.startswith(b"[") else []
