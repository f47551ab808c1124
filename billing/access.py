"""The way to the objects of money: an organisation's own, and those that operators see."""

from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from accounts.access import Actor, require
from accounts.models import Organisation
from accounts.rules.roles import Action
from billing.models import CodeBatch, Credit, Posting
from lib.ids import parse_id


def access_wallet(actor: Actor, action: Action) -> Organisation:
    """The organisation whose wallet the actor acts on. Http404 without one."""
    require(actor, action)
    if actor.organisation is None:
        raise Http404
    return actor.organisation


def organisation_named(actor: Actor, slug: str) -> Organisation:
    """Any organisation of the installation, for operators. Http404 when there is none such."""
    require(actor, "credits.read")
    found = Organisation.objects.filter(slug=slug).first()
    if found is None:
        raise Http404
    return found


def all_organisations(actor: Actor) -> QuerySet[Organisation]:
    """Every organisation, by name, for operators."""
    require(actor, "credits.read")
    return Organisation.objects.order_by("name")


def visible_credits(actor: Actor) -> QuerySet[Credit]:
    """Every correction of a balance, newest first, for operators."""
    require(actor, "credits.read")
    return Credit.objects.select_related("organisation", "asked_by", "decided_by").order_by("-id")


def access_credit(actor: Actor, id: str) -> Credit:
    """One correction. Http404 when there is none such."""
    found = visible_credits(actor).filter(id=_id(id)).first()
    if found is None:
        raise Http404
    return found


def access_posting(actor: Actor, id: str) -> Posting:
    """One posting of any organisation, for operators. Http404 when there is none such."""
    require(actor, "credits.read")
    found = Posting.objects.filter(id=_id(id)).first()
    if found is None:
        raise Http404
    return found


def visible_batches(actor: Actor) -> QuerySet[CodeBatch]:
    """Every batch of codes, newest first, for operators."""
    require(actor, "codes.read")
    return CodeBatch.objects.select_related("created_by").order_by("-id")


def access_batch(actor: Actor, id: str) -> CodeBatch:
    """One batch of codes. Http404 when there is none such."""
    found = visible_batches(actor).filter(id=_id(id)).first()
    if found is None:
        raise Http404
    return found


def _id(text: str) -> UUID:
    found = parse_id(text)
    if found is None:
        raise Http404
    return found
