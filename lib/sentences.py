"""Texts that follow each other in one paragraph."""

import re
from typing import Final

from django.utils.translation import get_language

_BLANKS_AFTER_STOP: Final = re.compile(r"([。！？](?:</\w+>)*)\s+")


def close_up(text: str) -> str:
    """Return a text of several sentences as its language sets them: Chinese has no blanks between
    them."""
    return _BLANKS_AFTER_STOP.sub(r"\1", text) if (get_language() or "").startswith("zh") else text


def join_sentences(*sentences: str) -> str:
    """Return the sentences that are not empty, one after the other."""
    return close_up(" ".join(filter(None, sentences)))
