"""The facts that the sentence of an audit event contains: who acted, on what, and the changed
values."""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django.db.models import Model
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext, pgettext_lazy

from accounts.access.access import ROLE_NAMES
from accounts.models import (
    AuditEvent,
    CustomRole,
    Invitation,
    Key,
    Membership,
    Organisation,
    Project,
    ServiceAccount,
    Team,
    User,
)
from lib.ids import parse_id
from lib.numbers.formatting import group_digits

Names = Mapping[tuple[str, str], str]
"""How to read the display names of the objects that events refer to, by type and id."""
# Names that an event may have for its object, in order of preference.
NAMES: Final = ("name", "email", "url", "model", "slug", "request")
_NAMED: Final[Mapping[str, type[Model]]] = {
    "customrole": CustomRole,
    "invitation": Invitation,
    "key": Key,
    "membership": Membership,
    "organisation": Organisation,
    "project": Project,
    "serviceaccount": ServiceAccount,
    "team": Team,
    "user": User,
}
# The types of object that a budget can have, by its scope.
_SUBJECTS: Final[Mapping[str, tuple[str, Promise]]] = {
    "organisation": ("", _("the organisation")),
    "team": ("team", _("team %(name)s")),
    "user": ("user", pgettext_lazy("subject of a budget", "%(name)s")),
    "key": ("key", _("API key %(name)s")),
    "project": ("project", _("project %(name)s")),
    "model": ("", _("model %(name)s")),
    "tag": ("", _("tag %(name)s")),
    "customer": ("", _("end customer %(name)s")),
    "end_user": ("", _("each end user")),
}
_DOCUMENTS: Final[Mapping[str, Promise]] = {
    "invoice": _("an invoice"),
    "credit_note": _("a credit note"),
    "debit_note": _("a debit note"),
}
_MONEY: Final = frozenset({"amount", "charge", "credit_line", "low", "total"})
_LENGTH_MAX: Final = 80
_LISTED_MAX: Final = 3
# Control characters, and those that change the direction of the text after them.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def names_of(events: Sequence[AuditEvent]) -> Names:
    """Look up the names of the things that events refer to, with one query for each type."""
    wanted: dict[str, set[str]] = {}
    for event in events:
        wanted.setdefault(event.object_type, set()).add(event.object_id)
        scope, subject = _subject(event.detail)
        wanted.setdefault(_SUBJECTS.get(scope, ("",))[0], set()).add(subject)
    names: dict[tuple[str, str], str] = {}
    for type_name, model in _NAMED.items():
        keys = {id: key for id in wanted.get(type_name, ()) if (key := _key(model, id))}
        rows = model._default_manager.in_bulk(list(keys.values())) if keys else {}
        names |= {(type_name, id): _name(rows[key]) for id, key in keys.items() if key in rows}
    return names


def _key(model: type[Model], id: str) -> UUID | int | None:
    """Return the primary key in a text: one of our ids, a UUID or a number."""
    if model is User or model is Membership:
        return int(id) if id.isascii() and id.isdigit() else None
    try:
        return parse_id(id) or UUID(id)
    except ValueError:
        return None


def _name(row: Any) -> str:
    if isinstance(row, Membership):
        row = row.user
    return str(getattr(row, "name", "") or row.email)


def facts_of(event: AuditEvent, who: str, object_word: str, names: Names) -> dict[str, str]:
    """Return the facts of an event by name, in the page's language.

    For a change, `new_x` is the value after it and `old_x` the value before. `first_x` is a value
    that was empty before. `raised_x` and `lowered_x` are the old value of a rise and a fall.
    """
    detail = event.detail
    changes = _change_details(detail)
    facts: dict[str, Any] = {**_after(detail), **detail, **changes}
    name = next((facts[key] for key in NAMES if facts.get(key)), "")
    name = name or names.get((event.object_type, event.object_id), "")
    texts = {key: _text(key, value) for key, value in facts.items()}
    return {
        **texts,
        "who": _clean(who),
        "name": _clean(name),
        "object": _clean(f"{object_word} {name or event.object_id}"),
        "subject": _subject_text(detail, names),
        "document": str(_DOCUMENTS.get(str(detail.get("kind")), "")),
    }


def _after(detail: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values after a change, or before a removal."""
    sides = (detail.get("before"), detail.get("after"))
    return {key: value for side in sides if isinstance(side, dict) for key, value in side.items()}


def _change_details(detail: Mapping[str, Any]) -> dict[str, Any]:
    before, after = detail.get("before") or {}, detail.get("after")
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return {}
    changes: dict[str, Any] = {}
    for key, value in after.items():
        old = before.get(key)
        if value == old or value in (None, ""):
            continue
        changes[f"new_{key}"] = value
        if old in (None, ""):
            changes[f"first_{key}"] = value
            continue
        changes[f"old_{key}"] = old
        if key in _MONEY:
            changes[f"{_direction(old, value)}_{key}"] = old
    return changes


def _direction(old: object, new: object) -> str:
    try:
        return "raised" if float(str(new)) > float(str(old)) else "lowered"
    except ValueError:
        return "changed"


def _subject(detail: Mapping[str, Any]) -> tuple[str, str]:
    """Return the scope and the subject of the event's budget, or two empty texts."""
    facts = {**_after(detail), **detail}
    return str(facts.get("scope", "")), str(facts.get("subject", ""))


def _subject_text(detail: Mapping[str, Any], names: Names) -> str:
    scope, subject = _subject(detail)
    if scope not in _SUBJECTS:
        return ""
    type_name, form = _SUBJECTS[scope]
    name = names.get((type_name, subject), "") if type_name else subject
    return str(form) % {"name": _clean(name)} if name or scope == "organisation" else ""


def _text(key: str, value: object) -> str:
    """Return a value as text, or "" if a sentence cannot contain it."""
    kind = re.sub(r"^(new|old|first|raised|lowered|changed)_", "", key)
    if value is None or isinstance(value, dict | bool):
        return ""
    if isinstance(value, list | tuple):
        return _join_texts([_text(kind, one) for one in value])
    text = str(value)
    write = _WRITERS.get(kind)
    return write(text) if write and text else _clean(text)


def _join_texts(texts: Iterable[str]) -> str:
    texts = [text for text in texts if text]
    return ", ".join(texts[:_LISTED_MAX]) + (", …" if len(texts) > _LISTED_MAX else "")


def _clean(text: object) -> str:
    """Return a name on one line, without invisible characters, cut if it is too long."""
    words = " ".join(_UNSEEN.sub(" ", str(text)).split())
    return words if len(words) <= _LENGTH_MAX else f"{words[: _LENGTH_MAX - 1]}…"


def _money(text: str) -> str:
    sign, amount = ("−", text[1:]) if text.startswith("-") else ("", text)
    whole, dot, cents = amount.partition(".")
    if whole.isdecimal():
        amount = f"{group_digits(int(whole))}{dot}{cents}"
    return f"{sign}{pgettext('currency', '$')}{_clean(amount)}"


def _role(text: str) -> str:
    return str(ROLE_NAMES.get(text) or _clean(text))


def _day(text: str) -> str:
    try:
        time = parse_datetime(text)
    except ValueError:
        time = None
    return date_format(time.astimezone(dt.UTC), "DATE_FORMAT") if time else _clean(text)


def _month(text: str) -> str:
    try:
        day = parse_date(f"{text[:7]}-01")
    except ValueError:
        day = None
    return date_format(day, "YEAR_MONTH_FORMAT") if day else _clean(text)


_WRITERS: Final[Mapping[str, Callable[[str], str]]] = {
    **dict.fromkeys(_MONEY, _money),
    "month": _month,
    "role": _role,
    "valid_from": _day,
    "valid_to": _day,
}
