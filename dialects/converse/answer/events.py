"""Convert the content blocks of an answer to neutral events, for whole and streamed answers.

text                TextDelta
citationsContent    TextDelta and its citations
reasoningContent    ReasoningDelta; signatures are left out, as no model but Claude needs them
                    back, and Claude is asked in its own dialect
toolUse             a tool call
image               a picture
"""

from dialects.chat import events as neutral
from dialects.chat.open_calls import OpenCalls
from dialects.converse.answer.finish_reasons import FINISH_REASONS
from dialects.converse.answer.wire import Block, Citation, Image, ToolUse
from dialects.json.raw_json import size, value_bytes, value_of

_EMPTY_OBJECT = "{}"


class BlockReader:
    """Converts blocks to events, one after the other. After each call `text_bytes` and
    `reasoning_bytes` count the UTF-8 bytes so far, and `seen` tells whether there was a block.
    """

    def __init__(self) -> None:
        self._calls = 0
        # The open tool calls by the index of their block.
        self._open: dict[int, int] = {}
        self._open_calls = OpenCalls(unargued=_EMPTY_OBJECT)
        self._characters = 0
        self.seen = 0
        self.finished = False
        self.text_bytes = 0
        self.reasoning_bytes = 0

    def whole(self, index: int, block: Block, events: list[neutral.Event]) -> None:
        """Read a block of a whole answer."""
        self.open(index, block, events)
        if block.citations_content is not None:
            content = block.citations_content
            began = self._characters
            for piece in content.content or []:
                self._text(piece.text or "", events)
            for citation in content.citations or []:
                self._cite(citation, began, events)
        if block.tool_use is None:
            self.add(index, block, events)
        else:
            arguments = value_bytes(block.tool_use.input) or b"{}"
            self._arguments(index, arguments.decode(), events)
        self.close(index, events)

    def open(self, index: int, block: Block, events: list[neutral.Event]) -> None:
        """Begin a block."""
        self.close(index, events)
        events += self._open_calls.go_on()
        self.seen = 1
        if block.tool_use is not None:
            self._open_call(index, block.tool_use, events)

    def add(self, index: int, delta: Block, events: list[neutral.Event]) -> None:
        """Add a delta to a block."""
        self.seen = 1
        if delta.text:
            self._text(delta.text, events)
        if delta.tool_use is not None:
            self._arguments(index, str(value_of(delta.tool_use.input) or ""), events)
        if delta.reasoning_content is not None:
            reasoning = delta.reasoning_content
            whole = reasoning.reasoning_text
            self._reasoning(reasoning.text or (whole.text if whole else None) or "", events)
        if delta.citation is not None:
            self._cite(delta.citation, None, events)
        if delta.image is not None:
            _read_image(delta.image, events)

    def close(self, index: int, events: list[neutral.Event]) -> None:
        """Close a block."""
        call = self._open.pop(index, None)
        if call is not None:
            events += self._open_calls.close(call)

    def finish(self, word: str, events: list[neutral.Event]) -> None:
        """Record the stop reason, "" for a complete answer without one; a second one is ignored
        (F30)."""
        if self.finished:
            return
        self.finished = True
        reason = FINISH_REASONS.get(word, "stop") if word else self._open_calls.reason
        self._open.clear()
        events += self._open_calls.close_all(reason)
        events.append(neutral.Finish(0, reason))

    def _open_call(self, index: int, use: ToolUse, events: list[neutral.Event]) -> None:
        name = use.name or ""
        self._open[index] = self._calls
        self._open_calls.open(self._calls)
        self.text_bytes += size(name)
        events.append(neutral.ToolCallStart(0, self._calls, use.tool_use_id or "", name))
        self._calls += 1

    def _arguments(self, index: int, text: str, events: list[neutral.Event]) -> None:
        self.text_bytes += size(text)
        call = self._open.get(index)
        if call is not None and text:
            self._open_calls.add(call, text)
            events.append(neutral.ToolArgumentsDelta(0, call, text))

    def _text(self, text: str, events: list[neutral.Event]) -> None:
        if text:
            events.append(neutral.TextDelta(0, text))
            self.text_bytes += size(text)
            self._characters += len(text)

    def _reasoning(self, text: str, events: list[neutral.Event]) -> None:
        if text:
            events.append(neutral.ReasoningDelta(0, text))
            self.reasoning_bytes += size(text)

    def _cite(self, citation: Citation, began: int | None, events: list[neutral.Event]) -> None:
        """Add the source of a citation. A source in a document has no address."""
        if citation.source and citation.source.startswith(("https://", "http://")):
            quote = "".join(piece.text or "" for piece in citation.source_content or [])
            end = None if began is None else self._characters
            source = neutral.Source(citation.source, citation.title or "", began, end, quote)
            events.append(neutral.Citation(0, source))


def _read_image(image: Image, events: list[neutral.Event]) -> None:
    if image.source is not None and image.source.bytes:
        media_type = f"image/{image.format or 'png'}"
        events.append(neutral.ImageOutput(0, media_type, image.source.bytes))
