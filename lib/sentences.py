"""Texts that follow each other in one paragraph or line, as the active language sets them."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from django.utils.translation import get_language, gettext

_CHINESE: Final = re.compile("[\u3400-\u9fff]")
_PLACE: Final = re.compile(r"( ?)%\((\w+)\)s( ?)")
_BLANKS_AFTER_STOP: Final = re.compile(r"([。！？](?:</\w+>)*)\s+")


def close_up(text: str) -> str:
    """Return a text of several sentences as its language sets them: Chinese has no blanks between
    them."""
    return _BLANKS_AFTER_STOP.sub(r"\1", text) if (get_language() or "").startswith("zh") else text


def join_sentences(*sentences: str) -> str:
    """Return the sentences that are not empty, one after the other."""
    return close_up(" ".join(filter(None, sentences)))


def join_words(words: Iterable[object]) -> str:
    """Return translated words as a list: "a, b"."""
    return gettext(", ").join(map(str, words))


def named_text(name: object, text: object) -> str:
    """Return "name: text"."""
    return gettext("%(name)s: %(text)s") % {"name": name, "text": text}


def close_blanks(form: str, facts: Mapping[str, str]) -> str:
    """Return the form of a sentence without the blanks between its Chinese and a Chinese fact. The
    blanks around a Latin fact stay."""

    def close(place: re.Match[str]) -> str:
        before, name, after = place.groups()
        fact = facts.get(name) or " "
        if _CHINESE.match(fact[0]) and _CHINESE.match(form[: place.start()][-1:]):
            before = ""
        if _CHINESE.match(fact[-1]) and _CHINESE.match(form[place.end() :][:1]):
            after = ""
        return f"{before}%({name})s{after}"

    return _PLACE.sub(close, form)
