"""Compute the changes from a page's HTML to its new HTML.

An answer grows at its end, and so does its HTML. New content is appended at its place, however
deep. Only an element that has changed is rendered again.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

CHANGE_CHARACTERS: Final = 4_000
"""A change with more HTML than this is split where possible: see static/js/stream.js."""

# HTML in the form that the sanitiser writes: all elements are closed, and no attribute contains a
# bare quotation mark.
_TOKEN = re.compile(r"""<(?:[^<>"]|"[^"]*")*>|[^<]+""")
_VOID = re.compile(r"<(?:br|hr)\b|<.*/>$", re.DOTALL)


def partial(target: str, html: str, swap: str = "beforeend") -> str:
    """Build one change of the page: `html` for the element that matches the selector `target`,
    which begins with an id."""
    return f'<hx-partial hx-target="#{target}" hx-swap="{swap}">{html}</hx-partial>'


def encode_changes(parts: Iterable[str]) -> Iterator[str]:
    """Join parts into as few changes as possible, none of them too long."""
    joined = ""
    for part in parts:
        if joined and len(joined) + len(part) > CHANGE_CHARACTERS:
            yield joined
            joined = ""
        joined += part
    if joined:
        yield joined


def encode_growth(place: str, old: str, new: str, before: int = 0) -> str:
    """Return the changes from `old` to `new`, the last content of the element `place`. `before` is
    the number of elements before that content."""
    if old == new:
        return ""
    if not old:
        return partial(place, new)
    changes = list(_Comparison(place, old, new, before).changes())
    if None not in changes:
        return "".join(change for change in changes if change)
    if not before:
        return partial(place, new, "innerHTML")
    last = f"{place}>:nth-child({before + 1})"
    return partial(last, new.removesuffix("\n"), "outerHTML" if new else "delete")


def count_elements(html: str) -> int:
    """Count the sibling elements."""
    depth = count = 0
    for tag in _TOKEN.findall(html):
        if tag.startswith("</"):
            depth -= 1
        elif tag.startswith("<"):
            count += depth == 0
            depth += not _VOID.match(tag)
    return count


class _Comparison:
    """A comparison of two HTML texts, token by token."""

    def __init__(self, place: str, old: str, new: str, before: int) -> None:
        self._place = place
        self._old: list[str] = _TOKEN.findall(old)
        self._new: list[str] = _TOKEN.findall(new)
        self._at = 0
        self._new_at = 0
        self._counts = [before]  # elements before this place, in each element around it
        self._begins: list[int] = []  # where in `_new` each element around it begins

    def changes(self) -> Iterator[str | None]:
        """Yield the changes, or None if everything must be rendered again."""
        while self._at < len(self._old) or self._new_at < len(self._new):
            old, new = self._token(self._old, self._at), self._token(self._new, self._new_at)
            if old == new:
                self._step(new)
            elif not old or old.startswith("</"):
                yield self._append("")
            elif self._is_grown_text(old, new):
                self._at += 1
                self._new_at += 1
                yield self._append(new[len(old) :])
            elif self._is_last_element(old):
                yield self._replace_last(new)
            elif self._begins:
                yield self._draw_anew()
            else:
                yield None
                return

    def _token(self, tokens: Sequence[str], at: int) -> str:
        return tokens[at] if at < len(tokens) else ""

    def _step(self, tag: str) -> None:
        self._at += 1
        self._new_at += 1
        if tag.startswith("</"):
            self._counts.pop()
            self._begins.pop()
        elif tag.startswith("<"):
            self._counts[-1] += 1
            if not _VOID.match(tag):
                self._counts.append(0)
                self._begins.append(self._new_at)

    def _is_grown_text(self, old: str, new: str) -> bool:
        after = self._token(self._old, self._at + 1)
        return new.startswith(old) and old[0] != "<" and (not after or after.startswith("</"))

    def _is_last_element(self, old: str) -> bool:
        after = self._token(self._old, self._end(self._old, self._at))
        return old[0] == "<" and (not after or after.startswith("</"))

    def _end(self, tokens: Sequence[str], at: int) -> int:
        """Return the position after the element or text at `at`."""
        tag = tokens[at]
        if tag[0] != "<" or _VOID.match(tag):
            return at + 1
        return _end_of_element(tokens, at + 1) + 1

    def _replace_last(self, new: str) -> str:
        self._at = self._end(self._old, self._at)
        place = f"{self._selector()}>:nth-child({self._counts[-1] + 1})"
        if not new or new.startswith("</"):
            return partial(place, "", "delete")
        end = self._end(self._new, self._new_at)
        html = "".join(self._new[self._new_at : end])
        self._new_at = end
        self._counts[-1] += new[0] == "<"
        return partial(place, html, "outerHTML")

    def _append(self, text: str) -> str:
        end = _end_of_element(self._new, self._new_at)
        html = text + "".join(self._new[self._new_at : end])
        self._new_at = end
        return partial(self._selector(), html)

    def _draw_anew(self) -> str:
        self._at = _end_of_element(self._old, self._at)
        self._new_at = _end_of_element(self._new, self._new_at)
        html = "".join(self._new[self._begins[-1] : self._new_at])
        return partial(self._selector(), html, "innerHTML")

    def _selector(self) -> str:
        steps = "".join(f">:nth-child({count})" for count in self._counts[:-1])
        return self._place + steps


def _end_of_element(tokens: Sequence[str], at: int) -> int:
    """Return where the element that is open at `at` ends."""
    depth = 0
    for end in range(at, len(tokens)):
        if tokens[end].startswith("</"):
            depth -= 1
            if depth < 0:
                return end
        elif tokens[end].startswith("<") and not _VOID.match(tokens[end]):
            depth += 1
    return len(tokens)
