"""Converts neutral events of an answer to frames of HTML that htmx puts into the page.

A frame has several ``<hx-partial>`` elements, which the page applies one by one
(static/js/stream.js). Escaped text is appended to the open block; complete blocks are sanitised
HTML.

Upstream data cannot set a target, an event or an attribute: targets are built here from the
message's id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dialects.chat.events import (
    AudioDelta,
    Event,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
)
from playground.rendering.block_splitter import BlockEvent, Closed, Opened
from playground.rendering.html_changes import CHANGE_CHARACTERS, partial
from playground.rendering.markdown import (
    STRETCH,
    MarkdownLabels,
    closed_html,
    escape_text,
    splitter_of,
    stretch,
)
from playground.rendering.open_block import GrowingBlock, Prose, open_block


@dataclass(frozen=True, slots=True)
class AnswerLabels:
    """Labels around a growing answer. `chevron` is ready HTML."""

    thinking: str = "Thinking…"
    chevron: str = ""
    markdown: MarkdownLabels = field(default_factory=MarkdownLabels)


@dataclass(frozen=True, slots=True)
class Frame:
    """The next piece of the page, with its text and reasoning. `wire` is the received data."""

    html: str
    text: str = ""
    reasoning: str = ""
    wire: str = ""


class AnswerPainter:
    """Renders one answer; a `structured` answer as JSON. `paint` takes the events since the last
    frame, `end` closes the text."""

    def __init__(self, message: str, labels: AnswerLabels, *, structured: bool = False) -> None:
        self._message = message
        self._labels = labels
        self._splitter = splitter_of(structured=structured)
        self._block: GrowingBlock | None = None
        self._thought = Prose(f"think-text-{message}")
        self._begun = False
        self._reasoned = False

    def paint(self, events: Sequence[Event]) -> Frame:
        """Return the next frame. Its HTML is "" if there is nothing to show yet."""
        text, reasoning = "", ""
        for event in events:
            # The page requests one choice; further ones from an upstream are not shown here.
            if isinstance(event, (TextDelta, RefusalDelta)) and event.choice == 0:
                text += storable(event.text)
            elif isinstance(event, AudioDelta) and event.choice == 0:
                text += storable(event.transcript)
            elif isinstance(event, ReasoningDelta) and event.choice == 0:
                reasoning += storable(event.text)
        html = self._reasoning(reasoning) + self._blocks(self._splitter.feed(text))
        return Frame(html + self._calls(events), text, reasoning)

    def end(self) -> Frame:
        """Return the last frame of the text, with the open block closed."""
        return Frame(self._blocks(self._splitter.end()))

    def _reasoning(self, text: str) -> str:
        if not text:
            return ""
        before = ""
        if not self._reasoned:
            self._reasoned = True
            empty = reasoning_html(self._labels.thinking, "", self._labels.chevron, self._message)
            before = partial(f"think-{self._message}", empty, "innerHTML")
        self._thought.grow(text)
        return before + self._thought.changes()

    def _calls(self, events: Iterable[Event]) -> str:
        """Return tool calls in progress as plain text. The end of the answer shows them in full."""
        opened: dict[int, tuple[str, str]] = {}
        grown: dict[int, str] = {}
        for event in events:
            if isinstance(event, ToolCallStart) and event.choice == 0:
                opened[event.index] = (event.name, "")
            elif isinstance(event, ToolArgumentsDelta) and event.choice == 0:
                if event.index in opened:
                    name, text = opened[event.index]
                    opened[event.index] = (name, text + event.text)
                else:
                    grown[event.index] = grown.get(event.index, "") + event.text
        message = self._message
        html = "".join(
            partial(f"args-{message}-{index}", escape_text(storable(text)))
            for index, text in grown.items()
        )
        cards = "".join(
            growing_call_html(message, index, name, text) for index, (name, text) in opened.items()
        )
        if not cards:
            return html
        waits = "" if self._begun else partial(f"wait-{message}", "", "delete")
        self._begun = True
        return html + waits + partial(f"tools-{message}", cards)

    def _blocks(self, events: Iterable[BlockEvent]) -> str:
        html = ""
        fresh = False  # the open block began in this frame
        for event in events:
            if isinstance(event, Opened):
                self._block, fresh = open_block(event, self._labels.markdown, self._message), True
            elif self._block is None:
                continue
            elif isinstance(event, Closed):
                html += self._close(self._block, event, fresh)
                self._block, fresh = None, False
            else:
                self._block.take(event)
        if self._block is not None:
            html += self._append(self._block.opened.number, self._block.empty()) if fresh else ""
            html += self._block.changes()
        return html

    def _close(self, block: GrowingBlock, closed: Closed, fresh: bool) -> str:
        if not fresh:
            return block.closing_changes(closed.source)
        if len(closed.source) < CHANGE_CHARACTERS:
            html = closed_html(closed, self._labels.markdown, self._message)
            return self._append(closed.number, html)
        begun = self._append(closed.number, block.empty())
        return begun + block.changes() + block.closing_changes(closed.source)

    def _append(self, number: int, block: str) -> str:
        before = "" if self._begun else partial(f"wait-{self._message}", "", "delete")
        self._begun = True
        place = f"blocks-{self._message}"
        if number % STRETCH == 0:
            return before + partial(place, stretch(block))
        return before + partial(f"{place}>:nth-child({number // STRETCH + 1})", block)


def reasoning_html(head: str, text: str, chevron: str, message: str) -> str:
    """Return the collapsed block of a model's reasoning."""
    pieces = Prose("")
    pieces.grow(text)
    return (
        f'<details class="reasoning"><summary>{chevron}'
        f'<span id="think-head-{message}">{escape_text(head)}</span></summary>'
        f'<div id="think-text-{message}">{pieces.html()}</div></details>'
    )


def growing_call_html(message: str, index: int, name: str, text: str) -> str:
    """Return a tool call whose arguments are still being written."""
    return (
        f'<section class="call"><h3><code>{escape_text(storable(name))}</code></h3>'
        f'<pre id="args-{message}-{index}" hx-ignore>{escape_text(storable(text))}</pre></section>'
    )


def storable(text: str) -> str:
    """Return text that a database and a page can hold: without NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
