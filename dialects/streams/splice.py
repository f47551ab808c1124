"""Texts that a decoder writes for a client of another form, because nothing else of a frame is
new."""

from collections.abc import Callable
from typing import NamedTuple

from dialects.chat.events import Step

PassText = Callable[[str], str | None]
"""Returns the text that a client gets instead of one, "" for none yet; None if it cannot."""
AroundText = Callable[[int], tuple[bytes, bytes] | None]
"""Returns the bytes around the JSON of a choice's next text; None if they are not known yet."""


class Splice(NamedTuple):
    """How texts of a choice that follow each other are written: between which bytes, and changed
    how. `pass_text` is asked where `pass_words` cannot tell."""

    choice: int
    before: bytes
    after: bytes
    pass_words: PassText
    pass_text: PassText


class WrittenStep(Step, frozen=True, gc=False):
    """A step whose bytes are the client's already."""
