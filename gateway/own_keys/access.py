"""Access to the own keys of organisations: those who manage keys see and change them, the lead of a
team those of the team; operators see who uses an offer, and no more."""

from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext

from accounts.access.access import AccessDenied, get_by_id, keyed_team, require, scope_of
from accounts.access.actors import Actor, organisation_of
from accounts.models import Team
from gateway.models import OwnKey, OwnKeyOffer
from gateway.own_keys.offers import offers_to
from lib.ids import parse_id


def visible_own_keys(actor: Actor) -> QuerySet[OwnKey]:
    """The provider keys that the actor manages, sorted by name: all of the organisation, or those
    of the actor's teams."""
    require(actor, "keys.write")
    keys = OwnKey.objects.filter(organisation=organisation_of(actor))
    if scope_of(actor, "keys.write") == "teams":
        keys = keys.filter(team__in=actor.authority.teams_of("keys.write"))
    rows = keys.select_related("team", "channel", "channel__own_key_offer", "created_by")
    return rows.order_by("name", "id")


def access_own_key(actor: Actor, id: str) -> OwnKey:
    """Return an own key that the actor manages. Raises Http404."""
    return get_by_id(visible_own_keys(actor), id)


def access_holder(actor: Actor, slug: str) -> Team | None:
    """Return the team that is to have an own key, by its slug; None for the whole organisation.
    Raises Http404, and AccessDenied where the actor manages teams only."""
    if slug:
        return keyed_team(actor, slug)
    require(actor, "keys.write")
    if scope_of(actor, "keys.write") != "all":
        text = gettext("You can only add keys for your teams. Choose a team.")
        raise AccessDenied(text)
    return None


def visible_offers(actor: Actor) -> QuerySet[OwnKeyOffer]:
    """The offers to the actor's organisation, for those who may add keys, by title."""
    require(actor, "keys.write")
    return offers_to(organisation_of(actor))


def access_offer(actor: Actor, id: str) -> OwnKeyOffer:
    """Return an offer to the actor's organisation by its id as text. Raises Http404."""
    return get_by_id(visible_offers(actor), id)


def access_channel_offer(actor: Actor, id: str) -> OwnKeyOffer:
    """Return the offer of a channel, for operators. Raises Http404."""
    require(actor, "channels.read")
    offer = OwnKeyOffer.objects.select_related("channel").filter(pk=parse_id(id)).first()
    if offer is None:
        raise Http404
    return offer
