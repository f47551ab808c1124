"""Access to the objects of billing: the organisation's own, and all objects for operators."""

import re
from typing import Final

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import Http404

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor, organisation_of
from accounts.models import Organisation
from accounts.roles.rules import Action
from billing.models import (
    CodeBatch,
    Credit,
    ExchangeRate,
    Invoice,
    InvoiceKind,
    InvoiceState,
    Posting,
    ProcessorEvent,
    SubscriptionPlan,
    SubscriptionPlanState,
    SubscriptionState,
    TaxRate,
    TopUp,
)
from lib.ids import parse_id, parse_number

_NUMBER: Final = re.compile(r"(INV|CN|DN)-[0-9]{4}-[0-9]{4,10}")


def access_wallet(actor: Actor, action: Action) -> Organisation:
    """Return the organisation whose wallet the actor acts on. Raises Http404 without one."""
    require(actor, action)
    return organisation_of(actor)


def organisation_named(actor: Actor, slug: str) -> Organisation:
    """Return any organisation of the installation, for operators. Raises Http404."""
    require(actor, "credits.read")
    organisation = Organisation.objects.filter(slug=slug).first()
    if organisation is None:
        raise Http404
    return organisation


def all_organisations(actor: Actor) -> QuerySet[Organisation]:
    """Return every organisation, by name, for operators."""
    require(actor, "credits.read")
    return Organisation.objects.order_by("name")


def visible_credits(actor: Actor) -> QuerySet[Credit]:
    """Return every correction of a balance, newest first, for operators."""
    require(actor, "credits.read")
    return Credit.objects.select_related("organisation", "asked_by").order_by("-id")


def access_credit(actor: Actor, id: str) -> Credit:
    """Return a correction. Raises Http404."""
    return get_by_id(visible_credits(actor), id)


def access_posting(actor: Actor, id: str) -> Posting:
    """Return a posting of any organisation, for operators. Raises Http404."""
    require(actor, "credits.read")
    return get_by_id(Posting.objects.all(), id)


def visible_top_ups(actor: Actor) -> QuerySet[TopUp]:
    """Return the organisation's top-ups, newest first."""
    organisation = access_wallet(actor, "topups.read")
    return (
        TopUp.objects.filter(organisation=organisation).select_related("created_by").order_by("-id")
    )


def access_top_up(actor: Actor, id: str) -> TopUp:
    """Return one top-up of the organisation. Raises Http404."""
    return get_by_id(visible_top_ups(actor).select_related("organisation"), id)


def all_top_ups(actor: Actor) -> QuerySet[TopUp]:
    """Return the top-ups of every organisation, newest first, for operators."""
    require(actor, "credits.read")
    return TopUp.objects.select_related("organisation", "created_by").order_by("-id")


def any_top_up(actor: Actor, id: str) -> TopUp:
    """Return a top-up of any organisation, for operators. Raises Http404."""
    return get_by_id(all_top_ups(actor), id)


def unmatched_events(actor: Actor) -> QuerySet[ProcessorEvent]:
    """Return the payment events without a matching top-up, newest first, for operators."""
    require(actor, "credits.read")
    return (
        ProcessorEvent.objects.exclude(verdict="applied").select_related("top_up").order_by("-id")
    )


def visible_batches(actor: Actor) -> QuerySet[CodeBatch]:
    """Return every batch of codes, newest first, for operators."""
    require(actor, "codes.read")
    return CodeBatch.objects.select_related("created_by").order_by("-id")


def access_batch(actor: Actor, id: str) -> CodeBatch:
    """Return a batch of codes. Raises Http404."""
    return get_by_id(visible_batches(actor), id)


def visible_invoices(actor: Actor) -> QuerySet[Invoice]:
    """Return the organisation's monthly invoices and its closed notes, newest first."""
    organisation = access_wallet(actor, "balance.read")
    own = Invoice.objects.filter(organisation=organisation)
    visible = own.filter(Q(kind=InvoiceKind.INVOICE) | Q(state=InvoiceState.CLOSED))
    return _prefetch_notes(visible)


def access_invoice(actor: Actor, no: str) -> Invoice:
    """Return one document of the organisation, by its number, or by its id before it has one.
    Raises Http404."""
    rows = visible_invoices(actor)
    if _NUMBER.fullmatch(no):
        invoice = rows.filter(number=no).first()
        if invoice is None:
            raise Http404
        return invoice
    return get_by_id(rows, no)


def all_invoices(actor: Actor) -> QuerySet[Invoice]:
    """Return the documents of every organisation, newest first, for operators."""
    require(actor, "credits.read")
    return _prefetch_notes(Invoice.objects.all())


def any_invoice(actor: Actor, id: str) -> Invoice:
    """Return a document of any organisation, for operators. Raises Http404."""
    return get_by_id(all_invoices(actor), id)


def _prefetch_notes(rows: QuerySet[Invoice]) -> QuerySet[Invoice]:
    notes = Invoice.objects.filter(corrects=OuterRef("pk"), state=InvoiceState.CLOSED)
    return (
        rows.select_related("organisation", "corrects", "proposed_by", "closed_by")
        .annotate(noted=Exists(notes))
        .order_by("-id")
    )


def exchange_rates(actor: Actor) -> QuerySet[ExchangeRate]:
    """Return the operators' table of exchange rates."""
    require(actor, "credits.read")
    return ExchangeRate.objects.all()


def tax_rates(actor: Actor) -> QuerySet[TaxRate]:
    """Return the operators' table of taxes, by country and name, the latest first."""
    require(actor, "credits.read")
    return TaxRate.objects.order_by("country", "name", "-valid_from")


def access_tax_rate(actor: Actor, id: str) -> TaxRate:
    """Return a tax rate. Raises Http404."""
    return get_by_id(tax_rates(actor), parse_number(id))


def offered_plans(actor: Actor) -> QuerySet[SubscriptionPlan]:
    """Return the plans that the organisation can subscribe to, the cheapest first."""
    access_wallet(actor, "balance.read")
    offered = SubscriptionPlan.objects.filter(state=SubscriptionPlanState.OFFERED)
    return offered.order_by("price_nano", "name")


def offered_plan(actor: Actor, id: str) -> SubscriptionPlan | None:
    """Return an offered plan, or None."""
    parsed_id = parse_id(id)
    return offered_plans(actor).filter(id=parsed_id).first() if parsed_id else None


def visible_subscription_plans(actor: Actor) -> QuerySet[SubscriptionPlan]:
    """Return every subscription plan, newest first, for operators. Each has `subscribers`, the
    number of its subscriptions that have not ended."""
    require(actor, "credits.read")
    living = Count("subscriptions", filter=~Q(subscriptions__state=SubscriptionState.ENDED))
    rows = SubscriptionPlan.objects.select_related("written_by").annotate(subscribers=living)
    return rows.order_by("-id")


def access_subscription_plan(actor: Actor, id: str) -> SubscriptionPlan:
    """Return a subscription plan. Raises Http404."""
    return get_by_id(visible_subscription_plans(actor), id)
