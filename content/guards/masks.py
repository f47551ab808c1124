"""Masking that comes back: what stands for a masked text, and the text again in the answer."""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from content.guards.rules import GuardRule

Side = Literal["request", "answer"]
_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]{0,38}_[0-9]{1,9}>")


class Masks:
    """The placeholders of one request, never stored: the same text has the same placeholder.

    `originals` is what `restore` puts back, text by placeholder. `by_rule` has the placeholders of
    each policy's guard, in the request and in the answer.
    """

    def __init__(self) -> None:
        self.originals: dict[str, str] = {}
        self.by_rule: dict[tuple[str, str, Side], set[str]] = {}
        self._side: Side = "request"
        self._placeholders: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._taken: set[str] = set()

    def reserve(self, text: str) -> None:
        """Keep what looks like a placeholder in a caller's own text from standing for another."""
        if "<" in text:
            self._taken.update(_PLACEHOLDER.findall(text))

    def placeholder(self, kind: str, text: str, rule: GuardRule) -> str:
        known = self._placeholders.get(text)
        if known is None:
            known = self._next(kind)
            self._placeholders[text] = known
            self.originals[known] = text
        self.by_rule.setdefault((rule.policy, rule.guard, self._side), set()).add(known)
        return known

    def masked(self, text: str, matches: Sequence[tuple[int, int, str]], rule: GuardRule) -> str:
        """Return a text with placeholders for a rule's matches: start, end and kind, in order,
        without overlaps. A placeholder that stands in the text already is not cut."""
        taken = set(self._placeholders.values())
        known = [one.span() for one in _PLACEHOLDER.finditer(text) if one[0] in taken]
        parts: list[str] = []
        position = 0
        for start, end, kind in matches:
            if any(begin <= start and end <= stop for begin, stop in known):
                continue
            for begin, stop in known:
                if begin < end and start < stop:
                    start, end = min(begin, start), max(stop, end)
            start = max(start, position)
            if start < end:
                parts.append(text[position:start])
                parts.append(self.placeholder(kind, restore(self, text[start:end]), rule))
                position = end
        return "".join(parts) + text[position:]

    def of_answer(self) -> "Masks":
        """Return masks for the answer: no placeholder of this request stands for another text, and
        what is masked in the answer is not put back.
        """
        masks = Masks()
        masks._side = "answer"
        masks._placeholders, masks._counts = self._placeholders.copy(), self._counts
        masks._taken, masks.by_rule = self._taken, self.by_rule
        return masks

    def of_prompt(self) -> "Masks":
        """Return masks for one of several prompts: the placeholders and originals are those of the
        whole request, and `by_rule` has those of the prompt alone."""
        masks = Masks()
        masks.originals, masks._placeholders = self.originals, self._placeholders
        masks._counts, masks._taken = self._counts, self._taken
        return masks

    def _next(self, kind: str) -> str:
        while True:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            placeholder = f"<{kind}_{number}>"
            if placeholder not in self._taken:
                return placeholder


def as_it_is(text: str) -> str:
    return text


def restore(masks: Masks, text: str, escape: Callable[[str], str] = as_it_is) -> str:
    """Return a whole text with what was masked in the request put back.

    `escape` writes an original for where it goes, such as the inside of a JSON string.
    """
    if not masks.originals or "<" not in text:
        return text
    return _PLACEHOLDER.sub(
        lambda match: (
            escape(masks.originals[match[0]]) if match[0] in masks.originals else match[0]
        ),
        text,
    )


class Restored:
    """A stream of text in which what was masked is put back: a placeholder that is cut in two waits
    for its end, and nothing else waits.
    """

    def __init__(self, masks: Masks, escape: Callable[[str], str] = as_it_is) -> None:
        self._masks, self._escape = masks, escape
        self._waiting = ""

    def feed(self, text: str) -> str:
        if not self._masks.originals:
            return text
        text = self._waiting + text
        begin = text.rfind("<")
        last = text[begin:] if begin >= 0 else ""
        waits = last and any(
            len(last) < len(placeholder) and placeholder.startswith(last)
            for placeholder in self._masks.originals
        )
        self._waiting = last if waits else ""
        return restore(self._masks, text[: len(text) - len(self._waiting)], self._escape)

    def end(self) -> str:
        text, self._waiting = self._waiting, ""
        return text
