"""Non-finite counts (F27): NaN and Infinity, which some servers write although JSON does not have
them. A wrong count does not invalidate the answer. Only members that count or measure are repaired;
the same words in the model's text, in a tool's arguments or in a vector are a malformed answer
(F15). Repairs are only attempted after a text could not be parsed.
"""

import re
from typing import Final, NamedTuple

# A larger text that cannot be parsed has other faults than its counts.
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
    """The text in two forms: `read` has a text instead of each such number, so that the count is
    recognised as invalid; `shown` has null."""

    read: bytes
    shown: bytes


def repair(raw: bytes) -> Repaired | None:
    """Return a JSON text without non-finite numbers; None if it has none, or has them outside
    counts."""
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
