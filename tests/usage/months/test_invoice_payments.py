"""Closed invoices: paid from the balance or as recorded, due and overdue; receipts; all of a year
in one file."""

import contextlib
import datetime as dt
import io
import zipfile
from unittest.mock import patch

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.utils import formats

from accounts.access.actors import Actor
from accounts.models import AuditEvent, Key, Organisation, User
from billing.balances.balances import balance
from billing.balances.credit_line import set_credit_line
from billing.credits import promo
from billing.credits.credits import request_credit
from billing.invoices.billing_details import add_tax_rate
from billing.invoices.document import describe_document
from billing.invoices.dues import left_nano
from billing.invoices.invoices import InvoiceRefused, propose_note
from billing.invoices.payments import (
    issued_due_on,
    payment_of,
    record_payment,
    settle_invoices,
)
from billing.invoices.pdf import LANGUAGES, FontMissing, invoice_pdf
from billing.invoices.rules import covered_nano
from billing.ledger.funding import adjust
from billing.ledger.ledger import lock_wallet, post
from billing.models import Invoice, InvoiceKind, InvoicePayment, TopUp
from lib import clock
from lib.files.zip_stream import stream_zip
from lib.ids import id_text, new_id
from tests.support import cast
from tests.support.invoicing import charged, closed, drafted, mid_month
from tests.usage.months.test_invoice_pages import text_of
from tests.usage.rows import admit, happen

pytestmark = pytest.mark.django_db
USD = 10**9
CENT = 10**7


@pytest.fixture
def dora(people: cast.Cast) -> Actor:
    return cast.actor(people.dora)


@pytest.fixture
def erik(people: cast.Cast) -> Actor:
    return cast.actor(cast.person("erik", operator=True))


@pytest.mark.parametrize(
    ("total", "owed", "due", "paid"),
    [
        (100, 0, 0, 100),
        (100, 30, 0, 70),
        (100, 300, 0, 0),
        # What is due of others is owed for them.
        (100, 130, 100, 70),
        (100, 80, 100, 100),
    ],
)
def test_amount_covered_by_the_balance(total: int, owed: int, due: int, paid: int) -> None:
    assert covered_nano(total * CENT, owed * CENT, due * CENT) == paid * CENT


@pytest.fixture
def due(people: cast.Cast, key: Key, dora: Actor, erik: Actor) -> Invoice:
    """Closed for 119 USD, of which 19 of taxes are not covered by the balance."""
    set_credit_line(people.acme, 500 * USD, actor=dora)
    charged(key, mid_month(), 100 * USD)
    add_tax_rate(dora, "VAT", "", "19", mid_month().date().replace(day=1))
    invoice = drafted(people.acme, dora)
    # What was charged is covered exactly; what the close adds is not.
    if free_nano := balance(people.acme).free_nano:
        post(adjust(new_id(), -free_nano, lock_wallet(people.acme.id)))
    return closed(invoice, dora, erik)


def test_uncovered_amount_is_due_and_paid_in_parts(
    people: cast.Cast, due: Invoice, dora: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (payment_of(due).state, left_nano(due)) == ("due", 19 * USD)
    paid_on = clock.now().date()
    for amount, reference, match in ((20 * USD, "r", "19.00"), (USD, " ", "reference")):
        with pytest.raises(InvoiceRefused, match=match):
            record_payment(dora, due, amount, reference=reference, paid_on=paid_on)
    with pytest.raises(InvoiceRefused, match="future"):
        record_payment(dora, due, USD, reference="r", paid_on=paid_on + dt.timedelta(days=3))
    record_payment(dora, due, 9 * USD, reference="SEPA 77", paid_on=paid_on)
    assert left_nano(due) == 10 * USD
    assert AuditEvent.objects.filter(action="invoice.payment_recorded").count() == 1
    later = clock.now() + dt.timedelta(days=16)
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: later)
        assert payment_of(due).state == "overdue"
        assert payment_of(due).due_on < later.date()
    page = cast.signed_in(people.alice).get(f"/o/acme/billing/invoices/{due.number}")
    assert "SEPA 77" in page.content.decode()
    record_payment(dora, due, 10 * USD, reference="SEPA 78", paid_on=paid_on)
    assert payment_of(due).state == "paid"
    amounts = InvoicePayment.objects.filter(invoice=due).values_list("amount_nano", flat=True)
    assert sum(amounts) == due.total_nano


@pytest.mark.parametrize(
    ("amount", "is_taken"),
    [(-USD, False), (0, False), (10**7, True), (19 * USD, True), (19 * USD + 10**7, False)],
)
def test_payment_is_limited_to_what_is_due(
    due: Invoice, dora: Actor, amount: int, is_taken: bool
) -> None:
    paid_on = clock.now().date()
    if is_taken:
        record_payment(dora, due, amount, reference="r", paid_on=paid_on)
    else:
        with pytest.raises(InvoiceRefused, match="at most"):
            record_payment(dora, due, amount, reference="r", paid_on=paid_on)
    assert left_nano(due) == 19 * USD - amount * is_taken


def test_incoming_money_pays_what_is_due(people: cast.Cast, due: Invoice, dora: Actor) -> None:
    settle_invoices()
    assert left_nano(due) == 19 * USD
    request_credit(dora, people.acme, 7 * USD, reason="Paid by transfer")
    settle_invoices()
    assert left_nano(due) == 12 * USD
    request_credit(dora, people.acme, 50 * USD, reason="Paid by transfer")
    settle_invoices()
    settle_invoices()
    assert payment_of(due).state == "paid"
    payments = InvoicePayment.objects.filter(invoice=due).order_by("id")
    sources = payments.values_list("source", "amount_nano")
    assert list(sources) == [
        ("balance", 100 * USD), ("balance", 7 * USD), ("balance", 12 * USD),
    ]  # fmt: skip


def test_full_credit_note_voids_the_invoice(due: Invoice, dora: Actor, erik: Actor) -> None:
    part = propose_note(dora, due, InvoiceKind.CREDIT_NOTE, 10 * USD, "Outage")
    closed(part, dora, erik)
    assert left_nano(due) == 19 * USD - 11_900_000_000
    rest = propose_note(dora, due, InvoiceKind.CREDIT_NOTE, 90 * USD, "All of it")
    closed(rest, dora, erik)
    assert (payment_of(due).state, left_nano(due)) == ("void", 0)


BANK_ACCOUNT = "Weir Ltd | IBAN DE02 1203 0000 0000 2020 51"
PAID = "This is not a payment request."


def pdfs(document: Invoice) -> list[str]:
    """The texts of the document's PDF in each language whose font this machine has."""
    texts = []
    for language in LANGUAGES:
        with contextlib.suppress(FontMissing):
            texts.append(text_of(invoice_pdf(Invoice.objects.get(id=document.id), language)))
    return texts


def day_text(day: dt.date) -> str:
    return formats.date_format(day, "DATE_FORMAT")


@pytest.fixture
def bank_account(settings: LazySettings) -> str:
    """Set before the invoice of the same test is closed."""
    settings.BANK_ACCOUNT = BANK_ACCOUNT
    return BANK_ACCOUNT


def test_pdf_asks_for_what_was_due_when_it_was_issued(
    people: cast.Cast, bank_account: str, due: Invoice, dora: Actor, settings: LazySettings
) -> None:
    """I18: payments, later settings and notes change neither the page's document nor the PDF."""
    issued = pdfs(due)
    english = issued[0]
    day = day_text(payment_of(due).due_on)
    for text in (
        "Paid from the balance -100.00", f"Due by {day} (USD) 19.00", "Please pay 19.00 USD by",
        "Pay to", "Weir Ltd IBAN DE02 1203 0000 0000 2020 51", f"Reference: {due.number}",
    ):  # fmt: skip
        assert text in english, text
    assert PAID not in english
    page = cast.signed_in(people.alice).get(f"/o/acme/billing/invoices/{due.number}")
    assert f"Due by {day} (USD)" in page.content.decode()
    assert "IBAN DE02" in page.content.decode()
    settings.BANK_ACCOUNT = "Other Ltd"
    record_payment(dora, due, 9 * USD, reference="SEPA 77", paid_on=clock.now().date())
    assert pdfs(due) == issued
    request_credit(dora, people.acme, 50 * USD, reason="Paid by transfer")
    settle_invoices()
    assert payment_of(due).state == "paid"
    assert pdfs(due) == issued


def test_pdf_names_no_account_that_nobody_has_set(due: Invoice) -> None:
    english = pdfs(due)[0]
    assert "Please pay 19.00 USD by" in english
    assert "Pay to" not in english


def test_paid_and_open_documents_ask_for_no_payment(
    people: cast.Cast, key: Key, bank_account: str, dora: Actor, erik: Actor
) -> None:
    charged(key, mid_month(), 100 * USD)
    draft = drafted(people.acme, dora)
    page = f"/admin/invoices/{id_text(draft.id)}"
    shown = cast.signed_in(people.dora).get(page).content.decode()
    # Whether the balance covers a draft is known when it is closed.
    assert "payment request" not in shown
    invoice = closed(draft, dora, erik)
    assert invoice.due_nano == 0
    english = pdfs(invoice)[0]
    assert PAID in english
    assert "Pay to" not in english


def test_notes_say_who_gets_their_total(due: Invoice, dora: Actor, erik: Actor) -> None:
    """A credit note never asks for money; a debit note that the balance does not cover gives its
    invoice a new day, and changes neither what the invoice said nor its day."""
    issued, issued_on = pdfs(due), payment_of(due).due_on
    credit = closed(propose_note(dora, due, InvoiceKind.CREDIT_NOTE, USD, "Outage"), dora, erik)
    assert "added to the balance. This is not a payment request." in pdfs(credit)[0]
    assert (credit.due_nano, payment_of(due).due_on) == (0, issued_on)
    later = clock.now() + dt.timedelta(days=20)
    with patch.object(clock, "now", lambda: later):
        assert payment_of(due).state == "overdue"
        note = closed(propose_note(dora, due, InvoiceKind.DEBIT_NOTE, 10 * USD, "x"), dora, erik)
        assert (note.due_nano, payment_of(due).state) == (11_900_000_000, "due")
    asked_on = later.date() + dt.timedelta(days=14)
    assert issued_due_on(note) == payment_of(due).due_on == asked_on
    assert f"Due by {day_text(asked_on)} (USD) 11.90" in pdfs(note)[0]
    assert (pdfs(due), issued_due_on(due)) == (issued, issued_on)


def test_debit_note_that_the_balance_covers(
    people: cast.Cast, due: Invoice, dora: Actor, erik: Actor
) -> None:
    request_credit(dora, people.acme, 50 * USD, reason="Paid by transfer")
    settle_invoices()
    note = closed(propose_note(dora, due, InvoiceKind.DEBIT_NOTE, 10 * USD, "x"), dora, erik)
    assert note.due_nano == 0
    assert f"The total was paid from the balance. {PAID}" in pdfs(note)[0]


def test_debit_note_asks_for_money_on_the_account_of_today(
    bank_account: str, due: Invoice, dora: Actor, erik: Actor, settings: LazySettings
) -> None:
    """The account of an old invoice may be closed by now."""
    settings.BANK_ACCOUNT = "Weir Ltd | IBAN FR76 3000"
    note = closed(propose_note(dora, due, InvoiceKind.DEBIT_NOTE, 10 * USD, "x"), dora, erik)
    assert "Weir Ltd IBAN FR76 3000" in pdfs(note)[0]
    assert "IBAN DE02" in pdfs(due)[0]
    assert {**note.seller, "bank_account": due.seller["bank_account"]} == due.seller


def test_notes_of_earlier_versions_still_say_nothing_of_their_payment(
    due: Invoice, dora: Actor, erik: Actor
) -> None:
    """I18: whether the balance covered them is not known any more."""
    for kind in (InvoiceKind.CREDIT_NOTE, InvoiceKind.DEBIT_NOTE):
        note = closed(propose_note(dora, due, kind, USD, "x"), dora, erik)
        assert "was added to the balance" in pdfs(note)[0] or note.due_nano
        note.due_nano = 0
        del note.seller["bank_account"]
        assert len(describe_document(note, "en").notes) == 1
    due.due_nano = 0
    del due.seller["bank_account"]
    assert PAID in describe_document(due, "en").notes[1]


@pytest.fixture
def spent(people: cast.Cast, key: Key, dora: Actor) -> Invoice:
    """A draft for 100 USD, all of which the balance has paid. Nothing is left of the balance."""
    set_credit_line(people.acme, 500 * USD, actor=dora)
    charged(key, mid_month(), 100 * USD)
    invoice = drafted(people.acme, dora)
    if free_nano := balance(people.acme).free_nano:
        post(adjust(new_id(), -free_nano, lock_wallet(people.acme.id)))
    return invoice


def test_amount_due_is_in_whole_cents(
    people: cast.Cast, spent: Invoice, dora: Actor, erik: Actor
) -> None:
    """A customer can transfer exactly what the document asks for, and has then paid it."""
    post(adjust(new_id(), -19_003_456_789, lock_wallet(people.acme.id)))
    invoice = closed(spent, dora, erik)
    for text in ("Paid from the balance -80.99", "(USD) 19.01", "Please pay 19.01 USD by"):
        assert text in pdfs(invoice)[0], text
    settle_invoices()
    listed = cast.signed_in(people.dora).get(f"/api/v1/documents/{id_text(invoice.id)}").json()
    assert listed["left"] == "19.01"
    request_credit(dora, people.acme, 5_001_000_000, reason="Paid by transfer")
    settle_invoices()
    assert left_nano(invoice) == 14 * USD + CENT
    request_credit(dora, people.acme, 14_009_000_000, reason="Paid by transfer")
    settle_invoices()
    assert payment_of(invoice).state == "paid"
    payments = InvoicePayment.objects.filter(invoice=invoice).order_by("id")
    amounts = list(payments.values_list("amount_nano", flat=True))
    assert amounts == [80_990_000_000, 5 * USD, 14 * USD + CENT]
    assert sum(amounts) == invoice.total_nano
    assert balance(people.acme).free_nano == 6_543_211


def test_amount_due_is_recorded_as_a_payment_to_the_cent(
    people: cast.Cast, spent: Invoice, dora: Actor, erik: Actor
) -> None:
    post(adjust(new_id(), -3_456_789, lock_wallet(people.acme.id)))
    invoice = closed(spent, dora, erik)
    record_payment(dora, invoice, CENT, reference="r", paid_on=clock.now().date())
    assert payment_of(invoice).state == "paid"


def test_what_running_requests_hold_is_not_due(
    people: cast.Cast, key: Key, spent: Invoice, dora: Actor, erik: Actor
) -> None:
    admit(key, clock.now(), hold_nano=7 * USD)
    assert balance(people.acme).free_nano == -7 * USD
    invoice = closed(spent, dora, erik)
    assert (invoice.due_nano, payment_of(invoice).state) == (0, "paid")


def test_usage_after_the_month_is_not_due_yet(
    people: cast.Cast, key: Key, spent: Invoice, dora: Actor, erik: Actor
) -> None:
    """The balance paid all of the month. What was charged later is on the next invoice."""
    happen(key, clock.now(), 5 * USD, hold_nano=6 * USD)
    assert closed(spent, dora, erik).due_nano == 0


def test_exact_payment_pays_the_invoice_while_usage_goes_on(
    people: cast.Cast, key: Key, due: Invoice, dora: Actor
) -> None:
    happen(key, clock.now(), 5 * USD, hold_nano=6 * USD)
    settle_invoices()
    assert left_nano(due) == 19 * USD
    request_credit(dora, people.acme, 19 * USD, reason="Paid by transfer")
    settle_invoices()
    assert (payment_of(due).state, balance(people.acme).free_nano) == ("paid", -5 * USD)


def test_debit_note_does_not_ask_for_later_usage(
    people: cast.Cast, key: Key, due: Invoice, dora: Actor, erik: Actor
) -> None:
    request_credit(dora, people.acme, 40 * USD, reason="Paid by transfer")
    settle_invoices()
    happen(key, clock.now(), 21 * USD, hold_nano=21 * USD)
    note = closed(propose_note(dora, due, InvoiceKind.DEBIT_NOTE, 10 * USD, "x"), dora, erik)
    # The 21 USD of cash that were left pay the note first; the next invoice asks for the usage.
    assert (note.due_nano, balance(people.acme).free_nano) == (0, -11_900_000_000)


def test_promotional_credit_pays_no_invoice(
    people: cast.Cast, due: Invoice, dora: Actor, erik: Actor
) -> None:
    grant_promo(people.acme, 50 * USD)
    settle_invoices()
    assert left_nano(due) == 19 * USD
    note = closed(propose_note(dora, due, InvoiceKind.DEBIT_NOTE, 10 * USD, "x"), dora, erik)
    assert (note.due_nano, left_nano(due)) == (11_900_000_000, 30_900_000_000)
    request_credit(dora, people.acme, 30_900_000_000, reason="Paid by transfer")
    settle_invoices()
    assert payment_of(due).state == "paid"


def test_used_promotional_credit_is_not_due(
    people: cast.Cast, key: Key, spent: Invoice, dora: Actor, erik: Actor
) -> None:
    """It is counted when the document is closed, before the job counts it."""
    grant_promo(people.acme, 5 * USD)
    happen(key, clock.now(), 5 * USD, hold_nano=5 * USD)
    assert lock_wallet(people.acme.id).promo_nano == 5 * USD
    assert closed(spent, dora, erik).due_nano == 0


def grant_promo(organisation: Organisation, amount_nano: int) -> None:
    with transaction.atomic():
        promo.grant(
            organisation, amount_nano, "grant:1", "redeem",
            expires_at=None, actor="dora", cause={},
        )  # fmt: skip


def test_operators_record_a_payment_on_the_page(people: cast.Cast, due: Invoice) -> None:
    client = cast.signed_in(people.dora)
    page = f"/admin/invoices/{id_text(due.id)}"
    assert "Record a payment" in client.get(page).content.decode()
    sent = {"amount": "19.00", "reference": "SEPA 1", "paid_on": clock.now().date().isoformat()}
    assert client.post(f"{page}/payment", {**sent, "amount": "x"}).status_code == 422
    assert client.post(f"{page}/payment", sent).status_code == 303
    assert "Record a payment" not in client.get(page).content.decode()


def test_years_invoices_are_one_file(people: cast.Cast, due: Invoice) -> None:
    alice = cast.signed_in(people.alice)
    answer = alice.get(f"/o/acme/billing/invoices.zip?year={due.month.year}")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer)))
    assert archive.namelist() == [f"{due.number}-en.pdf"]
    assert str(due.number) in text_of(archive.read(archive.namelist()[0]))
    for year in ("1999", "2999", "x", ""):
        assert alice.get(f"/o/acme/billing/invoices.zip?year={year}").status_code == 404


def test_an_archive_is_sent_file_by_file() -> None:
    items: list[str] = []

    def files() -> object:
        for n in range(3):
            items.append(f"{n}.pdf")
            yield f"{n}.pdf", bytes(1000 * (n + 1))

    pieces = stream_zip(files())  # type: ignore[arg-type]
    first = next(pieces)
    assert (items, 1000 < len(first) < 1200) == (["0.pdf"], True)
    whole = zipfile.ZipFile(io.BytesIO(first + b"".join(pieces)))
    assert whole.testzip() is None
    assert [info.file_size for info in whole.infolist()] == [1000, 2000, 3000]


def test_a_paid_top_up_has_a_receipt(people: cast.Cast) -> None:
    top_up = TopUp.objects.create(
        organisation=people.acme, processor="manual", live=True, amount_nano=25 * USD
    )
    alice, page = cast.signed_in(people.alice), f"/o/acme/billing/top-ups/{top_up.outer_id}"
    assert alice.get(f"{page}/receipt").status_code == 404
    TopUp.objects.update(
        state="paid", paid_at=clock.now(), payment_id="SEPA 9", refunded_nano=5 * USD
    )
    assert "Receipt" in alice.get(page).content.decode()
    text = alice.get(f"{page}/receipt").content.decode()
    english = text_of(alice.get(f"{page}/receipt.pdf?language=en").content)
    for figure in ("25.00", "-5.00", "20.00", "SEPA 9", "Acme", "Payment receipt"):
        assert figure in text
        assert figure in english
    assert alice.get(f"{page}/receipt.pdf?language=xx").status_code == 404


def test_api_does_the_same_for_operators(people: cast.Cast, due: Invoice) -> None:
    dora, erik = cast.signed_in(people.dora), cast.signed_in(User.objects.get(name="Erik"))
    path = f"/api/v1/documents/{id_text(due.id)}"
    [listed] = dora.get("/api/v1/documents?state=closed&organisation=acme").json()["items"]
    assert (listed["payment"], listed["left"], listed["total"]) == ("due", "19.00", "119.00")
    assert dora.get(f"{path}/pdf").content.startswith(b"%PDF")
    today = clock.now().date().isoformat()
    paid = {"amount": "9.00", "reference": "SEPA 5", "paid_on": today}
    recorded = dora.post(f"{path}/payments", paid, "application/json")
    assert (recorded.status_code, recorded.json()["left"]) == (201, "10.00")
    note = dora.post(f"{path}/void", {"reason": "Wrong buyer"}, "application/json").json()
    assert (note["kind"], note["net"], note["state"]) == ("credit_note", "-100.00", "proposed")
    seen = {"checksum": note["checksum"]}
    address = f"/api/v1/documents/{note['id']}/close"
    assert dora.post(address, seen, "application/json").status_code == 422
    assert erik.post(address, seen, "application/json").json()["state"] == "closed"
    assert dora.get(path).json()["payment"] == "void"
