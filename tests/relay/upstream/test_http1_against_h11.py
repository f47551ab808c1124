"""What the relay's own client makes of an answer is what h11 makes of it, or a difference that is
listed here with its reason: well-formed and spoiled answers at random, cut anywhere."""

import random
import re
from collections import Counter
from typing import Literal, NamedTuple

import pytest

from tests.relay.answers_at_random import (
    Verdict,
    answer_at_random,
    by_h11,
    by_us,
    cut_at_random,
)

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"


class Difference(NamedTuple):
    """`who` is stricter, in which words (a pattern of all of them), why that is right, and an
    answer that shows it."""

    who: Literal["we", "h11"]
    words: str
    reason: str
    example: bytes


LINES = (
    "RFC 9112, section 2.2: CRLF ends a line. Who also takes a bare LF for one can be shown "
    "another answer than who does not (request smuggling begins so); providers send none."
)
FRAMING = (
    "RFC 9112, section 6.3: two tellings of a length are an attempt to smuggle, unless a proxy "
    "mends them; a provider has no reason to send both."
)
EXTENSION = (
    "RFC 9112, section 7.1.1: h11 skips whatever stands between the size of a chunk and the end of "
    "the line."
)
DIFFERENCES = [
    Difference("we", "Missing expected CR after (response line|header value)", LINES,
               b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"),
    Difference("we", "Invalid header value char", LINES,
               _OK + b"x-a:\n\r\n"),
    Difference("we", "Invalid header (field char|token)", LINES,
               _OK + b"\n"),
    Difference("we", "Invalid response status", LINES,
               b"HTTP/1.1 200\nContent-Length: 2\r\n\r\n{}"),
    Difference("we", "Expected LF after (chunk size|headers|chunk data)", LINES,
               _CHUNKED + b"2;x\r;\r\n{}\r\n0\r\n\r\n"),
    Difference("we", "Unexpected whitespace after header value",
               "RFC 9112, section 5.2: folded lines are obsolete, and a client may refuse them.",
               _OK + b"x-a: 1\r\n 2\r\nContent-Length: 2\r\n\r\n{}"),
    Difference("we", "Duplicate Content-Length|Invalid character in Content-Length", FRAMING,
               _OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
    Difference("we", "(Transfer-Encoding|Content-Length) can't be present with .*", FRAMING,
               _OK + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Difference("we", "Invalid character in chunk extensions( .*)?", EXTENSION,
               _CHUNKED + b"2; \r\n{}\r\n0\r\n\r\n"),
    Difference("we", "Invalid character in chunk size",
               "RFC 9112, section 7.1: no white space stands behind the size of a chunk.",
               _CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n"),
    Difference("we", "Chunk size overflow",
               "A chunk of more than 2^64 bytes is refused when its size is read; h11 reads on.",
               _CHUNKED + b"fffffffffffffffff\r\n{}"),
    Difference("we", "the parser does not know a transfer coding with a tab behind it",
               "llhttp would read it as none, and the framing as the body.",
               _OK + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n"),
    Difference("we", "an interim answer has no body",
               "RFC 9110, sections 8.6 and 6.1: it tells no length of one. llhttp would read it.",
               b"HTTP/1.1 103 Hints\r\nContent-Length: 2\r\n\r\n" + _OK + b"\r\n"),
    Difference("we", "Data after `Connection: close`",
               "RFC 9112, section 9.6: who says so sends nothing more, not even behind an interim "
               "answer; no request is lost, for the next channel is asked.",
               b"HTTP/1.1 103 Hints\r\nConnection: close\r\n\r\n" + _OK + b"\r\n"),
    Difference("we", "Invalid HTTP version|HTTP/.* is not spoken",
               "Framing is defined for the versions 1.0 and 1.1 alone.",
               b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    Difference("h11", r"illegal status line: bytearray\(b[\"'](\\r)*HTTP/1\.[01] [0-9]{3}\D.*",
               "The reason phrase is read by nobody and told to nobody: what stands in it is no "
               "reason to lose an answer that is paid.",
               b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\n{}"),
    Difference("h11", "no response line received|illegal request line",
               "Empty lines before a status line are skipped, as RFC 9112, section 2.2, has it for "
               "servers. None can be left of an answer before: that connection is closed.",
               b"\r\n" + _OK + b"Content-Length: 2\r\n\r\n{}"),
    Difference("h11", "Only Transfer-Encoding: chunked is supported|bad Content-Length",
               "Trailers are dropped, whatever they say (F37).",
               _CHUNKED + b"0\r\nTransfer-Encoding: gzip\r\n\r\n"),
    Difference("h11", "kept behind an empty line",
               "Line ends behind an answer are the beginning of no other; a connection on which "
               "they come later is closed.",
               _OK + b"Content-Length: 2\r\n\r\n{}\r\n"),
    Difference("we", "not kept after a trailer",
               "A trailer that ends the connection is obeyed; it costs no more than a new one.",
               _CHUNKED + b"0\r\nConnection: close\r\n\r\n"),
]  # fmt: skip


def difference(raw: bytes, ours: Verdict, theirs: Verdict) -> Difference | None:
    """The one that is between two verdicts, which are not the same. Raises LookupError where none
    is listed."""
    if ours[:5] == theirs[:5]:
        return None
    same_head = ours[1:3] == theirs[1:3]
    if theirs.end == "head":
        who, words = "h11", theirs.why
    elif ours.end == "head" or (
        ours.end == "body" and same_head and theirs.body.startswith(ours.body)
    ):
        who, words = "we", ours.why
    elif ours.end == "whole" and theirs.end == "body" and same_head and ours.body == theirs.body:
        who, words = "h11", theirs.why
    elif ours[:4] == theirs[:4] and ours.reusable and re.search(rb"[\r\n]$", raw):
        who, words = "h11", "kept behind an empty line"
    elif ours[:4] == theirs[:4] and theirs.reusable and re.search(rb"(?i)connection:", raw):
        who, words = "we", "not kept after a trailer"
    else:
        raise LookupError
    for listed in DIFFERENCES:
        if listed.who == who and re.fullmatch(listed.words, words, re.DOTALL):
            return listed
    raise LookupError


@pytest.mark.parametrize("listed", DIFFERENCES, ids=[one.words[:40] for one in DIFFERENCES])
def test_a_listed_difference_is_one(listed: Difference) -> None:
    raw = listed.example
    assert difference(raw, by_us([raw]), by_h11([raw])) is listed
    pieces = [raw[n : n + 1] for n in range(len(raw))]
    assert difference(raw, by_us(pieces), by_h11(pieces)) in (listed, None)


def compare(cases: int, seed: int) -> Counter[str]:
    """Both verdicts of so many answers; how often each end and each difference was met."""
    dice, met = random.Random(seed), Counter[str]()
    for number in range(cases):
        raw = answer_at_random(dice)
        pieces = cut_at_random(dice, raw)
        ours, theirs = by_us(pieces), by_h11(pieces)
        met[ours.end] += 1
        check_fields(ours)
        try:
            result = difference(raw, ours, theirs)
        except LookupError:
            pytest.fail(f"case {number} of {seed}: {pieces}\nours {ours}\nh11's {theirs}")
        if result is not None:
            met[f"{result.who}: {result.words}"] += 1
    return met


_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(r"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")


def check_fields(ours: Verdict) -> None:
    """RFC 9110, sections 5.1 and 5.5; values of one name are joined by a comma."""
    for name, value in ours.headers:
        assert _NAME.fullmatch(name), ours
        assert all(_VALUE.fullmatch(one.strip()) for one in value.split(",")), ours


def test_random_answers_read_like_h11() -> None:
    met = compare(4_000, seed=5)
    assert min(met["whole"], met["head"], met["body"]) > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_million_random_answers(seed: int) -> None:
    met = compare(250_000, seed)
    text = "\n".join(f"{count:9,}  {what}" for what, count in met.most_common())
    print(f"{sum(met[end] for end in ('whole', 'head', 'body')):,} answers\n{text}")  # noqa: T201
