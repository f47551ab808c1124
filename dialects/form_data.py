"""A form (multipart/form-data, RFC 7578) as the JSON body that says the same.

Clients that may send a file send a form, whether they have one or not. A field is a string; one
whose name has brackets (`input_reference[image_url]`) is a member of an object. A file becomes an
object with its data URL as `image_url`, which is how the same picture is sent in JSON.
"""

import binascii
import re
from email.message import Message
from typing import Any, Final

import msgspec

from dialects.errors import RequestFault

_FIELDS_MAX: Final = 100
_HEAD_BYTES_MAX: Final = 8192
_BRACKETS: Final = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")
# What follows a boundary; another text may begin with one.
_DELIMITED: Final = rb"(?=--|[ \t]*\r\n)"
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+")


def form_to_json(raw: bytes, content_type: str) -> bytes:
    """The JSON body of a form. Raises RequestFault, `malformed_json` for what is no form,
    `invalid_type` for a field that is there twice."""
    boundary = _boundary(content_type)
    pieces = re.split(b"\r\n--" + re.escape(boundary) + _DELIMITED, b"\r\n" + raw)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise _broken("its closing boundary is missing")
    if len(pieces) - 2 > _FIELDS_MAX:
        raise _broken(f"it has more than {_FIELDS_MAX} fields")
    body: dict[str, Any] = {}
    for piece in pieces[1:-1]:
        head, found, content = piece.lstrip(b" \t").removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not found or len(head) > _HEAD_BYTES_MAX:
            raise _broken("a field has no end of its header section")
        _add(body, _fields(head), content)
    return msgspec.json.encode(body)


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary("")
    if not boundary or not boundary.isascii() or len(boundary) > 70:
        raise _broken("Content-Type names no boundary")
    return boundary.encode()


def _fields(head: bytes) -> Message:
    message = Message()
    for line in head.decode("utf-8", errors="replace").split("\r\n"):
        name, found, value = line.partition(":")
        if found and name.lower() in ("content-disposition", "content-type"):
            message[name] = value.strip()
    return message


def _add(body: dict[str, Any], fields: Message, content: bytes) -> None:
    name = fields.get_param("name", header="content-disposition")
    if not isinstance(name, str) or not name:
        raise _broken("a field has no name")
    value: Any
    if fields.get_filename() is not None:
        value = {"image_url": _data_url(fields.get("content-type", ""), content)}
    else:
        try:
            value = content.decode()
        except UnicodeDecodeError:
            raise RequestFault("invalid_type", name, f"{name} must be UTF-8") from None
    inner = _BRACKETS.fullmatch(name)
    if inner is not None:
        holder = body.setdefault(inner[1], {})
        if not isinstance(holder, dict) or inner[2] in holder:
            raise _twice(inner[1])
        holder[inner[2]] = value
    elif name in body:
        raise _twice(name)
    else:
        body[name] = value


def _data_url(content_type: str, content: bytes) -> str:
    media_type = content_type.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(media_type):
        media_type = "application/octet-stream"
    return f"data:{media_type};base64,{binascii.b2a_base64(content, newline=False).decode()}"


def _twice(name: str) -> RequestFault:
    return RequestFault("invalid_type", name, f"{name} must be there once")


def _broken(what: str) -> RequestFault:
    return RequestFault("malformed_json", None, f"the form cannot be read: {what}")
