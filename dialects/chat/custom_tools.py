"""Freeform tools: OpenAI's `custom` tools, whose input is a text instead of JSON.

For a model in another dialect such a tool becomes a function with one argument, and its calls are
reported to the client in the declared form:

    declared    {"input": {"type": "string"}}; the description of `input` contains a grammar
    called      arguments {"input": "<text>"}  <->  the text

The arguments arrive in arbitrary pieces; the text is passed on as far as it is certain.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from dialects.chat.chat import FunctionTool, JsonObject, Tool
from dialects.json.not_json import NOT_JSON

_ARGUMENT: Final = "input"
_HEAD: Final = re.compile(r'[ \t\r\n]*\{[ \t\r\n]*"input"[ \t\r\n]*:[ \t\r\n]*"')
# White space may continue in the next piece.
_HEAD_CHARACTERS_MAX: Final = 256
_HEAD_TEXT: Final = '{"input":"'
_UNESCAPED: Final = re.compile(r'[^"\\]*')
_ESCAPES: Final = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_UNICODE: Final = re.compile(r"u[0-9a-fA-F]{4}")
_UNICODE_BEGUN: Final = re.compile(r"u[0-9a-fA-F]{0,3}")
_UNKNOWN: Final = "\ufffd"


def make_function(
    name: str, description: str | None, own: JsonObject, syntax: str, grammar: str
) -> FunctionTool:
    """Return the function that replaces a freeform tool; `own` is the client's declaration,
    `grammar` is "" without one."""
    input_description = "The whole input of the tool, as plain text."
    if grammar:
        input_description += f" It must follow this grammar ({syntax}):\n{grammar}"
    schema: JsonObject = {
        "type": "object",
        "properties": {_ARGUMENT: {"type": "string", "description": input_description}},
        "required": [_ARGUMENT],
        "additionalProperties": False,
    }
    return FunctionTool(name, description, schema, freeform=own, grammar=bool(grammar))


def freeform_names(tools: Iterable[Tool]) -> frozenset[str]:
    """Return the names of the freeform tools."""
    return frozenset(
        tool.name for tool in tools if isinstance(tool, FunctionTool) and tool.freeform is not None
    )


def write_arguments(text: str) -> str:
    """Return the arguments of a freeform call whose input is `text`."""
    return msgspec.json.encode({_ARGUMENT: text}).decode()


def read_input(arguments: str) -> str:
    """Return the input text in the arguments of a freeform call."""
    reader = InputReader()
    return reader.feed(arguments) + reader.end()


class InputReader:
    """Reads the arguments of one call as they arrive, and returns the input text. If the arguments
    are in another form, all of it is returned at the end: the input inside them, or else the
    arguments themselves."""

    __slots__ = ("_high", "_other", "_over", "_pending", "_within")

    def __init__(self) -> None:
        self._pending = ""  # not returned yet: an incomplete beginning or escape
        self._high = ""  # the first half of a surrogate pair
        self._other: list[str] = []  # arguments of another form
        self._within = self._over = False

    def feed(self, piece: str) -> str:
        """Return the part of the input that is certain after this piece."""
        if self._over:
            return ""
        if self._other:
            self._other.append(piece)
            return ""
        self._pending += piece
        if not self._within and not self._read_head():
            return ""
        return self._read()

    def end(self) -> str:
        """Return the rest once the arguments are complete."""
        if self._over:
            return ""
        self._over = True
        if self._within:
            # The text was cut: an incomplete escape is dropped.
            return _UNKNOWN if self._high else ""
        return _read_other_form("".join(self._other) or self._pending)

    def _read_head(self) -> bool:
        head = _HEAD.match(self._pending)
        if head is None:
            beginning = "".join(self._pending.split())
            long = len(self._pending) > _HEAD_CHARACTERS_MAX or beginning == _HEAD_TEXT
            if long or not _HEAD_TEXT.startswith(beginning):
                self._other.append(self._pending)
            return False
        self._pending = self._pending[head.end() :]
        self._within = True
        return True

    def _read(self) -> str:
        pieces: list[str] = []
        rest, at = self._pending, 0
        while True:
            unescaped = _UNESCAPED.match(rest, at)
            if unescaped is not None and unescaped.end() > at:
                pieces.append(self._release_half() + unescaped[0])
                at = unescaped.end()
            if at == len(rest):
                break
            if rest[at] == '"':
                pieces.append(self._release_half())
                self._over = True
                at = len(rest)
                break
            size, text = self._escape(rest, at + 1)
            if not size:
                break
            pieces.append(text)
            at += 1 + size
        self._pending = rest[at:]
        return "".join(pieces)

    def _escape(self, rest: str, at: int) -> tuple[int, str]:
        """Return the length of the escape after a backslash (0 if it is incomplete) and its
        text."""
        letter = rest[at : at + 1]
        if not letter:
            return 0, ""
        if letter == "u":
            if _UNICODE.match(rest, at):
                return 5, self._unit(rest[at + 1 : at + 5])
            if _UNICODE_BEGUN.fullmatch(rest, at):
                return 0, ""
        # An invalid escape is kept as text, such as a pattern or a path.
        return 1, self._release_half() + _ESCAPES.get(letter, "\\" + letter)

    def _unit(self, digits: str) -> str:
        """Decode a code unit. Two surrogate halves make one character; the first half alone gives
        none yet."""
        code = int(digits, 16)
        if 0xD800 <= code < 0xDC00:
            before, self._high = self._release_half(), digits
            return before
        if 0xDC00 <= code < 0xE000:
            high, self._high = self._high, ""
            if not high:
                return _UNKNOWN
            return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + code - 0xDC00)
        return self._release_half() + chr(code)

    def _release_half(self) -> str:
        """Return the replacement character for a first half without a second."""
        high, self._high = self._high, ""
        return _UNKNOWN if high else ""


def _read_other_form(arguments: str) -> str:
    try:
        value = msgspec.json.decode(arguments)
    except NOT_JSON:
        return arguments
    text = value.get(_ARGUMENT) if isinstance(value, dict) else value
    return text if isinstance(text, str) else arguments
