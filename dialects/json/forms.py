"""multipart/form-data (RFC 7578): parsed in pieces as it arrives, and rewritten. A provider always
gets a form written here, never the client's, so that no two parsers can find different fields in
it.

The text fields of a form are equivalent to a JSON object: repeated names, and names that end in
`[]`, are arrays.
"""

import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from dialects.errors.errors import RequestFault

PARTS_MAX: Final = 64
_HEAD_BYTES_MAX: Final = 8 * 1024
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=?-][0-9A-Za-z'()+_,./:=? -]{0,69}")
_PARAMETER: Final = re.compile(r";\s*([\w*]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^;\s]*))")
_BRACKETS: Final = re.compile(r"([^\[\]]+)\[([^\[\]]+)\]")
_ESCAPED: Final = re.compile(r"\\([\"\\])")
# Characters that are escaped in quoted names, as browsers do.
_UNQUOTED: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A", "\\": "%5C"})


class PartHead(msgspec.Struct, frozen=True):
    """The head of a part; `filename` is None if the part is not a file."""

    name: str
    filename: str | None


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a Content-Type. Raises RequestFault."""
    named = dict(_parameters(content_type)).get("boundary", "")
    if not _BOUNDARY.fullmatch(named):
        raise _malformed("Content-Type has no boundary")
    return named.encode("latin-1")


class FormReader:
    """Parses one form. `feed` returns the heads of parts, and after each head the pieces of the
    content; it raises RequestFault for an invalid form. `ended`: the last boundary has arrived."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # Begin with a line end, so that the first delimiter is like the others.
        self._rest = b"\r\n"
        self._inside = self._in_head = False
        self._parts = 0
        self.ended = False

    def feed(self, chunk: bytes) -> list[PartHead | bytes]:
        """Return the heads of parts and the pieces of content that this chunk completes."""
        data = self._rest + chunk if self._rest else chunk
        parts: list[PartHead | bytes] = []
        at = 0
        while not self.ended:
            step = self._head(data, at, parts) if self._in_head else self._content(data, at, parts)
            if step is None:
                break
            at = step
        if self.ended:
            # The epilogue is ignored (RFC 2046).
            self._rest = b""
            return parts
        if not self._in_head:
            at = self._emit(data, at, parts)
        self._rest = data[at:]
        if len(self._rest) > _HEAD_BYTES_MAX:
            raise _malformed("the head of a part is too large")
        return parts

    def _content(self, data: bytes, at: int, parts: list[PartHead | bytes]) -> int | None:
        end = data.find(self._delimiter, at)
        if end < 0:
            return None
        if self._inside and end > at:
            parts.append(data[at:end])
        self._inside, self._in_head = False, True
        return end + len(self._delimiter)

    def _emit(self, data: bytes, at: int, parts: list[PartHead | bytes]) -> int:
        """Emit the bytes that cannot be the start of a delimiter."""
        pending = data.find(b"\r", max(at, len(data) - len(self._delimiter) + 1))
        end = len(data) if pending < 0 else pending
        if self._inside and end > at:
            parts.append(data[at:end])
        return end

    def _head(self, data: bytes, at: int, parts: list[PartHead | bytes]) -> int | None:
        if data[at : at + 2] == b"--":
            self.ended = True
            return None
        line_end = data.find(b"\r\n", at)
        end = -1 if line_end < 0 else data.find(b"\r\n\r\n", line_end)
        if end < 0:
            return None
        if data[at:line_end].strip(b" \t"):
            raise _malformed("something stands behind a boundary")
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise _malformed(f"the form has more than {PARTS_MAX} parts")
        parts.append(_read_head(data[line_end:end]))
        self._inside, self._in_head = True, False
        return end + 4


def _read_head(raw: bytes) -> PartHead:
    try:
        lines = raw.decode().split("\r\n")
    except UnicodeDecodeError:
        raise _malformed("the head of a part is not UTF-8") from None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            named = dict(_parameters(value))
            if value.partition(";")[0].strip().lower() != "form-data" or not named.get("name"):
                break
            filename = named.get("filename")
            if filename is None and "filename*" in named:
                filename = named["filename*"].rpartition("'")[2]
            return PartHead(named["name"], filename)
    raise _malformed("a part has no name")


def _parameters(value: str) -> Iterable[tuple[str, str]]:
    for name, quoted, plain in _PARAMETER.findall(value):
        yield name.lower(), _ESCAPED.sub(r"\1", quoted) if quoted else plain


def _malformed(what: str) -> RequestFault:
    return RequestFault("malformed_json", None, what)


# ---- its texts as JSON


def members_of(texts: Sequence[tuple[str, str]], kinds: Mapping[str, type]) -> bytes:
    """Return the text fields as a JSON object. Those in `kinds` (int, bool) are converted if
    possible; the reader of the object reports invalid ones.
    """
    members: dict[str, Any] = {}
    for name, text in texts:
        value = _convert(text, kinds.get(name, str))
        if name not in members:
            members[name] = [value] if name.endswith("[]") else value
        elif isinstance(members[name], list):
            members[name].append(value)
        else:
            members[name] = [members[name], value]
    return msgspec.json.encode(members)


class FormFile(NamedTuple):
    """A file of a form that is small enough for memory."""

    name: str
    media_type: str
    content: bytes


def object_of(texts: Iterable[tuple[str, str]], files: Iterable[FormFile]) -> bytes:
    """Return the JSON body that a form stands for. A name with brackets
    (`input_reference[image_url]`) is a member of an object; a file is an object with its data URL
    as `image_url`, as the same picture is sent in JSON. Raises RequestFault, `invalid_type`, for
    duplicates."""
    body: dict[str, Any] = {}
    for name, text in texts:
        inner = _BRACKETS.fullmatch(name)
        if inner is None:
            _add(body, name, text)
            continue
        holder = body.setdefault(inner[1], {})
        if not isinstance(holder, dict):
            raise _duplicate(inner[1])
        _add(holder, inner[2], text)
    for file in files:
        text = binascii.b2a_base64(file.content, newline=False).decode()
        _add(body, file.name, {"image_url": f"data:{file.media_type};base64,{text}"})
    return msgspec.json.encode(body)


def _add(body: dict[str, Any], name: str, value: object) -> None:
    if name in body:
        raise _duplicate(name)
    body[name] = value


def _duplicate(name: str) -> RequestFault:
    return RequestFault("invalid_type", name[:64], f"{name[:64]} must be there once")


def _convert(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return msgspec.json.decode(text, type=int) if kind is int else text
    except (msgspec.DecodeError, UnicodeError):
        return text


# ---- written


def text_parts(members: Mapping[str, Any], boundary: bytes) -> bytes:
    """Return the parts of the members that are not files."""
    pieces: list[bytes] = []
    for name, value in members.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                pieces += [_part_head(name, boundary), b"\r\n\r\n", _text(item), b"\r\n"]
    return b"".join(pieces)


def file_head(name: str, filename: str, content_type: str, boundary: bytes) -> bytes:
    """Write the head of a file part; a CRLF follows the content."""
    return (
        _part_head(name, boundary)
        + f'; filename="{filename.translate(_UNQUOTED)}"\r\n'.encode()
        + f"Content-Type: {content_type}\r\n\r\n".encode()
    )


def last_line(boundary: bytes) -> bytes:
    """Return the line that ends a form."""
    return b"--" + boundary + b"--\r\n"


def _part_head(name: str, boundary: bytes) -> bytes:
    line = f'Content-Disposition: form-data; name="{name.translate(_UNQUOTED)}"'
    return b"--" + boundary + b"\r\n" + line.encode()


def _text(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)
