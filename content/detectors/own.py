"""What an organisation writes itself: lists of words, and regular expressions."""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import re2

from content.detectors.detector import Match, Pattern
from content.detectors.prefixes import UnboundedError, bounded

WORDS_MAX = 1_000
WORD_CHARACTERS_MAX = 60
EXPRESSION_CHARACTERS_MAX = 1_000
MATCH_CHARACTERS_MAX = 1_000
# Letters of scripts that put spaces between words: Latin, Greek, Cyrillic.
_LETTERS = "0-9A-Za-z_\u00c0-\u052f"
_IS_LETTER = re.compile(f"[{_LETTERS}]")

Trie = dict[str, Any]


def words(listed: Sequence[str]) -> tuple[Pattern, ...]:
    """Recognise words and phrases, in small letters or capitals, where they are no part of a longer
    word. In a script without spaces (Chinese, Japanese), they may stand anywhere.
    """
    clean = sorted({one.strip() for one in listed} - {""})
    if not clean:
        raise ValueError("Enter a word.")
    if len(clean) > WORDS_MAX:
        raise ValueError(f"A list has at most {WORDS_MAX} words.")
    if long := next((one for one in clean if len(one) > WORD_CHARACTERS_MAX), None):
        raise ValueError(f"{long[:20]!r}… has more than {WORD_CHARACTERS_MAX} characters.")
    groups: dict[tuple[bool, bool], list[str]] = {}
    for one in clean:
        ends = bool(_IS_LETTER.match(one[0])), bool(_IS_LETTER.match(one[-1]))
        groups.setdefault(ends, []).append(one)
    return tuple(
        Pattern(
            "WORD",
            _trie_expression(_trie(group)),
            before=_LETTERS if first else "",
            after=_LETTERS if last else "",
            reads_folded=False,
            compiled=partial(re.compile, flags=re.IGNORECASE),
        )
        for (first, last), group in groups.items()
    )


def _trie(listed: Sequence[str]) -> Trie:
    root: Trie = {}
    for word in listed:
        node = root
        for character in word.lower():
            node = node.setdefault(character, {})
        node[""] = {}
    return root


def _trie_expression(node: Trie) -> str:
    """Return an expression for the words of a trie, the longest first."""
    branches = [re.escape(one) + _trie_expression(rest) for one, rest in node.items() if one]
    if not branches:
        return ""
    return f"(?:{'|'.join(branches)})" + ("?" if "" in node else "")


class Expression:
    """A regular expression in RE2's linear time, whose longest match is bounded."""

    reads_folded = passes_words = False
    begins_words = True
    within: str | None = None
    needed = frozenset[str]()

    def __init__(self, expression: str, ignore_case: bool = False) -> None:
        if not 0 < len(expression) <= EXPRESSION_CHARACTERS_MAX:
            raise ValueError(
                f"An expression has between 1 and {EXPRESSION_CHARACTERS_MAX} characters."
            )
        try:
            parts = bounded(expression)
            if not 0 < parts.characters_min <= parts.characters_max <= MATCH_CHARACTERS_MAX:
                raise UnboundedError("a match of no or too many characters")
            self._pattern = Pattern(
                "PATTERN",
                expression,
                compiled=partial(_compile, ignore_case=ignore_case),
                end=r"\z",
            )
            self.characters_max = parts.characters_max
        except UnboundedError as error:
            raise ValueError(
                f"An expression matches between 1 and {MATCH_CHARACTERS_MAX} characters: write "
                "a{1,100} instead of a+, and neither ^ nor $, look around nor refer back."
            ) from error
        except (re.error, re2.error, RecursionError) as error:
            raise ValueError(f"The expression cannot be read: {error}.") from error

    def find(self, text: str, begin: int = 0) -> list[Match]:
        return self._pattern.find(_encodable(text), begin)

    def open_from(self, text: str, begin: int = 0) -> int:
        return self._pattern.open_from(_encodable(text), begin)


def _compile(expression: str, *, ignore_case: bool) -> Any:
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.log_errors = False
    return re2.compile(expression, options)


def _encodable(text: str) -> str:
    """Return a text of the same length without halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()
