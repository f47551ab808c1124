"""Neutral events of an answer to frames of HTML that htmx puts into the page.

A frame is a handful of ``<hx-partial>``: text is appended, escaped, to the open block; a closed
block is replaced by its sanitised HTML. htmx looks up every target of a frame before it changes
anything, so no part of a frame has a target that another part of it makes.

Nothing that an upstream says can name a target, an event or an attribute: targets are made here
from the message's id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.codecs.events import (
    AudioDelta,
    Event,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
)
from playground.rules.blocks import BlockEvent, BlockSplitter, Grown, Opened
from playground.rules.markdown import (
    Growth,
    MarkdownWords,
    begins_block,
    block_id,
    closed_html,
    escape_text,
    open_html,
    piece_html,
    render_block,
    text_id,
)


@dataclass(frozen=True, slots=True)
class AnswerWords:
    """What stands around an answer while it grows; `chevron` is ready HTML."""

    thinking: str = "Thinking…"
    chevron: str = ""
    markdown: MarkdownWords = field(default_factory=MarkdownWords)


@dataclass(frozen=True, slots=True)
class Frame:
    """What the page shows next, and the pieces of text and reasoning that are in it; `wire` is what
    came."""

    html: str
    text: str = ""
    reasoning: str = ""
    wire: str = ""


class AnswerPainter:
    """Paints one answer. `paint` takes the events since the last frame, `end` closes the text."""

    def __init__(self, message: str, words: AnswerWords) -> None:
        self._message = message
        self._words = words
        self._splitter = BlockSplitter(begins_block)
        self._growth = Growth()
        self._begun = False
        self._reasoned = False

    def paint(self, events: Sequence[Event]) -> Frame:
        """The next frame; its HTML is "" when nothing is to be seen yet."""
        text, reasoning = "", ""
        for event in events:
            # The page asks for one choice; what others an upstream sends are not shown.
            if isinstance(event, (TextDelta, RefusalDelta)) and event.choice == 0:
                text += storable(event.text)
            elif isinstance(event, AudioDelta) and event.choice == 0:
                text += storable(event.transcript)
            elif isinstance(event, ReasoningDelta) and event.choice == 0:
                reasoning += storable(event.text)
        html = self._reasoning(reasoning) + self._blocks(self._splitter.feed(text))
        return Frame(html + self._calls(events), text, reasoning)

    def end(self) -> Frame:
        """The last frame of the text: what is open is closed."""
        return Frame(self._blocks(self._splitter.end()))

    def _reasoning(self, text: str) -> str:
        if not text:
            return ""
        message = self._message
        if self._reasoned:
            return partial(f"think-text-{message}", escape_text(text))
        self._reasoned = True
        html = reasoning_html(self._words.thinking, text, self._words.chevron, message)
        return partial(f"think-{message}", html, "innerHTML")

    def _calls(self, events: Iterable[Event]) -> str:
        """Calls of tools as they are written: text, until the end shows them whole."""
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
        message, words = self._message, self._words.markdown
        html = ""
        fresh: Opened | None = None  # opened in this very frame, and not shown yet
        grown = ""  # a block that closes within the frame needs no growing before
        for event in events:
            if isinstance(event, Opened):
                fresh, grown = event, ""
                self._growth = Growth()
            elif isinstance(event, Grown):
                grown += event.text
            elif fresh is not None:
                html += self._append(closed_html(event, words, message))
                fresh, grown = None, ""
            else:
                inside = render_block(event.source, words, f"code-{message}-{event.number}")
                html += partial(block_id(message, event.number), inside, "innerHTML")
                grown = ""
        if fresh is not None:
            html += self._append(open_html(fresh, self._growth, grown, message))
        elif grown:
            html += self._grow(self._splitter.number, grown)
        return html

    def _grow(self, number: int, text: str) -> str:
        """More text for the open block: to its last piece, and to new ones behind it."""
        last, target = self._growth.shown, text_id(self._message, number)
        html = ""
        for piece, part in self._growth.grow(text):
            if piece == last:
                html += partial(f"{target}-{piece}", escape_text(part))
            else:
                html += partial(target, piece_html(self._message, number, piece, part))
        return html

    def _append(self, block: str) -> str:
        before = "" if self._begun else partial(f"wait-{self._message}", "", "delete")
        self._begun = True
        return before + partial(f"blocks-{self._message}", block)


def reasoning_html(head: str, text: str, chevron: str, message: str) -> str:
    """The collapsed block of a model's reasoning."""
    return (
        f'<details class="reasoning"><summary>{chevron}'
        f'<span id="think-head-{message}">{escape_text(head)}</span></summary>'
        f'<div id="think-text-{message}" hx-ignore>{escape_text(text)}</div></details>'
    )


def growing_call_html(message: str, index: int, name: str, text: str) -> str:
    """A call of a tool whose arguments are being written."""
    return (
        f'<section class="call" data-growing><h3><code>{escape_text(storable(name))}</code></h3>'
        f'<pre id="args-{message}-{index}">{escape_text(storable(text))}</pre></section>'
    )


def partial(target: str, html: str, swap: str = "beforeend") -> str:
    """One change of the page: `html` to the element of that id."""
    return f'<hx-partial hx-target="#{target}" hx-swap="{swap}">{html}</hx-partial>'


def server_sent(data: str, *, id: str | None = None) -> str:
    """One message of an event stream."""
    head = "" if id is None else f"id: {id}\n"
    return head + "".join(f"data: {line}\n" for line in data.split("\n")) + "\n"


def storable(text: str) -> str:
    """Text as a database and a page can hold it: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
