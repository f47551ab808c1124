"""What each letter may be about: every value that its template compares with, and everything that
may be missing.

The kinds of facts, and the texts of each, are those of `notify/events/kinds.py` and of the
templates.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from lib.ids import id_text
from notify.events.kinds import KINDS
from tests.house.test_style import ROOT

_INCLUDED: Final = re.compile(r'{% include "([^"]+)"')
_COMPARED: Final = re.compile(r'\b(\w+) [!=]= "([^"]+)"')
_COUNTED: Final = re.compile(r"\b(\w+) == (\d+)")
_PLURAL: Final = re.compile(r"{% blocktranslate count \w+=(\w+)")
_ASKED: Final = re.compile(r"{% (?:el)?if (?:not )?(\w+)(?: (?:and|or) (\w+))? %}")
# What the letter gets of its sending.
_OF_SENDING: Final = {"part", "organisation", "user", "public_url"}
_IDS: Final = (
    "channel_id", "bill", "document", "approval", "request", "id", "export",
)  # fmt: skip
_TIMES: Final = ("until", "resets_at", "forecast_at", "expires_at", "period_began")
_NUMBERS: Final = (
    "threshold", "spent_percent", "count", "rows", "size", "records", "differences", "days",
    "added_count", "gone_count", "renamed_count", "new", "not_understood_count", "left",
    "requests", "seconds", "lines",
)  # fmt: skip
_LISTS: Final = ("added", "gone", "renamed", "models", "unknown", "flags", "parts")
SAMPLES: Final[Mapping[str, Any]] = {
    **{name: id_text(UUID(int=n)) for n, name in enumerate(_IDS, 1)},
    **{name: f"2026-12-0{n}T0{n}:10:00+00:00" for n, name in enumerate(_TIMES, 1)},
    **{name: 70 + n for n, name in enumerate(_NUMBERS, 1)},
    **{name: [f"‹{name}-{n}›" for n in (1, 2)] for name in _LISTS},
    "not_understood": ["‹not-understood-1›"],
    "budget": "57", "month": "2026-10", "currency": "USD",
    "first_on": "2026-11-01", "last_on": "2026-11-30", "page": "/page", "leave": "/leave",
    "jobs": [
        {"title": "Deliveries", "task": "t.one", "since": "2026-12-07T07:10:00Z", "error": "E"},
        {"title": "Deliveries", "task": "t.two", "since": "2026-12-08T08:10:00Z", "error": ""},
    ],
    "findings": [
        {"invariant": "I9", "object": "‹object-1›", "expected": "1", "found": "2"},
        {"invariant": "I7", "object": "‹object-2›", "expected": "", "found": "3"},
        {"invariant": "I8", "object": "‹object-3›", "expected": "", "found": ""},
    ],
    "changes": [
        {"name": "‹amount›", "before": "1", "after": "2"},
        {"name": "‹reason›", "before": "", "after": ""},
    ],
    "action": "block", "role": "admin", "scope": "key", "slug": "figures", "cause": "unusable",
}  # fmt: skip
"""What facts say, by name; whatever else a text has is its name in ‹›, so that no two are alike. A
sentence of a person, or of another program, is in a letter as it is."""
# What only one kind calls so.
_OF_KIND: Final[Mapping[str, Mapping[str, Any]]] = {
    "report.due": {
        "ended": "author",
        "rows": [
            {"group": "‹group-1›", "cost": "1.23", "requests": "45"},
            {"group": "‹group-2›", "cost": "0.67", "requests": "8"},
        ],
    },
    "security.changed": {"action": "passkey.added"},
    "invoice.closed": {"document": "invoice"},
    "count.doubted": {"flags": "‹flag-1›, ‹flag-2›"},
    "usage.unknown": {"unknown": "‹unknown-1›, ‹unknown-2›"},
}


def variants(kind: str) -> Iterator[dict[str, Any]]:
    """The bodies of a letter of that kind: everything, what may be missing left out, and each value
    that it compares with."""
    text = _text_of(kind)
    body = _whole(kind, text)
    yield body
    yield body | {name: [] if isinstance(body[name], list) else None for name in _asked(text, body)}
    for name, value in _COMPARED.findall(text):
        if name in body:
            yield body | {name: value}


def every_variant(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The bodies of a letter of that kind, with what each differs in: each of these values beside
    everything, beside each number that the letter compares with, and beside nothing of what may be
    missing. Many read alike."""
    text = _text_of(kind)
    body = _whole(kind, text)
    asked = {name: type(body[name])() for name in _asked(text, body)}
    compared = [(name, value) for name, value in _COMPARED.findall(text) if name in body]
    counted = [(name, int(value)) for name, value in _COUNTED.findall(text)]
    plural = [(name, 1) for name in _PLURAL.findall(text) if name in body]
    yield "", body
    for name, nothing in asked.items():
        yield f"no {name}", body | {name: nothing}
    for name, value in (*compared, *counted, *plural):
        yield f"{name} {value}", body | {name: value}
    yield "bare", body | asked
    for name in (name for name in asked if name not in dict(compared)):
        yield f"only {name}", body | asked | {name: body[name]}
    for name, value in plural:
        yield f"only {name} {value}", body | asked | {name: value}
    of_letter = _COMPARED.findall(_source(_template(kind)))
    for number in counted:
        for name, value in (("spent_percent", 101), *of_letter, ("action", "alert")):
            yield (
                f"{number[0]} {number[1]}, {name} {value}",
                {**body, **dict([number]), name: value},
            )


def _template(kind: str) -> str:
    return f"notify/letters/{kind.replace('.', '_')}.txt"


def _text_of(kind: str) -> str:
    return _with_included(_template(kind))


def _with_included(template: str) -> str:
    """The source of a template with that of those which it includes."""
    text = _source(template)
    return text + "".join(_with_included(name) for name in _INCLUDED.findall(text))


def _source(template: str) -> str:
    return (ROOT / "templates" / template).read_text()


def _whole(kind: str, text: str) -> dict[str, Any]:
    names = (set(re.findall(r"\b[a-z_]+\b", text)) | set(KINDS[kind].data.split())) - _OF_SENDING
    body = {name: SAMPLES.get(name, f"‹{name}›") for name in names}
    return {**body, **_OF_KIND.get(kind, {})}


def _asked(text: str, body: Mapping[str, Any]) -> list[str]:
    """What a letter may be without, in the order of its template."""
    names = dict.fromkeys(name for pair in _ASKED.findall(text) for name in pair)
    return [name for name in names if name in body]
