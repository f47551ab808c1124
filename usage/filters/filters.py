"""Parse a report's query string into one frozen value. Pages ignore what they do not understand
with a notice; the API refuses it.

Ranges are cut into buckets in the requested time zone (`usage.buckets.buckets`). Every edge is on a
quarter of an hour, so a report always consists of whole stored buckets (I17).
"""

import datetime as dt
import zoneinfo
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple, TypeVar, get_args
from urllib.parse import parse_qsl, urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts.limits.end_users import END_USER_LENGTH
from billing.currency.money import format_usd, parse_typed_usd
from billing.periods.period_starts import first_instant_at
from dialects.errors.kinds import ErrorKind
from lib.ids import id_text, parse_id
from usage.buckets.buckets import BUCKET, Grain, Span, bucket_of, chart_grain, edges, first_instant
from usage.filters.groupings import GROUPINGS, OVERLAPPING, SUMMED, GroupBy

Range = Literal["24h", "today", "yesterday", "7d", "30d", "mtd", "last-month", "custom"]
Status = Literal["ok", "error", "stopped", "review", "masked", "rejected"]
Metric = Literal["cost", "requests", "tokens", "errors"]
Compare = Literal["prev", "year"]

RANGE: Final[Range] = "30d"
CHARTED: Final = tuple(name for name in GROUPINGS if name not in OVERLAPPING | {"status"})
"""The groupings of a chart, in which the parts add up to the whole bar."""
_EMPTY: Final[tuple[GroupBy, ...]] = (
    "model", "user", "project", "customer", "end_user", "tag", "app", "channel",
)  # fmt: skip
"""The groupings in which a row may have no group. Channels are the last, because only operators
know them."""
OF_SUMS: Final = ("group_by", "then_by", "metric", "compare")
"""Parameters for sums that a list of requests does not have."""
API_DAYS: Final = 30
"""The default number of days of an API report without a start."""
UTC_ZONE: Final = ZoneInfo("UTC")

_DAY: Final = dt.timedelta(days=1)
_RANGE_MAX: Final = 3660 * _DAY
_YEARS: Final = (2000, 2200)
# The years of a list's range, wide enough for "since ever".
_EDGE_YEARS: Final = (1900, 2200)
_NO_EDGE: Final = "expected a date, or a time with its offset"
_VALUES_MAX: Final = 20

T = TypeVar("T")


class RangeRefused(ValueError):
    """The requested range is invalid; `field` is the parameter that is wrong."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Dropped(NamedTuple):
    """A parameter that was ignored, because it is invalid on this page."""

    name: str
    value: str


@dataclass(frozen=True)
class Scope:
    """Which rows of a report are wanted; empty means all. `teams` are slugs, `request_id` selects
    one request, `session_id` one session, `min_cost_nano` is the minimum charge, `causes` are the
    reasons for failures, `guards` is what a guard did. `without` are groupings in which a row has
    no group, such as a key without a person."""

    models: tuple[str, ...] = ()
    keys: tuple[UUID, ...] = ()
    users: tuple[str, ...] = ()
    channels: tuple[UUID, ...] = ()
    teams: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    end_users: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    without: tuple[GroupBy, ...] = ()
    status: Status | None = None
    request_id: UUID | None = None
    session_id: UUID | None = None
    min_cost_nano: int | None = None
    causes: tuple[str, ...] = ()
    guards: Literal["masked", "rejected"] | None = None

    @property
    def picks_records(self) -> bool:
        """Whether the scope selects by properties that the sums do not have."""
        return self != self.summed_part

    @property
    def summed_part(self) -> "Scope":
        """Return the part of the scope that the sums support."""
        return replace(
            EVERYTHING,
            models=self.models,
            keys=self.keys,
            users=self.users,
            channels=self.channels,
            teams=self.teams,
            without=tuple(name for name in self.without if name in SUMMED),
        )


EVERYTHING: Final = Scope()


@dataclass(frozen=True)
class UsageFilter:
    """A report's time, in buckets of its zone, and its rows.

    `spans` cover the time from `start_at` to before `end_at` without gaps. `now` is the instant at
    which the query was parsed; the bucket that contains it is not over yet.
    """

    range: Range
    zone: ZoneInfo
    grain: Grain
    spans: tuple[Span, ...]
    now: dt.datetime
    scope: Scope = EVERYTHING
    group_by: GroupBy = "model"
    then_by: GroupBy | None = None
    metric: Metric = "cost"
    compare: Compare = "prev"
    dropped: tuple[Dropped, ...] = ()
    # The dates of a custom range as given, to fill the form; None for instants.
    on: tuple[dt.date, dt.date] | None = field(default=None, compare=False)

    @property
    def start_at(self) -> dt.datetime:
        return self.spans[0].start_at

    @property
    def end_at(self) -> dt.datetime:
        return self.spans[-1].end_at

    @property
    def span(self) -> Span:
        return Span(self.start_at, self.end_at)

    @property
    def previous(self) -> Span:
        """Return the period for comparison, as long as the elapsed part of this one: the one before
        it, or the same dates a year ago. A current month is compared with the same part of the
        previous month."""
        passed_to = min(self.end_at, bucket_of(self.now) + BUCKET)
        if self.compare == "year":
            start_at, end_at = (_year_before(at, self.zone) for at in (self.start_at, passed_to))
            return Span(start_at, max(end_at, start_at + BUCKET))
        passed = max(passed_to - self.start_at, BUCKET)
        start_at = self._previous_start()
        return Span(start_at, min(start_at + passed, self.start_at))

    def _previous_start(self) -> dt.datetime:
        first = self.start_at.astimezone(self.zone).date()
        if self.range in ("today", "yesterday"):
            return first_instant(first - _DAY, self.zone)
        if self.grain in ("15min", "hour"):
            return self.start_at - (self.end_at - self.start_at)
        if self.range in ("mtd", "last-month"):
            before = (first - _DAY).replace(day=1)
        else:
            last = (self.end_at - BUCKET).astimezone(self.zone).date()
            before = first - (last - first + _DAY)
        return first_instant(before, self.zone)

    def unfinished(self, span: Span) -> bool:
        """Return whether the bucket contains the present."""
        return span.start_at <= self.now < span.end_at

    def query(self, **over: object) -> str:
        """Return the query string of this filter, with some parameters replaced (None removes
        one)."""
        parameters = self._parameters()
        parameters.update({name.rstrip("_"): value for name, value in over.items()})
        return urlencode({name: value for name, value in parameters.items() if value}, doseq=True)

    def pairs(self, *, log: bool = False) -> list[tuple[str, str]]:
        """Return the query as pairs; for a log without the parameters that only sums use."""
        return [
            (name, value)
            for name, value in parse_qsl(self.query())
            if not (log and name in OF_SUMS)
        ]

    def _parameters(self) -> dict[str, object]:
        return {
            "range": self.range if self.range != RANGE else None,
            **self._custom(),
            "tz": self.zone.key if self.zone.key != "UTC" else None,
            "model": self.scope.models,
            "key": [id_text(key) for key in self.scope.keys],
            "user": self.scope.users,
            "channel": [id_text(channel) for channel in self.scope.channels],
            "team": self.scope.teams,
            "project": self.scope.projects,
            "customer": self.scope.customers,
            "end_user": self.scope.end_users,
            "tag": self.scope.tags,
            "app": self.scope.apps,
            "without": self.scope.without,
            "status": self.scope.status,
            "min_cost": format_usd(self.scope.min_cost_nano) if self.scope.min_cost_nano else None,
            "cause": self.scope.causes,
            "guards": self.scope.guards,
            "q": id_text(self.scope.request_id) if self.scope.request_id else None,
            "session": id_text(self.scope.session_id) if self.scope.session_id else None,
            "group_by": self.group_by if self.group_by != "model" else None,
            "then_by": self.then_by,
            "metric": self.metric if self.metric != "cost" else None,
            "compare": self.compare if self.compare != "prev" else None,
        }

    def query_of_span(self, span: Span, **over: object) -> str:
        """Return the query string for the rows of one bucket."""
        return self.query(**self.within(span), **over)

    def within(self, span: Span) -> dict[str, str]:
        """Return the replacements in a query that select one bucket."""
        first, end = (at.astimezone(self.zone) for at in span)
        last = (span.end_at - BUCKET).astimezone(self.zone).date()
        if self.grain in ("15min", "hour") or span != Span(
            first_instant(first.date(), self.zone), first_instant(last + _DAY, self.zone)
        ):
            edge_texts = _instant_text(first), _instant_text(end)
        else:
            edge_texts = first.date().isoformat(), last.isoformat()
        return {"range": "custom", "from_": edge_texts[0], "to": edge_texts[1]}

    def _custom(self) -> dict[str, str]:
        if self.range != "custom":
            return {}
        if self.on:
            return {"from": self.on[0].isoformat(), "to": self.on[1].isoformat()}
        return {"from": _instant_text(self.start_at), "to": _instant_text(self.end_at)}


def from_query(
    query: Mapping[str, Sequence[str]],
    now: dt.datetime,
    *,
    channels: bool,
    log: bool = False,
    ignored: Iterable[str] = (),
    explored: bool = False,
) -> UsageFilter:
    """Parse a page's query string (`dict(request.GET.lists())`), ignoring unknown parameters.
    `channels` tells whether the actor may see channels; `log` parses filters for single requests
    instead of those for sums; `ignored` are the names that the page itself parses; `explored`
    allows any grouping, and two together."""
    reader = _Reader(query)
    zone = reader.single("tz", read_zone)
    zone = UTC_ZONE if zone is None else zone
    range_name: Range = reader.single("range", _choose_among(get_args(Range))) or RANGE
    usage_filter = _range(reader, range_name, zone, now)
    scope = Scope(
        models=reader.many("model", read_model),
        keys=reader.many("key", read_id),
        users=reader.many("user", read_email),
        channels=reader.many("channel", read_id) if channels else (),
        teams=reader.many("team", read_model),
        projects=reader.many("project", read_model),
        customers=reader.many("customer", read_model),
        end_users=reader.many("end_user", read_end_user),
        tags=reader.many("tag", read_model),
        apps=reader.many("app", read_model),
        without=reader.many("without", _choose_among(_EMPTY if channels else _EMPTY[:-1])),
        status=reader.single("status", _choose_among(get_args(Status))) if log else None,
        request_id=reader.single("q", read_id) if log else None,
        session_id=reader.single("session", read_id) if log else None,
        min_cost_nano=reader.single("min_cost", _amount) if log else None,
        causes=reader.many("cause", _choose_among(get_args(ErrorKind))) if log else (),
        guards=reader.single("guards", _choose_among(("masked", "rejected"))) if log else None,
    )
    # Addresses had the first as a status, and the groups of a report by status have the second.
    if scope.status in ("masked", "rejected"):
        scope = replace(scope, status=None, guards=scope.status)
    if log:
        return replace(usage_filter, scope=scope, dropped=reader.dropped(ignored))
    wanted = GROUPINGS if explored else CHARTED
    groups = [name for name in wanted if channels or name != "channel"]
    group_by = reader.single("group_by", _choose_among(groups)) or "model"
    then_by = reader.single("then_by", _choose_among(groups)) if explored else None
    return replace(
        usage_filter,
        scope=scope,
        group_by=group_by,
        then_by=then_by if then_by != group_by else None,
        metric=reader.single("metric", _choose_among(get_args(Metric))) or "cost",
        compare=reader.single("compare", _choose_among(get_args(Compare))) or "prev",
        dropped=reader.dropped(ignored),
    )


def between(
    start_at: dt.datetime,
    end_at: dt.datetime,
    zone: ZoneInfo,
    now: dt.datetime,
    *,
    grain: Grain | None = None,
) -> UsageFilter:
    """Return a filter for a range of instants, in buckets of `grain`, or of a size that suits its
    length.

    Raises ValueError if the range is empty, reversed or too long.
    """
    if not start_at < end_at:
        raise ValueError("the range ends before it begins")
    if end_at - start_at > _RANGE_MAX:
        raise ValueError("the range is longer than ten years")
    if not _YEARS[0] <= start_at.year <= end_at.year <= _YEARS[1]:
        raise ValueError("the range is too far away")
    grain = grain or chart_grain(end_at - start_at)
    first = start_at.astimezone(zone).date()
    last = end_at.astimezone(zone).date()
    clipped = (
        Span(max(span.start_at, start_at), min(span.end_at, end_at))
        # Add a day on both sides, because the first instant of a date is not always its midnight.
        for span in edges(first - _DAY, last + 2 * _DAY, zone, grain)
    )
    spans = tuple(span for span in clipped if span.start_at < span.end_at)
    return UsageFilter("custom", zone, grain, spans, now)


def narrow_filter(usage_filter: UsageFilter, scope: Scope) -> UsageFilter:
    """Return the filter for the same time, restricted to these rows."""
    return replace(usage_filter, scope=scope)


def scope_of_team(slug: str) -> Scope:
    """Return the scope of one team's rows."""
    return Scope(teams=(slug,))


def scope_of_person(email: str) -> Scope:
    """Return the scope of one person's rows."""
    return Scope(users=(email,))


def scope_of_keys(scope: Scope, keys: tuple[UUID, ...]) -> Scope:
    """Return the scope restricted to these keys."""
    return replace(scope, keys=keys)


def read_zone(text: str) -> ZoneInfo:
    """Return an IANA time zone by name. Raises ValueError."""
    if text not in zone_names():
        raise ValueError("expected the name of a time zone such as Europe/Berlin")
    return ZoneInfo(text)


def zone_names() -> frozenset[str]:
    """Return the names of all available time zones."""
    return _ZONES


def read_id(text: str) -> UUID:
    """Parse an id in its text form. Raises ValueError."""
    id_ = parse_id(text.strip())
    if id_ is None:
        raise ValueError("expected an id of 26 characters")
    return id_


def read_model(text: str) -> str:
    """Validate a possible model name. Raises ValueError."""
    if len(text) > 200 or "\x00" in text:
        raise ValueError("expected the name of a model")
    return text


def read_email(text: str) -> str:
    """Validate a possible email address, and return it in lower case. Raises ValueError."""
    if "@" not in text or len(text) > 254 or "\x00" in text:
        raise ValueError("expected an email address")
    return text.lower()


def read_end_user(text: str) -> str:
    """Validate a possible end user. Raises ValueError."""
    if len(text) > END_USER_LENGTH or "\x00" in text:
        raise ValueError("expected the name of an end user")
    return text


def read_edge(text: str, zone: ZoneInfo, *, end: bool) -> dt.datetime:
    """Parse an edge of a range as an instant in UTC. Raises ValueError. A date means its first
    instant in `zone`, or as an end the whole day; a time must have an offset."""
    try:
        date = dt.date.fromisoformat(text) if len(text) == 10 else None
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(_NO_EDGE) from None
    if not _EDGE_YEARS[0] <= at.year <= _EDGE_YEARS[1]:
        raise ValueError("expected a time of the years {} to {}".format(*_EDGE_YEARS))
    if date is not None:
        return first_instant(date + _DAY if end else date, zone)
    if at.tzinfo is None:
        raise ValueError(_NO_EDGE)
    return at.astimezone(dt.UTC)


def read_bucket_edge(text: str, zone: ZoneInfo, *, end: bool) -> dt.datetime:
    """Parse an edge like `read_edge`, but for sums: the instant must be on a quarter hour. Raises
    ValueError."""
    at = read_edge(text, zone, end=end)
    if bucket_of(at) != at:
        raise ValueError("usage is summed by quarters of an hour: 00, 15, 30 or 45 minutes past")
    return at


def _range(reader: "_Reader", range_name: Range, zone: ZoneInfo, now: dt.datetime) -> UsageFilter:
    if range_name == "custom":
        start_text, end_text = reader.text("from"), reader.text("to")
        if not start_text and not end_text:
            # The form was just set to custom: start with the dates that were displayed.
            usage_filter = _range(reader, RANGE, zone, now)
            today = now.astimezone(zone).date()
            return replace(usage_filter, range="custom", on=(today - 29 * _DAY, today))
        try:
            start_at = read_bucket_edge(start_text, zone, end=False)
            end_at = read_bucket_edge(end_text, zone, end=True)
            usage_filter = between(start_at, end_at, zone, now)
        except ValueError:
            for name in ("from", "to"):
                reader.drop(name)
            return _range(reader, RANGE, zone, now)
        if len(start_text) == len(end_text) == 10:
            on = dt.date.fromisoformat(start_text), dt.date.fromisoformat(end_text)
            usage_filter = replace(usage_filter, on=on)
        return usage_filter
    today = now.astimezone(zone).date()
    if range_name == "24h":
        hours = edges(today - 2 * _DAY, today + _DAY, zone, "hour")
        begun = [span for span in hours if span.start_at <= now]
        return UsageFilter("24h", zone, "hour", tuple(begun[-24:]), now)
    if range_name in ("today", "yesterday"):
        first = today if range_name == "today" else today - _DAY
        hours = edges(first, first + _DAY, zone, "hour")
        return UsageFilter(range_name, zone, "hour", tuple(hours), now)
    first, last = today.replace(day=1), today
    if range_name == "last-month":
        last = first - _DAY
        first = last.replace(day=1)
    elif range_name != "mtd":
        first = today - (6 if range_name == "7d" else 29) * _DAY
    return UsageFilter(range_name, zone, "day", tuple(edges(first, last + _DAY, zone, "day")), now)


class _Reader:
    """Takes values from a query and records what was ignored."""

    def __init__(self, query: Mapping[str, Sequence[str]]) -> None:
        self._query = query
        self._used: set[str] = set()
        self._dropped: list[Dropped] = []

    def text(self, name: str) -> str:
        self._used.add(name)
        return next(iter(self._query.get(name, ())), "")

    def single(self, name: str, read: Callable[[str], T]) -> T | None:
        return next(iter(self.many(name, read)), None)

    def many(self, name: str, read: Callable[[str], T]) -> tuple[T, ...]:
        self._used.add(name)
        values: dict[T, None] = {}
        for text in self._query.get(name, ()):
            if not text:
                continue
            try:
                values[read(text)] = None
            except ValueError:
                self._dropped.append(Dropped(name, text))
        return tuple(values)[:_VALUES_MAX]

    def drop(self, name: str) -> None:
        self._dropped.extend(Dropped(name, text) for text in self._query.get(name, ()))

    def dropped(self, ignored: Iterable[str]) -> tuple[Dropped, ...]:
        known = self._used | {"from", "to", *ignored}
        unknown = (
            Dropped(name, text)
            for name, texts in self._query.items()
            if name not in known
            for text in texts
        )
        return (*self._dropped, *unknown)


def _choose_among(values: Iterable[T]) -> Callable[[str], T]:
    allowed = {str(value): value for value in values}

    def read(text: str) -> T:
        if text not in allowed:
            raise ValueError(text)
        return allowed[text]

    return read


def _amount(text: str) -> int:
    nano = parse_typed_usd(text)
    if nano < 0:
        raise ValueError(text)
    return nano


def _year_before(at: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """Return the instant a year before with the same wall-clock time in a zone. For a leap day,
    return the day before."""
    wall = at.astimezone(zone).replace(tzinfo=None)
    day = 28 if (wall.month, wall.day) == (2, 29) else wall.day
    return bucket_of(first_instant_at(wall.replace(year=wall.year - 1, day=day), zone))


def _instant_text(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_ZONES: Final = frozenset(zoneinfo.available_timezones() - {"localtime"})
