"""The month's close: drafts from the books, two operators, and nothing that moves afterwards (P16,
I18, I19)."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError, IntegrityError

from accounts.access.access import AccessDenied
from accounts.access.actors import Actor
from accounts.models import AuditEvent, Key
from accounts.organisations import organisations
from billing.balances import balances
from billing.credits import credits, promo
from billing.holds import usage_corrections
from billing.holds.usage_corrections import Borne
from billing.invoices import invoices
from billing.invoices.billing_details import add_tax_rate, set_buyer, set_seller
from billing.invoices.document import describe_document
from billing.invoices.invoices import InvoiceRefused, checksum_of, lines_of
from billing.ledger.movements import moved_nano
from billing.models import Account, BuyerDetail, Invoice, InvoiceKind, Posting
from billing.subscriptions import subscription_plans
from billing.subscriptions.rules import Terms
from billing.subscriptions.subscriptions import choose_plan, preview_plan
from lib import clock
from lib.refusal import Refused
from tests.support import cast
from tests.support.approving import approve, reject
from tests.support.books import assert_books_balance
from tests.support.invoicing import charged, closed, complete_books, drafted, mid_month, post_at
from tests.usage.rows import RATES, admit, happen, price_version
from usage.months import close as month_close
from usage.months.invoice_lines import FEES, SETTLED, used_nano

pytestmark = pytest.mark.django_db
USD = 10**9
TIERED = {
    "meters": {"in_text": 150_000_000, "out_text": 600_000_000},
    "tiers": [{"input_over": 1000, "mode": "whole", "meters": {"in_text": 300_000_000}}],
}


@pytest.fixture
def dora(people: cast.Cast) -> Actor:
    return cast.actor(people.dora)


@pytest.fixture
def erik(people: cast.Cast) -> Actor:
    return cast.actor(cast.person("erik", operator=True))


def stored(invoice: Invoice) -> Any:
    """Every column of a document and of its lines, as the database has them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_jsonb(i), (SELECT jsonb_agg(to_jsonb(l) ORDER BY l.n) "
            "FROM billing_invoiceline l WHERE l.invoice_id = i.id) "
            "FROM billing_invoice i WHERE i.id = %s",
            [invoice.id],
        )
        return cursor.fetchall()


def balance(invoice: Invoice, kind: str) -> int:
    account = Account.objects.filter(organisation=invoice.organisation_id, kind=kind).first()
    return account.balance_nano if account else 0


def test_lines_match_the_ledgers_movements(
    people: cast.Cast, key: Key, dora: Actor, erik: Actor
) -> None:
    """I19: by project or else team, model and meter; flat and tiered prices; what is above a hold;
    taxes; one rounding. Closing takes tax and rounding from the wallet, and nothing else."""
    flat, tiered = price_version("flat"), price_version("tiered", TIERED)
    at = mid_month()
    charged(key, at, 210_000, model="flat", price_version_id=flat.id)
    charged(key, at, 210_000, model="flat", price_version_id=flat.id)
    # 2,000 tokens are in the second tier: 600,000 + 60,000.
    charged(
        key, at, 660_000, model="tiered", price_version_id=tiered.id,
        meters={"in_text": 2_000, "out_text": 100},
    )  # fmt: skip
    charged(key, at, 200_000, model="flat", price_version_id=flat.id, hold_nano=200_000)
    charged(key, at, 210_000, model="flat", price_version_id=flat.id, project="web")
    charged(key, at, 3 * USD)
    add_tax_rate(dora, "VAT", "IE", "23", at.date().replace(day=1))
    set_buyer(cast.actor(people.alice, people.acme), people.acme, "UTC", country="ie")

    draft = drafted(people.acme, dora)
    texts = [
        (line.kind, line.project or line.team, line.model, line.meter, line.quantity,
         line.amount_nano)
        for line in lines_of(draft)
    ]  # fmt: skip
    team = people.core.name
    net = 3 * USD + 1_490_000
    assert texts == [
        ("usage", team, "flat", "in_text", 3_000, 450_000),
        ("usage", team, "flat", "out_text", 300, 180_000),
        ("usage", team, "tiered", "in_text", 2_000, 600_000),
        ("usage", team, "tiered", "out_text", 100, 60_000),
        ("usage", "web", "flat", "in_text", 1_000, 150_000),
        ("usage", "web", "flat", "out_text", 100, 60_000),
        # 10,000 above the hold, and a request whose price is not known any more.
        ("remainder", team, "", "", 0, 3 * USD - 10_000),
        ("tax", "", "", "", 0, net * 23 // 100),
        ("rounding", "", "", "", 0, 3_690_000_000 - net - net * 23 // 100),
    ]
    before = {kind: balance(draft, kind) for kind in ("customer:available", "revenue")}
    invoice = closed(draft, dora, erik)
    assert invoice.number == f"INV-{clock.now().year}-0001"
    assert (invoice.net_nano, invoice.total_nano) == (net, 3_690_000_000)
    assert invoice.checksum == checksum_of(invoice) == draft.checksum
    # I19: the total is what the period moved and what the close posted.
    assert moved_nano(invoice.movement, SETTLED, "revenue") == net == before["revenue"]
    posted = before["customer:available"] - balance(draft, "customer:available")
    assert net + posted == invoice.total_nano
    assert balance(draft, "tax:payable") == invoice.tax_nano
    assert balance(draft, "rounding") == invoice.rounding_nano
    assert_books_balance()
    assert set(AuditEvent.objects.values_list("action", flat=True)) >= {
        "invoice.drafted", "approval.asked", "invoice.closed", "tax_rate.added",
        "billing_details.changed", "seller.changed",
    }  # fmt: skip


def test_own_keys_cached_answers_and_conditions_have_honest_lines(
    people: cast.Cast, key: Key, dora: Actor, erik: Actor
) -> None:
    """I19: a request with an own key is charged its fee, a stored answer its share, and parts at
    their own prices: no line shows a price that nobody charged."""
    fast = {"kind": "speed", "value": "fast", "multiplier_ppm": 2_000_000, "source": "test"}
    version = price_version("gpt-5", {**RATES, "conditions": [fast]})
    at = mid_month()
    of_version: dict[str, Any] = {"model": "gpt-5", "price_version_id": version.id}
    charged(key, at, 210_000, **of_version)
    charged(key, at, 7_000_000, own_nano=9 * USD, **of_version)
    charged(key, at, 3_000_000, own_nano=9 * USD, project="web", **of_version)
    cached = {"cached": {"request": "x", "charge_nano": 210_000, "price_percent": 50}}
    charged(key, at, 105_000, basis="cached", pricing=cached, model="gpt-5")
    parts = [
        {"meters": {"in_text": 1_000}, "conditions": {"speed": "fast"}},
        {
            "meters": {"out_text": 100}, "model": "gpt-mini",
            "rates": {"meters": {"out_text": 10**9}},
        },
    ]  # fmt: skip
    charged(key, at, 300_000 + 100_000, pricing={"parts": parts}, **of_version)
    draft = drafted(people.acme, dora)
    team = people.core.name
    assert [
        (line.kind, line.project or line.team, line.model, line.meter, line.multiplier_ppm,
         line.amount_nano)
        for line in lines_of(draft)
        if line.kind != "rounding"
    ] == [
        ("usage", team, "gpt-5", "in_text", 1_000_000, 150_000),
        ("usage", team, "gpt-5", "in_text", 2_000_000, 300_000),
        ("usage", team, "gpt-5", "out_text", 1_000_000, 60_000),
        ("usage", team, "gpt-mini", "out_text", 1_000_000, 100_000),
        ("own_key", team, "gpt-5", "", 1_000_000, 7_000_000),
        ("own_key", "web", "gpt-5", "", 1_000_000, 3_000_000),
        ("cached", team, "gpt-5", "", 1_000_000, 105_000),
    ]  # fmt: skip
    texts = [row.what for row in describe_document(draft, "en").rows]
    assert f"Fee for your own key · {team} · gpt-5" in texts
    assert f"Served from cache · {team} · gpt-5" in texts
    assert closed(draft, dora, erik).net_nano == 10_715_000


def test_grants_are_deducted_and_a_plan_is_paid(
    people: cast.Cast, key: Key, dora: Actor, erik: Actor
) -> None:
    """I19: granted credit and a plan's included usage pay their part; its fee is a line."""
    at, hold_nano = mid_month(), 10 * USD
    promo.grant(
        people.acme, 2 * USD, "grant:1", "redeem", expires_at=None, actor="a", cause={"reason": "r"}
    )
    happen(key, at, 3 * USD, ended_at=at, hold_nano=hold_nano)
    promo.count_spending(people.acme.id)
    written = subscription_plans.write_plan(dora, "Pro", Terms(30 * USD, 30 * USD))
    plan = subscription_plans.offer_plan(dora, written)
    preview = preview_plan(people.acme, plan)
    choose_plan(cast.actor(people.alice, people.acme), people.acme, plan, seen=preview.seen)
    # Less than what is left of the month includes: a thirtieth, on its last day.
    happen(key, at, USD // 2, ended_at=at, hold_nano=hold_nano)
    promo.count_spending(people.acme.id)
    post_at(at, "settle", "consume", "adjust")
    draft = drafted(people.acme, dora)
    fee = preview.change.charge_nano
    amounts = {line.kind: line.amount_nano for line in lines_of(draft)}
    assert amounts == {
        "remainder": 3 * USD + USD // 2, "credit": -2 * USD, "included": -USD // 2,
        "subscription": fee,
    }  # fmt: skip
    assert closed(draft, dora, erik).net_nano == USD + fee


def test_granted_amount_is_what_its_accounts_received() -> None:
    """Units pay a request itself; money is counted afterwards, and what lapses pays nothing."""
    movement = [
        ["consume", "included:earmarked", 1, 700], ["consume", "promo:available", 3, -740],
        ["consume", "promo:earmarked", 2, 40], ["correct", "included:units", 1, 5],
        ["expire", "included:units", 1, -20], ["lapse", "included:earmarked", 1, 8],
        ["lapse", "promo:earmarked", 1, 9], ["settle", "included:units", 1, -300],
        ["settle", "revenue", 1, 1000],
    ]  # fmt: skip
    assert used_nano(movement) == {"credit": 40, "included": 700 + 300 + 20 - 5}


@pytest.mark.parametrize(
    ("kind", "account"),
    [
        ("settle", "revenue"), ("expire", "revenue"), ("correct", "revenue"),
        ("consume", "promo:available"), ("settle", "included:units"), ("correct", "included:units"),
        ("adjust", FEES),
    ],
)  # fmt: skip
def test_movement_missing_in_the_lines_blocks_closing(
    people: cast.Cast, key: Key, dora: Actor, kind: str, account: str
) -> None:
    """I19: one nano of whatever a document tells of."""
    charged(key, mid_month(), USD)
    draft = drafted(people.acme, dora)
    draft.movement = [*draft.movement, [kind, account, 1, 1]]
    (wrong,) = [check for check in month_close.checklist(draft) if not check.ok]
    assert wrong.name == "ties"


def test_two_operators_are_needed(people: cast.Cast, key: Key, dora: Actor, erik: Actor) -> None:
    charged(key, mid_month(), USD)
    draft = drafted(people.acme, dora)
    with pytest.raises(InvoiceRefused, match="already acted"):
        month_close.close(dora, draft, draft.checksum)
    proposed = month_close.propose(dora, draft)
    with pytest.raises(Refused, match="Another operator has to approve it"):
        month_close.close(dora, proposed, proposed.checksum)
    # The database says so, too.
    with pytest.raises(IntegrityError, match="invoice_closed_by_two"), transaction.atomic():
        Invoice.objects.filter(id=draft.id).update(
            state="closed", number="INV-1", closed_by=dora.user
        )
    with pytest.raises(InvoiceRefused, match="changed since"):
        month_close.close(erik, proposed, "another")
    # What the customer changes between the two is not closed unseen.
    BuyerDetail.objects.create(organisation=people.acme, legal_name="Other Ltd")
    with pytest.raises(Refused, match="no longer what was requested"):
        month_close.close(erik, proposed, proposed.checksum)
    assert reject(erik, invoices.INVOICE, proposed).state == "rejected"
    assert closed(Invoice.objects.get(id=draft.id), erik, dora).buyer["legal_name"] == "Other Ltd"
    with pytest.raises(InvoiceRefused, match="already acted"):
        month_close.close(dora, proposed, proposed.checksum)
    assert AuditEvent.objects.filter(action="approval.rejected").count() == 1


def test_later_changes_are_on_the_next_invoice(
    people: cast.Cast, key: Key, dora: Actor, erik: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I18: a closed month never moves. Late usage and a correction stand on the next one with
    their month; a refund of a payment is no charge, and moves the next month's ledger."""
    before, last = mid_month(2), mid_month(1)
    month = before.date().replace(day=1)
    version = price_version()
    priced: dict[str, Any] = {"price_version_id": version.id}
    first = charged(key, before, 210_000, **priced)
    with monkeypatch.context() as patch:
        then = mid_month(1).replace(day=2)
        patch.setattr(clock, "now", lambda: then)
        complete_books()
        month_close.draft_invoices()
    draft = Invoice.objects.get(organisation=people.acme)
    assert draft.month == month
    set_seller(dora, legal_name="Weir")
    invoice = closed(draft, dora, erik)
    whole = stored(invoice)

    charged(key, last, 420_000, admitted_at=before, **priced,
            meters={"in_text": 2_000, "out_text": 200})  # fmt: skip
    with transaction.atomic():
        usage_corrections.lock_wallet(people.acme.id)
        stand = usage_corrections.read_borne_cost(first.id)
        usage_corrections.correct(
            first.id, people.acme.id, "late", stand, Borne(10_000, 0, stand.owed_nano), cause={}
        )
    post_at(last)
    following = closed(drafted(people.acme, dora), dora, erik)
    texts = [
        (line.kind, line.origin, line.meter, line.quantity, line.amount_nano)
        for line in lines_of(following)
    ]
    assert texts == [
        ("usage", month, "in_text", 2_000, 300_000),
        ("usage", month, "out_text", 200, 120_000),
        ("correction", month, "", 0, -200_000),
        ("rounding", None, "", 0, -220_000),
    ]
    assert (following.total_nano, following.number) == (0, f"INV-{clock.now().year}-0002")
    assert following.from_at == invoice.until_at
    assert stored(invoice) == whole
    assert checksum_of(Invoice.objects.get(id=invoice.id)) == invoice.checksum
    assert_books_balance()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET total_nano = 1",
        "UPDATE billing_invoice SET state = 'draft'",
        "DELETE FROM billing_invoice",
        "TRUNCATE billing_invoice, billing_invoiceline",
        "UPDATE billing_invoiceline SET amount_nano = 1",
        "DELETE FROM billing_invoiceline",
        "INSERT INTO billing_invoiceline (invoice_id, n, kind, amount_nano, project, team, model, "
        "meter, rate_nano_per_million, multiplier_ppm, quantity, rate_ppm, text) "
        "SELECT id, 99, 'usage', 1, '', '', '', '', 0, 0, 0, 0, '' FROM billing_invoice",
    ],
)
def test_database_protects_closed_invoices(
    people: cast.Cast, key: Key, dora: Actor, erik: Actor, statement: str
) -> None:
    """I18, whoever asks: this is the owner of the tables."""
    charged(key, mid_month(), USD)
    closed(drafted(people.acme, dora), dora, erik)
    with transaction.atomic(), connection.cursor() as cursor:
        # No check is left for the end, which would stand before a TRUNCATE.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(DatabaseError, match="written once"), transaction.atomic():
            cursor.execute(statement)


def test_the_checklist(people: cast.Cast, key: Key, dora: Actor) -> None:
    """Each line fails by itself, and stands in the way."""
    at = mid_month()
    charged(key, at, USD)
    assert month_close.draft_invoices() == 0  # Nothing is sealed yet.
    draft = drafted(people.acme, dora)
    assert month_close.draft_invoices() == 0  # Once.
    assert [check.name for check in month_close.checklist(draft) if not check.ok] == []
    admit(key, at)
    charged(key, at, USD, flags=["quarantine"])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_sellerdetail SET legal_name = ''")
        cursor.execute('UPDATE usage_bookscheck SET broken = \'{"I1": ["1"]}\'')
        cursor.execute("UPDATE billing_invoice SET until_at = now() + interval '1 day'")
        cursor.execute("UPDATE billing_invoiceline SET amount_nano = 2 WHERE n = 0")
    draft.refresh_from_db()
    wrong = [check.name for check in month_close.checklist(draft) if not check.ok]
    assert wrong == ["books", "seller", "invariants", "ties", "holds", "reviews"]
    with pytest.raises(InvoiceRefused, match="not sealed"):
        month_close.propose(dora, draft)


def test_notes(people: cast.Cast, key: Key, dora: Actor, erik: Actor) -> None:
    """Documents of their own that name an invoice, with its taxes, by two operators as well."""
    charged(key, mid_month(), 10 * USD)
    add_tax_rate(dora, "VAT", "", "20", dt.date(2020, 1, 1))
    invoice = closed(drafted(people.acme, dora), dora, erik)
    whole = stored(invoice)
    before = balances.balance(people.acme).available_nano
    kind = InvoiceKind.CREDIT_NOTE
    for nano, reason, expected in [
        (11 * USD, "r", "At most 10.00 USD"), (0, "r", "greater than zero"), (USD, " ", "reason"),
    ]:  # fmt: skip
        with pytest.raises(InvoiceRefused, match=expected):
            invoices.propose_note(dora, invoice, kind, nano, reason)
    note = invoices.propose_note(dora, invoice, kind, 4 * USD, "Outage of the 14th")
    with pytest.raises(InvoiceRefused, match="At most 6"):
        invoices.propose_note(dora, invoice, kind, 7 * USD, "r")
    with pytest.raises(Refused, match="Another operator"):
        month_close.close(dora, note, note.checksum)
    # A note is of no month: neither the books nor what runs has to be complete for it.
    assert [check.name for check in month_close.checklist(note)] == ["seller", "invariants"]
    note = closed(note, dora, erik)
    assert (note.number, note.total_nano) == (f"CN-{clock.now().year}-0001", -4_800_000_000)
    assert list(invoice.notes.all()) == [note]
    assert balances.balance(people.acme).available_nano - before == 4_800_000_000
    debit = closed(
        invoices.propose_note(dora, invoice, InvoiceKind.DEBIT_NOTE, USD, "Setup"), dora, erik
    )
    assert (debit.number, debit.total_nano) == (f"DN-{clock.now().year}-0001", 1_200_000_000)
    withdrawn = invoices.propose_note(dora, invoice, kind, USD, "r")
    assert reject(dora, invoices.INVOICE, withdrawn).state == "withdrawn"
    assert Invoice.objects.filter(id=withdrawn.id).count() == 0
    with pytest.raises(InvoiceRefused, match="Only an invoice"):
        invoices.propose_note(dora, note, kind, USD, "r")
    assert stored(invoice) == whole
    posting = Posting.objects.get(idempotency_id=f"invoice:{note.id}")
    with pytest.raises(credits.CreditRefused, match="Only corrections"):
        credits.request_reversal(dora, posting, reason="r")
    assert_books_balance()


def test_months_of_zones(
    people: cast.Cast, key: Key, dora: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I17: the last half hour of a month of Kolkata and the first of the next are on two invoices;
    a new zone leaves nothing out and takes nothing twice."""
    alice = cast.actor(people.alice, people.acme)
    set_buyer(alice, people.acme, "Asia/Kolkata")
    edge = mid_month().replace(day=1, hour=0) - dt.timedelta(hours=5, minutes=30)
    charged(key, edge - dt.timedelta(minutes=10), USD)
    charged(key, edge + dt.timedelta(minutes=10), 2 * USD)
    # The last day of the second month, where Kolkata already has the third.
    end = (mid_month() + dt.timedelta(days=31)).replace(day=1, hour=0) - dt.timedelta(hours=5)
    charged(key, end, 4 * USD)
    complete_books()
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: edge + dt.timedelta(days=1))
        assert month_close.draft_invoices() == 1
    set_buyer(alice, people.acme, "UTC")
    assert month_close.draft_invoices() == 1
    first, second = Invoice.objects.order_by("month")
    assert (first.until_at, second.from_at) == (edge, edge)
    assert (first.net_nano, second.net_nano) == (USD, 6 * USD)
    assert (first.zone, second.zone) == ("Asia/Kolkata", "UTC")


def test_month_of_an_archived_organisation_is_drafted(
    people: cast.Cast, key: Key, dora: Actor
) -> None:
    """What it used until then is still owed."""
    charged(key, mid_month(), USD)
    complete_books()
    organisations.archive_organisation(people.acme, actor=dora)
    assert month_close.draft_invoices() == 1
    assert (Invoice.objects.get().organisation, Invoice.objects.get().net_nano) == (
        people.acme, USD,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["usage", "correction", "credit", "included", "subscription"])
def test_lines_of_each_kind_are_compared_with_the_ledger(
    people: cast.Cast, key: Key, dora: Actor, kind: str
) -> None:
    """I19: one nano that the ledger did not move stands in the way, whatever it is called."""
    charged(key, mid_month(), USD)
    draft = drafted(people.acme, dora)
    draft.lines.create(n=99, kind=kind, amount_nano=1)
    (wrong,) = [check for check in month_close.checklist(draft) if not check.ok]
    assert wrong.name == "ties"
    with pytest.raises(InvoiceRefused, match="records and the ledger differ"):
        month_close.propose(dora, draft)


def test_ledger_movement_since_the_draft_blocks_closing(
    people: cast.Cast, key: Key, dora: Actor, erik: Actor
) -> None:
    """I19: also when the lines and what was noted of the ledger still agree."""
    charged(key, mid_month(), USD)
    proposed = month_close.propose(dora, drafted(people.acme, dora))
    charged(key, mid_month(), USD)
    with pytest.raises(InvoiceRefused, match="no longer matches the document"):
        month_close.close(erik, proposed, proposed.checksum)


def test_note_is_taxed_like_its_invoice(
    people: cast.Cast, key: Key, dora: Actor, erik: Actor
) -> None:
    charged(key, mid_month(), 10 * USD)
    add_tax_rate(dora, "VAT", "", "20", dt.date(2020, 1, 1))
    invoice = closed(drafted(people.acme, dora), dora, erik)
    add_tax_rate(dora, "VAT", "", "30", dt.date(2020, 1, 2))
    note = invoices.propose_note(dora, invoice, InvoiceKind.CREDIT_NOTE, 4 * USD, "Outage")
    assert closed(note, dora, erik).total_nano == -4_800_000_000


def test_reader_without_write_access_changes_no_document(
    people: cast.Cast, key: Key, dora: Actor, erik: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    charged(key, mid_month(), 10 * USD)
    draft = drafted(people.acme, dora)
    reader = cast.actor(people.alice, people.acme)
    with pytest.raises(AccessDenied):
        invoices.propose_invoice(reader, draft)
    proposed = month_close.propose(dora, draft)
    for change in (
        lambda: invoices.close_document(reader, proposed),
        lambda: approve(reader, invoices.INVOICE, proposed),
        lambda: reject(reader, invoices.INVOICE, proposed),
        lambda: invoices.propose_note(reader, proposed, InvoiceKind.CREDIT_NOTE, USD, "r"),
    ):
        with pytest.raises(AccessDenied):
            change()
