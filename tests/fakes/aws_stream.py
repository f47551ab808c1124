"""Messages of Amazon's binary event stream, written."""

import base64
import json
import struct
import zlib
from typing import Any

# Claude's types of errors, by Bedrock's names.
NAMES = {
    "invalid_request_error": "ValidationException",
    "not_found_error": "ResourceNotFoundException",
    "rate_limit_error": "ThrottlingException",
    "overloaded_error": "ServiceUnavailableException",
    "timeout_error": "ModelTimeoutException",
}


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of the binary stream."""
    lines = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )  # fmt: skip
    prelude = struct.pack("!II", 16 + len(lines) + len(payload), len(lines))
    head = prelude + struct.pack("!I", zlib.crc32(prelude)) + lines + payload
    return head + struct.pack("!I", zlib.crc32(head))


def chunk(event: bytes) -> bytes:
    """The message of one event of Claude."""
    payload = json.dumps({"bytes": base64.b64encode(event).decode(), "p": "abcdefghijkl"})
    return event_message("chunk", payload.encode())


def event_message(kind: str, payload: bytes) -> bytes:
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return message(headers, payload)


def exception(name: str, text: str) -> bytes:
    """The message that ends a stream with an exception."""
    headers = {
        ":exception-type": name,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, json.dumps({"message": text}).encode())


def error_message(error: dict[str, Any]) -> bytes:
    """The exception of an error of Claude."""
    name = NAMES.get(error["type"], "InternalServerException")
    return exception(name[0].lower() + name[1:], error["message"])
