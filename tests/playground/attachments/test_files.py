"""Files are what their bytes say, and what may be fetched."""

import asyncio
import struct

import pytest

from lib.network.egress import EgressPolicy, Unreachable
from playground.attachments import attachments
from playground.attachments.rules import FileInfo, UnsupportedFile, estimated_tokens, inspect_file

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + struct.pack(">II", 640, 480)
WAV = (
    b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(8) + struct.pack("<II", 24_000, 48_000) + bytes(96_000)
)


def webp(form: bytes, size: bytes) -> bytes:
    """A picture whose header ends with its size."""
    return b"RIFF\x00\x00\x00\x00WEBP" + form + size.rjust(14, b"\0")


JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 20, 10) + bytes(9)
# Tables, such as those of Huffman codes, have markers in the range of those of a size.
TABLES = b"\xff\xd8\xff\xc4\x00\x09" + b"\x07" * 7 + JPEG[8:]


@pytest.mark.parametrize(
    ("data", "kind", "media_type", "facts"),
    [
        (PNG, "image", "image/png", {"width": 640, "height": 480}),
        (JPEG, "image", "image/jpeg", {"width": 10, "height": 20}),
        (TABLES, "image", "image/jpeg", {"width": 10, "height": 20}),
        (b"\xff\xd8\xff\xe0\x00\x04ab", "image", "image/jpeg", {}),
        (webp(b"VP8X", b"\x3f\x02\x01\x1f\x04\x03"), "image", "image/webp",
         {"width": 0x010240, "height": 0x030420}),
        # The two bits beside the size say how it is scaled.
        (webp(b"VP8 ", struct.pack("<HH", 0x4000 | 640, 0xC000 | 480)), "image", "image/webp",
         {"width": 640, "height": 480}),
        (webp(b"VP8L", b"\x2f"), "image", "image/webp", {}),
        (b"GIF87a" + struct.pack("<HH", 5, 6), "image", "image/gif", {"width": 5, "height": 6}),
        (b"GIF89a" + struct.pack("<HH", 3, 4), "image", "image/gif", {"width": 3, "height": 4}),
        (b"%PDF-1.7 /Type /Page\n/Type/Page ", "file", "application/pdf", {"pages": 2}),
        (b"%PDF-1.7 /Type /Pages", "file", "application/pdf", {}),
        (WAV, "audio", "audio/wav", {"seconds": 2}),
        (WAV[:43], "audio", "audio/wav", {}),
        (b"\xff\xfbrest", "audio", "audio/mpeg", {}),
        (b"OggSrest", "audio", "audio/ogg", {}),
        (b"fLaCrest", "audio", "audio/flac", {}),
        (b"ID3\x04rest", "audio", "audio/mpeg", {}),
        (b"\x1aE\xdf\xa3webm", "audio", "audio/webm", {}),
        (b"\0\0\0\x18ftypM4A ", "audio", "audio/mp4", {}),
        (b"\0\0\0\x1cftypiso5\0\0\2\0", "audio", "audio/mp4", {}),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "audio", "audio/mp4", {}),
        (b"the ftypes", "text", "text/plain", {"lines": 1}),
        ("日本\nx".encode(), "text", "text/plain", {"lines": 2}),
        (b"<svg onload=alert(1)>", "text", "text/plain", {"lines": 1}),
    ],
)  # fmt: skip
def test_kind_is_recognised_by_its_bytes(
    data: bytes, kind: str, media_type: str, facts: dict[str, int]
) -> None:
    assert inspect_file(data) == FileInfo(kind, media_type, facts)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"MZ\x90\x00\xff", "unknown"),
        (b"a\x00b", "unknown"),
        (b"\0\0\0\x18ftypheic", "unknown"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0", "unknown"),
        (b"x" * (1024 * 1024 + 1), "too_big"),
    ],
)
def test_unreadable_kind_is_rejected(data: bytes, code: str) -> None:
    with pytest.raises(UnsupportedFile) as refused:
        inspect_file(data)
    assert refused.value.code == code


def test_tokens_are_estimated_by_kind() -> None:
    assert estimated_tokens(inspect_file(PNG), len(PNG)) == 85 + 170 * 2
    assert estimated_tokens(inspect_file(WAV), len(WAV)) == 20
    assert estimated_tokens(FileInfo("file", "application/pdf", {"pages": 3}), 9) == 2_400
    assert estimated_tokens(FileInfo("text", "text/plain", {}), 9) == 3


@pytest.mark.parametrize(
    ("kind", "facts", "size", "tokens"),
    [
        ("image", {}, 9, 85 + 170 * 4),
        ("image", {"width": 513, "height": 512}, 9, 85 + 170 * 2),
        ("image", {"width": 512, "height": 513}, 9, 85 + 170 * 2),
        ("image", {"width": 9_000, "height": 9_000}, 9, 85 + 170 * 12),
        ("audio", {}, 160_000, 110),
        ("file", {}, 500_000, 8_800),
        ("text", {}, 8, 2),
    ],
)
def test_tokens_are_estimated_by_size_where_no_fact_is_known(
    kind: str, facts: dict[str, int], size: int, tokens: int
) -> None:
    assert estimated_tokens(FileInfo(kind, "x/y", facts), size) == tokens


async def test_networks_listed_for_users_are_closed_to_providers_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a provider names is fetched from public addresses alone."""
    monkeypatch.setattr(attachments, "egress_policy_users", lambda: EgressPolicy(["127.0.0.1"]))
    heard = list[bytes]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nmade")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.png"
        assert await attachments.fetch_file(url) == ("a.png", b"made")
        with pytest.raises(Unreachable):
            await attachments.fetch_made(url)
    assert len(heard) == 1
