"""Texts that a decoder writes for a client of another form, because nothing else of a frame is
new."""

from collections.abc import Callable
from typing import NamedTuple

from dialects.chat.events import Step

PassWords = Callable[[str], str | None]
"""Returns the text that a client gets instead of one, "" for none yet; None, and does nothing, if
it has to be read as an event."""


class Splice(NamedTuple):
    """How texts of a choice that follow each other are written: between which bytes, and changed
    how."""

    choice: int
    before: bytes
    after: bytes
    pass_words: PassWords


class WrittenStep(Step, frozen=True, gc=False):
    """A step whose bytes are the client's already."""
