"""Access to lists of models and what they propose: operators can access all of it, others none."""

from django.db.models import QuerySet

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor
from gateway.catalogue.model_proposals import open_proposals
from gateway.models import CatalogueIgnoreRule, CatalogueUpdate, ModelProposal
from lib.ids import parse_number


def visible_model_proposals(actor: Actor) -> QuerySet[ModelProposal]:
    """Return the undecided proposals of model facts from lists and probes."""
    require(actor, "channels.read")
    return open_proposals()


def visible_updates(actor: Actor) -> QuerySet[CatalogueUpdate]:
    """Return the lists of models that were compared, newest first."""
    require(actor, "prices.write")
    return CatalogueUpdate.objects.select_related("made_by").order_by("-id")


def visible_ignore_rules(actor: Actor) -> QuerySet[CatalogueIgnoreRule]:
    """Return the fields that lists must not propose, by model."""
    require(actor, "prices.write")
    return CatalogueIgnoreRule.objects.order_by("model", "field")


def access_ignore_rule(actor: Actor, id: str | int) -> CatalogueIgnoreRule:
    """Return an ignore rule. Raises Http404."""
    return get_by_id(visible_ignore_rules(actor), parse_number(id) if isinstance(id, str) else id)
