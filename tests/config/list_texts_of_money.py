"""The lists of money and what they say of their rows."""

import datetime as dt
from typing import Any

from accounts.models import Organisation, User
from billing.credits.words import CREDIT_KINDS
from billing.invoices.document import KINDS as DOCUMENT_KINDS
from billing.invoices.document import PAYMENTS, month_word
from billing.models import (
    Approval,
    Code,
    CodeBatch,
    Credit,
    ExchangeRate,
    Invoice,
    InvoiceDue,
    Overage,
    Posting,
    SubscriptionPlan,
    TopUp,
)
from billing.topups.words import METHODS, top_up_badge
from lib.ids import id_text, new_id
from tests.config.list_texts import (
    DAY,
    ENDED,
    LAST,
    LATER,
    MADE,
    NANO,
    SOON,
    Listed,
    chosen,
    in_api,
    in_file,
    operator,
    shows,
)
from tests.support import cast

# Credit -----------------------------------------------------------------------------------------


@shows
def corrections(people: cast.Cast) -> Listed:
    otto, pia = operator("otto"), operator("pia")
    posting = Posting.objects.create(
        id=new_id(), organisation_id=people.stranger.id, kind="adjust", idempotency_id="p"
    )
    waiting = Credit.objects.create(
        organisation=people.stranger, amount_nano=7 * NANO, kind="promo", expires_at=SOON,
        reason="Goodwill", document="DOC-7", state="waiting", asked_by=people.dora, asked_at=MADE,
    )  # fmt: skip
    posted = Credit.objects.create(
        organisation=people.acme, amount_nano=-3 * NANO, reason="Chargeback", state="posted",
        asked_by=otto, asked_at=ENDED, reverses=posting,
    )  # fmt: skip
    asked = _approval(waiting, asked_by=people.dora, asked_at=MADE)
    decided = _approval(
        posted, asked_by=otto, asked_at=ENDED, state="approved", decided_by=pia, decided_at=LATER
    )

    def row(credit: Credit) -> dict[str, str]:
        return {
            "time": in_file(credit.asked_at), "organisation": credit.organisation.name,
            "slug": credit.organisation.slug, "state": chosen("credits", "state", credit.state),
            "kind": str(CREDIT_KINDS[credit.kind]), "reason": credit.reason,
            "document": credit.document, "by": credit.asked_by.email,
        }  # fmt: skip

    def item(credit: Credit, approval: Approval, amount: str) -> dict[str, Any]:
        return {
            "id": id_text(credit.id), "organisation": credit.organisation.slug, "amount": amount,
            "kind": credit.kind, "expires_at": in_api(credit.expires_at), "reason": credit.reason,
            "document": credit.document,
            "reverses": id_text(posting.id) if credit == posted else None, "state": credit.state,
            "asked_by": credit.asked_by.email, "asked_at": in_api(credit.asked_at),
            "approval": id_text(approval.id),
            "decided_by": "pia@example.org" if credit == posted else None,
            "decided_at": in_api(LATER) if credit == posted else None,
        }  # fmt: skip

    return Listed(
        "credits",
        "/admin/credits",
        [row(posted), row(waiting)],
        {
            "state=waiting": [1], "state=posted": [0], "state=refused": [], "q=Acme": [0],
            "q=stranger": [1], "q=charge": [0], "q=doc-7": [1],
        },
        who="dora",
        api="/credits",
        items=[item(posted, decided, "-3.00"), item(waiting, asked, "7.00")],
    )  # fmt: skip


def _approval(credit: Credit, **over: Any) -> Approval:
    changes = [{"name": "document", "before": None, "after": credit.document or "none"}]
    return Approval.objects.create(
        kind="correction", subject=id_text(credit.id), organisation=credit.organisation,
        about=credit.organisation.name, changes=changes, reason=credit.reason, **over,
    )  # fmt: skip


@shows
def approvals(people: cast.Cast) -> Listed:
    otto, pia = operator("otto"), operator("pia")
    waiting = Approval.objects.create(
        kind="correction", subject=id_text(new_id()), organisation=people.acme, about="Acme",
        changes=[{"name": "document", "before": None, "after": "DOC-7"}], reason="Goodwill",
        asked_by=otto, asked_at=LATER,
    )  # fmt: skip
    rejected = Approval.objects.create(
        kind="safeguard", subject="71", about="audit_retention", reason="Space", state="rejected",
        changes=[{"name": "audit_retention", "before": "90", "after": "30"}], asked_by=pia,
        asked_at=MADE, decided_by=people.dora, decided_at=ENDED, answer="Too short",
    )  # fmt: skip

    def row(one: Approval, about: str, kind: str, changes: str) -> dict[str, str]:
        return {
            "time": in_file(one.asked_at), "about": about, "kind": kind, "changes": changes,
            "state": chosen("approvals", "state", one.state), "reason": one.reason,
            "by": one.asked_by.email, "decided": in_file(one.decided_at),
            "decided_by": one.decided_by.email if one.decided_by else "", "answer": one.answer,
            "id": id_text(one.id),
        }  # fmt: skip

    def item(one: Approval, organisation: str | None) -> dict[str, Any]:
        return {
            "id": id_text(one.id), "kind": one.kind, "subject": one.subject, "about": one.about,
            "organisation": organisation, "changes": one.changes, "reason": one.reason,
            "state": one.state, "asked_by": one.asked_by.email, "asked_at": in_api(one.asked_at),
            "expires_at": in_api(one.asked_at + 30 * DAY),
            "decided_by": one.decided_by.email if one.decided_by else None,
            "decided_at": in_api(one.decided_at), "answer": one.answer,
        }  # fmt: skip

    return Listed(
        "approvals",
        "/admin/approvals",
        [
            row(waiting, "Acme", "Correction", "Document: DOC-7"),
            row(rejected, "Audit log", "Safeguard", "Audit log: 90 days → 30 days"),
        ],
        {
            "state=waiting": [0], "state=rejected": [1], "state=approved": [],
            "kind=safeguard": [1], "q=goodw": [0], "q=otto": [0], "q=dora@": [1], "q=acme": [0],
        },
        who="dora",
        whole="state=any",
        api="/approvals",
        items=[item(rejected, None), item(waiting, "acme")],
        api_kept={"kind=correction": [1], "state=rejected": [0], "state=withdrawn": []},
    )  # fmt: skip


@shows
def codes(people: cast.Cast) -> Listed:
    spring = CodeBatch.objects.create(
        name="Spring", value_nano=2 * NANO, count=3, max_uses=5, expires_at=SOON, credit_days=31,
        created_at=MADE, created_by=people.dora, downloaded_at=ENDED,
    )  # fmt: skip
    autumn = CodeBatch.objects.create(
        name="Autumn", value_nano=4 * NANO, count=6, max_uses=7, created_at=LATER,
        downloaded_at=LAST, killed_at=LAST + DAY,
    )  # fmt: skip
    winter = CodeBatch.objects.create(name="Winter", value_nano=1, count=2, created_at=ENDED)
    summer = CodeBatch.objects.create(
        name="Summer", value_nano=NANO, count=1, created_at=MADE, downloaded_at=LATER,
        expires_at=LAST, created_by=operator("otto"),
    )  # fmt: skip
    Code.objects.create(batch=spring, digest=b"a", uses=4)

    def row(batch: CodeBatch, state: str) -> dict[str, str]:
        return {
            "name": batch.name, "state": chosen("codes", "state", state),
            "expires": in_file(batch.expires_at), "created": in_file(batch.created_at),
            "by": batch.created_by.email if batch.created_by else "",
        }  # fmt: skip

    def item(batch: CodeBatch, value: str) -> dict[str, Any]:
        return {
            "id": id_text(batch.id), "name": batch.name, "value": value, "currency": "USD",
            "count": batch.count, "max_uses": batch.max_uses,
            "expires_at": in_api(batch.expires_at), "credit_days": batch.credit_days,
            "created_at": in_api(batch.created_at), "needs_another_operator": False,
            "downloaded_at": in_api(batch.downloaded_at),
            "killed_at": in_api(batch.killed_at),
        }  # fmt: skip

    return Listed(
        "codes",
        "/admin/codes",
        [row(summer, "expired"), row(winter, "unmade"), row(autumn, "killed"),
         row(spring, "living")],
        {
            "state=living": [3], "state=unmade": [1], "state=expired": [0], "state=killed": [2],
            "q=autu": [2],
        },
        who="dora",
        api="/code-batches",
        items=[item(summer, "1.00"), item(winter, "0.000000001"), item(autumn, "4.00"),
               item(spring, "2.00")],
    )  # fmt: skip


# Payments ---------------------------------------------------------------------------------------


def _paid_and_ordered(people: cast.Cast) -> tuple[TopUp, TopUp]:
    paid = TopUp.objects.create(
        organisation=people.acme, processor="stripe", live=False, amount_nano=50 * NANO,
        state="paid", checkout_id="cs_1", checkout_url="https://pay.example/1", payment_id="pi_1",
        refunded_nano=3 * NANO, disputed_nano=2 * NANO, created_by=people.bob, created_at=MADE,
        paid_at=ENDED, automatic=True,
    )  # fmt: skip
    ordered = TopUp.objects.create(
        organisation=people.acme, processor="manual", live=True, amount_nano=70 * NANO,
        checkout_url="https://pay.example/2", created_by=people.alice, created_at=LATER,
        keep_card=True,
    )  # fmt: skip
    return paid, ordered


@shows
def top_ups(people: cast.Cast) -> Listed:
    def row(one: TopUp) -> dict[str, str]:
        return {
            "created": in_file(one.created_at), "state": str(top_up_badge(one).text),
            "method": str(METHODS[one.processor]),
            "by": one.created_by.email if one.created_by else "", "payment": one.payment_id,
            "id": id_text(one.id),
        }  # fmt: skip

    def item(one: TopUp, **over: Any) -> dict[str, Any]:
        return {
            "id": id_text(one.id), "processor": one.processor, "currency": "USD",
            "state": one.state, "automatic": one.automatic, "keep_card": one.keep_card,
            "created_at": in_api(one.created_at), "paid_at": in_api(one.paid_at), **over,
        }  # fmt: skip

    paid, ordered = _paid_and_ordered(people)
    return Listed(
        "top-ups",
        "/o/acme/billing/top-ups",
        [row(ordered), row(paid)],
        {"state=paid": [1], "state=ordered": [0], "state=failed": [], "method=manual": [0],
         "method=stripe": [1]},
        api="/top-ups",
        items=[
            item(ordered, amount="70.00", refunded="0.00", disputed="0.00",
                 url="https://pay.example/2"),
            item(paid, amount="50.00", refunded="3.00", disputed="2.00", url=None),
        ],
    )  # fmt: skip


@shows
def payments(people: cast.Cast) -> Listed:
    def row(one: TopUp, mode: str) -> dict[str, str]:
        return {
            "created": in_file(one.created_at), "organisation": one.organisation.name,
            "slug": one.organisation.slug, "state": str(top_up_badge(one).text),
            "method": str(METHODS[one.processor]), "payment": one.payment_id,
            "by": one.created_by.email if one.created_by else "", "paid": in_file(one.paid_at),
            "live": mode, "id": id_text(one.id),
        }  # fmt: skip

    paid, ordered = _paid_and_ordered(people)
    TopUp.objects.filter(id=paid.id).update(organisation=people.stranger)
    paid.refresh_from_db()
    return Listed(
        "payments",
        "/admin/payments",
        [row(ordered, "live"), row(paid, "test mode")],
        {
            "state=paid": [1], "method=manual": [0], "q=strange": [1], "q=acme": [0], "q=pi_1": [1],
            f"q={id_text(ordered.id)}": [0], "state=expired": [],
        },
        who="dora",
    )  # fmt: skip


# Documents --------------------------------------------------------------------------------------


def _documents(people: cast.Cast) -> tuple[Invoice, Invoice, Invoice, User]:
    """A corrected invoice, its note, and a draft of a later year."""
    otto = operator("otto")
    begin = dt.datetime(2024, 12, 31, 18, 30, tzinfo=dt.UTC)
    two: dict[str, Any] = {
        "organisation": people.acme, "zone": "Asia/Kolkata", "from_at": begin,
        "until_at": begin + 31 * DAY, "state": "closed", "proposed_by": people.dora,
        "closed_by": otto, "month": dt.date(2025, 1, 1),
    }  # fmt: skip
    invoice = Invoice.objects.create(
        kind="invoice", number="INV-2026-0007", closed_at=MADE, checksum="c1", **two,
        net_nano=100 * NANO, tax_nano=19 * NANO, rounding_nano=-3, total_nano=119 * NANO,
    )  # fmt: skip
    note = Invoice.objects.create(
        kind="credit_note", number="CN-2026-0003", closed_at=ENDED, checksum="c2", **two,
        corrects=invoice, reason="Outage", net_nano=-5 * NANO, total_nano=-6 * NANO,
        tax_nano=-NANO,
    )  # fmt: skip
    InvoiceDue.objects.create(invoice=invoice, left_nano=41 * NANO)
    draft = Invoice.objects.create(
        organisation=people.acme, kind="invoice", zone="UTC", month=dt.date(2026, 2, 1),
        from_at=LATER, until_at=LAST, total_nano=8 * NANO,
    )  # fmt: skip
    return invoice, note, draft, otto


@shows
def invoices(people: cast.Cast) -> Listed:
    invoice, note, draft, _ = _documents(people)

    def row(one: Invoice, **over: str) -> dict[str, str]:
        return {
            "kind": str(DOCUMENT_KINDS[one.kind]), "month": month_word(one.month),
            "payment": "", "corrects": "", "closed": in_file(one.closed_at),
            "checksum": one.checksum, **over,
        }  # fmt: skip

    def state(name: str) -> str:
        return chosen("invoices", "state", name)

    def item(one: Invoice, **over: Any) -> dict[str, Any]:
        return {
            "id": id_text(one.id), "number": one.number, "kind": one.kind, "payment": None,
            "left": "0.00", "corrects": None, "reason": one.reason, "timezone": one.zone,
            "period_from": in_api(one.from_at), "period_until": in_api(one.until_at),
            "currency": "USD", "net": "0.00", "tax": "0.00", "rounding": "0.00",
            "checksum": one.checksum, "closed_at": in_api(one.closed_at), **over,
        }  # fmt: skip

    return Listed(
        "invoices",
        "/o/acme/billing/invoices",
        [
            row(draft, number="Draft", state=state("open")),
            row(note, number="CN-2026-0003", state=state("closed"), corrects="INV-2026-0007"),
            row(invoice, number="INV-2026-0007", state=state("corrected"),
                payment=str(PAYMENTS["overdue"].text)),
        ],
        {
            "state=open": [0], "state=closed": [1], "state=corrected": [2], "year=2025": [1, 2],
            "year=2026": [0],
        },
        api="/invoices",
        items=[
            item(draft, state="open", month="2026-02", total="8.00"),
            item(note, state="closed", month="2025-01", corrects="INV-2026-0007", net="-5.00",
                 tax="-1.00", total="-6.00"),
            item(invoice, state="corrected", month="2025-01", payment="overdue", left="41.00",
                 net="100.00", tax="19.00", rounding="-0.000000003", total="119.00"),
        ],
    )  # fmt: skip


@shows
def documents(people: cast.Cast) -> Listed:
    invoice, note, draft, otto = _documents(people)
    Invoice.objects.filter(id=draft.id).update(organisation=people.stranger)
    # Its name says nothing of its slug.
    Organisation.objects.filter(id=people.stranger.id).update(name="Foreign")

    def row(one: Invoice, organisation: str) -> dict[str, str]:
        return {
            "month": month_word(one.month), "organisation": organisation,
            "kind": str(DOCUMENT_KINDS[one.kind]), "number": one.number or "",
            "state": chosen("documents", "state", one.state),
            "proposed_by": people.dora.email if one.proposed_by else "",
            "closed_by": otto.email if one.closed_by else "",
            "closed": in_file(one.closed_at), "checksum": one.checksum,
        }  # fmt: skip

    def item(one: Invoice, **over: Any) -> dict[str, Any]:
        return {
            "id": id_text(one.id), "number": one.number, "organisation": "acme", "kind": one.kind,
            "state": one.state, "payment": None, "corrects": None, "reason": one.reason,
            "currency": "USD", "net": "0.00", "tax": "0.00", "left": "0.00", "due_on": None,
            "checksum": one.checksum, "proposed_by": people.dora.email if one.proposed_by else None,
            "closed_by": otto.email if one.closed_by else None,
            "closed_at": in_api(one.closed_at), **over,
        }  # fmt: skip

    return Listed(
        "documents",
        "/admin/invoices",
        [row(draft, "Foreign"), row(note, "Acme"), row(invoice, "Acme")],
        {"state=draft": [0], "state=closed": [1, 2], "state=proposed": [], "q=stranger": [0],
         "q=FOREIGN": [0],
         "q=inv-2026": [2], "q=acme": [1, 2]},
        who="dora",
        api="/documents",
        items=[
            item(draft, organisation="stranger", month="2026-02", total="8.00"),
            item(note, month="2025-01", corrects=id_text(invoice.id), net="-5.00", tax="-1.00",
                 total="-6.00"),
            # Two weeks after it was closed, by the clock of its zone.
            item(invoice, month="2025-01", payment="overdue", left="41.00", net="100.00",
                 tax="19.00", total="119.00", due_on="2026-01-18"),
        ],
        api_kept={
            "organisation=stranger": [0], "organisation=strange": [], "state=closed": [1, 2],
            "month=2025-01": [1, 2],
            "month=2026-02": [0], "state=proposed": [],
        },
    )  # fmt: skip


# Plans and rates --------------------------------------------------------------------------------


@shows
def subscription_plans(people: cast.Cast) -> Listed:
    gold = SubscriptionPlan.objects.create(
        name="Gold", description="For teams", price_nano=20 * NANO, included_nano=30 * NANO,
        multipliers=[["gpt-5*", 800_000]], state="offered", written_by=people.dora,
        created_at=MADE, overage="refuse",
    )  # fmt: skip
    steel = SubscriptionPlan.objects.create(
        name="Steel", price_nano=NANO, included_nano=0, created_at=ENDED, state="archived",
        units=[{"meter": "in_text", "models": ["m"], "units": 7}],
    )  # fmt: skip

    def row(plan: SubscriptionPlan, multipliers: str) -> dict[str, str]:
        return {
            "name": plan.name, "state": chosen("subscription-plans", "state", plan.state),
            "overage": str(Overage(plan.overage).label), "multipliers": multipliers,
            "description": plan.description,
            "by": plan.written_by.email if plan.written_by else "",
            "created": in_file(plan.created_at),
        }  # fmt: skip

    def item(plan: SubscriptionPlan, **over: Any) -> dict[str, Any]:
        return {
            "id": id_text(plan.id), "name": plan.name, "description": plan.description,
            "units": plan.units, "overage": plan.overage, "state": plan.state, "subscribers": 0,
            "created_at": in_api(plan.created_at), **over,
        }  # fmt: skip

    return Listed(
        "subscription-plans",
        "/admin/subscription-plans",
        [row(steel, ""), row(gold, "gpt-5* × 0.8")],
        {"state=offered": [1], "state=archived": [0], "state=draft": [], "q=gol": [1]},
        who="dora",
        api="/subscription-plans",
        items=[
            item(steel, price="1.00", included="0.00", multipliers=[]),
            item(gold, price="20.00", included="30.00",
                 multipliers=[{"pattern": "gpt-5*", "multiplier": "0.8"}]),
        ],
    )  # fmt: skip


@shows
def exchange_rates(people: cast.Cast) -> Listed:
    def made(currency: str, day: dt.date, rate: str, at: dt.datetime) -> ExchangeRate:
        return ExchangeRate.objects.create(
            currency=currency, day=day, per_usd=rate, source=f"bank of {currency}", created_at=at
        )

    euro = made("EUR", dt.date(2026, 3, 9), "0.9200000000", LATER)
    yen = made("JPY", dt.date(2026, 2, 1), "151.5000000000", LAST)

    def row(rate: ExchangeRate, day: str, figure: str) -> dict[str, str]:
        return {
            "currency": rate.currency, "day": day, "rate": figure, "source": rate.source,
            "added": in_file(rate.created_at),
        }  # fmt: skip

    def item(rate: ExchangeRate, day: str, figure: str) -> dict[str, Any]:
        return {
            "id": id_text(rate.id), "currency": rate.currency, "day": day, "rate": figure,
            "source": rate.source, "created_at": in_api(rate.created_at),
        }  # fmt: skip

    return Listed(
        "exchange-rates",
        "/admin/exchange-rates",
        [row(euro, "9 Mar 2026", "0.92"), row(yen, "1 Feb 2026", "151.5")],
        {"currency=EUR": [0], "currency=JPY": [1]},
        who="dora",
        api="/exchange-rates",
        items=[item(yen, "2026-02-01", "151.5"), item(euro, "2026-03-09", "0.92")],
    )  # fmt: skip
