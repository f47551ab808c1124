"""Replace a person's addresses and names in texts that are kept with a pseudonym.

An address is replaced wherever it appears as a whole, also inside a URL. A name may be an ordinary
word, so it is replaced only in texts about the person: as a whole value, or as separate words.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

# Syntax that both engines of the pattern understand, Postgres' and Python's.
_LEFT: Final = "(?:(?<![A-Za-z0-9._+-])|(?<=%[0-9A-Fa-f][0-9A-Fa-f]))"
_RIGHT: Final = "(?![A-Za-z0-9-]|[.][A-Za-z0-9])"
# In scripts without spaces between words, the ends of a name cannot be recognised.
_UNSPACED: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_WORD_MIN: Final = 3


class Traces(NamedTuple):
    """The texts that identify a person: `addresses`, `names`, and other `texts` such as names of
    keys. `pseudonym` is an address in a domain that never exists."""

    pseudonym: str
    addresses: tuple[str, ...]
    names: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def address_pattern(addresses: Iterable[str]) -> str:
    """Return a case-insensitive regular expression, for Postgres and Python, that matches these
    addresses in texts and URLs."""
    forms = sorted({form for one in addresses for form in (one, quote(one, safe=""))})
    return _LEFT + "(?:" + "|".join(_literal(form) for form in forms) + ")" + _RIGHT


def replace_addresses(text: str, traces: Traces) -> str:
    """Return a text with the pseudonym in place of each address."""
    if not traces.addresses:
        return text
    return re.sub(
        address_pattern(traces.addresses), lambda _: traces.pseudonym, text, flags=re.IGNORECASE
    )


def replace_person(value: Any, traces: Traces, *, about: bool) -> Any:
    """Return a JSON value with the pseudonym in place of the person. If `about`, the value is about
    the person, and their names and texts are replaced too."""
    if isinstance(value, str):
        return _replace_traces(value, traces, about=about)
    if isinstance(value, list):
        return [replace_person(inner, traces, about=about) for inner in value]
    if isinstance(value, dict):
        return {name: replace_person(inner, traces, about=about) for name, inner in value.items()}
    return value


def searched_in_json(texts: Iterable[str]) -> list[str]:
    """Return texts as they appear in JSON, in lower case."""
    return [json.dumps(text, ensure_ascii=False)[1:-1].lower() for text in texts]


def _replace_traces(text: str, traces: Traces, *, about: bool) -> str:
    text = replace_addresses(text, traces)
    if not about:
        return text
    folded = text.strip().casefold()
    if folded and folded in {one.casefold() for one in (*traces.names, *traces.texts)}:
        return traces.pseudonym
    for name in traces.names:
        text = _replace_name(text, name, traces.pseudonym)
    return text


def _replace_name(text: str, name: str, pseudonym: str) -> str:
    if _UNSPACED.search(name):
        return text.replace(name, pseudonym) if len(name) > 1 else text
    if len(name) < _WORD_MIN:
        return text
    pattern = rf"(?<!\w){re.escape(name)}(?!\w)"
    return re.sub(pattern, lambda _: pseudonym, text, flags=re.IGNORECASE)


def _literal(text: str) -> str:
    """Escape a text for both regular expression engines: everything that is not a letter or a digit
    gets a backslash."""
    return "".join(
        char if char.isalnum() or char == "_" or ord(char) > 127 else f"\\{char}" for char in text
    )
