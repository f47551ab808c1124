"""What one side of a connection says in pieces, for what goes on from one response to the next.

What is said to a response that is not kept may be part of no entry. It is looked at all the same:
something to mask may begin in it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from content.log.kept import BEFORE_CHARACTERS, Pieces


class Voice:
    """All that one side says. Positions are in characters from its beginning."""

    def __init__(self) -> None:
        # The end of all that was said, and of what was said before the present part.
        self._heard = self._before = ""
        # How much was said, how much before the present part, and where what is not kept ends.
        self._said = self._begin = self._left_out = 0

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

    def leave_out(self, end: int) -> None:
        """Record that what was said until then is not kept."""
        self._left_out = end

    def left_out_before(self, begin: int, characters: int) -> int:
        """Return how many of the characters before a position are not to be stored."""
        return min(max(characters - (begin - self._left_out), 0), characters)


class VoicePart(NamedTuple):
    """What a voice says to one response, from `begin` to `end` of all that it says. `ends`: nothing
    follows."""

    voice: Voice
    texts: Sequence[str]
    before: str
    begin: int
    end: int
    ends: bool

    def leave_out(self) -> None:
        """Record that it is not kept."""
        self.voice.leave_out(self.end)

    def pieces(self) -> Pieces:
        """Return its texts as they are kept, once it is known what is kept of those before it."""
        left_out = self.voice.left_out_before(self.begin, len(self.before))
        return Pieces(self.texts, self.before, self.ends, left_out)
