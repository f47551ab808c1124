"""Read the number that a pass-through rule charges from an answer, while it passes.

A JSON answer is kept as far as it may be read, and its number read at its end. In an event stream
each event is read, and the last one that has the number counts (F26).
"""

import json
import re
from typing import Any, Final, NamedTuple

from billing.currency.money import round_half_even
from dialects.codec import EVENT_STREAM

ANSWER_BYTES_MAX: Final = 1024 * 1024
"""The largest answer, and event, in which a number is read."""
_DIGITS_MAX: Final = 40
_NUMBER: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_MICRO_DIGITS: Final = 6


class Value(NamedTuple):
    """A value in millionths, with the text it was read from; or the flag that says why there is no
    value."""

    micros: int = 0
    text: str = ""
    flag: str = ""


MISSING: Final = Value(flag="usage_missing")
UNREADABLE: Final = Value(flag="usage_unreadable")
NEGATIVE: Final = Value(flag="usage_negative")
HUGE: Final = Value(flag="usage_huge")


class _Number(str):
    """A number of a JSON document, as the text that was written."""


class ValueReader:
    """Reads the value at a pointer in one answer. `most` is the largest accepted value, in
    millionths."""

    __slots__ = ("_is_stream", "_kept", "_most", "_pointer", "_too_large", "_value")

    def __init__(self, pointer: str, most: int, content_type: str) -> None:
        self._pointer = pointer
        self._most = most
        kind = content_type.partition(";")[0].strip().lower()
        self._is_stream = kind == EVENT_STREAM
        self._kept = bytearray()
        self._value = MISSING
        # Whether the number cannot be read: the answer is too large, or of another type.
        self._too_large = not (
            self._is_stream or kind == "application/json" or kind.endswith("+json")
        )

    def feed(self, piece: bytes) -> None:
        """Read the next piece."""
        if self._too_large:
            return
        self._kept += piece
        if self._is_stream:
            self._read_events()
        if len(self._kept) > ANSWER_BYTES_MAX:
            self._too_large = True
            self._kept = bytearray()

    def end(self) -> Value:
        """Return the value of the complete answer."""
        if self._too_large:
            return UNREADABLE
        if self._is_stream:
            self._read_event(bytes(self._kept))
            return self._value
        return read_value(bytes(self._kept), self._pointer, self._most)

    def _read_events(self) -> None:
        raw = bytes(self._kept).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *events, rest = raw.split(b"\n\n")
        if events:
            self._kept = bytearray(rest)
        for event in events:
            self._read_event(event)

    def _read_event(self, event: bytes) -> None:
        lines = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        data = b"\n".join(
            line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")
        )
        document = _parse(data)
        # Providers send events without JSON, too.
        if document is not None:
            value = _value_in(document, self._pointer, self._most)
            if value != MISSING:
                self._value = value


def read_value(raw: bytes, pointer: str, most: int) -> Value:
    """Return the value at a pointer (RFC 6901) in a JSON document."""
    document = _parse(raw)
    return UNREADABLE if document is None else _value_in(document, pointer, most)


def _parse(raw: bytes) -> Any:
    """Parse JSON. Return None for `null`, and for text that is not JSON."""
    try:
        return json.loads(
            raw.decode(), parse_int=_Number, parse_float=_Number, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return None


def _value_in(document: Any, pointer: str, most: int) -> Value:
    member = _member(document, pointer)
    if member is None:
        return MISSING
    return _read_number(member, most) if isinstance(member, _Number) else UNREADABLE


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _member(document: Any, pointer: str) -> Any:
    """Return the member at a JSON pointer; None if it is missing or null."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and _INDEX.fullmatch(name) and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


def _read_number(text: str, most: int) -> Value:
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > _DIGITS_MAX:
        return UNREADABLE
    sign, whole, fraction, exponent = match.groups(default="")
    digits = int(whole + fraction)
    if sign and digits:
        return NEGATIVE
    shift = int(exponent or 0) - len(fraction) + _MICRO_DIGITS
    if not digits or shift < -2 * _DIGITS_MAX:
        return Value(0, str(text))
    if shift > _DIGITS_MAX:
        return HUGE
    micros = digits * 10**shift if shift >= 0 else round_half_even(digits, 10**-shift)
    return HUGE if micros > most else Value(micros, str(text))
