"""What an entry of the content log contains."""

import zlib
from typing import Final

import msgspec

_PACKING: Final = 1


class Kept(msgspec.Struct, frozen=True):
    """A request and its answer, in the client's form: the bytes of both bodies. The answer to a
    `stream` consists of the frames that were sent; `error` is the text of an error answer."""

    request: bytes
    answer: bytes = b""
    content_type: str = ""
    stream: bool = False
    error: str = ""


_decoder: Final = msgspec.msgpack.Decoder(Kept)


def pack(kept: Kept) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(kept), _PACKING)


def unpack(packed: bytes) -> Kept:
    return _decoder.decode(zlib.decompress(packed))
