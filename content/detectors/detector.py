"""What finds something in a text, and in a text that is still arriving."""

import re
import string
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

import re2

from content.detectors.prefixes import bounded, needed, within


class Match(NamedTuple):
    start: int  # in characters
    end: int  # the first character after it
    kind: str


# What stands between two words, then words as most sentences have them, and the last one.
_BETWEEN: Final = r"(?:[\s,;?()`]++|[.!':*=>-]++(?=\s))+"
WORD_CHARACTERS_MAX: Final = 15
_WORD: Final = rf"[^\W\d_]{{1,{WORD_CHARACTERS_MAX}}}+"
WORDS: Final = re.compile(rf"{_BETWEEN}(?:{_WORD}{_BETWEEN})*((?:{_WORD})?)")

# Letters of some scripts: an expression knows those of ASCII, or all.
LETTERS: Final = f"{string.ascii_letters}\u00e9\u0436\u05d0\u0639\u0915\u0e01\u4e2d\ud55c"
# Shorter texts are searched at once.
_SEARCHED_MIN: Final = 200


class Detector(Protocol):
    """One kind of finding.

    For each text and each continuation of it: what `find` returns that starts before
    `open_from(text)` ends there too, and is the same with the continuation. A detector looks at two
    characters before a match and one after it, not further. No more than `characters_max` wait.
    `reads_folded`: its texts are `folded`. `passes_words`: no match begins in what WORDS matches
    but in the last word, whatever follows. `begins_words`: one may begin there, with a letter.
    `within`: an expression of RE2 that matches each text in which `find` finds something, None if
    none is known. `needed`: characters of which each match has one, none if none are known.
    """

    characters_max: int
    reads_folded: bool
    passes_words: bool
    begins_words: bool
    within: str | None
    needed: frozenset[str]

    def find(self, text: str, begin: int = 0) -> Sequence[Match]:
        """Return the matches that start at `begin` or later, in order, without overlaps. Before a
        whole text, two line breaks are put."""

    def open_from(self, text: str, begin: int = 0) -> int:
        """Return the first position at or after `begin` where a match could begin, or have begun,
        that more text completes or prolongs; the text's length if there is none.
        """


def whole(candidate: str) -> int:
    return len(candidate)


class Pattern:
    """An expression whose longest match is bounded, with a check of what it matches.

    `before` and `after` are characters (the inside of a class) that may not surround a match; the
    letter of an escape, as in `\\n4111`, is none of them. `skips_escapes`: it is no beginning of a
    match either. `decimals`: a match may follow a decimal point, `parts_of_ids`: a hexadecimal
    digit with a hyphen.
    `judge` returns how many of a candidate's first characters are a match; none: 0.
    `compiled` compiles an expression: `re.compile`, or that of an engine with the same methods.
    """

    def __init__(
        self,
        kind: str,
        expression: str,
        *,
        before: str = "",
        after: str = "",
        skips_escapes: bool = False,
        decimals: bool = True,
        parts_of_ids: bool = True,
        judge: Callable[[str], int] = whole,
        reads_folded: bool = True,
        compiled: Callable[[str], Any] = re.compile,
        end: str = r"\Z",
    ) -> None:
        self.kind = kind
        parts = bounded(expression)
        self.characters_max = parts.characters_max
        self.reads_folded = self.passes_words = reads_folded
        self._characters_min = parts.characters_min
        self._judge = judge
        lookbehind = rf"(?:(?<![{before}])|(?<=\\[nrt]))" if before else ""
        lookbehind += r"(?!(?<=\\)[nrt])" if skips_escapes else ""
        lookbehind += "" if decimals else r"(?<![0-9]\.)"
        lookbehind += "" if parts_of_ids else "(?<![0-9a-f]-)"
        lookahead = f"(?![{after}])" if after else ""
        self._pattern = compiled(f"{lookbehind}(?:{parts.whole}){lookahead}")
        self._open = compiled(f"{lookbehind}(?:{parts.beginnings}){end}")
        plain = compiled is re.compile
        self.within = within(expression) if plain else None
        self.needed = needed(expression) if plain else frozenset[str]()
        self._within = None if self.within is None else re2.compile(self.within)
        self.begins_words = any(self.open_from(letter) == 0 for letter in LETTERS)

    def find(self, text: str, begin: int = 0) -> list[Match]:
        if len(text) - begin < self._characters_min or not self._may_match(text, begin):
            return []
        if self._judge is whole:
            candidates = self._pattern.finditer(text, begin)
            return [Match(one.start(), one.end(), self.kind) for one in candidates]
        matches = []
        position = begin
        while candidate := self._pattern.search(text, position):
            start = candidate.start()
            characters = self._judge(candidate[0])
            if characters:
                matches.append(Match(start, start + characters, self.kind))
            position = start + (characters or 1)
        return matches

    def _may_match(self, text: str, begin: int) -> bool:
        """Most long texts contain nothing: RE2 sees that twenty times faster."""
        if self._within is None or len(text) - begin < _SEARCHED_MIN:
            return True
        try:
            return self._within.search(text[begin:].encode()) is not None
        except UnicodeEncodeError:
            # A half of a surrogate pair, which RE2 cannot read.
            return True

    def open_from(self, text: str, begin: int = 0) -> int:
        opened = self._open.search(text, max(begin, len(text) - self.characters_max))
        return opened.start() if opened else len(text)
