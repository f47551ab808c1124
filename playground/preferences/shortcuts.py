"""Keyboard shortcuts of the playground, which each person may change: Alt and a letter each, or F2.

    ShortcutConflict   two actions have the same letter: `act` and `other`

Letters stand for positions on the keyboard (`KeyboardEvent.code`), so that Option on a Mac and
Chinese layouts work.
"""

import string
from collections.abc import Mapping
from typing import Final

DEFAULTS: Final[Mapping[str, str]] = {
    "new_chat": "N",
    "chats": "L",
    "model": "M",
    "system": "Y",
    "params": "P",
    "tools": "T",
    "code": "C",
    "attach": "U",
    "edit": "E",
    "regenerate": "R",
    "rename": "F2",
}


class ShortcutConflict(ValueError):
    """Two actions have the same letter."""

    def __init__(self, act: str, other: str) -> None:
        super().__init__(f"{act} and {other}")
        self.act = act
        self.other = other


LETTERS: Final = (*string.ascii_uppercase, "F2")


def code_of(letter: str) -> str:
    """Return the position on the keyboard (`KeyboardEvent.code`). F2 is pressed without Alt."""
    return letter if letter == "F2" else f"Key{letter}"


def apply_rebindings(rebound: Mapping[str, str]) -> dict[str, str]:
    """Return the letter of each action, with the person's changes."""
    return {act: rebound.get(act, letter) for act, letter in DEFAULTS.items()}


def read_letters(form: Mapping[str, str]) -> dict[str, str]:
    """Parse the changed shortcuts of a form ({action: letter}). Anything but a letter means the
    default. Raises ShortcutConflict."""
    letters = {
        act: typed if (typed := form.get(act, "").strip().upper()) in LETTERS else letter
        for act, letter in DEFAULTS.items()
    }
    act_by_letter: dict[str, str] = {}
    for act, letter in letters.items():
        if letter in act_by_letter:
            raise ShortcutConflict(act, act_by_letter[letter])
        act_by_letter[letter] = act
    return {act: letter for act, letter in letters.items() if letter != DEFAULTS[act]}
