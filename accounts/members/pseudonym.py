"""Taking a person out of texts that stay: their addresses and names become a pseudonym.

An address is replaced wherever it stands as a whole, also as a part of a URL. A name may be a word
that others use, so it is replaced only in what is about the person: there as a whole value, and
inside a text as words of their own.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

# Both engines that read the pattern, Postgres' and Python's, know these.
_LEFT: Final = "(?:(?<![A-Za-z0-9._+-])|(?<=%[0-9A-Fa-f][0-9A-Fa-f]))"
_RIGHT: Final = "(?![A-Za-z0-9-]|[.][A-Za-z0-9])"
# Without spaces between words, a name has no ends to look for.
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_WORD_MIN: Final = 3


class Traces(NamedTuple):
    """What names a person: `addresses`, `names`, and other `texts` of theirs, such as what they
    called a key. `pseudonym` is an address too, in a domain that never exists."""

    pseudonym: str
    addresses: tuple[str, ...]
    names: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def address_pattern(addresses: Iterable[str]) -> str:
    """A regular expression for Postgres and Python, to be read without regard to case, of these
    addresses as they stand in texts and in URLs."""
    forms = sorted({form for one in addresses for form in (one, quote(one, safe=""))})
    return _LEFT + "(?:" + "|".join(_literal(form) for form in forms) + ")" + _RIGHT


def without_addresses(text: str, traces: Traces) -> str:
    """A text with the pseudonym in place of each address."""
    if not traces.addresses:
        return text
    return re.sub(
        address_pattern(traces.addresses), lambda _: traces.pseudonym, text, flags=re.IGNORECASE
    )


def without_person(value: Any, traces: Traces, *, about: bool) -> Any:
    """A value of JSON with the pseudonym in place of the person; `about`: the value tells of the
    person, so that names and texts of theirs go too."""
    if isinstance(value, str):
        return _without(value, traces, about=about)
    if isinstance(value, list):
        return [without_person(inner, traces, about=about) for inner in value]
    if isinstance(value, dict):
        return {name: without_person(inner, traces, about=about) for name, inner in value.items()}
    return value


def searched_in_json(texts: Iterable[str]) -> list[str]:
    """Texts as they stand in JSON, in lower case."""
    return [json.dumps(text, ensure_ascii=False)[1:-1].lower() for text in texts]


def _without(text: str, traces: Traces, *, about: bool) -> str:
    text = without_addresses(text, traces)
    if not about:
        return text
    folded = text.strip().casefold()
    if folded and folded in {one.casefold() for one in (*traces.names, *traces.texts)}:
        return traces.pseudonym
    for name in traces.names:
        text = _without_name(text, name, traces.pseudonym)
    return text


def _without_name(text: str, name: str, pseudonym: str) -> str:
    if _UNSPACED.search(name):
        return text.replace(name, pseudonym) if len(name) > 1 else text
    if len(name) < _WORD_MIN:
        return text
    pattern = rf"(?<!\w){re.escape(name)}(?!\w)"
    return re.sub(pattern, lambda _: pseudonym, text, flags=re.IGNORECASE)


def _literal(text: str) -> str:
    """As itself: a backslash before what is no letter and no digit, which both engines read so."""
    return "".join(
        char if char.isalnum() or char == "_" or ord(char) > 127 else f"\\{char}" for char in text
    )
