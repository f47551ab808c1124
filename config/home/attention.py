"""Matters that need attention and that the reader can act on."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext

from accounts.access import access, actors
from accounts.access.actors import Actor, slug_of
from accounts.roles.rules import Action
from billing.approvals.approvals import count_for
from billing.balances import balances
from billing.balances.credit_line import credit_line
from billing.currency.words import beside_text, limit_text, total_text
from billing.limits import budget_increases, budgets
from billing.limits.budget_rules import used_share
from billing.limits.budget_subjects import subject_names
from config.jobs.runs import job_states
from config.system.rows import system_rows
from config.system.state import system_state
from gateway.access import visible_channels, visible_proposals
from gateway.channels.served_models import prices_in_force, unpriced_models
from gateway.health.figures import ChannelFigures
from gateway.health.reports import ChannelTroubles, unserved_models
from gateway.health.rows import failing_badge
from gateway.settings.installation import is_backup_decided
from lib import clock
from lib.database.tenancy import use_tenant
from lib.ids import id_text
from lib.numbers.relative_time import relative_text
from lib.sentences import named_text
from usage.limits.budget_forms import SCOPE_NAMES
from usage.limits.views import count_waiting, meter_of
from usage.reviews.reviews import count_open

_KEY_EXPIRES_WITHIN: Final = dt.timedelta(days=14)
_EACH: Final = 3
# Who only tries it has nothing to lose yet.
_NO_BACKUP_AFTER: Final = dt.timedelta(days=1)


class Matter(NamedTuple):
    """One matter that needs attention: `text` says what it is, `detail` its state, `href` where to
    act."""

    tone: str
    icon: str
    text: str
    detail: str
    href: str


def attention(request: HttpRequest, actor: Actor) -> list[Matter]:
    """Return all matters; those that stop requests come first."""
    return _worst_first(
        [
            *_balance(actor),
            *_channels(actor),
            *_budgets(actor),
            *_keys(actor),
            *_increases(actor),
            *_proposals(actor),
            *_backups(actor),
        ]
    )


def installation_attention(actor: Actor) -> list[Matter]:
    """Return what an operator can act on; what stops requests comes first."""
    return _worst_first(
        [
            *_channels(actor),
            *_unpriced(actor),
            *_late_jobs(),
            *_system(),
            *_backups(actor),
            *_proposals(actor),
            *_reviews(actor),
            *_approvals(actor),
        ]
    )


def _worst_first(matters: list[Matter]) -> list[Matter]:
    return sorted(matters, key=lambda matter: ("bad", "warn", "info").index(matter.tone))


def _may(actor: Actor, action: Action) -> bool:
    return access.scope_of(actor, action) is not None


def _balance(actor: Actor) -> Iterator[Matter]:
    """Report a debt, an empty balance, or one below the organisation's alert level."""
    if not _may(actor, "balance.read"):
        return
    organisation = actors.organisation_of(actor)
    balance = balances.balance(organisation)
    left_nano = balance.free_nano + credit_line(organisation)
    low_nano = balances.wallet_setting(organisation).low_nano
    href = reverse("billing", args=[slug_of(actor)])
    if left_nano <= 0:
        text = gettext("The balance is used up")
        detail = gettext("Top up to send paid requests.")
        yield Matter("bad", "wallet", text, detail, href)
    elif low_nano is not None and balance.free_nano + balance.held_nano < low_nano:
        detail = gettext("%(amount)s available") % {"amount": total_text(balance.available_nano)}
        yield Matter("warn", "wallet", gettext("The balance is low"), detail, href)


def _channels(actor: Actor) -> Iterator[Matter]:
    """Report channels that get no requests now, or whose last test failed."""
    if not _may(actor, "channels.read"):
        return
    with use_tenant(None):
        channels = list(visible_channels(actor))
        troubles, figures = ChannelTroubles(), ChannelFigures()
    channel_troubles = {channel.id: troubles.of(channel) for channel in channels}
    available = [
        channel
        for channel in channels
        if channel.enabled and channel_troubles[channel.id].status is None
    ]
    for channel in channels:
        status = channel_troubles[channel.id].status
        failed = channel.enabled and channel.last_test and not channel.last_test["ok"]
        href = reverse("channel", args=[id_text(channel.id)])
        if status is not None:
            unserved = unserved_models(channel, channel_troubles[channel.id], available)
            tone = "bad" if unserved or status.condition in ("open", "keys_out") else "warn"
            text = gettext("Channel %(name)s is unavailable") % {"name": channel.name}
            yield Matter(tone, "cable", text, _unserved_text(unserved), href)
        elif channel.enabled and (failing := failing_badge(figures.of_channel(channel.id))):
            text = gettext("Channel %(name)s is failing") % {"name": channel.name}
            yield Matter("warn", "cable", text, failing.hint, href)
        elif failed:
            text = gettext("Channel %(name)s failed its test") % {"name": channel.name}
            yield Matter("warn", "cable", text, gettext("Open it to see the cause."), href)


def _unserved_text(models: Sequence[str]) -> str:
    """Return a text that names the first few models that no available channel serves."""
    if not models:
        return gettext("Other channels serve its models.")
    names = ", ".join(models[:_EACH])
    if len(models) > _EACH:
        names += ", …"
    return ngettext("No other channel serves %(names)s.",
                    "No other channel serves these models: %(names)s.",
                    len(models)) % {"names": names}  # fmt: skip


def _budgets(actor: Actor) -> Iterator[Matter]:
    """Report the budgets that are nearest to their limit."""
    if not _may(actor, "budgets.read"):
        return
    enabled = list(budgets.visible_budgets(actor).filter(enabled=True))
    names = subject_names(enabled)
    near = [
        (used_share(meter["used_nano"], meter["limit_nano"]), usage.budget, meter)
        for usage in budgets.current_usage(enabled)
        for meter in [meter_of(usage)]
        if meter["tone"] or meter["forecast_at"]
    ]
    for _share, budget, meter in sorted(near, key=lambda one: -one[0])[:_EACH]:
        subject = names[budget.id] or actors.organisation_of(actor).name
        text = gettext("Budget of %(subject)s") % {"subject": subject}
        href = reverse("budget", args=[slug_of(actor), budget.id])
        scope = str(SCOPE_NAMES[budget.scope])
        detail = f"{scope} · {_used_text(meter['used_nano'], meter['limit_nano'])}"
        if meter["forecast_at"] and not meter["tone"]:
            on = date_format(meter["forecast_at"], "MONTH_DAY_FORMAT")
            detail += " · " + gettext("on pace to run out on %(date)s") % {"date": on}
        yield Matter("bad" if meter["full"] else "warn", "shield", text, detail, href)


def _used_text(used_nano: int, limit_nano: int) -> str:
    return gettext("%(used)s of %(limit)s") % {
        "used": beside_text(used_nano, limit_nano),
        "limit": limit_text(limit_nano),
    }


def _keys(actor: Actor) -> Iterator[Matter]:
    """Report the keys that expire soon, the next one first."""
    if not _may(actor, "keys.read"):
        return
    now = clock.now()
    soon = (
        access.living_keys(actor)
        .filter(expires_at__lte=now + _KEY_EXPIRES_WITHIN)
        .order_by("expires_at", "id")
    )
    for key in soon[:_EACH]:
        if key.expires_at is None:
            continue
        text = gettext("Key %(name)s expires soon") % {"name": key.name}
        href = reverse("key", args=[slug_of(actor), id_text(key.id)])
        yield Matter("warn", "key-round", text, relative_text(key.expires_at, now), href)


def _increases(actor: Actor) -> Iterator[Matter]:
    """Report requests for larger budgets to those who decide on them."""
    if budget_increases.may_decide(actor) and (n := count_waiting(actor)):
        text = ngettext("%(n)s budget increase request", "%(n)s budget increase requests", n)
        href = reverse("raises", args=[slug_of(actor)])
        yield Matter("info", "inbox", text % {"n": n}, gettext("Waiting for approval"), href)


def _proposals(actor: Actor) -> Iterator[Matter]:
    """Report prices that wait for a decision."""
    if _may(actor, "prices.write"):
        with use_tenant(None):
            proposed = visible_proposals(actor).filter(decided_at=None).count()
        if proposed:
            text = ngettext("%(n)s price proposal", "%(n)s price proposals", proposed) % {
                "n": proposed
            }
            detail = gettext("Waiting for approval")
            yield Matter("info", "receipt", text, detail, reverse("price_proposals"))


def _unpriced(actor: Actor) -> Iterator[Matter]:
    """Report channels that serve models without a price."""
    if not _may(actor, "prices.write"):
        return
    prices = prices_in_force()
    for channel in visible_channels(actor).filter(enabled=True):
        if n := len(unpriced_models(channel, prices)):
            text = ngettext("%(n)s model has no price", "%(n)s models have no price", n) % {"n": n}
            detail = gettext("Channel %(name)s") % {"name": channel.name}
            href = reverse("channel_prices_set", args=[id_text(channel.id)])
            yield Matter("warn", "receipt", text, detail, href)


def _late_jobs() -> Iterator[Matter]:
    """Report background jobs that do not succeed any more."""
    for state in job_states():
        if state.late:
            text = gettext("%(job)s: late") % {"job": state.job.title}
            detail = relative_text(state.since, clock.now())
            yield Matter("bad", "clock", text, detail, reverse("health"))


def _system() -> Iterator[Matter]:
    """Report the checks of the system that are not in order."""
    for row in system_rows(system_state()):
        if row.tone in ("bad", "warn"):
            yield Matter(row.tone, "zap", named_text(row.title, row.status), row.value,
                         row.url or reverse("health"))  # fmt: skip


def _reviews(actor: Actor) -> Iterator[Matter]:
    """Report requests whose charge an operator decides."""
    if _may(actor, "credits.read") and (n := count_open(actor)):
        text = ngettext("%(n)s request under review", "%(n)s requests under review", n) % {"n": n}
        yield Matter("info", "inbox", text, gettext("Waiting for a decision"), reverse("reviews"))


def _approvals(actor: Actor) -> Iterator[Matter]:
    """Report changes of others that wait for a second operator."""
    if _may(actor, "credits.read") and (n := count_for(actor)):
        text = ngettext("%(n)s change is waiting for you", "%(n)s changes are waiting for you", n)
        detail = gettext("Another operator requested it")
        yield Matter("info", "inbox", text % {"n": n}, detail, reverse("approvals"))


def _backups(actor: Actor) -> Iterator[Matter]:
    """Report to operators that nobody has decided whether backups are made."""
    if actor.user is None or not _may(actor, "channels.write") or is_backup_decided():
        return
    if clock.now() - actor.user.created_at >= _NO_BACKUP_AFTER:
        detail = gettext("Set a schedule, so that a lost disk is not the end.")
        yield Matter("warn", "save", gettext("No backups are made"), detail, reverse("backups"))
