"""The models of a channel as its page edits them: rows of public name, upstream name, priority and
weight, the changes they would make, and the provider's list."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Final, NamedTuple

from django.http import QueryDict
from django.utils.translation import gettext

from gateway.channels import bounds as bounds
from gateway.channels.fields import MODEL_TIMEOUTS, ChannelFields
from gateway.channels.refusals import ChannelStale
from gateway.models import Channel, Route
from lib.sentences import join_words

_BLANK_ROWS: Final = 2
_DIGITS_MAX: Final = 10
SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")
"""The form in which seconds are typed."""


class Change(NamedTuple):
    """One line of a preview, as text; "" for no value."""

    what: str
    before: str
    after: str


def digest_of(changes: Iterable[tuple[str, ...]]) -> str:
    """Return a digest of changes as a review shows them, so that only those are saved. A review
    says only that a secret was entered, not which."""
    texts = [tuple(change) for change in changes]
    return hashlib.sha256(repr(texts).encode()).hexdigest()[:16]


def check_reviewed(sent: QueryDict, changes: Iterable[tuple[str, ...]]) -> None:
    """Raise ChannelStale unless the review showed these changes. The review and its button stay on
    the page while fields change, and Enter in a field presses this button."""
    if sent.get("reviewed") != digest_of(changes):
        text = gettext("Something changed since the review. Check the changes again.")
        raise ChannelStale("reviewed", text)


@dataclass(slots=True)
class RouteRow:
    """One row as typed. `timeouts` are first content/between chunks/total. `gone`: the provider no
    longer lists the model."""

    name: str = ""
    upstream: str = ""
    priority: str = ""
    weight: str = ""
    timeouts: str = ""
    removed: bool = False
    error: str = ""
    gone: bool = False

    @property
    def upstream_name(self) -> str:
        """The provider's name of the model."""
        return self.upstream or self.name


def rows_of(channel: Channel) -> list[RouteRow]:
    """Return the stored routes as rows, followed by empty rows."""
    rows = [
        RouteRow(
            route.model,
            route.upstream_model,
            _text(route.priority),
            _text(route.weight),
            _timeouts_text(route.timeouts),
        )
        for route in channel.routes.all()
    ]
    return rows + [RouteRow() for _ in range(_BLANK_ROWS)]


def rows_from(sent: QueryDict) -> list[RouteRow]:
    """Return the submitted rows. `add` are ticked names from the provider's list."""
    removed = set(sent.getlist("remove"))
    columns = [sent.getlist(name) for name in ("name", "upstream", "priority", "weight")]
    timeouts = chain(sent.getlist("timeouts"), repeat(""))
    rows = [
        RouteRow(
            name.strip(),
            upstream.strip(),
            priority.strip(),
            weight.strip(),
            times.strip(),
            removed=str(n) in removed,
        )
        for n, (name, upstream, priority, weight, times) in enumerate(
            zip(*columns, timeouts, strict=False)
        )
    ]
    blank = sum(1 for row in rows if not row.name)
    rows += [RouteRow(name) for name in sent.getlist("add")]
    rows += [RouteRow() for _ in range(_BLANK_ROWS - blank)]
    return rows[: bounds.ROUTES_MAX + _BLANK_ROWS]


def read_routes(rows: Iterable[RouteRow]) -> ChannelFields:
    """Return the rows as fields for a write. A row that cannot be read gets an error."""
    fields: ChannelFields = {"models": {}, "priorities": {}, "weights": {}, "model_timeouts": {}}
    models: dict[str, str] = {}
    priorities: dict[str, int] = {}
    weights: dict[str, int] = {}
    timeouts: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.removed or not (row.name or row.upstream):
            continue
        name = row.name or row.upstream
        if name in models:
            row.error = gettext("Two models have the name %(name)s.") % {"name": name}
        models[name] = "" if row.upstream == name else row.upstream
        _note_number(row, "priority", row.priority, priorities, name, bounds.PRIORITY_MAX)
        _note_number(row, "weight", row.weight, weights, name, bounds.WEIGHT_MAX)
        _note_timeouts(row, timeouts, name)
    fields["models"], fields["priorities"], fields["weights"] = models, priorities, weights
    fields["model_timeouts"] = timeouts
    return fields


def route_changes(channel: Channel, fields: ChannelFields) -> list[Change]:
    """Return what a write of these routes would change, by model name."""
    stored = {route.model: route for route in channel.routes.all()}
    wanted = {
        name: _describe_route(
            upstream,
            fields["priorities"].get(name),
            fields["weights"].get(name),
            fields["model_timeouts"].get(name, {}),
        )
        for name, upstream in fields["models"].items()
    }
    there = {name: _words_of(route) for name, route in stored.items()}
    return [
        Change(name, there.get(name, ""), wanted.get(name, ""))
        for name in sorted({*there, *wanted})
        if there.get(name) != wanted.get(name)
    ]


def mark_unlisted(rows: Sequence[RouteRow], listed: Collection[str]) -> list[str]:
    """Mark the rows whose model the provider no longer lists. Return the listed names that no row
    uses."""
    routed = {row.upstream_name for row in rows if row.name}
    for row in rows:
        row.gone = (
            bool(row.name) and "*" not in row.upstream_name and row.upstream_name not in listed
        )
    return [name for name in listed if name not in routed]


def _note_number(
    row: RouteRow, field: str, text: str, into: dict[str, int], name: str, most: int
) -> None:
    if not text:
        return
    least = -most if field == "priority" else 0
    is_number = text.isascii() and text.removeprefix("-").isdecimal() and len(text) <= _DIGITS_MAX
    number = int(text) if is_number else None
    if number is None or not least <= number <= most:
        template = gettext("Enter a number from %(least)s to %(most)s.")
        row.error = template % {"least": least, "most": most}
        return
    into[name] = number


def _note_timeouts(row: RouteRow, into: dict[str, dict[str, float]], name: str) -> None:
    if not row.timeouts:
        return
    parts = row.timeouts.split("/")
    wrong = len(parts) > len(MODEL_TIMEOUTS) or any(
        part and not SECONDS.fullmatch(part) for part in parts
    )
    if wrong:
        row.error = gettext("Enter seconds as first content/between chunks/total.")
        return
    timeouts = zip(MODEL_TIMEOUTS, parts, strict=False)
    into[name] = {timeout: float(part) for timeout, part in timeouts if part}


def _timeouts_text(timeouts: Mapping[str, float]) -> str:
    parts = [f"{timeouts[name]:g}" if name in timeouts else "" for name in MODEL_TIMEOUTS]
    return "/".join(parts).rstrip("/")


def _words_of(route: Route) -> str:
    return _describe_route(route.upstream_model, route.priority, route.weight, route.timeouts)


def _describe_route(
    upstream: str, priority: int | None, weight: int | None, timeouts: Mapping[str, float]
) -> str:
    parts = [upstream or gettext("Same name")]
    if priority is not None:
        parts.append(gettext("priority %(n)s") % {"n": priority})
    if weight is not None:
        parts.append(gettext("weight %(n)s") % {"n": weight})
    if timeouts:
        parts.append(gettext("timeouts %(text)s") % {"text": _timeouts_text(timeouts)})
    return join_words(parts)


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
