"""The progress of the first run (W01): operator, organisation, channel, key, first request. A step
is done when its result exists, so that people can resume."""

from typing import Any, Final

from django.http import HttpRequest

from accounts.access import access
from accounts.access.actors import Actor
from accounts.models import KeyKind
from accounts.roles.rules import HAS_KEYS
from gateway.models import Channel
from usage.organisations.first_call import has_called

SKIPPED: Final = "set_up_channel_skipped"
OPERATOR, ORGANISATION, CHANNEL, KEY, REQUEST, LIVE = range(1, 7)


def step_of(request: HttpRequest, actor: Actor) -> int:
    """Return the next step, or LIVE when all are done."""
    if actor.organisation is None:
        return ORGANISATION
    if actor.authority.scope_of(HAS_KEYS) is None or has_called(actor):
        return LIVE
    if not Channel.objects.exists() and not request.session.get(SKIPPED):
        return CHANNEL
    own = access.living_keys(actor).filter(user=actor.user, kind=KeyKind.RELAY)
    return REQUEST if own.exists() else KEY


def set_up_context(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    """Build the context of an operator's start page: the current step of the first run."""
    if not actor.operator:
        return {}
    step = step_of(request, actor)
    return {"set_up_step": step if step < LIVE else 0}
