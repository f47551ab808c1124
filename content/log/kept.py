"""What an entry of the content log contains."""

import zlib
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

_PACKING: Final = 1

Body = Literal["request", "answer"]
BEFORE_CHARACTERS: Final = 16 * 1024
"""How much is looked at of what a text goes on from, for what begins in it."""


class Kept(msgspec.Struct, frozen=True):
    """A request and its answer, as bodies in the client's dialect. `stream`: the answer was
    streamed, as frames until it is stored (`stored.py`) and as a whole answer there; `broken`: it
    broke off, and the answer is what had come. `error` is the text of an error answer. `left_out`
    are bodies that could not be redacted. `failures` are the errors of the attempts that failed, in
    order: the request's receipt has their channels and models. `final` is the final state of the
    media task that the request began, as JSON."""

    request: bytes
    answer: bytes = b""
    content_type: str = ""
    stream: bool = False
    error: str = ""
    broken: bool = False
    left_out: tuple[Body, ...] = ()
    failures: tuple[str, ...] = ()
    final: bytes = b""


Span = tuple[int, int]
"""From a position in a text to another one."""


class Pieces(NamedTuple):
    """Texts of an entry, in their order, that are one text which was cut. `before` is the text that
    they go on from, "" for none. It was said to earlier requests, and its spans `left_out` to ones
    that are not kept: nothing of them is stored. `ends`: nothing follows."""

    texts: Sequence[str]
    before: str = ""
    ends: bool = False
    left_out: Sequence[Span] = ()


_decoder: Final = msgspec.msgpack.Decoder(Kept)


def pack(kept: Kept) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(kept), _PACKING)


def unpack(packed: bytes) -> Kept:
    return _decoder.decode(zlib.decompress(packed))
