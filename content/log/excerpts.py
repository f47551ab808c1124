"""The part of a text around the place where a search matches."""

from typing import Final, NamedTuple

AROUND: Final = 80
"""How many characters are shown on either side of a match."""
MATCH_MAX: Final = 200


class Excerpt(NamedTuple):
    """What matches, as it is written in the text, and the text before and after it."""

    before: str
    match: str
    after: str


def excerpt_of(text: str, wanted: str) -> Excerpt | None:
    """Return the first place of a text that matches `wanted`, ignoring case; None if none does.
    `wanted` is casefolded."""
    folded = text.casefold()
    at = folded.find(wanted)
    if at < 0:
        return None
    start, end = at, at + len(wanted)
    if len(folded) != len(text):
        # A letter such as ß is folded to two. Each one is folded to at least one.
        start, end = _unfold(text, start, end)
    cut = min(end, start + MATCH_MAX)
    before, after = text[max(0, start - AROUND) : start], text[cut : cut + AROUND]
    return Excerpt(
        f"…{before}" if start > AROUND else before,
        text[start:cut],
        f"{after}…" if cut + AROUND < len(text) else after,
    )


def _unfold(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the characters of a text that contain a range of its folded form."""
    first, place = None, 0
    for number, character in enumerate(text):
        place += len(character.casefold())
        if first is None and place > start:
            first = number
        if first is not None and place >= end:
            return first, number + 1
    return len(text), len(text)
