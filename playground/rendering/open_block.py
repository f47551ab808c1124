"""The open block of an answer, as a page shows it while it is written.

Markup that is open at the end, such as bold, is rendered as if it were closed
(unfinished_markdown.py). New content is appended to the page (html_changes.py). Only the last item
of a list, the last row of a table, or the last piece of a long paragraph is rendered again. Closing
a block changes only the parts that its end shows to be wrong.

Text and code grow in pieces, because a browser lays out a whole run of text again whenever it
grows.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from playground.rendering.block_splitter import Closed, Grown, Kind, Opened, Parted
from playground.rendering.html_changes import count_elements, encode_changes, encode_growth, partial
from playground.rendering.markdown import (
    PARAGRAPH,
    PIECE_LINES,
    MarkdownLabels,
    block_id,
    closed_html,
    end_of_prose,
    escape_text,
    join_stretches,
    open_figure,
    piece_of_text,
    pieces_in_figure,
    pieces_in_paragraph,
    render_block,
    render_open_block,
    render_open_text,
    splitter_of,
)
from playground.rendering.unfinished_markdown import drawable_part


def render_so_far(
    text: str, labels: MarkdownLabels, message: str, *, structured: bool = False
) -> str:
    """Render an answer in progress as a page shows it after applying all changes up to now."""
    html: list[str] = []
    growing: GrowingBlock | None = None
    for event in splitter_of(structured=structured).feed(text):
        if isinstance(event, Opened):
            growing = open_block(event, labels, message)
        elif isinstance(event, Closed):
            html.append(closed_html(event, labels, message))
            growing = None
        elif growing is not None:
            growing.take(event)
    if growing is not None:
        html.append(growing.html())
    return join_stretches(html)


class Pieces(ABC):
    """Text that grows inside the element `place`, in one element per piece. It starts with one
    empty piece. Where pieces end depends only on the text, not on how it arrived."""

    def __init__(self, place: str) -> None:
        self._element_selector = place
        self._texts = [""]
        self._shown = 1  # how many pieces the page has
        self._shown_of_last = 0  # how many characters of the last piece it has

    @abstractmethod
    def _end(self, piece: str, text: str, start: int) -> int:
        """Return where in `text`, from `start` on, the current piece is full, or 0 for nowhere."""

    @abstractmethod
    def _element(self, html: str) -> str:
        """Return a piece as HTML."""

    def grow(self, text: str) -> None:
        start = 0
        while end := self._end(self._texts[-1], text, start):
            self._texts[-1] += text[start:end]
            self._texts.append("")
            start = end
        self._texts[-1] += text[start:]

    def html(self) -> str:
        """Return all of the text as HTML."""
        return "".join(self._element(escape_text(text)) for text in self._filled())

    def changes(self) -> str:
        """Return the changes since the last call."""
        more = self._texts[self._shown - 1][self._shown_of_last :]
        changes = partial(self._selector(self._shown), escape_text(more)) if more else ""
        fresh = [self._element(escape_text(text)) for text in self._filled()[self._shown :]]
        changes += "".join(partial(self._element_selector, html) for html in encode_changes(fresh))
        self.all_shown()
        return changes

    def all_shown(self) -> None:
        """Record that the page shows all of the text."""
        self._shown, self._shown_of_last = len(self), len(self._filled()[-1])

    def replaced_by(self, pieces: list[str]) -> str:
        """Return the same pieces with other content."""
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
        return f"{self._element_selector}>:nth-child({number})"


class Prose(Pieces):
    """Pieces as long as those in a closed paragraph."""

    def _end(self, piece: str, text: str, start: int) -> int:
        return end_of_prose(len(piece), text, start)

    def _element(self, html: str) -> str:
        return f"<span>{html}</span>"


class Code(Pieces):
    """Pieces of 40 lines, as in a closed block."""

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
    """One open block. A newly loaded page gets `html`; a page that sees the block begin gets
    `empty`, then every `changes`, and finally those of `closing`."""

    def __init__(self, opened: Opened, labels: MarkdownLabels, message: str) -> None:
        self.opened = opened
        self._message = message
        self._labels = labels
        self._block = block_id(message, opened.number)
        self._name = f"{message}-{opened.number}"

    @abstractmethod
    def take(self, event: Grown | Parted) -> None:
        """Add text to the block."""

    def empty(self) -> str:
        """Return the HTML of the block before its first text."""
        return type(self)(self.opened, self._labels, self._message).html()

    @abstractmethod
    def html(self) -> str:
        """Return the HTML of the whole block as it is now."""

    @abstractmethod
    def changes(self) -> str:
        """Return the changes since the last call."""

    def closing_changes(self, source: str) -> str:
        """Return the changes that close the block."""
        closed = render_block(source, self._labels, self._name)
        changes = self._final_changes(closed)
        return partial(self._block, closed, "innerHTML") if changes is None else changes

    @abstractmethod
    def _final_changes(self, closed: str) -> str | None:
        """Return the changes to `whole`, or None if it must be rendered again."""

    def _in_block(self, inside: str) -> str:
        return f'<div id="{self._block}" data-b="{self.opened.number}">{inside}</div>'


def open_block(opened: Opened, labels: MarkdownLabels, message: str) -> GrowingBlock:
    """Return the growing form of a block that begins."""
    return _GROWING[opened.kind](opened, labels, message)


class _GrowingCode(GrowingBlock):
    def __init__(self, opened: Opened, labels: MarkdownLabels, message: str) -> None:
        super().__init__(opened, labels, message)
        self._code = Code(f"{self._block}>figure>pre>code")

    def take(self, event: Grown | Parted) -> None:
        if isinstance(event, Grown):
            self._code.grow(event.text)

    def html(self) -> str:
        return self._in_block(self._figure(self._code.html()))

    def changes(self) -> str:
        return self._code.changes()

    def _final_changes(self, closed: str) -> str | None:
        around, pieces = pieces_in_figure(closed)
        if around != self._figure("") or len(pieces) != len(self._code):
            return None
        return self._code.changes() + self._code.replaced_by(pieces)

    def _figure(self, pieces: str) -> str:
        return open_figure(self.opened.language, pieces, self._labels, self._name)


class _GrowingWhole(GrowingBlock):
    """A heading, a quotation, or a formula: always rendered as a whole."""

    def __init__(self, opened: Opened, labels: MarkdownLabels, message: str) -> None:
        super().__init__(opened, labels, message)
        self._source = ""
        self._shown = ""

    def take(self, event: Grown | Parted) -> None:
        if isinstance(event, Grown):
            self._source += event.text

    def html(self) -> str:
        return self._in_block(self._current_html())

    def changes(self) -> str:
        before, self._shown = self._shown, self._current_html()
        return encode_growth(self._block, before, self._shown)

    def _current_html(self) -> str:
        if self.opened.kind == "math" and self._source:
            return f'<p class="math"><code>{escape_text(self._source)}</code></p>\n'
        return render_open_block(self._source, self._labels, self._name)

    def _final_changes(self, closed: str) -> str | None:
        return encode_growth(self._block, self._shown, closed)


class _GrowingParagraph(GrowingBlock):
    """A paragraph. A long one is split into pieces, and only the last one is rendered again."""

    def __init__(self, opened: Opened, labels: MarkdownLabels, message: str) -> None:
        super().__init__(opened, labels, message)
        self._full: list[str] = []  # the pieces before the last one
        self._source = ""  # of the last one
        self._is_other = False  # what looked like a paragraph is, say, a table, without pieces
        self._shown: list[str] = []

    def take(self, event: Grown | Parted) -> None:
        if isinstance(event, Parted):
            return
        start = 0
        while end := self._end(event.text, start):
            text = self._source + event.text[start:end]
            html, opened = render_open_text(text, self._labels, self._name)
            self._full.append(html)
            self._source, start = opened, end
        self._source += event.text[start:]

    def _end(self, text: str, start: int) -> int:
        """Return where in `text` the last piece is full, or 0 for nowhere."""
        end = 0 if self._is_other else end_of_prose(len(self._source), text, start)
        if end and not self._full:
            first = self._draw(self._source + text[start:end])
            self._is_other = not first.startswith(PARAGRAPH)
        return 0 if self._is_other else end

    def html(self) -> str:
        pieces = self._pieces()
        if len(pieces) == 1:
            return self._in_block(pieces[0])
        return self._in_block(f"{PARAGRAPH}{''.join(map(piece_of_text, pieces))}</p>\n")

    def changes(self) -> str:
        before, self._shown = self._shown, self._pieces()
        if len(self._shown) == 1:
            return encode_growth(self._block, "".join(before), self._shown[0])
        if len(before) <= 1:
            empty = partial(self._block, f"{PARAGRAPH}</p>\n", "innerHTML")
            return empty + self._appended(self._shown)
        last = len(before)
        goes_on = encode_growth(self._piece(last), before[-1], self._shown[last - 1])
        return goes_on + self._appended(self._shown[last:])

    def _final_changes(self, closed: str) -> str | None:
        if len(self._shown) == 1:
            return encode_growth(self._block, self._shown[0], closed)
        tag, pieces = pieces_in_paragraph(closed)
        if not pieces:
            return None
        if tag != PARAGRAPH:
            return partial(self._block, f"{tag}</p>\n", "innerHTML") + self._appended(pieces)
        changes = [
            partial(self._piece(number), html, "innerHTML")
            for number, (old_html, html) in enumerate(zip(self._shown, pieces, strict=False), 1)
            if old_html != html
        ]
        changes.append(self._appended(pieces[len(self._shown) :]))
        gone = partial(self._piece(len(pieces) + 1), "", "delete")
        return "".join(changes) + gone * max(0, len(self._shown) - len(pieces))

    def _pieces(self) -> list[str]:
        """Return the content of each piece. A single piece is the whole paragraph."""
        if not self._full:
            return [self._draw(self._source)]
        return [*self._full, self._open_text()]

    def _draw(self, source: str) -> str:
        return render_open_block(source, self._labels, self._name)

    def _open_text(self) -> str:
        return render_open_text(drawable_part(self._source), self._labels, self._name)[0]

    def _appended(self, pieces: list[str]) -> str:
        return "".join(partial(f"{self._block}>p", piece_of_text(html)) for html in pieces)

    def _piece(self, number: int) -> str:
        return f"{self._block}>p>:nth-child({number})"


class _GrowingParts(GrowingBlock):
    """A list or a table. Before its first part is complete, it is rendered as a whole; after that,
    as its head, its complete parts, and the current part."""

    def __init__(self, opened: Opened, labels: MarkdownLabels, message: str) -> None:
        super().__init__(opened, labels, message)
        self._head = ""
        self._end = ""
        self._parts: list[str] = []
        self._source = ""  # of the current part
        self._is_over = False  # a part was invalid: what follows waits for the end of the block
        self._shown_whole = ""
        self._shown: _RenderedParts | None = None

    def take(self, event: Grown | Parted) -> None:
        if isinstance(event, Grown):
            self._source += event.text
            return
        part = None if self._is_over else self._part(event)
        self._is_over = part is None
        if part is not None:
            self._source = ""
            self._parts += [part] if part else []

    @abstractmethod
    def _part(self, event: Parted) -> str | None:
        """Render a complete part for the block. Return "" for a table head, and None if it is not a
        part."""

    @abstractmethod
    def _open_part(self) -> str | None:
        """Return the HTML of the current part, or None."""

    @abstractmethod
    def _draw_whole(self) -> str:
        """Return the HTML of a block without a complete part."""

    @abstractmethod
    def _frame(self, parts: str) -> tuple[str, str]:
        """Return the markup before and after the parts."""

    @abstractmethod
    def _element_selector(self) -> str:
        """Return the selector of the element that contains the parts."""

    def _make_place(self) -> str:
        """Return the change that creates this element, if the head alone has none."""
        return ""

    def _open(self) -> str:
        return "" if self._is_over or not self._source else self._open_part() or ""

    def html(self) -> str:
        return self._in_block(
            self._framed(self._parts, self._open()) if self._head else self._draw_whole()
        )

    def _framed(self, parts: Sequence[str], part: str = "") -> str:
        inside = "".join(parts) + part
        before, behind = self._frame(inside)
        return before + inside + behind

    def changes(self) -> str:
        if not self._head:
            before, self._shown_whole = self._shown_whole, self._draw_whole()
            return encode_growth(self._block, before, self._shown_whole)
        changes, part = "", self._open()
        if self._shown is None:
            # Send the first part by itself, so that a long list also grows in small changes.
            changes = encode_growth(self._block, self._shown_whole, self._framed(self._parts[:1]))
            self._shown = _RenderedParts(self._parts[:1])
        if not self._shown.has_place and (self._parts or part):
            self._shown.has_place = True
            changes += self._make_place()
        return changes + self._shown.changes(self._element_selector(), self._parts, part)

    def _final_changes(self, closed: str) -> str | None:
        if not self._head:
            return encode_growth(self._block, self._shown_whole, closed)
        drawn = "".join(self._parts)
        before, behind = self._frame(drawn or closed.removeprefix(self._framed(())))
        if not (closed.startswith(before + drawn) and closed.endswith(behind)):
            return None
        last = closed[len(before + drawn) : -len(behind)]
        if not _is_inside(last):
            return None
        self._parts += [last] if last else []
        self._source = ""
        return self.changes()


class _RenderedParts:
    """The parts that the page shows, including the current one."""

    def __init__(self, parts: Sequence[str]) -> None:
        self.has_place = bool(parts)
        self._complete = len(parts)
        self._elements = sum(map(count_elements, parts))
        self._open = ""

    def changes(self, place: str, parts: Sequence[str], part: str) -> str:
        """Return what the page lacks of the parts and of the current one."""
        changes = ""
        fresh = parts[self._complete :]
        if fresh and self._open:
            changes = encode_growth(place, self._open, fresh[0], self._elements)
            self._open = ""
            self._elements += count_elements(fresh[0])
            fresh = fresh[1:]
        changes += "".join(partial(place, html) for html in encode_changes(fresh))
        self._elements += sum(map(count_elements, fresh))
        self._complete = len(parts)
        before, self._open = self._open, part
        return changes + encode_growth(place, before, part, self._elements)


_LIST = re.compile(r'(<(ul|ol)(?: start="\d+")? dir="auto">\n)(.*)</\2>\n', re.DOTALL)
_TAG = re.compile(r"<(/?)(?:ul|ol|tbody|table)\b")


class _GrowingList(_GrowingParts):
    def __init__(self, opened: Opened, labels: MarkdownLabels, message: str) -> None:
        super().__init__(opened, labels, message)
        self._codes = 0
        self._loose = False

    def _part(self, event: Parted) -> str | None:
        html = render_block(
            event.source, self._labels, self._name, loose=event.loose, first_code=self._codes
        )
        match = _LIST.fullmatch(html)
        if match is None:
            return None
        if not self._head:
            self._head, self._end = match[1], f"</{match[2]}>\n"
        self._codes += html.count("<figure")
        self._loose = event.loose
        return match[3]

    def _open_part(self) -> str | None:
        match = _LIST.fullmatch(self._draw_whole())
        return match[3] if match else None

    def _draw_whole(self) -> str:
        return render_open_block(
            self._source, self._labels, self._name, loose=self._loose, first_code=self._codes
        )

    def _frame(self, parts: str) -> tuple[str, str]:
        return self._head, self._end

    def _element_selector(self) -> str:
        return f"{self._block}>{self._head[1:3]}"


class _GrowingTable(_GrowingParts):
    def __init__(self, opened: Opened, labels: MarkdownLabels, message: str) -> None:
        super().__init__(opened, labels, message)
        self._head_source = ""

    def _part(self, event: Parted) -> str | None:
        html = render_block(self._head_source + event.source, self._labels, self._name)
        if self._head:
            return self._extract_row(html)
        if not (html.startswith("<table") and html.endswith(_TABLE_END)):
            return None
        self._head, self._head_source = html.removesuffix(_TABLE_END), event.source
        return ""

    def _open_part(self) -> str | None:
        source = self._head_source + self._source
        return self._extract_row(render_open_block(source, self._labels, self._name))

    def _extract_row(self, html: str) -> str | None:
        before, behind = self._frame("row")
        if not (html.startswith(before) and html.endswith(behind)):
            return None
        return html[len(before) : -len(behind)]

    def _draw_whole(self) -> str:
        """Return "" for a first line alone, because the line after it can make it a table's
        head."""
        first, _, second = self._source.partition("\n")
        if len(first) < _FIRST_LINE and not second.strip(" \t|:-"):
            return ""
        return render_open_block(self._source, self._labels, self._name)

    def _frame(self, parts: str) -> tuple[str, str]:
        return (self._head + _ROWS, _ROWS_END) if parts else (self._head, _TABLE_END)

    def _element_selector(self) -> str:
        return f"{self._block}>table>tbody"

    def _make_place(self) -> str:
        return partial(f"{self._block}>table", f"{_ROWS}</tbody>\n")


_FIRST_LINE: Final = 400
"""The maximum length of a line that is shown before the next line says what it is."""
_TABLE_END: Final = "</table>\n"
_ROWS, _ROWS_END = "<tbody>\n", "</tbody>\n</table>\n"


def _is_inside(html: str) -> bool:
    """Return whether every list or table that ends in the HTML also begins in it."""
    depth = 0
    for tag in _TAG.finditer(html):
        depth += -1 if tag[1] else 1
        if depth < 0:
            return False
    return True


_GROWING: Final[dict[Kind, type[GrowingBlock]]] = {
    "para": _GrowingParagraph,
    "list": _GrowingList,
    "table": _GrowingTable,
    "code": _GrowingCode,
    "math": _GrowingWhole,
    "quote": _GrowingWhole,
    "heading": _GrowingWhole,
}
