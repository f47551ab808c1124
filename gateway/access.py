"""Objects of the control plane, had only from here: operators have all of them, others none."""

from django.db.models import QuerySet
from django.http import Http404

from accounts.access import Actor, require
from gateway.models import Channel
from lib.ids import parse_id


def visible_channels(actor: Actor) -> QuerySet[Channel]:
    """Every channel, in the order in which they are asked."""
    require(actor, "channels.read")
    return Channel.objects.prefetch_related("routes", "keys").order_by("priority", "name")


def access_channel(actor: Actor, id: str) -> Channel:
    """One channel by the text of its id. Http404 when there is none such."""
    wanted = parse_id(id)
    channel = visible_channels(actor).filter(id=wanted).first() if wanted else None
    if channel is None:
        raise Http404
    return channel
