"""Determine the length of a sound by the beginning and the end of its file.

    bound_ms    an upper bound, which a hold must cover
    length_ms   the length that it states, used if no provider counts

A header can be false, so except for raw samples only the size of the file is a bound.
"""

import struct
from collections.abc import Mapping
from typing import Final

ENDS_BYTES: Final = 64 * 1024
"""How much of each end is read."""

# The slowest MP3 and speech in Opus have 8 kbit/s, a byte for each millisecond.
_BYTES_PER_MS_MIN: Final = 1
# The assumption for a file without a usable header: a voice at 64 kbit/s.
_BYTES_PER_MS: Final = 8
_PCM: Final = (1, 3)
_OPUS_RATE: Final = 48_000
# kbit/s by MPEG 1 (else 2 and 2.5) and layer 3, 2, 1 (ISO 11172-3, 13818-3).
_BIT_RATES: Final[Mapping[tuple[bool, int], tuple[int, ...]]] = {
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
}
_SAMPLE_RATES: Final = (44_100, 48_000, 32_000)
_XING: Final = (b"Xing", b"Info")


def bound_ms(head: bytes, size: int) -> int:
    """Return the maximum length of a sound file of `size` bytes, in milliseconds."""
    rate = _samples_rate(head)
    return size // _BYTES_PER_MS_MIN if rate is None else -(-size * 1000 // rate)


def length_ms(head: bytes, tail: bytes, size: int) -> int:
    """Return the length in milliseconds, at most `bound_ms`; estimated from the size if the file
    does not state it."""
    declared = _declared_ms(head, tail, size)
    return min(size // _BYTES_PER_MS if declared is None else declared, bound_ms(head, size))


def samples_ms(size: int, rate: int) -> int:
    """Return the milliseconds of raw samples of one channel."""
    return size * 1000 // (rate * 2)


def _declared_ms(head: bytes, tail: bytes, size: int) -> int | None:
    try:
        if head.startswith((b"RIFF", b"RF64")):
            rate = _samples_rate(head)
            return None if rate is None else _samples_bytes(head, size) * 1000 // rate
        if head.startswith(b"fLaC"):
            return _flac_ms(head)
        if head.startswith(b"OggS"):
            return _ogg_ms(head, tail)
        if head[4:8] == b"ftyp":
            return _mp4_ms(head + tail)
        return _mp3_ms(head, size)
    except (struct.error, IndexError, ZeroDivisionError):
        # The file is shorter than its header says.
        return None


def _samples_rate(head: bytes) -> int | None:
    """Return the bytes per second of a WAV file with raw samples; None for anything else."""
    at = head.find(b"fmt ", 12, 512) if head.startswith((b"RIFF", b"RF64")) else -1
    if at < 0 or len(head) < at + 24:
        return None
    form, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", head, at + 8)
    bytes_a_second: int = channels * rate * bits // 8
    return bytes_a_second if form in _PCM and bytes_a_second else None


def _samples_bytes(head: bytes, size: int) -> int:
    """Return how many bytes of a WAV file are sound, at most those that exist; streams do not state
    the number in advance."""
    at = head.find(b"data", 12)
    if at < 0 or len(head) < at + 8:
        return size
    rest, declared = size - at - 8, int(struct.unpack_from("<I", head, at + 4)[0])
    return declared if 0 < declared < rest else rest


def _flac_ms(head: bytes) -> int | None:
    packed = int.from_bytes(head[18:26], "big")
    rate, samples = packed >> 44, packed & 0xF_FFFF_FFFF
    return samples * 1000 // rate if samples else None


def _ogg_ms(head: bytes, tail: bytes) -> int | None:
    at = tail.rfind(b"OggS")
    granule = int.from_bytes(tail[at + 6 : at + 14], "little", signed=True) if at >= 0 else -1
    vorbis = head.find(b"\x01vorbis")
    rate = _OPUS_RATE if vorbis < 0 else struct.unpack_from("<I", head, vorbis + 12)[0]
    return None if granule < 0 else granule * 1000 // rate


def _mp4_ms(ends: bytes) -> int | None:
    at = ends.find(b"mvhd")
    if at < 0:
        return None
    form, place = (">IQ", at + 24) if ends[at + 4] == 1 else (">II", at + 16)
    scale, length = struct.unpack_from(form, ends, place)
    return int(length * 1000 // scale)


def _mp3_ms(head: bytes, size: int) -> int | None:
    """Return the length by the frame count in its first frame, else by that frame's bit rate."""
    at = 0
    if head.startswith(b"ID3"):
        at = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False)
        )
        size -= at
    at = _frame_at(head, at)
    if at < 0:
        return None
    version, layer = head[at + 1] >> 3 & 3, head[at + 1] >> 1 & 3
    first = version == 3
    bits, rate_index = head[at + 2] >> 4, head[at + 2] >> 2 & 3
    if not 0 < bits < 15 or layer == 0 or rate_index == 3:
        return None
    counted = max(head.find(mark, at, at + 64) for mark in _XING)
    if counted >= 0 and head[counted + 7] & 1:
        frames = struct.unpack_from(">I", head, counted + 8)[0]
        rate = _SAMPLE_RATES[rate_index] // {3: 1, 2: 2}.get(version, 4)
        return int(frames * (1152 if first else 576) * 1000 // rate)
    return size * 8 // _BIT_RATES[first, layer][bits - 1]


def _frame_at(head: bytes, at: int) -> int:
    """Return the position of the first frame; -1 for none."""
    while (at := head.find(b"\xff", at)) >= 0 and at + 4 <= len(head):
        if head[at + 1] & 0xE0 == 0xE0 and head[at + 1] >> 3 & 3 != 1:
            return at
        at += 1
    return -1
