"""The rows of usage that an actor may see and a report requests, as one condition.

Every statement on usage uses this condition: a reader of the whole organisation sees all rows, a
developer their own, and a model key its own. Values are always parameters.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from django.db import connection

from accounts.access import access, actors
from accounts.access.actors import Actor
from accounts.limits.end_users import normal_end_user
from accounts.models import Key
from accounts.roles.rules import Action
from lib.ids import ID_SLACK, first_id_at
from usage.buckets.buckets import Span
from usage.filters.filters import Scope
from usage.filters.groupings import GroupBy
from usage.records import outcomes

Parameters = dict[str, Any]
NIL: Final = UUID(int=0)
"""The channel in sums of requests that reached none."""


class Where(NamedTuple):
    """A condition on rows `r`, and its parameters."""

    text: str
    parameters: Parameters


class Period(NamedTuple):
    """The period of a list of requests; None means no end on that side."""

    start_at: dt.datetime | None = None
    end_at: dt.datetime | None = None


class Pick(NamedTuple):
    """A condition: the column `r.column` has one of the values. `name` is the name of its
    parameter. Rows that match `otherwise` are selected too."""

    name: str
    column: str
    values: Sequence[Any]
    otherwise: "Pick | None" = None


def visible(actor: Actor, action: Action) -> Where:
    """Return what the actor may see, as a condition on rows `r` with the columns of a record, an
    attempt or a rollup.

    Raises AccessDenied if the actor may see nothing, and Http404 without an organisation.
    """
    texts, parameters = [], Parameters()
    for pick in seen_by(actor, action):
        text, own = _condition(pick)
        if pick.otherwise:
            other, more = _condition(pick.otherwise)
            text, own = f"({text} OR {other})", own | more
        texts.append(text)
        parameters |= own
    return Where(" AND ".join(texts), parameters)


def _condition(pick: Pick) -> tuple[str, Parameters]:
    name, values = pick.name, pick.values
    one = len(values) == 1 and name not in ("own_teams", "own_keys")
    text = f"r.{pick.column} = " + (f"%({name})s" if one else f"ANY (%({name})s)")
    return text, {name: values[0] if one else list(values)}


def seen_by(actor: Actor, action: Action) -> list[Pick]:
    """Return what `visible` returns as single conditions, all of which apply; the first selects the
    organisation."""
    access.require(actor, action)
    organisation = Pick("organisation", "organisation_id", [actors.organisation_of(actor).id])
    if actor.model_key:
        return [organisation, Pick("own_key", "key_id", [actor.model_key.id])]
    scope = access.scope_of(actor, action)
    if scope == "teams":
        teams = sorted(actor.authority.teams_of(action))
        besides = _own(actor) if access.sees_own_besides(actor, action) else None
        return [organisation, Pick("own_teams", "team_id", teams, besides)]
    return [organisation, _own(actor)] if scope == "own" else [organisation]


def _own(actor: Actor) -> Pick:
    """Select the rows of a person, or of the keys of a service account. Rows without a holder
    belong to no actor."""
    if actor.user is not None:
        return Pick("own_user", "user_id", [actor.user.id])
    keys = Key.objects.filter(access.own_keys(actor))
    return Pick("own_keys", "key_id", list(keys.values_list("id", flat=True)))


def sees_requests(actor: Actor) -> bool:
    """Return whether the actor may see single requests, and not only sums."""
    return access.scope_of(actor, "requests.read") is not None


def where_of(
    actor: Actor,
    action: Action,
    scope: Scope,
    period: Period | Span,
    *,
    of: Literal["records", "sums"] | None = None,
) -> Where:
    """Return the condition on rows `r`. They are rollups for `usage.read` and records for
    `requests.read`, unless `of` says otherwise."""
    text, parameters = visible(actor, action)
    texts = [text]
    requests = of == "records" if of else action == "requests.read"
    at = "r.admitted_at" if requests else "r.bucket_at"
    for name, edge, sign in (
        ("start_at", period.start_at, ">="),
        ("end_at", period.end_at, "<"),
    ):
        if edge is None:
            continue
        texts.append(f"{at} {sign} %({name})s")
        parameters[name] = edge
        if requests:
            # The id contains the time too, so that partitions of other months are not opened.
            texts.append(f"r.id {sign} %({name}_id)s")
            slack = -ID_SLACK if sign == ">=" else ID_SLACK
            parameters[f"{name}_id"] = first_id_at(edge + slack)
    for name, column, values, _ in picks_of_scope(
        parameters["organisation"], scope, records=requests
    ):
        column = f"r.{column}"
        if len(values) == 1:
            # With this, an index that begins with the column returns the rows in their order.
            texts.append(f"{column} = %({name})s")
            parameters[name] = values[0]
        elif values:
            texts.append(f"{column} = ANY (%({name})s)")
            parameters[name] = list(values)
    if requests:
        # Must equal the conditions of the labels' indexes, or Postgres does not use these.
        texts += [f"r.{pick.column} <> ''" for pick in labels(scope) if pick.values]
    texts += [
        (_NO_GROUP if requests else _NO_SUMMED_GROUP)[name]
        for name in scope.without
        if requests or name in _NO_SUMMED_GROUP
    ]
    if requests and scope.tags:
        texts.append("r.tags ?| %(tags)s")
        parameters["tags"] = list(scope.tags)
    if requests:
        texts += [_BY_STATUS[one] for one in (scope.status, scope.guards) if one]
    if requests and scope.causes:
        texts += [outcomes.UNANSWERED_SQL, "r.kind = ANY (%(causes)s)"]
        parameters["causes"] = list(scope.causes)
    if requests and scope.min_cost_nano:
        texts.append("r.charge_nano >= %(min_cost)s")
        parameters["min_cost"] = scope.min_cost_nano
    if requests and scope.request_id:
        texts.append("r.request_id = %(request)s")
        parameters["request"] = scope.request_id
    if requests and scope.session_id:
        texts.append("r.session_id = %(session)s")
        parameters["session"] = scope.session_id
    return Where(" AND ".join(texts), parameters)


def picks_of_scope(organisation_id: UUID, scope: Scope, *, records: bool) -> list[Pick]:
    """Return a scope's conditions on values of columns; no values match all rows. Only records have
    labels."""
    conditions = [
        Pick("models", "model", scope.models),
        Pick("keys", "key_id", scope.keys),
        Pick("channels", "channel_id", scope.channels),
        Pick("users", "user_id", _user_ids(scope.users)),
        Pick("teams", "team_id", _team_ids(organisation_id, scope.teams)),
    ]
    return [*conditions, *labels(scope)] if records else conditions


def labels(scope: Scope) -> list[Pick]:
    """Return a scope's filters by label; "" means rows without one."""
    return [
        Pick("projects", "project", scope.projects),
        Pick("customers", "customer", scope.customers),
        Pick("end_users", "end_user", _spellings(scope.end_users)),
        Pick("apps", "client_app", scope.apps),
    ]


def _spellings(end_users: Sequence[str]) -> Sequence[str]:
    """Return the names as they are written, for those of bodies, and as accepted ones are kept."""
    return list(dict.fromkeys(one for name in end_users for one in (name, normal_end_user(name))))


def _team_ids(organisation_id: UUID, slugs: Sequence[str]) -> Sequence[UUID]:
    """Return the ids of the organisation's teams with these names. Without a match, return an id
    that no team has."""
    if not slugs:
        return ()
    text = "SELECT id FROM accounts_team WHERE organisation_id = %(of)s AND slug = ANY (%(slugs)s)"
    rows = run(text, {"of": organisation_id, "slugs": list(slugs)})
    return [id for (id,) in rows] or [NIL]


def _user_ids(emails: Sequence[str]) -> Sequence[int]:
    """Return the ids of the people with these addresses. Without a match, return an id that nobody
    has (0 stands for keys without a person). The ids are looked up first, because the planner then
    knows the number of rows."""
    if not emails:
        return ()
    text = "SELECT id FROM accounts_user WHERE lower(email) = ANY (%(emails)s)"
    return [id for (id,) in run(text, {"emails": list(emails)})] or [-1]


def run(text: str, parameters: Parameters) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows; [] if it returns none."""
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchall() if cursor.description else []


_NO_GROUP: Final[dict[GroupBy, str]] = {
    "model": "r.model = ''",
    "user": "r.user_id IS NULL",
    "channel": "r.channel_id IS NULL",
    "project": "r.project = ''",
    "customer": "r.customer = ''",
    "end_user": "r.end_user = ''",
    "app": "r.client_app = ''",
    "tag": "coalesce(r.tags, '[]') = '[]'",
}
_NO_SUMMED_GROUP: Final[dict[GroupBy, str]] = {
    "model": "r.model = ''",
    "user": "r.user_id = 0",
    "channel": f"r.channel_id = '{NIL}'",
}
_BY_STATUS = {
    "ok": outcomes.ANSWERED_SQL,
    "error": outcomes.FAILED_SQL,
    "stopped": outcomes.STOPPED_SQL,
    "masked": "'masked' = ANY (r.flags)",
    "rejected": outcomes.REJECTED_SQL,
    "review": "'quarantine' = ANY (r.flags)"
    " AND NOT EXISTS (SELECT FROM usage_review v WHERE v.attempt_id = r.id)",
}
