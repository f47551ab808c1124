"""Splits a growing Markdown text into closed blocks and the one that is still open.

Rendering the closed blocks one by one gives the same HTML as rendering the whole text. The scanner
below only proposes where a block might end, by cheap rules on single lines. The Markdown parser
then confirms that a top-level block begins there. The start of a line may decide before the line is
complete, but the same characters always decide. So the blocks do not depend on how the text was
split into pieces.

    line start --it may end the block--> HELD --decided--> PASSING --newline--> line start

A held line (and blank lines before it) is not shown yet. A passing line goes to the open block
immediately.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["para", "list", "code", "table", "math", "quote", "heading"]


@dataclass(frozen=True, slots=True)
class Opened:
    """Block `number` begins; `language` is the first word of a code block's fence."""

    number: int
    kind: Kind
    language: str = ""


@dataclass(frozen=True, slots=True)
class Grown:
    """More text of the open block, to show while the block is open."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Parted:
    """The text of the open block since its last part is a complete part: a list item, a table row,
    or a table's head with its delimiter row. `source` is its Markdown. `loose` means that a blank
    line separates this item from the next."""

    number: int
    source: str
    loose: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """Block `number` is complete; `source` is its Markdown."""

    number: int
    source: str


BlockEvent = Opened | Grown | Parted | Closed

Confirm = Callable[[str, str], bool]
"""Called as ``confirm(block, line)``: returns whether `line` after `block` begins a new top-level
block."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\n]*)$")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_LIST = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)])(?:[ \t]|$)")
_ITEM = re.compile(r"( {0,3})([-+*]|\d{1,9}[.)])(?: ( {0,3})(?=\S)|[ \t]|$)")
_UNDER_HEAD = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
# If a line begins with one of these, its rest cannot affect where blocks begin: the group plus an
# "x" decides. All other lines are held until they are complete.
_DECIDED = (
    re.compile(r"( *)[^\s\d#>\-+*_`~=|<$\\:]"),
    re.compile(r"( *\d{1,9})[^\d.)]"),
    re.compile(r"( *)(?:\*\*[^\s*]|\*[^\s*]|__[^\s_]|_[^\s_]|`[^\s`])"),
    re.compile(r"( *- )[^\s-]"),
    re.compile(r"( *\+ )\S"),
    re.compile(r"( *\* )\*{0,2}[^\s*]"),
    re.compile(r"( *\d{1,9}[.)] )[^\s]"),
    re.compile(r"( *#{1,6} )\S"),
    re.compile(r"( *(?:>|\||\$\$))[^\s]"),
    re.compile(r"( *[>|] )\S"),
)
# A line inside a paragraph that may begin another block without a blank line before it.
_MAY_INTERRUPT = re.compile(r" {0,3}[`~#]")
_FREE_REFUSALS = 8


class BlockSplitter:
    """Takes text by `feed` and `end`, and returns the block events that the text causes.

    `confirm` asks the Markdown parser. A fence that is never closed ends with the text.
    """

    def __init__(self, confirm: Confirm) -> None:
        self._confirm = confirm
        self._newlines = _Newlines()
        self._events = _Events()
        self._number = 0
        self._block: _OpenBlock | None = None
        self._line = ""  # the held part of the current line
        self._blank: list[str] = []  # blank lines after the open block, held back

    @property
    def number(self) -> int:
        """The number of the open block, or of the next one."""
        return self._number

    def feed(self, text: str) -> list[BlockEvent]:
        """Add the next piece of the text."""
        text = self._newlines.normalise(text)
        start = 0
        while start < len(text):
            newline = text.find("\n", start)
            if newline < 0:
                self._more(text[start:])
                break
            self._more(text[start:newline])
            self._newline()
            start = newline + 1
        return self._events.take(self._number)

    def end(self) -> list[BlockEvent]:
        """End the text: treat the held line as complete, and close the open block."""
        if self._line or (self._block and self._block.passed):
            self._newline(last=True)
        if self._block:
            self._close(self._block)
        return self._events.take(self._number)

    # Lines ----------------------------------------------------------------------------------------

    def _more(self, part: str) -> None:
        block = self._block
        if block and block.passed:
            block.passed.append(part)
            self._grow(block, part)
            return
        self._line += part
        if block and block.fence:
            if not _may_close_fence(self._line, block.fence):
                self._pass(block)
            return
        probe = _probe(self._line)
        if probe is not None:
            self._decide(probe, None)

    def _newline(self, *, last: bool = False) -> None:
        end = "" if last else "\n"
        block = self._block
        if block and block.passed:
            line, block.passed = "".join(block.passed), []
            self._grow(block, end)
            self._line_done(block, line)
        elif block and block.fence:
            line, self._line = self._line, ""
            self._line_of_code(block, line, end)
        elif self._line.strip(" \t"):
            self._decide(self._line, end)
        else:
            # Blank lines before the first block, and between closed ones, have no meaning.
            if block:
                self._blank.append(self._line + end)
            self._line = ""

    def _decide(self, probe: str, end: str | None) -> None:
        """Decide the held line. `end` is None while it is incomplete."""
        block, line = self._block, self._line
        if block and block.ends_before(probe, self._blank, self._confirm):
            self._close(block)
            block = None
        if block:
            self._keep_blank(block, probe)
        else:
            block = self._begin(line, complete=end is not None)
        if block.fence:  # the line of the fence itself is never shown
            self._line = ""
            block.keep(line + (end or ""))
        elif end is None:
            self._pass(block)
        else:
            self._line = ""
            self._grow(block, line + end)
            self._line_done(block, line)

    def _pass(self, block: "_OpenBlock") -> None:
        line, self._line = self._line, ""
        block.passed = [line]
        self._grow(block, line)

    def _line_of_code(self, block: "_OpenBlock", line: str, end: str) -> None:
        block.keep(line + end)
        if _closes(line, block.fence):
            self._close(block)
        else:
            self._events.grow(line + end)

    def _line_done(self, block: "_OpenBlock", line: str) -> None:
        """Record that the open block has a complete line."""
        if not block.fence and not block.first_line_done and _HEADING.match(line):
            self._close(block)
        elif block.end_line(line):
            self._part(block)

    # Blocks ---------------------------------------------------------------------------------------

    def _begin(self, line: str, *, complete: bool) -> "_OpenBlock":
        fence = _FENCE.match(line) if complete else None
        if fence and not (fence[1][0] == "`" and "`" in fence[2]):
            info = fence[2].split()
            self._events.add(Opened(self._number, "code", info[0] if info else ""))
            block = _OpenBlock("code", line, fence[1])
        else:
            kind = _kind(line)
            self._events.add(Opened(self._number, kind))
            block = _OpenBlock(kind, line)
        self._block = block
        return block

    def _keep_blank(self, block: "_OpenBlock", probe: str) -> None:
        """Add the held blank lines to the open block, because it continues."""
        blank, self._blank = "".join(self._blank), []
        block.keep(blank)
        if block.items and block.items.begin(probe):
            self._part(block, loose=bool(blank))
        else:
            self._events.grow(blank)

    def _grow(self, block: "_OpenBlock", text: str) -> None:
        block.keep(text)
        self._events.grow(text)

    def _part(self, block: "_OpenBlock", *, loose: bool = False) -> None:
        self._events.add(Parted(self._number, block.take_part(), loose))

    def _close(self, block: "_OpenBlock") -> None:
        # Blank lines after a block are separate: in a list they may be lines of code.
        self._events.add(Closed(self._number, "".join([*block.source, *self._blank])))
        self._number += 1
        self._block = None
        self._blank = []


class _OpenBlock:
    """The open block: its source, and the state that decides where it and its parts end."""

    __slots__ = ("fence", "first_line_done", "has_dollars", "items", "part_start", "passed",
                 "refusals", "refused_at", "size", "source", "table")  # fmt: skip

    def __init__(self, kind: Kind, line: str, fence: str = "") -> None:
        self.fence = fence  # the marks that begin a code block, "" for any other
        self.source: list[str] = []
        self.size = 0  # of the source, in characters
        self.passed: list[str] = []  # the part of the current line that was already shown
        self.items = _ListItems(line) if kind == "list" else None
        self.table: Literal["", "head", "rows"] = "head" if kind == "table" else ""
        self.part_start = 0  # where in `source` the current part begins
        self.first_line_done = False
        self.has_dollars = False
        self.refusals = 0  # how many times the parser said that the block continues
        self.refused_at = 0  # the block's size at the last refusal

    def keep(self, text: str) -> None:
        self.source.append(text)
        self.size += len(text)

    def take_part(self) -> str:
        """Return the source since the last part."""
        part = "".join(self.source[self.part_start :])
        self.part_start = len(self.source)
        return part

    def end_line(self, line: str) -> bool:
        """Record a complete line. Return whether it completes a table row or a table's head."""
        completes = False
        if self.table and self.first_line_done:
            completes = self.table == "rows" or _UNDER_HEAD.match(line) is not None
            self.table = "rows" if completes else ""
        self.has_dollars = self.has_dollars or "$$" in line
        self.first_line_done = True
        return completes

    def ends_before(self, probe: str, blank: Sequence[str], confirm: Confirm) -> bool:
        """Return whether the block ends before a line that begins with `probe` and follows `blank`
        lines. `confirm` asks the parser; after refusals it is asked ever more rarely."""
        other_list = self.items is not None and self.items.is_of_other_list(probe)
        if self.items and not other_list and _continues_list(probe):
            return False
        # Without a blank line, only a fence, a heading or another kind of list may begin. An open
        # `$$` block accepts even these as its text.
        if not blank and (self.has_dollars or not (other_list or _interrupts(probe))):
            return False
        if self.refusals >= _FREE_REFUSALS and self.size < 2 * self.refused_at:
            return False
        if confirm("".join([*self.source, *blank]), probe):
            return True
        # Asking costs time in proportion to the block's length. After some refusals, ask again only
        # when the length has doubled, so the total cost stays linear.
        self.refusals += 1
        self.refused_at = self.size
        return False


class _ListItems:
    """The items of an open list whose first line is `line`."""

    __slots__ = ("_indent", "_mark")

    def __init__(self, line: str) -> None:
        self._mark = ""  # the last character of each item's marker
        self._indent = 0  # the indentation of the current item's text
        self.begin(line)

    def begin(self, line: str) -> bool:
        """Begin an item if the line begins one of this list. Return whether it does."""
        item = self._item_in(line)
        if item is None or (self._mark and item[2][-1] != self._mark):
            return False
        self._mark = item[2][-1]
        self._indent = len(item[1]) + len(item[2]) + 1 + len(item[3] or "")
        return True

    def is_of_other_list(self, line: str) -> bool:
        """Return whether the line is an item with another marker, which starts a new list."""
        item = self._item_in(line)
        return item is not None and item[2][-1] != self._mark

    def _item_in(self, line: str) -> re.Match[str] | None:
        """Return the marker that begins a new item in the line, unless it belongs to a nested
        list."""
        item = _ITEM.match(line)
        return None if item is None or (self._mark and len(item[1]) >= self._indent) else item


class _Newlines:
    """Converts each newline to one `\\n`, including a `\\r\\n` that is split between two pieces."""

    __slots__ = ("_after_return",)

    def __init__(self) -> None:
        self._after_return = False

    def normalise(self, text: str) -> str:
        if self._after_return and text.startswith("\n"):
            text = text[1:]
            self._after_return = False
        if "\r" not in text:
            self._after_return = self._after_return and not text
            return text
        self._after_return = text.endswith("\r")
        return text.replace("\r\n", "\n").replace("\r", "\n")


class _Events:
    """The events since the last call. Consecutive pieces of text become one event."""

    __slots__ = ("_events", "_texts")

    def __init__(self) -> None:
        self._events: list[BlockEvent] = []
        self._texts: list[str] = []

    def grow(self, text: str) -> None:
        """Add text to the open block."""
        self._texts.append(text)

    def add(self, event: Opened | Parted | Closed) -> None:
        self._end_text(event.number)
        self._events.append(event)

    def take(self, number: int) -> list[BlockEvent]:
        """Return the events and clear them. `number` is that of the open block."""
        self._end_text(number)
        events, self._events = self._events, []
        return events

    def _end_text(self, number: int) -> None:
        if not self._texts:
            return
        text = "".join(self._texts)
        self._texts.clear()
        if text:
            self._events.append(Grown(number, text))


def _probe(line: str) -> str | None:
    """Return the deciding part of an incomplete line in a normal form, or None to wait."""
    for pattern in _DECIDED:
        match = pattern.match(line)
        if match:
            return match[1] + "x"
    return None


def _continues_list(probe: str) -> bool:
    return _LIST.match(probe) is not None or probe.startswith(("  ", "\t"))


def _interrupts(probe: str) -> bool:
    return _MAY_INTERRUPT.match(probe) is not None and (
        _HEADING.match(probe) is not None or _FENCE.match(probe) is not None
    )


def _may_close_fence(line: str, fence: str) -> bool:
    body = line.lstrip(" ")
    return len(line) - len(body) < 4 and not body.rstrip(" \t").strip(fence[0])


def _closes(line: str, fence: str) -> bool:
    body = line.lstrip(" ")
    mark = body.rstrip(" \t")
    return len(line) - len(body) < 4 and len(mark) >= len(fence) and not mark.strip(fence[0])


def _kind(line: str) -> Kind:
    body = line.lstrip(" ")
    if _HEADING.match(line):
        return "heading"
    if _LIST.match(line):
        return "list"
    if body.startswith(">"):
        return "quote"
    if body.startswith("|"):
        return "table"
    if body.startswith(("$$", "\\[")):
        return "math"
    return "para"
