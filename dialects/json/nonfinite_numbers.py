"""Counts that are no numbers (F27): NaN and Infinity, which some servers write where JSON has none.

A wrong count does not invalidate the answer. Only members that count or measure are repaired; the
same words in what the model said, in a tool's arguments or in a vector, are a malformed answer
(F15). Nothing is looked at before a text could not be read.
"""

import re
from typing import Final, NamedTuple

# A text that is larger and cannot be read has other faults than its counts.
_BYTES_MAX: Final = 1 << 20
_COUNTING: Final = frozenset(
    f'"{name}"'.encode()
    for name in (
        "usage",
        "usageMetadata",
        "logprobs",
        "top_logprobs",
        "logprobsResult",
        "avgLogprobs",
        "timings",
        "metrics",
    )
)
_ODD: Final = re.compile(rb"NaN|Infinity")
_TOKEN: Final = re.compile(
    rb'(?P<text>"(?:[^"\\]++|\\.)*+")(?P<name>[ \t\r\n]*+:)?|[{}\[\]]|-?(?:NaN|Infinity)',
    re.DOTALL,
)


class Repaired(NamedTuple):
    """The text twice: as it is `read`, with a text in place of each such number, so that a count
    is found to be none; and as it is `shown`, with null."""

    read: bytes
    shown: bytes


def repair(raw: bytes) -> Repaired | None:
    """A JSON text without those numbers; None when it has none, or has them where they matter."""
    if len(raw) > _BYTES_MAX or _ODD.search(raw) is None:
        return None
    read: list[bytes] = []
    shown: list[bytes] = []
    counting = [False]
    name = b""
    at = 0
    for match in _TOKEN.finditer(raw):
        token = match[0]
        if match["text"] is not None:
            if match["name"] is not None:
                name = match["text"]
        elif token in (b"{", b"["):
            counting.append(counting[-1] or name in _COUNTING)
            name = b""
        elif token in (b"}", b"]"):
            name = b""
            if len(counting) > 1:
                counting.pop()
        elif counting[-1] or name in _COUNTING:
            before = raw[at : match.start()]
            read += (before, b'"', token, b'"')
            shown += (before, b"null")
            at = match.end()
        else:
            return None
    if not at:
        return None
    rest = raw[at:]
    return Repaired(b"".join((*read, rest)), b"".join((*shown, rest)))
