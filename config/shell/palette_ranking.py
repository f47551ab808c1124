"""How well a typed text matches a name. The palette sorts by it. Pure."""

import re
from collections.abc import Sequence
from typing import Final

_WORD: Final = re.compile(r"\w+")
_FILLERS: Final = frozenset(
    {"a", "an", "the", "to", "my", "of", "for", "in", "on", "by", "with", "is", "how", "i"}
)
# Shorter words resemble too many others.
_TYPO_LETTERS_MIN: Final = 4


def rank(query: str, name: str, others: Sequence[str] = ()) -> int | None:
    """Return how well `query` fits `name`, or None: 0 it equals the name, 1 the name begins with
    it, 2 its words begin words of the name, 3 its words begin words of the name or of `others`, 4
    the name contains it, 5 like 3 with one letter wrong in each word. Chinese, which separates no
    words, is found anywhere in a text; there, a whole word of `others` is 2 as well."""
    sought, title = query.casefold().strip(), name.casefold()
    if sought == title:
        return 0
    if title.startswith(sought):
        return 1
    parts, words = split_words(sought), _WORD.findall(title)
    if not parts:
        return None
    more = [*words, *(word for other in others for word in _WORD.findall(other.casefold()))]
    if all(_begins_word(part, words) for part in parts):
        return 2
    if sought in more and not sought.isascii():
        return 2
    if all(_begins_word(part, more) for part in parts):
        return 3
    if sought in title:
        return 4
    if all(_begins_word(part, more) or _begins_nearly(part, more) for part in parts):
        return 5
    return None


def split_words(query: str) -> list[str]:
    """Return the words of a query without fillers such as `the`; all words if there are only
    fillers."""
    parts = _WORD.findall(query.casefold())
    return [part for part in parts if part not in _FILLERS] or parts


def _begins_word(part: str, words: Sequence[str]) -> bool:
    if part.isascii():
        return any(word.startswith(part) for word in words)
    return is_made_of(part, words)


def is_made_of(part: str, words: Sequence[str]) -> bool:
    """Return whether a text consists of pieces of the words, each of at least two characters."""
    at = 0
    while at < len(part):
        least = min(at + 2, len(part))
        ends = range(len(part), least - 1, -1)
        end = next((end for end in ends if any(part[at:end] in word for word in words)), 0)
        if not end:
            return False
        at = end
    return True


def _begins_nearly(part: str, words: Sequence[str]) -> bool:
    if len(part) < _TYPO_LETTERS_MIN:
        return False
    lengths = (len(part), len(part) - 1, len(part) + 1)
    return any(_is_one_off(part, word[:length]) for word in words for length in lengths)


def _is_one_off(one: str, other: str) -> bool:
    """Return whether the words differ by one letter that was replaced, left out or added, or by two
    neighbours that were exchanged."""
    at = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
              min(len(one), len(other)))  # fmt: skip
    left, right = one[at:], other[at:]
    exchanged = left[:2] == right[1::-1] and left[2:] == right[2:]
    return left[1:] == right[1:] or left[1:] == right or left == right[1:] or exchanged
