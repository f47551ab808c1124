"""Time-ordered ids: a UUIDv7 internally, 26 characters of Crockford base32 (a ULID's form) outside.

They sort by creation time, so that logs page by id and monthly partitions split by id.
"""

import datetime as dt
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable
from itertools import repeat
from operator import attrgetter

ID_SLACK = dt.timedelta(days=1)
"""Ids come from the processes' clocks, times from the database's. They differ by less than a
day."""
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUE = {letter: value for value, letter in enumerate(_ALPHABET)}
# Two characters at a time, because every request formats two ids.
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_LOW_60 = (1 << 60) - 1
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_NUMBER = re.compile(r"[0-9]{1,18}")
_RANDOM_62 = (1 << 62) - 1
_number_of = attrgetter("int")
_octets_of: Callable[[int, int, str], bytes] = int.to_bytes  # type: ignore[assignment]
_new, _set, _IS_SAFE = object.__new__, object.__setattr__, uuid.SafeUUID.unknown


def new_id() -> uuid.UUID:
    """Return a new UUIDv7 (RFC 9562): 48 bits of milliseconds, 12 bits of their fraction, which
    keep the ids of one process in order (section 6.2, method 3), and 62 random bits. Each request
    takes several, so this is `_id` without its call."""
    try:
        number = _ahead.pop()
    except IndexError:
        number = _draw_number()
    id = _new(uuid.UUID)
    _set(id, "int", _stamp() | (number & _RANDOM_62))
    _set(id, "is_safe", _IS_SAFE)
    return id


def new_ids(count: int) -> list[uuid.UUID]:
    """Return `count` new ids of one instant. The clock is read once."""
    random, stamp = os.urandom(8 * count), _stamp()
    return [
        _id(stamp | (int.from_bytes(random[at : at + 8], "big") & _RANDOM_62))
        for at in range(0, 8 * count, 8)
    ]


# Random 64-bit numbers, drawn in advance. A system call for each id takes as long as everything
# else.
_ahead: list[int] = []
_AHEAD = 64


def _draw_number() -> int:
    """Return 64 random bits that no other id gets."""
    while True:
        try:
            return _ahead.pop()
        except IndexError:
            _ahead.extend(memoryview(os.urandom(8 * _AHEAD)).cast("Q"))


# A forked child would otherwise draw the same numbers as its parent.
os.register_at_fork(after_in_child=_ahead.clear)


def _stamp() -> int:
    """Return the bits that ids of this instant share."""
    milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
    return (milliseconds << 80) | _VERSION_7 | (rest_ns * 4096 // 1_000_000 << 64) | _VARIANT


def _id(number: int) -> uuid.UUID:
    """Build a UUID as `uuid.UUID(int=number)` does, in half the time."""
    id = _new(uuid.UUID)
    _set(id, "int", number)
    _set(id, "is_safe", _IS_SAFE)
    return id


def first_id_at(instant: dt.datetime) -> uuid.UUID:
    """Return the smallest id of `instant` (aware): the edge of a partition or page."""
    milliseconds = (instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(
        milliseconds=1
    )
    return uuid.UUID(int=milliseconds << 80)


def id_text(value: uuid.UUID) -> str:
    """Return the 26 characters that people and APIs see."""
    pairs, number = _PAIRS, value.int
    # Shifts of small numbers without a loop take a quarter of the time.
    high, low = number >> 60, number & _LOW_60
    return (
        f"{pairs[high >> 60]}{pairs[high >> 50 & 1023]}{pairs[high >> 40 & 1023]}"
        f"{pairs[high >> 30 & 1023]}{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}"
        f"{pairs[high & 1023]}{pairs[low >> 50]}{pairs[low >> 40 & 1023]}"
        f"{pairs[low >> 30 & 1023]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}"
        f"{pairs[low & 1023]}"
    )


def parse_id(text: str) -> uuid.UUID | None:
    """Return the id for a text of `id_text`, or None for an invalid one."""
    if len(text) != 26:
        return None
    number = 0
    for letter in text.upper():
        value = _VALUE.get(letter)
        if value is None:
            return None
        number = number * 32 + value
    return uuid.UUID(int=number) if number < 1 << 128 else None


def id_before(id: uuid.UUID, length: dt.timedelta) -> uuid.UUID:
    """Return the smallest id that can have been created `length` before this id. A negative
    `length` gives a later id."""
    milliseconds = (id.int >> 80) - length // dt.timedelta(milliseconds=1)
    return uuid.UUID(int=min(max(milliseconds, 0), 2**48 - 1) << 80)


def ids_near(id: uuid.UUID) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the range of ids of a request's attempts and records, from the request's id."""
    return id_before(id, ID_SLACK), id_before(id, -ID_SLACK)


def id_bounds(values: Iterable[uuid.UUID]) -> dict[str, str]:
    """Return the parameters `first` and `last` of a statement on rows with these ids, by which the
    executor skips the partitions of other months.
    """
    numbers = [*map(_number_of, values)]
    return {"first": f"{min(numbers):032x}", "last": f"{max(numbers):032x}"}


def parse_number(text: str) -> int | None:
    """Parse a row number from an address. Return None when no row can have it."""
    return int(text) if _NUMBER.fullmatch(text) else None


def id_array(values: Iterable[uuid.UUID]) -> str:
    """Return an array literal of ids, without hyphens, which takes half as long to write."""
    # Format all digits in one call, with `bytes`: a format specification takes twice as long. This
    # runs ten times for every request, so it calls nothing of Python's for each value.
    numbers = map(_number_of, values)
    octets = b"".join(map(_octets_of, numbers, repeat(16), repeat("big")))
    return "{" + octets.hex(",", 16) + "}"
