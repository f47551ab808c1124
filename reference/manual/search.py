"""Search in the manual: sections that have every word of the query, the best first."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from reference.manual.markdown import Section
from reference.manual.pages import ManualPage

QUERY_MAX: Final = 100
_WORDS_MAX: Final = 8
HITS_MAX: Final = 30
_WORDS: Final = re.compile(r"[^\W_]+(?:[-_.][^\W_]+)*")
_IS_TITLE, _IN_TITLE, _IN_PAGE_TITLE, _IN_TEXT_MAX = 20, 10, 6, 5
_SNIPPET: Final = 180


@dataclass(frozen=True)
class Hit:
    page: ManualPage
    section: Section
    snippet: SafeString

    @property
    def url(self) -> str:
        return f"{self.page.url}#{self.section.anchor}" if self.section.anchor else self.page.url


def find(query: str, pages: Iterable[ManualPage]) -> list[Hit]:
    """Return the sections in which each word of the query begins a word. A section of that very
    title comes first; then words of its title count most, then those of the page's title, then how
    often they are in the text."""
    # Each word is looked for in the whole manual.
    words = list(dict.fromkeys(_WORDS.findall(query[:QUERY_MAX].lower())))[:_WORDS_MAX]
    if not words:
        return []
    patterns = [re.compile(rf"(?<![^\W_]){re.escape(word)}", re.IGNORECASE) for word in words]
    ranked = [
        (rank, page, section)
        for page in pages
        for section in page.sections
        if (rank := _rank(words, patterns, page, section))
    ]
    # Stable: what ranks the same stays in reading order.
    ranked.sort(key=lambda row: -row[0])
    return [
        Hit(page, section, _snippet(section.text, patterns))
        for _, page, section in ranked[:HITS_MAX]
    ]


def _rank(
    words: list[str], patterns: list[re.Pattern[str]], page: ManualPage, section: Section
) -> int:
    rank = _IS_TITLE * (_WORDS.findall(section.title.lower()) == words)
    for pattern in patterns:
        weight = (
            _IN_TITLE * bool(pattern.search(section.title))
            + _IN_PAGE_TITLE * bool(pattern.search(page.title))
            + min(len(pattern.findall(section.text)), _IN_TEXT_MAX)
        )
        if not weight:
            return 0
        rank += weight
    return rank


def _snippet(text: str, patterns: list[re.Pattern[str]]) -> SafeString:
    """Return the text around the first word that was found, with the words marked."""
    text = " ".join(text.split())
    first = min((match.start() for one in patterns if (match := one.search(text))), default=0)
    start = max(0, first - _SNIPPET // 3)
    start = text.find(" ", start) + 1 if start else 0
    cut = text[start : start + _SNIPPET]
    if start + _SNIPPET < len(text):
        cut = cut.rpartition(" ")[0] or cut
    ends = ("… " if start else "", " …" if start + len(cut) < len(text) else "")
    marks = re.compile("|".join(one.pattern for one in patterns), re.IGNORECASE)
    pieces: list[tuple[SafeString | str]] = []
    at = 0
    for match in marks.finditer(cut):
        pieces += [(cut[at : match.start()],), (format_html("<mark>{}</mark>", match[0]),)]
        at = match.end()
    pieces.append((cut[at:],))
    return format_html("{}{}{}", ends[0], format_html_join("", "{}", pieces), ends[1])
