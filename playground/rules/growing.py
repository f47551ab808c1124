"""The open block of an answer, as a page shows it: what is complete is drawn, the rest is text.

Of a list every item but the last is complete, of a table every whole row; of anything else nothing
is before its end. What is drawn stays as it is: to close a block is to draw what is still text.
Only where the end shows that a part was drawn wrongly is the block drawn anew.

Text and code grow in pieces, because a browser lays a run of text out anew whenever it grows.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Final

from playground.rules.blocks import BlockSplitter, Closed, Grown, Opened, Parted
from playground.rules.markdown import (
    PIECE_LINES,
    MarkdownWords,
    begins_block,
    block_id,
    closed_html,
    end_of_prose,
    escape_text,
    in_stretches,
    open_figure,
    piece_of_text,
    pieces_in_figure,
    pieces_in_paragraph,
    render_block,
)

CHANGE_CHARACTERS: Final = 4_000
"""A change of a page is cut when its HTML is longer, where it can be: see static/js/stream.js."""


def partial(target: str, html: str, swap: str = "beforeend") -> str:
    """One change of the page: `html` to the element that `target`, a selector that begins with an
    id, names."""
    return f'<hx-partial hx-target="#{target}" hx-swap="{swap}">{html}</hx-partial>'


def render_so_far(text: str, words: MarkdownWords, message: str) -> str:
    """An answer that is being written: what a page shows that has applied every change so far."""
    html: list[str] = []
    growing: GrowingBlock | None = None
    for event in BlockSplitter(begins_block).feed(text):
        if isinstance(event, Opened):
            growing = open_block(event, words, message)
        elif isinstance(event, Closed):
            html.append(closed_html(event, words, message))
            growing = None
        elif growing is not None:
            growing.take(event)
    if growing is not None:
        html.append(growing.html())
    return in_stretches(html)


class Pieces(ABC):
    """Text that grows inside the element `place`, each piece in an element of its own. At first
    there is one that is empty.

    Where it is cut depends on the text alone, not on how it came.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._texts = [""]
        self._shown = 1  # how many pieces the page has
        self._shown_of_last = 0  # and how many characters of the last one of them

    @abstractmethod
    def _end(self, piece: str, text: str, start: int) -> int:
        """Where in `text`, taken from `start` on, the piece that has begun is full; 0 = nowhere."""

    @abstractmethod
    def _element(self, html: str) -> str:
        """A piece as HTML."""

    def grow(self, text: str) -> None:
        start = 0
        while end := self._end(self._texts[-1], text, start):
            self._texts[-1] += text[start:end]
            self._texts.append("")
            start = end
        self._texts[-1] += text[start:]

    def html(self) -> str:
        """All of it."""
        return "".join(self._element(escape_text(text)) for text in self._filled())

    def changes(self) -> str:
        """What is new since the page was told of this text the last time."""
        more = self._texts[self._shown - 1][self._shown_of_last :]
        changes = partial(self._selector(self._shown), escape_text(more)) if more else ""
        fresh = [self._element(escape_text(text)) for text in self._filled()[self._shown :]]
        changes += "".join(partial(self._place, html) for html in in_changes(fresh))
        self.all_shown()
        return changes

    def all_shown(self) -> None:
        """The page has all of it."""
        self._shown, self._shown_of_last = len(self), len(self._filled()[-1])

    def replaced_by(self, pieces: list[str]) -> str:
        """The same pieces in other words."""
        return "".join(
            partial(self._selector(number), html, "innerHTML")
            for number, (text, html) in enumerate(zip(self._filled(), pieces, strict=True), 1)
            if html != escape_text(text)
        )

    def __len__(self) -> int:
        return len(self._filled())

    def _filled(self) -> list[str]:
        return self._texts if len(self._texts) == 1 or self._texts[-1] else self._texts[:-1]

    def _selector(self, number: int) -> str:
        return f"{self._place}>:nth-child({number})"


class Prose(Pieces):
    """A piece is as long as in a closed paragraph."""

    def _end(self, piece: str, text: str, start: int) -> int:
        return end_of_prose(len(piece), text, start)

    def _element(self, html: str) -> str:
        return f"<span>{html}</span>"


class Code(Pieces):
    """A piece is 40 lines, as in a closed block."""

    def _end(self, piece: str, text: str, start: int) -> int:
        end = start - 1
        for _ in range(PIECE_LINES - piece.count("\n")):
            end = text.find("\n", end + 1)
            if end < 0:
                return 0
        return end + 1

    def _element(self, html: str) -> str:
        return piece_of_text(html)


class GrowingBlock(ABC):
    """One open block. A page that comes has `html`; one that sees it begin has `empty`, then every
    `changes`, and at last those of `closing`."""

    def __init__(self, opened: Opened, words: MarkdownWords, message: str) -> None:
        self.opened = opened
        self._message = message
        self._words = words
        self._block = block_id(message, opened.number)
        self._code_ids = f"code-{message}-{opened.number}"

    @abstractmethod
    def take(self, event: Grown | Parted) -> None:
        """The block goes on."""

    def empty(self) -> str:
        """The block before its first text."""
        return type(self)(self.opened, self._words, self._message).html()

    @abstractmethod
    def html(self) -> str:
        """The whole block, as it is now."""

    @abstractmethod
    def changes(self) -> str:
        """What is new since the last time."""

    def closing(self, source: str) -> str:
        """The changes that close the block."""
        whole = render_block(source, self._words, self._code_ids)
        changes = self._closing(whole)
        return partial(self._block, whole, "innerHTML") if changes is None else changes

    @abstractmethod
    def _closing(self, whole: str) -> str | None:
        """The changes to `whole`; None where there is no way but to draw it anew."""

    def _in_block(self, inside: str) -> str:
        return f'<div id="{self._block}" data-b="{self.opened.number}">{inside}</div>'


def open_block(opened: Opened, words: MarkdownWords, message: str) -> GrowingBlock:
    """A block that begins."""
    return (_GrowingCode if opened.kind == "code" else _GrowingText)(opened, words, message)


class _GrowingCode(GrowingBlock):
    def __init__(self, opened: Opened, words: MarkdownWords, message: str) -> None:
        super().__init__(opened, words, message)
        self._code = Code(f"{self._block}>figure>pre>code")

    def take(self, event: Grown | Parted) -> None:
        if isinstance(event, Grown):
            self._code.grow(event.text)

    def html(self) -> str:
        return self._in_block(self._figure(self._code.html()))

    def changes(self) -> str:
        return self._code.changes()

    def _closing(self, whole: str) -> str | None:
        around, pieces = pieces_in_figure(whole)
        if around != self._figure("") or len(pieces) != len(self._code):
            return None
        return self._code.changes() + self._code.replaced_by(pieces)

    def _figure(self, pieces: str) -> str:
        return open_figure(self.opened.language, pieces, self._words, self._code_ids)


class _GrowingText(GrowingBlock):
    """Anything but code: its parts, then the text behind them."""

    def __init__(self, opened: Opened, words: MarkdownWords, message: str) -> None:
        super().__init__(opened, words, message)
        self._place = f"text-{message}-{opened.number}"
        self._text = Prose(self._place)
        self._text_anew = False
        self._parts = _Parts(self._block, words, self._code_ids, is_table=opened.kind == "table")

    def take(self, event: Grown | Parted) -> None:
        if isinstance(event, Grown):
            self._text.grow(event.text)
        elif self._parts.add(event):
            self._text, self._text_anew = Prose(self._place), True

    def html(self) -> str:
        return self._in_block(
            f'{self._parts.html()}<pre id="{self._place}" data-open'
            f' data-kind="{self.opened.kind}">{self._text.html()}</pre>'
        )

    def changes(self) -> str:
        parts = self._parts.changes()
        if not self._text_anew:
            return parts + self._text.changes()
        self._text_anew = False
        self._text.all_shown()
        return parts + partial(self._place, self._text.html(), "innerHTML")

    def _closing(self, whole: str) -> str | None:
        tag, pieces = pieces_in_paragraph(whole)
        if pieces:
            return self._closing_in_pieces(tag, pieces)
        parts = self._parts.closing(whole)
        return None if parts is None else parts + partial(self._place, "", "delete")

    def _closing_in_pieces(self, tag: str, pieces: list[str]) -> str:
        """Each piece leaves the open text as the closed paragraph above it gets one."""
        changes = partial(self._block, f"{tag}</p>\n", "afterbegin")
        for number, html in enumerate(pieces):
            changes += partial(f"{self._block}>p", piece_of_text(html))
            if number < len(self._text):
                changes += partial(f"{self._place}>:nth-child(1)", "", "delete")
        return changes + partial(self._place, "", "delete")


_LIST = re.compile(r"(<(ul|ol)(?: start=\"\d+\")?>\n)(.*)</\2>\n", re.DOTALL)
_TAG = re.compile(r"<(/?)(?:ul|ol|tbody|table)\b")
_TABLE_END: Final = "</table>\n"
_ROWS, _ROWS_END = "<tbody>\n", "</tbody>\n</table>\n"


class _Parts:
    """The parts of a list or table that are drawn: `_head`, each of `_drawn`, `_end`."""

    def __init__(self, block: str, words: MarkdownWords, code_ids: str, *, is_table: bool) -> None:
        self._block = block
        self._words = words
        self._code_ids = code_ids
        self._is_table = is_table
        self._head_source = ""
        self._head = ""
        self._end = ""
        self._drawn: list[str] = []
        self._shown: int | None = None  # how many the page has; None when it has not even the head
        self._codes = 0
        self._ended = False

    def add(self, part: Parted) -> bool:
        """Draw one more. False when it is none after all: this, and what follows, stays text."""
        if not self._ended:
            drawn = self._row(part) if self._is_table else self._item(part)
            self._ended = not drawn
        return not self._ended

    def html(self) -> str:
        if not self._head:
            return ""
        if self._is_table and not self._drawn:
            return self._head + _TABLE_END
        rows = _ROWS if self._is_table else ""
        return self._head + rows + "".join(self._drawn) + self._end

    def changes(self) -> str:
        """What the page has not yet."""
        if not self._head or self._shown == len(self._drawn):
            return ""
        if self._shown is None:
            # A head with nothing in it, so that a long list too comes in small changes.
            empty = self._head + (_TABLE_END if self._is_table else self._end)
            changes, self._shown = partial(self._block, empty, "afterbegin"), 0
        else:
            changes = ""
        fresh = self._drawn[self._shown :]
        if self._is_table and not self._shown and fresh:
            changes += partial(f"{self._block}>table", f"{_ROWS}</tbody>\n")
        self._shown = len(self._drawn)
        return changes + "".join(partial(self._place(), html) for html in in_changes(fresh))

    def closing(self, whole: str) -> str | None:
        """The changes to `whole`; None when it does not begin as what was drawn."""
        if not self._head:
            return None
        if self._is_table and whole == self._head + _TABLE_END:
            return self.changes()
        before = self._head + (_ROWS if self._is_table else "") + "".join(self._drawn)
        if not (whole.startswith(before) and whole.endswith(self._end)):
            return None
        last = whole[len(before) : -len(self._end)]
        if not _is_inside(last):
            return None
        if last:
            self._drawn.append(last)
        return self.changes()

    def _place(self) -> str:
        return f"{self._block}>" + ("table>tbody" if self._is_table else self._head[1:3])

    def _item(self, part: Parted) -> bool:
        match = _LIST.fullmatch(self._render(part.source, loose=part.loose))
        if match is None:
            return False
        if not self._head:
            self._head, self._end = match[1], f"</{match[2]}>\n"
        self._drawn.append(match[3])
        self._codes += match[3].count("<figure")
        return True

    def _row(self, part: Parted) -> bool:
        if not self._head:
            html = self._render(part.source)
            if not (html.startswith("<table") and html.endswith(_TABLE_END)):
                return False
            self._head, self._end = html.removesuffix(_TABLE_END), _ROWS_END
            self._head_source = part.source
            return True
        before = self._head + _ROWS
        html = self._render(self._head_source + part.source)
        if not (html.startswith(before) and html.endswith(_ROWS_END)):
            return False
        self._drawn.append(html[len(before) : -len(_ROWS_END)])
        return True

    def _render(self, source: str, *, loose: bool = False) -> str:
        return render_block(
            source, self._words, self._code_ids, loose=loose, first_code=self._codes
        )


def _is_inside(html: str) -> bool:
    """Whether no list or table ends in it that has not begun in it."""
    depth = 0
    for tag in _TAG.finditer(html):
        depth += -1 if tag[1] else 1
        if depth < 0:
            return False
    return True


def in_changes(parts: Iterable[str]) -> Iterator[str]:
    """Parts joined to as few changes as are not too long."""
    joined = ""
    for part in parts:
        if joined and len(joined) + len(part) > CHANGE_CHARACTERS:
            yield joined
            joined = ""
        joined += part
    if joined:
        yield joined
