"""Operators who act on one document: the second one's page is from before the first one acted."""

from collections.abc import Callable

import pytest

from accounts.access.actors import Actor
from billing.invoices import invoices
from billing.invoices.invoices import InvoiceRefused
from billing.models import Approval, Invoice, InvoiceCounter, InvoiceKind, InvoiceState
from tests.support import cast
from tests.support.invoicing import empty_invoice

pytestmark = pytest.mark.django_db
USD = 10**9
ALREADY = "Someone else has already acted on this"


@pytest.fixture
def otto(people: cast.Cast) -> Actor:
    return cast.actor(cast.person("otto", operator=True))


@pytest.fixture
def draft(people: cast.Cast) -> Invoice:
    return empty_invoice(people.acme)


def seen(invoice: Invoice) -> Invoice:
    """The document as a page shows it that is not loaded again."""
    return Invoice.objects.get(id=invoice.id)


def note_on(invoice: Invoice, by: Actor) -> Invoice:
    return invoices.propose_note(by, invoice, InvoiceKind.DEBIT_NOTE, USD, "Setup")


def stored(invoice: Invoice) -> dict[str, object]:
    return dict(Invoice.objects.values().get(id=invoice.id))


def test_a_draft_is_proposed_by_the_first_who_does(
    draft: Invoice, dora: Actor, otto: Actor
) -> None:
    shown = seen(draft)
    invoices.propose_invoice(dora, draft)
    first = stored(draft)
    with pytest.raises(InvoiceRefused, match=ALREADY):
        invoices.propose_invoice(otto, shown)
    assert stored(draft) == first
    assert [approval.asked_by for approval in Approval.objects.all()] == [dora.user]


def test_a_document_is_closed_once_with_one_number(
    draft: Invoice, dora: Actor, otto: Actor
) -> None:
    """An invoice and a note: each has a series of numbers, and none is skipped."""
    for kind in (InvoiceKind.INVOICE, InvoiceKind.DEBIT_NOTE):
        invoice = kind == InvoiceKind.INVOICE
        proposed = invoices.propose_invoice(dora, draft) if invoice else note_on(draft, dora)
        shown = seen(proposed)
        invoices.close_document(otto, proposed)
        first = stored(proposed)
        with pytest.raises(InvoiceRefused, match=ALREADY):
            invoices.close_document(otto, shown)
        assert stored(proposed) == first
    numbers = InvoiceCounter.objects.values_list("series", "last")
    assert dict(numbers) == {"INV": 1, "DN": 1}


ACTS: dict[str, Callable[[Actor, Invoice], object]] = {
    "close": invoices.close_document,
    "take back": lambda actor, invoice: invoices.unpropose(invoice),
    "compose again": lambda actor, invoice: invoices.changes_of(invoice),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("end", ["closed", "taken back"])
def test_a_proposal_that_has_ended_allows_nothing_more(
    draft: Invoice, dora: Actor, otto: Actor, act: str, end: str
) -> None:
    proposed = invoices.propose_invoice(dora, draft)
    shown = seen(proposed)
    if end == "closed":
        invoices.close_document(otto, proposed)
    else:
        invoices.unpropose(proposed)
    first = stored(draft)
    assert first["state"] == (InvoiceState.CLOSED if end == "closed" else InvoiceState.DRAFT)
    with pytest.raises(InvoiceRefused, match=ALREADY):
        ACTS[act](otto, shown)
    assert stored(draft) == first


@pytest.mark.parametrize("act", ACTS)
def test_a_note_that_was_taken_back_is_gone_for_everyone(
    people: cast.Cast, dora: Actor, otto: Actor, act: str
) -> None:
    note = note_on(empty_invoice(people.acme, people.dora, otto.user), dora)
    shown = seen(note)
    invoices.unpropose(note)
    with pytest.raises(InvoiceRefused, match=ALREADY):
        ACTS[act](otto, shown)
    assert not Invoice.objects.filter(id=note.id).exists()


def test_what_a_document_allows_now_counts_not_what_the_page_shows(
    draft: Invoice, dora: Actor, otto: Actor
) -> None:
    """The page still shows a draft: the document was proposed since, and was closed since."""
    shown = seen(draft)
    with pytest.raises(InvoiceRefused, match=ALREADY):
        invoices.close_document(otto, shown)
    invoices.propose_invoice(dora, draft)
    closed = invoices.close_document(otto, shown)
    assert closed.number is not None
    assert note_on(shown, dora).corrects == closed
