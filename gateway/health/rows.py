"""Channels for display: their settings and their state (W71)."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.names.labels import join_labels
from billing.prices.name_patterns import matches
from gateway.breaker.state_names import ChannelStatus, KeyStatus, ModelStatus
from gateway.channels.channel_tests.words import describe_check
from gateway.health.figures import Figures
from gateway.health.reports import Trouble, model_badness
from gateway.models import Channel
from gateway.provider_accounts.balances.balances import reads_balance
from gateway.provider_accounts.balances.rows import balance_rows
from gateway.providers import PROVIDERS
from lib.ids import id_text
from lib.tables.table import Badge
from usage.requests.words import KINDS

_STATES: Final[Mapping[str, Badge]] = {
    "open": Badge(_("Unavailable"), "bad"),
    "keys_out": Badge(_("Keys paused"), "bad"),
    "limited": Badge(_("Limit reached"), "warn"),
    "models_out": Badge(_("Models paused"), "warn"),
}


_TAKEN_OUT: Final = {
    "key": _("In a test, the provider rejected its key."),
    "status": _("In a test, the provider responded with status %(what)s."),
    "words": _("In a test, the response contained “%(what)s”."),
    "success": _("Only %(what)s of the latest requests succeeded."),
    "balance": _("Its balance at the provider is low: %(what)s."),
}


def taken_out_words(channel: Channel) -> str:
    """Return why the channel's rule disabled it, or ""."""
    out = channel.taken_out
    return str(_TAKEN_OUT[out["cause"]]) % {"what": out["what"]} if out else ""


def failing_badge(figures: Figures) -> Badge | None:
    """Return the state of what is failing within the last hour, or None."""
    if not figures.failing:
        return None
    words = {"failed": figures.failed, "attempts": figures.attempts}
    hint = gettext("%(failed)s of %(attempts)s attempts failed in the last hour") % words
    return Badge(_("Failing"), "bad", hint=hint)


def state_of(channel: Channel, status: ChannelStatus | None, figures: Figures) -> Badge:
    """Return a channel's state, with its cause and the time of the next try. `figures` are those of
    the last hour."""
    if channel.archived_at:
        return Badge(_("Archived"), icon="archive")
    if channel.taken_out:
        return Badge(_("Off by rule"), "bad", hint=taken_out_words(channel))
    if not channel.enabled:
        return Badge(_("Off"), icon="pause")
    if channel.provider not in PROVIDERS:
        hint = gettext("The extension with its provider is disabled.")
        return Badge(_("Off"), "bad", hint=hint)
    if status is None:
        check = describe_check(channel.last_test)
        if check is not None and not check.ok:
            return Badge(_("Test failed"), "bad", hint=check.cause)
        return failing_badge(figures) or Badge(_("On"), "ok")
    again = gettext("Next attempt within %(n)s s") % {"n": status.seconds} if status.seconds else ""
    hint = ". ".join(filter(None, (_status_reason(status), again)))
    return _STATES.get(status.condition, Badge(_("Probing"), "warn"))._replace(hint=hint)


def channel_row(channel: Channel, trouble: Trouble, figures: Figures) -> dict[str, Any]:
    status = trouble.status
    provider = PROVIDERS.get(channel.provider)
    routes = list(channel.routes.all())
    return {
        "channel": channel,
        "id": id_text(channel.id),
        "provider": gettext(provider.label) if provider else channel.provider,
        "host": urlsplit(channel.base_url).netloc,
        "routes": routes,
        "models": ", ".join(route.model for route in routes),
        "labels": join_labels(channel.labels),
        "href": reverse("channel", args=[id_text(channel.id)]),
        "demo": channel.provider == "local",
        "check": describe_check(channel.last_test),
        "state": state_of(channel, status, figures),
        "figures": figures,
        **_balance(channel),
    }


def _balance(channel: Channel) -> dict[str, Any]:
    """Return the balance of the channel's keys, and the time of the reading; empty if it is not
    read."""
    rows = balance_rows(channel) if reads_balance(channel) else []
    read = [row.reading.read_at for row in rows if row.reading and row.reading.read_at]
    return {
        "balances": rows,
        "balance": " · ".join(row.text for row in rows if row.text),
        "balance_at": min(read, default=None),
        "balance_low": any(row.reading.low for row in rows if row.reading),
        "balance_unknown": any(row.stale or not row.text for row in rows),
    }


def _status_reason(status: ChannelStatus) -> str:
    if status.condition == "limited":
        return gettext("A limit of this channel is reached")
    return str(KINDS.get(status.kind or "", ""))


KEY_BADGES: Final[Mapping[str, Badge]] = {
    "good": Badge(_("Active"), "ok"),
    "paused": Badge(_("Paused"), "bad"),
    "limited": Badge(_("At its rate limit"), "warn"),
}
_REFUSED_FOR_MODELS: Final = Badge(_("Rejected for some models"), "warn")
_NO_USES: Final[Mapping[UUID, dt.datetime]] = {}
_KEY_REASONS: Final = {
    "key_refused": _("The provider rejected the key."),
    "no_credit": _("The provider's rate limit or credit is used up."),
}


def key_rows(
    channel: Channel, statuses: Sequence[KeyStatus], uses: Mapping[UUID, dt.datetime] = _NO_USES
) -> list[dict[str, Any]]:
    """Return the rows of the channel's keys; active ones with their state. `uses` has the last use
    of each."""
    known = iter(statuses)
    rows = []
    for key in channel.keys.all():
        status = None if key.disabled_at else next(known, None)
        badge = KEY_BADGES[status.condition if status else "good"]
        if status is not None and status.condition == "limited" and status.reason is not None:
            badge = _REFUSED_FOR_MODELS
        rows.append(
            {
                "key": key,
                "id": id_text(key.id),
                "badge": Badge(_("Disabled"), icon="pause") if key.disabled_at else badge,
                "why": "" if status is None else _pause_reason(status),
                "used_at": uses.get(key.id),
            }
        )
    return rows


def _pause_reason(status: KeyStatus) -> str:
    """Return why a key is not used, since when, and when it is tried again."""
    if status.condition == "good":
        return ""
    parts = [str(_KEY_REASONS[status.reason])] if status.reason else []
    if status.for_s:
        parts.append(gettext("For %(n)s s.") % {"n": status.for_s})
    parts.append(gettext("Next attempt within %(n)s s") % {"n": status.seconds})
    return " ".join(parts)


_MODEL_BADGES: Final[Mapping[str, Badge]] = {
    "limited": Badge(_("At its rate limit"), "warn"),
    "model_unknown": Badge(_("Unknown to the provider"), "bad"),
    "key_refused": Badge(_("Rejected by the provider"), "bad"),
}


def model_badges(channel: Channel, models: Mapping[str, ModelStatus]) -> dict[str, Badge]:
    """Return the state of each name or pattern that a channel serves."""
    keys = sum(key.disabled_at is None for key in channel.keys.all()) or 1
    return {
        name: KEY_BADGES["good"] if its is None else _model_badge(its, keys)
        for name, its in model_statuses(channel, models).items()
    }


def model_statuses(
    channel: Channel, models: Mapping[str, ModelStatus]
) -> dict[str, ModelStatus | None]:
    """Return, for each name or pattern that a channel serves, the worst state of its resting
    models, or None."""
    routes = {route.model: route.upstream_model for route in channel.routes.all()}
    upstream_names = {upstream or name for name, upstream in routes.items() if "*" not in name}
    left = {name: its for name, its in models.items() if name not in upstream_names}
    statuses: dict[str, ModelStatus | None] = {}
    for name, upstream in routes.items():
        if "*" in name:
            met = [its for model, its in left.items() if matches(name, model)]
            statuses[name] = max(met, key=model_badness, default=None)
        else:
            statuses[name] = models.get(upstream or name)
    return statuses


def _model_badge(its: ModelStatus, keys: int) -> Badge:
    words = {"n": its.keys, "all": keys, "seconds": its.seconds}
    hint = gettext("On %(n)s of %(all)s keys. Next attempt within %(seconds)s s") % words
    return _MODEL_BADGES[its.condition]._replace(hint=hint)
