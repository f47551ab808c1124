"""The columns of the request log, and their expressions in the database for files.

A page builds each of its rows (`log_views.cells_of`). A file of a million rows reads only its
columns, and converts whole columns. Both have the same values.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.access import access
from accounts.access.actors import Actor
from lib.ids import id_text
from lib.tables.keyset import Order, Values
from lib.tables.sources import Piece
from lib.tables.table import Column, Table
from usage.filters.visibility import run
from usage.records.counted_meters import TOKEN_COLUMNS, read_json
from usage.records.outcomes import CLIENT_STOPPED
from usage.requests import words
from usage.requests.log import RequestSource, near_attempts
from usage.requests.refusals import DISPLAY_KIND

Cells = Sequence[Any]


class LogColumn(NamedTuple):
    """The source of a column: an expression over a record `r` and the tables `joined` to it, and
    the conversion of the values."""

    expression: str
    joined: str = ""
    convert: Callable[[Cells], Cells] = lambda values: values


def _instants(values: Cells) -> Cells:
    return [at.replace(tzinfo=dt.UTC) for at in values]


def _texts(values: Cells) -> Cells:
    return [value or None for value in values]


def _statuses(values: Cells) -> Cells:
    texts = {value: _status_text(value) for value in set(values)}
    return [texts[value] for value in values]


def _status_text(value: str) -> str:
    """Convert a status, which may be followed by the kind of the error."""
    status, _space, kind = value.partition(" ")
    if int(status) == CLIENT_STOPPED:
        return gettext("Stopped")
    return words.status_text(int(status), kind)


def _key_names(values: Cells) -> Cells:
    return [words.key_name(name) or None for name in values]


def _sources(values: Cells) -> Cells:
    return [words.source_name(*value.partition(" ")[::2]) for value in values]


def _apps(values: Cells) -> Cells:
    return [words.app_name(value) or None for value in values]


def _bases(values: Cells) -> Cells:
    known = {basis: str(word) for basis, word in words.BASES.items()}
    return [known.get(basis, basis) or None for basis in values]


def _tags(values: Cells) -> Cells:
    return [", ".join(read_json(stored)) or None if stored else None for stored in values]


def _ids(values: Cells) -> Cells:
    return [id and id_text(id) for id in values]


def _tokens(*wanted: str) -> LogColumn:
    names = [name for name, column in TOKEN_COLUMNS.items() if column in wanted]
    return LogColumn(" + ".join(f"coalesce((r.meters->>'{name}')::bigint, 0)" for name in names))


_KEY: Final = "LEFT JOIN accounts_key k ON k.id = r.key_id"
_USER: Final = "LEFT JOIN accounts_user u ON u.id = r.user_id"
_TEAM: Final = "LEFT JOIN accounts_team t ON t.id = r.team_id"
# The ids of a request's attempts are near each other: `{near}`.
_ATTEMPTS: Final = """CROSS JOIN LATERAL (
        SELECT (count(*) FILTER (WHERE a.id <> a.request_id))::int AS attempts
        FROM usage_usagerecord a
        WHERE a.organisation_id = r.organisation_id AND a.request_id = r.request_id {near}
    ) whole"""
REQUESTS = Table(
    "requests",
    _("Requests"),
    (
        Column("time", _("Time"), "time", sort="id", card="last"),
        Column("status", _("Status"), "badge", card="first"),
        Column("model", _("Model"), card="title"),
        Column("key", _("Key"), priority=2, card="second"),
        Column("person", _("Person"), priority=3),
        Column("channel", _("Channel"), priority=4),
        Column("upstream", _("Provider's model"), chosen=False),
        Column("ttft", _("TTFT"), "duration", priority=3, hint=_("Time to first token")),
        Column("total", _("Duration"), "duration", priority=2),
        Column(
            "tokens_in", _("In"), "number", priority=2, hint=_("Input tokens, including cached")
        ),
        Column("cached", _("Cached"), "number", chosen=False, hint=_("Cached input tokens")),
        Column("saved", _("Saved by cache"), "money", chosen=False),
        Column(
            "own",
            _("Paid to your provider"),
            "money",
            chosen=False,
            hint=_("By your own provider key, at the model's price here"),
        ),
        Column(
            "tokens_out",
            _("Out"),
            "number",
            priority=2,
            hint=_("Output tokens, including reasoning"),
        ),
        Column("reasoning", _("Reasoning"), "number", chosen=False, hint=_("Reasoning tokens")),
        Column("cost", _("Cost"), "money", sort="charge_nano", card="money"),
        Column("basis", _("Basis"), chosen=False),
        Column("attempts", _("Attempts"), "number", chosen=False),
        Column("source", _("Source"), chosen=False),
        Column("team", _("Team"), chosen=False),
        Column("project", _("Project"), chosen=False),
        Column("customer", _("Customer"), chosen=False),
        Column("tags", _("Tags"), chosen=False),
        Column("end_user", _("End user"), chosen=False),
        Column("prompt", _("Prompt"), chosen=False),
        Column("prompt_version", _("Prompt version"), "number", chosen=False),
        Column("app", _("Application"), chosen=False),
        Column("session", _("Session ID"), "code", chosen=False),
        Column("id", _("Request ID"), "code", chosen=False),
    ),
    default_sort="-time",
    big=True,
    href="href",
)


def hidden_columns(actor: Actor) -> list[str]:
    """Return the columns that this reader does not have: a person's own rows need no person, and
    channels are for operators."""
    own_only = access.scope_of(actor, "usage.read") == "own"
    return [*(["person"] if own_only else []), *([] if actor.operator else ["channel"])]


LOG_COLUMNS: Final[Mapping[str, LogColumn]] = {
    # Without its time zone the column is read several times faster.
    "time": LogColumn("r.admitted_at AT TIME ZONE 'UTC'", convert=_instants),
    "status": LogColumn(f"concat_ws(' ', r.status, {DISPLAY_KIND})", convert=_statuses),
    "model": LogColumn("r.model", convert=_texts),
    "key": LogColumn("k.name", _KEY, _key_names),
    "person": LogColumn("u.email", _USER, _texts),
    "channel": LogColumn("r.channel_name", convert=_texts),
    "upstream": LogColumn("r.upstream_model", convert=_texts),
    "ttft": LogColumn("r.ttft_ms"),
    "total": LogColumn("r.total_ms"),
    "tokens_in": _tokens("sent", "cached"),
    "cached": _tokens("cached"),
    "saved": LogColumn("r.saved_nano"),
    "own": LogColumn("r.own_nano"),
    "tokens_out": _tokens("out", "reasoning"),
    "reasoning": _tokens("reasoning"),
    "cost": LogColumn("r.charge_nano"),
    "basis": LogColumn("r.basis", convert=_bases),
    "attempts": LogColumn("whole.attempts", _ATTEMPTS),
    "source": LogColumn("concat_ws(' ', r.source, r.client_app)", convert=_sources),
    "team": LogColumn("t.name", _TEAM, _texts),
    "project": LogColumn("r.project", convert=_texts),
    "customer": LogColumn("r.customer", convert=_texts),
    "tags": LogColumn("r.tags", convert=_tags),
    "end_user": LogColumn("r.end_user", convert=_texts),
    "prompt": LogColumn("r.prompt"),
    "prompt_version": LogColumn("r.prompt_version"),
    "app": LogColumn("r.client_app", convert=_apps),
    "session": LogColumn("r.session_id", convert=_ids),
    "id": LogColumn("r.request_id", convert=_ids),
}
"""By the names of the page's columns."""


class LogSource(RequestSource):
    """The log, for its page and its files."""

    def may_be_longer_than(self, rows: int) -> bool:
        """Return whether there may be more than `rows` rows. A filter that the sums do not support
        may leave fewer."""
        return self._sums.requests > rows

    def is_longer_than(self, rows: int) -> bool:
        """Return whether there are more than `rows` rows. If the sums cannot tell, this reads that
        many records."""
        if not self.may_be_longer_than(rows) or self._summed:
            return self.may_be_longer_than(rows)
        text = f"""
            SELECT FROM usage_usagerecord r WHERE {self._where.text} AND r.final
            OFFSET %(rows)s LIMIT 1"""
        return bool(run(text, {**self._where.parameters, "rows": rows}))

    def read_columns(
        self, names: Sequence[str], orders: Sequence[Order], boundary: Values | None, limit: int
    ) -> Piece:
        """See `sources.ColumnSource`."""
        texts, parameters, order = self._beyond(orders, boundary, False, limit)
        columns = [LOG_COLUMNS[name] for name in names]
        joins = dict.fromkeys(one.joined for one in columns if one.joined)
        places = [f"r.{one.path}" for one in orders]
        rows = run(
            f"""
            SELECT {", ".join([one.expression for one in columns] + places)}
            FROM (
                SELECT * FROM usage_usagerecord r WHERE {" AND ".join(texts)} AND r.final
                ORDER BY {order} LIMIT %(limit)s
            ) r {" ".join(joins).format(near=near_attempts(parameters))}
            ORDER BY {order}""",  # noqa: S608 - only this file's own names are put in
            parameters,
        )
        values_by_column = zip(*rows, strict=True)
        # The last values of a row are those of the order.
        converted = [
            column.convert(values)
            for column, values in zip(columns, values_by_column, strict=False)
        ]
        return Piece(converted, len(rows), rows[-1][len(columns) :] if rows else None)
