"""A channel as the pages show it: what it is, and how it stands (W71)."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gateway.channel_check_words import shown_check
from gateway.channel_reports import Found
from gateway.models import Channel
from gateway.providers import PROVIDERS
from gateway.rules.channel_status import ChannelStatus
from lib.ids import id_text
from lib.tables.table import Badge
from usage.words import KINDS

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
}


def taken_out_words(channel: Channel) -> str:
    """Why its rule turned it off; "" where it did not."""
    out = channel.taken_out
    return str(_TAKEN_OUT[out["cause"]]) % {"what": out["what"]} if out else ""


def state_of(row: Mapping[str, Any]) -> Badge:
    """A channel's state; its cause and when it is tried again are said on hover."""
    status: ChannelStatus | None = row["channel_status"]
    if row["channel"].archived_at:
        return Badge(_("Archived"), icon="archive")
    if row["channel"].taken_out:
        return Badge(_("Off by rule"), "bad", hint=taken_out_words(row["channel"]))
    if not row["channel"].enabled:
        return Badge(_("Off"), icon="pause")
    if status is None:
        check = row["check"]
        failed = check is not None and not check.ok
        return Badge(_("Test failed"), "bad", hint=check.cause) if failed else Badge(_("On"), "ok")
    again = gettext("Next attempt within %(n)s s") % {"n": status.seconds} if status.seconds else ""
    hint = ". ".join(filter(None, (row["why"], again)))
    return _STATES.get(status.condition, Badge(_("Probing"), "warn"))._replace(hint=hint)


def channel_row(channel: Channel, found: Found) -> dict[str, Any]:
    status = found.status
    provider = PROVIDERS.get(channel.provider)
    routes = list(channel.routes.all())
    return {
        "channel": channel,
        "id": id_text(channel.id),
        "provider": gettext(provider.label) if provider else channel.provider,
        "host": urlsplit(channel.base_url).netloc,
        "routes": routes,
        "models": ", ".join(route.model for route in routes),
        "href": reverse("channel", args=[id_text(channel.id)]),
        "demo": channel.provider == "local",
        "check": shown_check(channel.last_test),
        "channel_status": status,
        "why": "" if status is None else _why(status),
    }


def _why(status: ChannelStatus) -> str:
    if status.condition == "limited":
        return gettext("A limit of this channel is reached")
    return str(KINDS.get(status.kind or "", ""))
