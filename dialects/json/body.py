"""A JSON request body that is parsed once and never re-encoded.

Billing and the upstream must read the same body, so the client's bytes are forwarded: only the top
level of the body is parsed, and each top-level member is known by the span of its bytes.
`Body.splice` changes single members and no other byte. No step examines single characters in
Python: msgspec checks the syntax and the pairing of surrogates, memory comparisons find the spans,
and the limits on the depth of a text, and on the number of its arrays and objects, are checked by
operations on the whole body.
"""

import json
import re
from array import array
from collections.abc import Mapping
from contextlib import suppress
from itertools import accumulate
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json.lone_surrogates import find
from dialects.json.not_json import NOT_JSON

MEMBERS_MAX = 1_000
NESTING_MAX: Final = 64
# No real request has more, and parsing it would take a hundred times its size in memory.
STRUCTURES_MAX: Final = 250_000
_TOO_DEEP: Final = f"nesting deeper than {NESTING_MAX}"
# A longer body with fewer quotes than this is abridged: its long texts are removed.
_LONG_BYTES: Final = 64 * 1024
_QUOTES_SOUGHT: Final = 256
_TEXT_BYTES: Final = 1024
# How many of the backslashes before a quote are examined; they may escape it or each other.
_BACKSLASHES_MAX: Final = 64

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BYTE_AT = re.compile(r"\(byte (\d+)\)")
# From the `{` or the comma before a member to its value.
_MEMBER = re.compile(
    rb'[ \t\r\n]*+[{,][ \t\r\n]*+("(?:[^"\\]++|\\.)*+")[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL
)
_END = re.compile(rb"[ \t\r\n]*+}")
_COLON = re.compile(rb"[ \t\r\n]*+:")
_TWICE = "a name appears twice in the object"

# The check of nesting. Texts up to this size are parsed completely for it.
_SMALL_BYTES: Final = 1024 * 1024
_SHORT_BYTES: Final = 2 * 1024
_BRACKET_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_ROUNDS: Final = 4
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))


class Span(msgspec.Struct, frozen=True, gc=False):
    """The position of a top-level member: its name from `name_at`, its value `start`:`end`."""

    name_at: int
    start: int
    end: int


class Body(msgspec.Struct, frozen=True):
    """A checked body: its bytes, its top-level members in order, and the position of its `{`."""

    raw: bytes
    members: Mapping[str, Span]
    open_at: int

    def value(self, name: str) -> bytes | None:
        """Return the bytes of a member's value; None if it is absent or null, which are
        equivalent.
        """
        span = self.members.get(name)
        if span is None:
            return None
        value = self.raw[span.start : span.end]
        return None if value == b"null" else value

    def splice(self, edits: Mapping[str, bytes | None]) -> bytes:
        """Return the body with members replaced, inserted at the end, or removed (None). A removed
        member takes one neighbouring comma with it; all other bytes stay.
        """
        if len(edits) == 1:
            ((name, value),) = edits.items()
            if value is not None and (place := self.members.get(name)) is not None:
                # The most frequent edit: the upstream's name of the model.
                return b"".join((self.raw[: place.start], value, self.raw[place.end :]))
        raw, pieces, at, has_members = self.raw, [], 0, False
        spans = list(self.members.items())
        end = self.open_at + 1
        for i, (name, span) in enumerate(spans):
            if name not in edits:
                has_members = True
            elif (value := edits[name]) is not None:
                pieces += [raw[at : span.start], value]
                at, has_members = span.end, True
            else:
                # If a kept member precedes it, remove the comma before; else the comma after it.
                from_at = end if has_members else span.name_at
                follows = not has_members and i + 1 < len(spans)
                pieces.append(raw[at:from_at])
                at = spans[i + 1][1].name_at if follows else span.end
            end = span.end
        pieces.append(raw[at : max(at, end)])
        for name, value in edits.items():
            if value is not None and name not in self.members:
                pieces += [b"," if has_members else b"", msgspec.json.encode(name), b":", value]
                has_members = True
        pieces.append(raw[max(at, end) :])
        return b"".join(pieces)


class Quirks(NamedTuple):
    """The edits that adapt a body to a model, and the removed parameters, which the model does not
    support. `cap_name` is the member for an output cap if the client set none.
    """

    edits: Mapping[str, bytes | None]
    dropped: tuple[str, ...]
    cap_name: str = "max_tokens"

    def and_members(self, members: Mapping[str, Any]) -> "Quirks":
        """Return the quirks with further edits, which set these members."""
        if not members:
            return self
        added = {name: msgspec.json.encode(value) for name, value in members.items()}
        return self._replace(edits={**self.edits, **added})


NO_QUIRKS: Final = Quirks({}, ())


def read_body(raw: bytes) -> Body:
    """Check a JSON body and find its top-level members. Raises RequestFault: `malformed_json` for
    anything other than one JSON text without duplicate top-level names, `invalid_type` if the root
    is not an object.
    """
    try:
        top = _decoder.decode(raw)
    except msgspec.ValidationError:
        _refuse_root(raw)
    except NOT_JSON as fault:
        _refuse_syntax(raw, fault)
    _check_text(raw)
    return _locate_members(raw, top)


def check_nested_names(raw: bytes) -> None:
    """Refuse a valid body in which a name appears twice in one object, at any depth, because two
    readers may use different values. The parser keeps one member of each name, so its result,
    written again, has fewer quotes than the body."""
    if raw.find(b"{", raw.index(b"{") + 1) < 0:
        return
    if len(raw) > _LONG_BYTES:
        raw = _without_long_texts(raw)
    try:
        again = msgspec.json.encode(msgspec.json.decode(raw))
    except (msgspec.DecodeError, ValueError):
        # A number that the parser does not accept.
        _refuse_duplicates(raw)
        return
    # The text is unchanged, so no name is duplicated. Most clients write without spaces, as this
    # encoder does.
    if again == raw:
        return
    # If a quote is written as a numeric escape, counting is not conclusive; it is searched from the
    # end, which is faster.
    if raw.count(b'"') != again.count(b'"') or raw.rfind(b"\\u0022") >= 0:
        _refuse_duplicates(raw)


def _without_long_texts(raw: bytes) -> bytes:
    """Return a valid body without its long texts: the same names in the same objects. This is fast
    for a body that is mostly a book or a picture, because `find` skips the text between few quotes.
    A body with many quotes is unchanged."""
    pieces: list[bytes] = []
    # The start of the rest that is not in the pieces, and the start of an open string, if any.
    rest_at, text_at, at = 0, -1, -1
    for _ in range(_QUOTES_SOUGHT):
        at = raw.find(b'"', at + 1)
        if at < 0:
            return b"".join((*pieces, raw[rest_at:]))
        before = raw[max(at - _BACKSLASHES_MAX, 0) : at]
        backslashes = len(before) - len(before.rstrip(b"\\"))
        if backslashes == _BACKSLASHES_MAX:
            break
        if backslashes % 2:
            continue
        if text_at < 0:
            text_at = at + 1
            continue
        if at - text_at > _TEXT_BYTES and not _COLON.match(raw, at + 1):
            pieces.append(raw[rest_at:text_at])
            rest_at = at
        text_at = -1
    return raw


def _refuse_duplicates(raw: bytes) -> None:
    json.loads(raw, object_pairs_hook=_check_duplicates, parse_int=str, parse_float=str)


def _check_duplicates(pairs: list[tuple[str, Any]]) -> None:
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            quoted = json.dumps(name[:100], ensure_ascii=False)
            raise RequestFault(
                "malformed_json", None, f"the name {quoted} appears twice in one object"
            )
        names.add(name)


def _locate_members(raw: bytes, top: dict[str, msgspec.Raw]) -> Body:
    """Find each parsed member in the bytes. If the numbers differ, a name appears twice."""
    if len(top) > MEMBERS_MAX:
        _refuse(raw, 0, f"more than {MEMBERS_MAX} top-level members")
    open_at = raw.index(b"{")
    at, members = open_at, {}
    for name, value in top.items():
        member, text = _MEMBER.match(raw, at), bytes(value)
        if member is None or msgspec.json.decode(member[1]) != name:
            _refuse(raw, at, _TWICE)
        start = member.end()
        if not raw.startswith(text, start):
            _refuse(raw, at, _TWICE)
        at = start + len(text)
        members[name] = Span(member.start(1), start, at)
    if members and _END.match(raw, at) is None:
        _refuse(raw, at, _TWICE)
    return Body(raw, members, open_at)


def _check_text(raw: bytes) -> None:
    """Refuse text that the parser accepts inside values that it skips."""
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as fault:
            _refuse(raw, fault.start, "invalid UTF-8")
    excess = _nesting_excess(raw)
    if excess:
        _refuse(raw, 0, excess)


def _refuse_root(raw: bytes) -> NoReturn:
    """Refuse a root that is not an object. Text that is not JSON at all is reported first."""
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except NOT_JSON as fault:
        _refuse_syntax(raw, fault)
    _check_text(raw)
    raise RequestFault("invalid_type", None, "the body must be a JSON object")


def _refuse_syntax(raw: bytes, fault: Exception) -> NoReturn:
    if isinstance(fault, RecursionError):
        _refuse(raw, 0, _TOO_DEEP)
    if isinstance(fault, UnicodeDecodeError):
        # A name. The fault has its position in the name, not in the body.
        _check_text(raw)
    if not raw.strip(b" \t\r\n"):
        _refuse(raw, 0, "the body is empty")
    half = find(raw)
    if half is not None:
        _refuse(raw, half, "an unpaired surrogate escape")
    place = _BYTE_AT.search(str(fault))
    if place is None:
        _refuse(raw, len(raw), "the JSON text is cut off")
    what = str(fault)[: place.start()].removeprefix("JSON is malformed: ").strip()
    _refuse(raw, int(place[1]), what)


def _refuse(raw: bytes, at: int, what: str) -> NoReturn:
    line = raw.count(b"\n", 0, at) + 1
    column = len(raw[raw.rfind(b"\n", 0, at) + 1 : at].decode(errors="replace")) + 1
    raise RequestFault("malformed_json", None, f"{what} at line {line}, column {column}")


def _nesting_excess(raw: bytes) -> str:
    """Return which limit a valid JSON text exceeds; "" if none. Brackets inside strings do not
    count.
    """
    return _excess(raw) if _has_many_brackets(raw) else ""


def _has_many_brackets(raw: bytes) -> bool:
    """Return whether there are enough brackets to nest too deeply. `find` skips text without
    brackets; `count` would take three times as long as parsing a long text."""
    if len(raw) < _SHORT_BYTES:
        return raw.count(b"[") + raw.count(b"{") > NESTING_MAX
    count = 0
    for bracket in (b"[", b"{"):
        at = raw.find(bracket)
        while at >= 0:
            count += 1
            if count > NESTING_MAX:
                return True
            at = raw.find(bracket, at + 1)
    return False


def _excess(raw: bytes) -> str:
    """Return which limit a text exceeds. Small texts are parsed. Of larger texts only the brackets
    are examined: each round removes the innermost level, which soon leaves little."""
    if len(raw) <= _SMALL_BYTES:
        with suppress(msgspec.DecodeError, ValueError):
            return _TOO_DEEP if _levels(msgspec.json.decode(raw)) > NESTING_MAX else ""
    unescaped = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = b"".join(unescaped.split(b'"')[::2]).translate(None, _NO_BRACKETS)
    if len(brackets) > 2 * STRUCTURES_MAX:
        return f"more than {STRUCTURES_MAX} arrays and objects"
    for level in range(_ROUNDS):
        if len(brackets) <= 2 * (NESTING_MAX - level):
            return ""
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    steps = array("b", brackets.translate(_BRACKET_STEPS))
    return _TOO_DEEP if max(accumulate(steps), default=0) + _ROUNDS > NESTING_MAX else ""


def _levels(value: Any) -> int:
    level, count = [value], 0
    while level:
        count += 1
        inside = (inner.values() if type(inner) is dict else inner for inner in level)
        level = [inner for items in inside for inner in items if type(inner) in (dict, list)]
    return count
