"""What one side of a connection says in pieces, for what goes on from one response to the next.

What is said to a response that is not kept may be part of no entry. It is looked at all the same:
something to mask may begin in it.
"""

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

from content.log.kept import BEFORE_CHARACTERS, Pieces, Span


class Voice:
    """All that one side says. Positions are in characters from its beginning."""

    def __init__(self) -> None:
        # The end of all that was said, and of what was said before the present part.
        self._heard = self._before = ""
        # How much was said, and how much before the present part.
        self._said = self._begin = 0
        # What is kept, as far as it may be looked at again.
        self._kept: list[Span] = []

    def add(self, text: str) -> None:
        self._heard = (self._heard + text)[-BEFORE_CHARACTERS:]
        self._said += len(text)

    @property
    def goes_on(self) -> bool:
        """Whether anything was said before the present part."""
        return bool(self._before)

    def take_part(self, texts: Sequence[str], *, ends: bool = False) -> "VoicePart":
        """Return the present part, of which these texts are in an entry, and begin the next."""
        part = VoicePart(self, texts, self._before, self._begin, self._said, ends)
        self._before, self._begin = self._heard, self._said
        return part

    def keep(self, part: Span) -> None:
        """Record that what was said there is kept."""
        oldest = self._begin - BEFORE_CHARACTERS
        self._kept = [one for one in self._kept if one[1] > oldest]
        insort(self._kept, part)

    def left_out(self, begin: int, end: int) -> list[Span]:
        """Return the spans of what was said there that are not kept, in positions from `begin` on.
        What is not settled is not kept by now."""
        spans, at = list[Span](), begin
        for kept_from, kept_to in [*self._kept, (end, end)]:
            if at < min(kept_from, end):
                spans.append((at - begin, min(kept_from, end) - begin))
            at = max(at, kept_to)
        return spans


class VoicePart(NamedTuple):
    """What a voice says to one response, from `begin` to `end` of all that it says. `ends`: nothing
    follows."""

    voice: Voice
    texts: Sequence[str]
    before: str
    begin: int
    end: int
    ends: bool

    def keep(self) -> Pieces:
        """Record that it is kept, and return its texts as they are. What is kept of those before it
        is known."""
        left_out = self.voice.left_out(self.begin - len(self.before), self.begin)
        self.voice.keep((self.begin, self.end))
        return Pieces(self.texts, self.before, self.ends, left_out)
