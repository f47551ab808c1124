"""Convert the content blocks of an answer to neutral events, for whole and streamed answers.

text                    TextDelta; its citations at the end, because they cover all of it
thinking                ReasoningDelta, then its signature as the seal at the end
redacted_thinking       a seal
tool_use                a tool call
image                   a picture
server_tool_use, *_tool_result, ...
    the provider's own: content for a client of the same dialect; others only get the
    citations that result
"""

from typing import Any

from dialects.anthropic.answer.finish_reasons import FINISH_REASONS
from dialects.anthropic.answer.wire import Block, Delta
from dialects.chat import events as neutral
from dialects.chat.open_calls import OpenCalls
from dialects.json.raw_json import ABSENT, as_text, size, value_bytes, value_of

_EMPTY_OBJECT = "{}"


def read_source(
    citation: Any, start: int | None = None, end: int | None = None
) -> neutral.Source | None:
    """Return the source of a citation; None without an address, because positions in a document
    have none.
    """
    if not isinstance(citation, dict):
        return None
    url = as_text(citation.get("url")) or as_text(citation.get("source"))
    if not url:
        return None
    title, quote = as_text(citation.get("title")), as_text(citation.get("cited_text"))
    return neutral.Source(url=url, title=title, start=start, end=end, quote=quote)


class _Open:
    """An open block: its kind, its call index, and what to send when it closes."""

    __slots__ = ("call", "citations", "input", "kind", "signature", "start")

    def __init__(self, kind: str, start: int) -> None:
        self.kind = kind
        self.start = start
        self.call = -1
        self.input: bytes | None = None
        self.signature = ""
        self.citations: list[Any] = []


class BlockReader:
    """Converts blocks to events, one after the other. With `translate`, the events include
    everything that an encoder needs. `answer_tool` is the name of the tool whose input is the
    answer's text, "" without one. After each call `text_bytes` and `reasoning_bytes` count the
    UTF-8 bytes up to now, `characters` those of the text, and `seen` tells whether there was a
    block."""

    def __init__(self, *, translate: bool, answer_tool: str = "") -> None:
        self._translate = translate
        self._answer_tool = answer_tool
        self._open: dict[int, _Open] = {}
        # Missing arguments are an empty object.
        self._open_calls = OpenCalls(unargued=_EMPTY_OBJECT)
        self._calls = 0
        self.characters = 0
        self.finished = False
        self.seen = False
        self.text_bytes = 0
        self.reasoning_bytes = 0

    def open(self, index: int, block: Block, raw: bytes, events: list[neutral.Event]) -> None:
        """Begin a block; `raw` is JSON that shows it to a client of the same dialect."""
        self.close(index, events)
        if self._translate:
            events += self._open_calls.go_on()
        self.seen = True
        kind = block.type or ("text" if block.text else "")
        self._open[index] = opened = _Open(kind, self.characters)
        if kind == "text":
            opened.citations += _list(block.citations)
        elif kind == "thinking":
            opened.signature = block.signature or ""
        elif kind == "redacted_thinking":
            if self._translate and block.data:
                events.append(
                    neutral.ReasoningSeal(0, neutral.Seal("anthropic", block.data, redacted=True))
                )
        elif kind == "tool_use":
            self._open_call(opened, block, events)
        elif not self._translate:
            events.append(neutral.OpaqueDelta(0, raw))
        elif kind == "image":
            _read_image(block, events)
        if block.text:
            self._read_text(block.text, events)
        if block.thinking:
            self._read_thinking(block.thinking, events)

    def add(self, index: int, delta: Delta, events: list[neutral.Event]) -> None:
        """Add a delta to a block."""
        if delta.text:
            self._read_text(delta.text, events)
        elif delta.partial_json:
            self._read_input(index, delta.partial_json, events)
        elif delta.thinking:
            self._read_thinking(delta.thinking, events)
        elif index in self._open:
            opened = self._open[index]
            opened.signature += delta.signature or ""
            if delta.citation is not ABSENT:
                opened.citations.append(value_of(delta.citation))

    def close(self, index: int, events: list[neutral.Event]) -> None:
        """Close a block."""
        opened = self._open.pop(index, None)
        if opened is None:
            return
        if opened.input is not None and opened.input != b"{}":
            self._count_input(opened, opened.input.decode(), events)
        elif opened.input is not None and self._translate and opened.call < 0:
            self._append(opened, _EMPTY_OBJECT, events)
        if not self._translate:
            return
        if opened.call >= 0:
            events += self._open_calls.close(opened.call)
        elif opened.signature:
            events.append(neutral.ReasoningSeal(0, neutral.Seal("anthropic", opened.signature)))
        for citation in opened.citations:
            source = read_source(citation, opened.start, self.characters)
            if source is not None:
                events.append(neutral.Citation(0, source))

    @property
    def open_texts(self) -> list[int]:
        """Return the indices of the open blocks, except tool calls."""
        return [index for index, opened in self._open.items() if opened.kind != "tool_use"]

    def finish(self, word: str, stop_sequence: str, events: list[neutral.Event]) -> None:
        """Record the stop reason, "" for a complete answer without one; a second one is ignored
        (F30)."""
        if self.finished:
            return
        self.finished = True
        for index in list(self._open):
            self.close(index, events)
        reason = FINISH_REASONS.get(word, "stop") if word else self._open_calls.reason
        if self._translate:
            events += self._open_calls.close_all(reason)
        if self._answer_tool and reason == "tool_calls" and not self._calls:
            reason = "stop"
        events.append(neutral.Finish(0, reason, stop_sequence))

    def _open_call(self, opened: _Open, block: Block, events: list[neutral.Event]) -> None:
        name = block.name or ""
        opened.input = value_bytes(block.input) or b"{}"
        if self._answer_tool and name == self._answer_tool:
            return
        opened.call = self._calls
        self._calls += 1
        if self._translate:
            self._open_calls.open(opened.call)
        self.text_bytes += size(name)
        events.append(neutral.ToolCallStart(0, opened.call, block.id or "", name))

    def _read_text(self, text: str, events: list[neutral.Event]) -> None:
        events.append(neutral.TextDelta(0, text))
        self.text_bytes += size(text)
        self.characters += len(text)

    def _read_thinking(self, text: str, events: list[neutral.Event]) -> None:
        events.append(neutral.ReasoningDelta(0, text))
        self.reasoning_bytes += size(text)

    def _read_input(self, index: int, text: str, events: list[neutral.Event]) -> None:
        """Read a piece of a tool's input; the input of server tools is only counted."""
        opened = self._open.get(index)
        if opened is None or opened.kind != "tool_use":
            self.text_bytes += size(text)
            return
        opened.input = None
        self._count_input(opened, text, events)

    def _count_input(self, opened: _Open, text: str, events: list[neutral.Event]) -> None:
        self.text_bytes += size(text)
        self._append(opened, text, events)

    def _append(self, opened: _Open, text: str, events: list[neutral.Event]) -> None:
        if opened.call >= 0:
            self._open_calls.add(opened.call, text)
            events.append(neutral.ToolArgumentsDelta(0, opened.call, text))
        else:
            events.append(neutral.TextDelta(0, text))
            self.characters += len(text)


def _read_image(block: Block, events: list[neutral.Event]) -> None:
    source = value_of(block.source)
    if not isinstance(source, dict):
        return
    data, media_type = as_text(source.get("data")), as_text(source.get("media_type"))
    url = "" if data else as_text(source.get("url"))
    if data or url:
        events.append(neutral.ImageOutput(0, media_type, data, url))


def _list(raw: Any) -> list[Any]:
    value = value_of(raw)
    return value if isinstance(value, list) else []
