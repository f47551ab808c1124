"""Answers whose head or body no client should have to take whole."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from tests.fakes.wire import Answer, Raw, head


def framed(content_type: str, body: Iterable[bytes], **headers: str) -> Answer:
    fields = {"content-type": content_type, "transfer-encoding": "chunked"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(chain((Raw(head(200, fields)),), body), chunked=True)


def endless(size: int | None) -> Iterator[bytes]:
    block = b"a" * 16384
    sent = 0
    while size is None or sent < size:
        yield block
        sent += len(block)


def bomb(size: int) -> Iterator[bytes]:
    """gzip that unpacks to `size` spaces."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * 2**20
    for _ in range(max(1, size >> 20)):
        if packed := packer.compress(block):
            yield packed
    yield packer.flush()


def many_headers(variant: str) -> Answer:
    if variant == "giant":
        fields = {"x-giant": "a" * 2**20}
    else:
        fields = {f"x-flood-{i}": "a" * 32 for i in range(5000)}
    body = b"{}"
    fields |= {"content-type": "application/json", "content-length": str(len(body))}
    return Answer(iter((Raw(head(200, fields) + body),)))
