"""Bodies as they may be stored: texts without what the rules find, media by reference.

Every text of a body is looked at: strings, the names of members, long numbers, and JSON inside
strings. Words that an API's own form consists of stay as they are, so that what is stored can be
read as a conversation whatever words a rule forbids.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from content.guards.guard import Checked, Held, Looking, check
from content.guards.masks import Masks
from content.guards.rules import GuardRule
from content.log.kept import BEFORE_CHARACTERS, Pieces, Span
from content.log.media import describe_binary, is_digest, media_of, text_of_media


class _Piece(NamedTuple):
    """What is looked at in place of a text that was cut. `before` is the text that it goes on from,
    None if nothing that is masked goes on in it; its spans `left_out` are not stored. `ends`:
    nothing of it waits for more."""

    text: str
    before: str | None = None
    ends: bool = True
    left_out: Sequence[Span] = ()


CutTexts = Mapping[str, deque[_Piece]]
"""The texts that were cut, each with what is looked at in place of it: once for each time that the
text occurs."""
_CheckText = Callable[[_Piece], str]

_UNCUT: Final[CutTexts] = MappingProxyType({})
# What stands for what is not stored between two pieces of a text.
_GAP: Final = "…"
# What separates texts that are looked at together. No guard finds a text that contains it.
_SEPARATOR: Final = "\0"
_LONG_NUMBER: Final = 10**6
# How often JSON is quoted in JSON, at most, where it cannot be read.
_QUOTED_MAX: Final = 8
# How JSON inside a string begins. A number alone is checked as the text that it is.
_OPENING: Final = frozenset('{["')
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
# The members whose values are words of the API, and the words.
_NAMING: Final = frozenset(
    {"type", "role", "object", "status", "finish_reason", "stop_reason", "finishReason"}
)
_API_WORDS: Final = frozenset({
    "answer", "args", "arguments", "assistant", "audio", "audio_url", "base64", "blocked", "body",
    "bytes", "candidates", "chat.completion", "choices", "completed", "completion", "content",
    "content_block", "content_filter", "contents", "custom", "custom_tool_call",
    "custom_tool_call_output", "data", "delta", "developer", "document", "encrypted_content",
    "end_turn", "error", "event", "failed", "file", "file_data", "file_id", "file_url",
    "fileData", "filename", "format", "function", "function_call", "function_call_output",
    "functionCall", "functionResponse", "functions", "generationConfig", "id", "image",
    "image_url", "in_progress", "incomplete", "index", "inline_data", "inlineData", "input",
    "input_audio", "input_file", "input_image", "input_text", "instructions", "interaction",
    "items", "json", "json_schema", "length", "max_tokens", "media_type", "message", "messages",
    "metadata", "mime_type", "mimeType", "model", "model_output", "name", "object", "output",
    "output_text", "parameters", "parts", "prompt", "properties", "reasoning",
    "redacted_thinking", "refusal", "required", "response", "result", "results", "role", "schema",
    "signature", "source", "status", "stop", "stream", "summary", "summary_text", "system",
    "system_instruction", "systemInstruction", "text", "text_completion", "thinking", "thought",
    "thought_signature", "thoughtSignature", "tool", "tool_call_id", "tool_calls", "tool_choice",
    "tool_result", "tool_use", "tool_use_id", "toolConfig", "toolResult", "tools", "toolUse",
    "toolUseId", "type", "uri", "url", "usage", "usageMetadata", "user", "video",
})  # fmt: skip


class Unredactable(Exception):
    """What a body contains cannot be known with certainty, so it is not stored."""


def redacting_rules(rules: Sequence[GuardRule], guards: Sequence[str]) -> tuple[GuardRule, ...]:
    """Return what is masked before it is stored: what these rules mask or refuse, and what these
    guards find."""
    mask = [one for one in rules if one.action != "flag"]
    changed = [msgspec.structs.replace(one, action="mask", places=["request"]) for one in mask]
    return (*changed, *(GuardRule(name, {}, ["request"], "mask", name) for name in guards))


class Redaction:
    """Redacts the bodies and texts of one entry. The same text has the same placeholder in all."""

    def __init__(self, rules: Sequence[GuardRule], known: Mapping[str, str]) -> None:
        """`known` are texts that were masked already, by their placeholders."""
        self._rules = rules
        longest_first = sorted(known.items(), key=lambda one: -len(one[1]))
        self._known = {text: placeholder for placeholder, text in longest_first if text}
        self._masks = Masks()
        for placeholder in known:
            self._masks.reserve(placeholder)

    def reserve(self, text: str) -> None:
        """Use no placeholder again that is in this text."""
        self._masks.reserve(text)

    def cut_texts(self, cut: Iterable[Pieces]) -> CutTexts:
        """Return the texts that were cut, for the bodies of an entry in their order."""
        texts = dict[str, deque[_Piece]]()
        for pieces in cut:
            for text, piece in zip(pieces.texts, self._pieces(pieces), strict=True):
                texts.setdefault(text, deque()).append(piece)
        return texts

    def _pieces(self, cut: Pieces) -> list[_Piece]:
        """Return the pieces of a text, the first with what an earlier entry did not store of it,
        the last without what waits. Where something to mask goes on from one piece to the next,
        they are looked at one after the other, and what waits is stored with a later one."""
        masks, rules, whole = Masks(), self._rules, "".join(cut.texts)
        masks.reserve(cut.before + whole)
        resumed = _resume(cut.before, cut.left_out, rules, masks)
        held, waited = resumed.held, cut.before[resumed.begin :]
        first = _without(resumed.left_out, waited + cut.texts[0], {})
        texts = [first, *cut.texts[1:]]
        stored = resumed.join([held.feed(text) for text in cut.texts], ends=cut.ends)
        if waits := len(held.waiting):
            texts[-1] = texts[-1][:-waits]
        apart = "".join(check(rules, "request", text, masks).text for text in texts)
        # An escape hides what is next to it.
        if stored == apart and "\\" not in whole:
            return [_Piece(text) for text in texts]
        last, befores = len(cut.texts) - 1, accumulate(cut.texts, initial=cut.before)
        pieces = list[_Piece]()
        for at, (text, before) in enumerate(zip(cut.texts, befores, strict=False)):
            left_out = _after(max(len(before) - BEFORE_CHARACTERS, 0), cut.left_out)
            ends = cut.ends and at == last
            pieces.append(_Piece(text, before[-BEFORE_CHARACTERS:], ends, left_out))
        return pieces

    def body(self, raw: bytes, content_type: str, cut: CutTexts = _UNCUT) -> bytes:
        """Return a body to store. `cut` are those of its texts that were cut (`cut_texts`). Raises
        Unredactable."""
        if not raw:
            return raw
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            return describe_binary(content_type, len(raw), sha256(raw).hexdigest())
        try:
            value = _read_json(text)
        except ValueError:
            return self.text(text).encode()
        except RecursionError:
            raise Unredactable("it is nested too deeply") from None
        self._masks.reserve(text)
        return _write_json(self._redacted(value, cut))

    def text(self, text: str) -> str:
        """Return a text to store."""
        self._masks.reserve(text)
        redacted = self._redacted(text)
        return redacted if isinstance(redacted, str) else text

    def _redacted(self, value: Any, cut: CutTexts = _UNCUT) -> Any:
        """Most bodies contain nothing to mask: all their texts are looked at together first."""
        texts = list[str]()

        def collect(piece: _Piece) -> str:
            texts.append(piece.text)
            return piece.text

        try:
            if not cut:
                plain = _Walk(collect, cut).value("", value, {})
                if not self._finds(_SEPARATOR.join(texts)):
                    return plain
            return _Walk(self._check, cut).value("", value, {})
        except RecursionError:
            raise Unredactable("it is nested too deeply") from None

    def _finds(self, text: str) -> bool:
        if any(known in text for known in self._known):
            return True
        return bool(check(self._rules, "request", text, Masks()).masked)

    def _check(self, piece: _Piece) -> str:
        text = piece.text
        for known, placeholder in self._known.items():
            text = text.replace(known, placeholder)
        if piece.before is not None:
            # What waits for more text is not stored.
            self._masks.reserve(piece.before)
            resumed = _resume(piece.before, piece.left_out, self._rules, self._masks)
            return resumed.join([resumed.held.feed(text)], ends=piece.ends)
        return check(self._rules, "request", text, self._masks).text


class _Resumed(NamedTuple):
    """What looks at the text that goes on from another one. From `begin` on, no earlier entry has
    stored the other one. `released` is what may be stored of it by now, `left_out` are the spans
    that are not, in positions from `begin` on."""

    held: Held
    begin: int
    released: Sequence[Checked]
    left_out: Sequence[Span]

    def join(self, further: Sequence[Checked], *, ends: bool) -> str:
        """Return what is stored once `further` is released, with all that waits if nothing
        follows."""
        released = [*self.released, *further]
        if ends:
            released.append(self.held.end())
        masked = {key: value for one in released for key, value in one.masked.items()}
        return _without(self.left_out, "".join([one.text for one in released]), masked)


def _resume(
    before: str, left_out: Sequence[Span], rules: Sequence[GuardRule], masks: Masks
) -> _Resumed:
    """Return what looks at the text that follows `before`. The entry before has stored `before` up
    to its own end, but not what waited there."""
    held, end = Held(Looking(rules, "request"), masks), len(before)
    if left_out and left_out[-1][1] == end:
        end = left_out[-1][0]
    held.feed(before[:end])
    begin = end - len(held.waiting)
    released = [held.feed(before[end:])]
    return _Resumed(held, begin, released, _after(begin, left_out))


def _after(begin: int, spans: Sequence[Span]) -> list[Span]:
    """Return what is behind a position of these spans, in positions from there on."""
    return [(max(one - begin, 0), other - begin) for one, other in spans if other > begin]


def _without(left_out: Sequence[Span], text: str, masked: Mapping[str, str]) -> str:
    """Return a text without these spans, whose positions are those before anything was `masked`.
    What is masked across the end of a span stays masked as a whole."""
    if not left_out:
        return text
    stored, position, at, gap = list[str](), 0, 0, False
    while position < left_out[-1][1] and at < len(text):
        placeholder = next((one for one in masked if text.startswith(one, at)), "")
        piece = placeholder or text[at]
        end = position + len(masked.get(placeholder, piece))
        if any(one <= position and end <= other for one, other in left_out):
            gap = bool(stored)
        else:
            stored += [_GAP, piece] if gap else [piece]
            gap = False
        position, at = end, at + len(piece)
    rest = text[at:]
    return "".join(stored) + (_GAP if gap and rest else "") + rest


class _Walk:
    """One pass over a value."""

    def __init__(self, check: _CheckText, cut: CutTexts) -> None:
        self._check = check
        self._cut = cut

    def value(self, name: str, value: Any, around: Mapping[str, Any]) -> Any:
        """Return the value of a member of `around`."""
        if isinstance(value, str):
            return self._string(name, value, around)
        if isinstance(value, dict):
            return {
                self._name(inner): self.value(inner, item, value) for inner, item in value.items()
            }
        if isinstance(value, list):
            return [self.value(name, item, around) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(value)
        return value

    def _name(self, name: str) -> str:
        return name if name in _API_WORDS else self._text(name)

    def _string(self, name: str, text: str, around: Mapping[str, Any]) -> str:
        if (name in _NAMING and text in _API_WORDS) or (name == "sha256" and is_digest(text)):
            return text
        media = media_of(name, text, around)
        if media is None:
            return self._text(text)
        inside = text_of_media(media)
        return media.reference() if inside is None else media.with_text(self._text(inside))

    def _text(self, text: str) -> str:
        piece = self._piece(text)
        text = piece.text
        if text.lstrip()[:1] in _OPENING:
            text = self._json(text)
        result = checked = self._check(piece._replace(text=text))
        again = piece._replace(before=None if piece.before is None else "", left_out=())
        # JSON that broke off, or that is quoted within a text, maybe more than once: an escape
        # hides what is next to it.
        for _ in range(_QUOTED_MAX):
            if "\\" not in checked:
                break
            unescaped = _ESCAPE.sub(_unescape, checked)
            checked = self._check(again._replace(text=unescaped))
            if checked != unescaped:
                result = checked
        return result

    def _piece(self, text: str) -> _Piece:
        pieces = self._cut.get(text)
        if pieces is None:
            return _Piece(text)
        return pieces.popleft() if len(pieces) > 1 else pieces[0]

    def _json(self, text: str) -> str:
        """Return JSON inside a string. It stays as it is written if nothing in it changes."""
        try:
            value = _read_json(text)
        except ValueError:
            return text
        changed = self.value("", value, {})
        return text if changed == value else _write_json(changed).decode()

    def _number(self, number: float) -> float | str:
        if not _LONG_NUMBER <= abs(number) < float("inf"):
            return number
        text = str(abs(int(number)))
        checked = self._check(_Piece(text))
        return number if checked == text else checked


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return _ESCAPED.get(match[2], match[2])


def _read_json(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError, RecursionError."""
    try:
        return msgspec.json.decode(text)
    except ValueError:
        # Numbers that are none, and halves of surrogate pairs.
        return json.loads(text)


def _write_json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except ValueError:
        return json.dumps(value, separators=(",", ":")).encode()
