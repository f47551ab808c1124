"""The panels of Home. Each is loaded separately, as far as the reader's role allows."""

import calendar
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.access import access, actors
from accounts.access.actors import Actor
from accounts.roles.rules import Action
from billing.balances import balances
from billing.limits import budgets
from billing.limits.budgets import BudgetUsage
from billing.models import BudgetScope
from config.home.attention import attention
from gateway.access import visible_channels
from gateway.health.figures import ChannelFigures
from gateway.health.reports import ChannelTroubles
from gateway.health.rows import state_of
from gateway.health.uptime import uptime_by_channel
from lib import clock
from lib.database.tenancy import use_tenant
from lib.ids import id_text
from usage.breakdowns.failures import failures_by_cause, rejections
from usage.breakdowns.first_token_times import first_token_times
from usage.filters.filters import UsageFilter, from_query
from usage.filters.groupings import GroupBy
from usage.limits.views import meter_of
from usage.overview.views import rows_url
from usage.reports import reports
from usage.reports.reports import Totals
from usage.requests import log as request_log
from usage.requests.words import KINDS

Context = dict[str, Any]

_TOP: Final = 5
_REQUESTS_SHOWN: Final = 8


class Panel(NamedTuple):
    """One panel. Its reader needs the permission `action`."""

    name: str
    title: Promise
    action: Action
    read: Callable[[HttpRequest, Actor], Context]


def panels_for(actor: Actor, panels: Mapping[str, Panel]) -> list[Panel]:
    """Return those of these panels that the actor may see, in order."""
    return [panel for panel in panels.values() if access.scope_of(actor, panel.action) is not None]


def _month(actor: Actor, range_name: str = "mtd") -> UsageFilter:
    return from_query({"range": [range_name]}, clock.now(), channels=actor.operator)


def own_only(actor: Actor) -> bool:
    """Return whether the actor sees only their own usage."""
    return access.scope_of(actor, "usage.read") == "own"


# Panels -----------------------------------------------------------------------------------------


def _summary(request: HttpRequest, actor: Actor) -> Context:
    month = _month(actor)
    times = first_token_times(actor)
    organisation = actors.organisation_of(actor)
    may_balance = access.scope_of(actor, "balance.read") is not None
    return {
        "now": reports.usage_totals(actor, month.span, metered=False),
        "before": reports.usage_totals(actor, month.previous, metered=False),
        "rows_url": rows_url(actor, month),
        "failed_url": rows_url(actor, month, status="error"),
        "day_url": rows_url(actor, _month(actor, "24h")),
        "first_token": times[0] if times else None,
        "balance": balances.balance(organisation) if may_balance else None,
        "own_only": own_only(actor),
    }


def _spend(request: HttpRequest, actor: Actor) -> Context:
    this, before = _month(actor), _month(actor, "last-month")
    usage = _month_budget(actor)
    limit_nano = usage.limit_nano if usage else None
    days = _days(
        actor,
        this,
        _running_sums(reports.usage_by_bucket(actor, this, metered=False)),
        _running_sums(reports.usage_by_bucket(actor, before, metered=False)),
    )
    return {
        "days": days,
        "any": any(day["now"] or day["before"] for day in days),
        "standing": usage,
        "limit_nano": limit_nano,
        "meter": meter_of(usage) if usage else None,
        "own_only": own_only(actor),
    }


def _running_sums(totals: Sequence[Totals]) -> list[int]:
    return list(accumulate(total.charge_nano for total in totals))


def _days(actor: Actor, this: UsageFilter, now: list[int], before: list[int]) -> list[Context]:
    """Return the cumulative spending at the end of each day of this month and the previous one."""
    first = this.start_at.date()
    length = calendar.monthrange(first.year, first.month)[1]
    return [
        {
            "on": first + dt.timedelta(days=n),
            "now": now[n] if n < len(now) else None,
            "before": before[n] if n < len(before) else None,
            "href": rows_url(actor, this, this.spans[n]) if n < len(now) else "",
            "unfinished": n == len(now) - 1,
        }
        for n in range(length)
    ]


def _month_budget(actor: Actor) -> BudgetUsage | None:
    """Return the monthly budget for everything that the actor sees: the organisation's, or their
    own."""
    if access.scope_of(actor, "budgets.read") is None:
        return None
    scope = BudgetScope.USER if own_only(actor) else BudgetScope.ORGANISATION
    over = budgets.visible_budgets(actor).filter(
        scope=scope, period="month", anchor=1, timezone="UTC", enabled=True
    )
    return next(iter(budgets.current_usage(list(over[:1]))), None)


def _models(request: HttpRequest, actor: Actor) -> Context:
    times = {time.model: time for time in first_token_times(actor)}
    groups = _top(actor, "model")
    return {"groups": [{**group, "times": times.get(group["label"])} for group in groups]}


def _keys(request: HttpRequest, actor: Actor) -> Context:
    return {"groups": _top(actor, "key")}


def _top(actor: Actor, by: GroupBy) -> list[Context]:
    """Return the most expensive groups of the month, each relative to the first."""
    month = _month(actor)
    groups = reports.usage_by(actor, month.span, by, limit=_TOP, metered=False)
    most = max((group.totals.charge_nano for group in groups), default=0)
    return [
        {
            "label": group.label,
            "totals": group.totals,
            "most": most,
            "href": rows_url(
                actor, month, None, **{by: id_text(UUID(group.id)) if by == "key" else group.id}
            ),
        }
        for group in groups
    ]


def _errors(request: HttpRequest, actor: Actor) -> Context:
    month = _month(actor)
    causes = failures_by_cause(actor, month.span)
    total = sum(cause.requests for cause in causes)
    return {
        "causes": [
            {
                "word": KINDS.get(cause.kind, cause.kind) or _("Other"),
                "requests": cause.requests,
                "href": rows_url(actor, month, status="error", cause=cause.kind),
            }
            for cause in causes[:_TOP]
        ],
        "total": total,
        "most": causes[0].requests if causes else 0,
        "rest": sum(cause.requests for cause in causes[_TOP:]),
        "rows_url": rows_url(actor, month, status="error"),
        "rejected": rejections(actor, month.span),
        "rejected_url": rows_url(actor, month, guards="rejected"),
    }


def channels_panel(request: HttpRequest, actor: Actor) -> Context:
    with use_tenant(None):
        channels, strips = list(visible_channels(actor)), uptime_by_channel()
        troubles, figures = ChannelTroubles(), ChannelFigures()
    return {
        "rows": [
            {
                "channel": channel,
                "id": id_text(channel.id),
                "state": state_of(
                    channel, troubles.of(channel).status, figures.of_channel(channel.id)
                ),
                "uptime": strips.get(channel.id),
            }
            for channel in channels
        ]
    }


def _attention(request: HttpRequest, actor: Actor) -> Context:
    return {"items": attention(request, actor)}


def _latest(request: HttpRequest, actor: Actor) -> Context:
    rows = request_log.latest_requests(actor, _REQUESTS_SHOWN)
    return {"latest": [{"row": row, "id": id_text(row.request_id)} for row in rows]}


PANELS: Final = {
    panel.name: panel
    for panel in (
        Panel("summary", _("This month"), "usage.read", _summary),
        Panel("spend", _("Spend this month"), "usage.read", _spend),
        Panel("attention", _("Needs attention"), "models.read", _attention),
        Panel("models", _("Top models"), "usage.read", _models),
        Panel("keys", _("Top keys"), "usage.read", _keys),
        Panel("errors", _("Errors by cause"), "requests.read", _errors),
        Panel("channels", _("Channels"), "channels.read", channels_panel),
        Panel("latest", _("Recent requests"), "requests.read", _latest),
    )
}
