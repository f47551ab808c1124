"""Amazon's binary event stream (application/vnd.amazon.eventstream): split into its messages, and
written.

    total length (4) · headers length (4) · CRC of these (4) · headers · payload · CRC of all (4)

All numbers are big-endian, and the CRC is CRC-32. Smithy 2.0, "Amazon Event Stream Specification"
(2026-08). Nothing of a message is returned before both of its CRCs are right.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, NamedTuple

import msgspec

from dialects.streams.sse import Frame, FrameSplitter

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
JSON: Final = "application/json"
# A frame that no JSON decoder accepts (F15).
MALFORMED: Final = Frame(b"", "", b"{")
# The prefix of a frame's name that is the name of an exception.
EXCEPTION: Final = "exception:"
_PRELUDE: Final = struct.Struct("!III")
_LENGTHS: Final = struct.Struct("!II")
_CRC: Final = struct.Struct("!I")
_BYTES_MIN: Final = _PRELUDE.size + _CRC.size
_HEADERS_BYTES_MAX: Final = 128 * 1024
# Header values by type: text and bytes have a length of two bytes, the others their own.
_TEXT: Final = 7
_COUNTED: Final = frozenset({6, _TEXT})
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Message(NamedTuple):
    """One message. Only headers with text are kept."""

    headers: dict[str, str]
    payload: bytes


class MessageSplitter:
    """Splits bytes into messages as they arrive. `too_large`: a message announces more than
    `message_bytes_max` bytes (F17). `malformed`: a CRC or a length is wrong (F15). Reading stops at
    either; the messages before are returned.
    """

    def __init__(self, message_bytes_max: int) -> None:
        self.too_large = False
        self.malformed = False
        self._max = message_bytes_max
        self._pending = bytearray()
        # The length of the arriving message; 0 before its prelude is complete.
        self._total = 0

    def feed(self, chunk: bytes) -> list[Message]:
        """Return the complete messages."""
        messages: list[Message] = []
        if self._is_over():
            return messages
        self._pending += chunk
        while self._has_prelude() and len(self._pending) >= self._total:
            raw = bytes(self._pending[: self._total])
            del self._pending[: self._total]
            self._total = 0
            message = _read(raw)
            if message is None:
                self.malformed = True
                break
            messages.append(message)
        if self._is_over():
            self._pending.clear()
        return messages

    def _is_over(self) -> bool:
        return self.too_large or self.malformed

    def _has_prelude(self) -> bool:
        """Read the prelude of the next message. Return whether it has arrived and is valid."""
        if self._total:
            return True
        if len(self._pending) < _PRELUDE.size:
            return False
        total, headers, crc = _PRELUDE.unpack_from(self._pending)
        if crc != zlib.crc32(self._pending[:8]):
            self.malformed = True
        elif total > self._max or headers > _HEADERS_BYTES_MAX:
            self.too_large = True
        elif total < _BYTES_MIN + headers:
            self.malformed = True
        else:
            self._total = total
        return self._total > 0


class MessageFrames:
    """Splits a binary stream into frames, as the decoders of all dialects read them. `read` makes
    the frame of a message.
    """

    def __init__(self, frame_bytes_max: int, read: Callable[[Message], Frame]) -> None:
        self._messages = MessageSplitter(frame_bytes_max)
        self._read = read

    @property
    def too_large(self) -> bool:
        return self._messages.too_large

    def begins(self, chunk: bytes) -> bool:
        """Return False: the frames of a binary stream are always read one by one."""
        return False

    def feed(self, chunk: bytes) -> list[Frame]:
        """Return the frames of the complete messages."""
        frames = [self._read(message) for message in self._messages.feed(chunk)]
        return [*frames, MALFORMED] if self._messages.malformed else frames

    def end(self) -> Frame | None:
        """Return None: an incomplete message is never read."""
        return None


def read_exception(message: Message) -> Frame | None:
    """Return the frame of an exception or error; None for an event."""
    headers = message.headers
    kind = headers.get(":message-type")
    if kind == "exception":
        return Frame(b"", EXCEPTION + headers.get(":exception-type", ""), message.payload)
    if kind == "error":
        text = msgspec.json.encode({"message": headers.get(":error-message", "")})
        return Frame(b"", EXCEPTION + headers.get(":error-code", ""), text)
    return None if kind == "event" else MALFORMED


def write_event(kind: str, payload: bytes) -> bytes:
    """Return the message of an event; the payload is JSON."""
    return _write({":event-type": kind, ":content-type": JSON, ":message-type": "event"}, payload)


def write_exception(kind: str, payload: bytes) -> bytes:
    """Return the message that ends a stream with an exception; the payload is JSON."""
    headers = {":exception-type": kind, ":content-type": JSON, ":message-type": "exception"}
    return _write(headers, payload)


class EventWriter:
    """Writes server-sent events as messages. `write` makes the message of a frame with data."""

    content_type: ClassVar[str] = CONTENT_TYPE

    def __init__(self, write: Callable[[Frame], bytes]) -> None:
        self._splitter = FrameSplitter()
        self._write = write

    def feed(self, frames: bytes) -> bytes:
        """Return the messages of the complete frames."""
        split = self._splitter.feed(frames)
        return b"".join(self._write(frame) for frame in split if frame.data is not None)


def _write(headers: Mapping[str, str], payload: bytes) -> bytes:
    lines = b"".join(_write_header(name, value) for name, value in headers.items())
    total = _BYTES_MIN + len(lines) + len(payload)
    prelude = _PRELUDE.pack(total, len(lines), zlib.crc32(_LENGTHS.pack(total, len(lines))))
    message = prelude + lines + payload
    return message + _CRC.pack(zlib.crc32(message))


def _write_header(name: str, value: str) -> bytes:
    text = value.encode()
    return b"%c%b%c%b%b" % (len(name), name.encode(), _TEXT, len(text).to_bytes(2), text)


def _read(raw: bytes) -> Message | None:
    """Return a whole message; None for a wrong CRC, or for headers that cannot be read."""
    end = len(raw) - _CRC.size
    if _CRC.unpack_from(raw, end)[0] != zlib.crc32(raw[:end]):
        return None
    begin = _PRELUDE.size + _PRELUDE.unpack_from(raw)[1]
    headers = _read_headers(raw[_PRELUDE.size : begin])
    return None if headers is None else Message(headers, raw[begin:end])


def _read_headers(raw: bytes) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(raw):
            name_end = at + 1 + raw[at]
            name, kind, at = raw[at + 1 : name_end].decode(), raw[name_end], name_end + 1
            if kind in _COUNTED:
                size = int.from_bytes(raw[at : at + 2])
                at += 2
            else:
                size = _SIZES[kind]
            value, at = raw[at : at + size], at + size
            if kind == _TEXT:
                headers[name] = value.decode()
    except (IndexError, KeyError, UnicodeDecodeError):
        return None
    return headers if at == len(raw) else None
