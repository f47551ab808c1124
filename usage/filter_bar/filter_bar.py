"""The bar of filters above usage and above the log of requests."""

import datetime as dt
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils.translation import gettext, gettext_lazy, pgettext_lazy

from accounts.access import access
from accounts.access.actors import Actor
from billing.currency.money import format_usd
from lib.ids import id_text
from lib.tables.filter_bar import Chip, Field, FilterBar
from lib.tables.table import Choices
from usage.buckets.buckets import Span
from usage.filters.filters import Scope, UsageFilter
from usage.filters.groupings import GroupBy
from usage.reports import reports
from usage.requests import words
from usage.requests.words import KINDS
from usage.rollups.levels import Freshness

ZONES: Final = (
    "UTC",
    "America/Los_Angeles",
    "America/Denver",
    "America/Chicago",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Moscow",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Shanghai",
    "Asia/Hong_Kong",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Australia/Sydney",
    "Pacific/Auckland",
)
RANGES: Choices = (
    ("today", gettext_lazy("Today")),
    ("yesterday", gettext_lazy("Yesterday")),
    ("24h", gettext_lazy("Last 24 hours")),
    ("7d", gettext_lazy("Last 7 days")),
    ("30d", gettext_lazy("Last 30 days")),
    ("mtd", gettext_lazy("This month")),
    ("last-month", gettext_lazy("Last month")),
    ("custom", gettext_lazy("Custom")),
)
COMPARED: Choices = (
    ("prev", gettext_lazy("vs the period before")),
    ("year", gettext_lazy("vs a year ago")),
)
LABELLED: Final = ("team", "project", "customer", "end_user", "tag", "app", "without")
GROUPS_SHOWN: Final[Mapping[str, Any]] = {
    "model": gettext_lazy("Model"),
    "key": gettext_lazy("Key"),
    "user": gettext_lazy("Person"),
    "team": gettext_lazy("Team"),
    "project": gettext_lazy("Project"),
    "customer": gettext_lazy("Customer"),
    "end_user": gettext_lazy("End user"),
    "tag": gettext_lazy("Tag"),
    "app": gettext_lazy("Application"),
    "status": gettext_lazy("Status"),
    "channel": gettext_lazy("Channel"),
    "without": pgettext_lazy("filter", "Without"),
}
# Filters that are used less often.
_REST: Final = frozenset(
    {"compare", "team", "user", "channel", "guards", "cause", "min_cost", "tz", *LABELLED}
)
STATUSES: Choices = (
    ("", gettext_lazy("Any status")),
    ("ok", pgettext_lazy("state of a request", "Succeeded")),
    ("error", gettext_lazy("Failed")),
    ("stopped", gettext_lazy("Stopped")),
    ("review", gettext_lazy("Count under review")),
)
GUARDS: Choices = (
    ("", gettext_lazy("Any guards")),
    ("masked", gettext_lazy("Masked by a guard")),
    ("rejected", gettext_lazy("Rejected by a guard")),
)
STATUS_WORDS: Final = {
    value: word for value, word in (*STATUSES, *GUARDS) if value and value != "masked"
}
"""Also of `used_rows.STATUS`."""


def group_label(by: GroupBy, label: str) -> str:
    """Return the display name of a group."""
    return (words.key_name(label) if by == "key" else label) or _nobody_text(by)


def _nobody_text(by: GroupBy) -> str:
    return {
        "model": gettext("Unknown model"),
        "key": gettext("Deleted key"),
        "user": gettext("No owner"),
        "channel": gettext("No channel"),
    }.get(by) or gettext("None")


def usage_bar(
    actor: Actor,
    usage_filter: UsageFilter,
    *,
    log: bool = False,
    single: bool = True,
    kept: tuple[tuple[str, str], ...] = (),
    at: Freshness | None = None,
    before: Sequence[Field] = (),
) -> FilterBar:
    """Build the fields of a range and its filters, after the page's own fields. `kept` are
    parameters that stay in the address. The bar of a `log` also has fields that only match `single`
    requests, unless it lists something else."""
    fields = [*before, *_range_fields(usage_filter)]
    if not log:
        compared = usage_filter.compare
        fields.append(Field("compare", gettext("Compared with"), value=compared, choices=COMPARED))
    fields += _scope_fields(actor, usage_filter, at)
    if log and single:
        fields += _log_fields(usage_filter)
    zone = usage_filter.zone.key
    zones = [(name, name.replace("_", " ")) for name in dict.fromkeys((*ZONES, zone))]
    fields.append(Field("tz", gettext("Time zone"), value=zone, choices=zones))
    fields = [field._replace(rest=field.name in _REST) for field in fields]
    hidden, own = list(kept), {field.name for field in before}
    if not log:
        grouped = (("group_by", usage_filter.group_by), ("metric", usage_filter.metric))
        hidden += [pair for pair in grouped if pair[0] not in own]
    parts = _parts(fields, usage_filter)
    # A field has one value. The form keeps the others until the field itself changes (work.js);
    # without scripts, their chips remove them.
    hidden += [(field.name, value) for field, value, _ in parts if value != field.value]
    chips = [_chip(usage_filter, kept, *part) for part in parts]
    cleared: dict[str, Any] = dict.fromkeys(
        (
            *("model", "key", "user", "channel", "status", "guards", "cause", "q", "session"),
            "min_cost",
            *LABELLED,
        )
    )
    return FilterBar(fields, hidden, chips, f"?{usage_filter.query(**cleared, **dict(kept))}")


def dates_of(span: Span, zone: ZoneInfo) -> tuple[dt.date, dt.date]:
    """Return the first and the last day of a span."""
    last = span.end_at - dt.timedelta(seconds=1)
    return span.start_at.astimezone(zone).date(), last.astimezone(zone).date()


def _range_fields(usage_filter: UsageFilter) -> list[Field]:
    first, last = usage_filter.on or dates_of(usage_filter.span, usage_filter.zone)
    fields = [Field("range", gettext("Time range"), value=usage_filter.range, choices=RANGES)]
    if usage_filter.range == "custom":
        fields += [
            Field("from", gettext("First day"), "date", first.isoformat()),
            Field("to", gettext("Last day"), "date", last.isoformat()),
        ]
    return fields


def _scope_fields(actor: Actor, usage_filter: UsageFilter, at: Freshness | None) -> list[Field]:
    reads = access.scope_of(actor, "usage.read")
    choices = reports.choices(actor, usage_filter.span, at) if reads else reports.NO_CHOICES
    scope = usage_filter.scope
    keys = [(id_text(key), words.key_name(label)) for key, label in choices.keys]
    channels = [(id_text(channel), label) for channel, label in choices.channels]
    chosen_keys = [id_text(key) for key in scope.keys]
    chosen_channels = [id_text(channel) for channel in scope.channels]
    fields = [
        _choice(
            "model", gettext("Model"), gettext("Any model"), _pairs(choices.models), scope.models
        ),
        _choice("key", gettext("Key"), gettext("Any key"), keys, chosen_keys),
    ]
    if len(choices.teams) > 1 or scope.teams:
        teams = list(choices.teams)
        fields.append(_choice("team", gettext("Team"), gettext("Any team"), teams, scope.teams))
    if reads != "own":
        people = _pairs(choices.users)
        fields.append(_choice("user", gettext("Person"), gettext("Anyone"), people, scope.users))
    if actor.operator:
        anyone = gettext("Any channel")
        fields.append(_choice("channel", gettext("Channel"), anyone, channels, chosen_channels))
    for name, values in _labels_by_name(scope).items():
        if values:
            # The sums do not know the other values. The explorer lists them, and links here.
            chosen = [(value, _display_label(name, value)) for value in values]
            fields.append(_choice(name, str(GROUPS_SHOWN[name]), gettext("Any"), chosen, values))
    return fields


def _labels_by_name(scope: Scope) -> dict[str, tuple[str, ...]]:
    return {
        "project": scope.projects,
        "customer": scope.customers,
        "end_user": scope.end_users,
        "tag": scope.tags,
        "app": scope.apps,
        "without": scope.without,
    }


def _display_label(name: str, value: str) -> str:
    return str(GROUPS_SHOWN[value]) if name == "without" else value


def _log_fields(usage_filter: UsageFilter) -> list[Field]:
    scope = usage_filter.scope
    causes = sorted(((kind, str(text)) for kind, text in KINDS.items()), key=itemgetter(1))
    return [
        Field("status", gettext("Status"), value=scope.status or "", choices=STATUSES),
        Field("guards", gettext("Guards"), value=scope.guards or "", choices=GUARDS),
        _choice("cause", gettext("Cause"), gettext("Any cause"), causes, scope.causes),
        Field(
            "min_cost",
            gettext("Minimum cost"),
            "number",
            format_usd(scope.min_cost_nano) if scope.min_cost_nano else "",
            hint=gettext("Min. cost, $"),
        ),
        Field(
            "q",
            gettext("Request ID"),
            "search",
            id_text(scope.request_id) if scope.request_id else "",
        ),
        *(
            [Field("session", gettext("Session ID"), "search", id_text(scope.session_id))]
            if scope.session_id
            else []
        ),
    ]


def _parts(fields: list[Field], usage_filter: UsageFilter) -> list[tuple[Field, str, list[str]]]:
    """Return each active value: its field, the value, and the other values of the field."""
    scope = usage_filter.scope
    several = {
        "model": list(scope.models),
        "key": [id_text(key) for key in scope.keys],
        "user": list(scope.users),
        "channel": [id_text(channel) for channel in scope.channels],
        "cause": list(scope.causes),
        "team": list(scope.teams),
        **{name: list(values) for name, values in _labels_by_name(scope).items()},
    }
    single = {"status", "guards", "min_cost", "q", "session"}
    return [
        (field, value, [other for other in values if other != value])
        for field in fields
        for values in [several.get(field.name, [field.value] if field.name in single else [])]
        for value in values
        if value
    ]


def _chip(
    usage_filter: UsageFilter,
    kept: tuple[tuple[str, str], ...],
    field: Field,
    value: str,
    others: list[str],
) -> Chip:
    text = dict(field.choices).get(value, f"${value}" if field.name == "min_cost" else value)
    over: dict[str, Any] = {field.name: others}
    return Chip(field.label, text, f"?{usage_filter.query(**over, **dict(kept))}")


def _choice(
    name: str, label: str, any_of_them: str, choices: list[tuple[str, str]], chosen: Any
) -> Field:
    value = next(iter(chosen), "")
    return Field(
        name, label, value=value, choices=[("", any_of_them), *_add_chosen(choices, value)]
    )


def _add_chosen(choices: list[tuple[str, str]], chosen: str) -> list[tuple[str, str]]:
    """Return a field's choices plus the chosen value, even if the range does not contain it."""
    return choices if not chosen or chosen in dict(choices) else [*choices, (chosen, chosen)]


def _pairs(values: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(value, value) for value in values]
