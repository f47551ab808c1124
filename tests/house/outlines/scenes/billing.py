"""Pages of the room billing."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final
from uuid import UUID

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Organisation, Role
from accounts.organisations import organisations
from billing.approvals.approvals import decide
from billing.balances import balances
from billing.balances.credit_line import set_credit_line
from billing.credits import code_format, codes, credits
from billing.models import (
    Approval,
    ExchangeRate,
    IncludedUnits,
    Invoice,
    InvoiceDue,
    InvoiceLine,
    InvoicePayment,
    ProcessorEvent,
    PromoGrant,
    Subscription,
    SubscriptionCharge,
    SubscriptionPlan,
    TopUp,
    WalletSetting,
)
from billing.safeguards import safeguards
from billing.trials import trials
from lib import clock
from lib.ids import id_text
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.building import open_first_page
from tests.isolation.who import Who
from tests.isolation.world import NANO, World
from tests.support import cast
from tests.support.approving import waiting_approval
from tests.support.invoicing import empty_invoice
from tests.usage.rows import admit, happen

_CENT: Final = NANO // 100
_CODE: Final = code_format.compose(bytes(range(28)))
_HTMX: Final = {"HX-Request": "true"}


def _in(days: int) -> dt.datetime:
    return clock.now() + dt.timedelta(days=days)


def _in_euros(world: World) -> None:
    """Let amounts be shown in a currency of their own too."""
    rate = {"currency": "EUR", "per_usd": "0.9", "source": "ECB"}
    ExchangeRate.objects.create(day=dt.date(1990, 1, 1), **rate)
    Organisation.objects.filter(id=world.acme.id).update(display_currency="EUR")


# Balance, top-ups and codes ----------------------------------------------------------------------


def _balance(world: World) -> str:
    """Everything that an overview can have besides a debt."""
    _in_euros(world)
    Organisation.objects.filter(id=world.acme.id).update(created_at=_in(-40))
    for nano, used, expires in ((17, 3, _in(19)), (23, 11, None)):
        PromoGrant.objects.create(
            organisation=world.acme, amount_nano=nano * NANO, consumed_nano=used * NANO,
            expires_at=expires, source=f"grant {nano}",
        )  # fmt: skip
    WalletSetting.objects.create(
        organisation=world.acme, low_nano=29 * NANO, auto_enabled=True, auto_below_nano=31 * NANO,
        auto_amount_nano=37 * NANO, processor="stripe", customer_ref="cus_1",
    )  # fmt: skip
    _subscribed(world)
    return "/o/acme/billing"


def _debt(world: World) -> str:
    _indebted(world)
    PromoGrant.objects.create(organisation=world.acme, amount_nano=5 * NANO, source="grant 5")
    return "/o/acme/billing"


def _indebted(world: World) -> None:
    credit = credits.request_credit(
        cast.actor(world.dora), world.acme, -1_117 * NANO, reason="Wrong invoice"
    )
    waiting = waiting_approval(credits.CORRECTION, credit)
    decide(cast.actor(world.people["operator", "active"]), waiting, approve=True)


def _credit_line(world: World) -> str:
    set_credit_line(world.acme, 211 * NANO, actor=SYSTEM)
    return "/o/acme/billing"


def _saved_card(world: World) -> str:
    _balance(world)
    return "/o/acme/billing/alerts"


def _top_up(world: World, query: str = "", **over: Any) -> str:
    given: dict[str, Any] = {
        "processor": "stripe", "live": True, "amount_nano": 41 * NANO, "created_by": world.dora,
        "paid_at": _in(-6), **over,
    }  # fmt: skip
    top_up = TopUp.objects.create(organisation=world.acme, **given)
    return f"/o/acme/billing/top-ups/{id_text(top_up.id)}{query}"


def _transfer(world: World) -> str:
    return _top_up(world, processor="manual", created_by=None)


def _receipt(world: World) -> str:
    path = _top_up(world, state="paid", payment_id="pi_43", refunded_nano=7 * NANO)
    return f"{path}/receipt"


def _code(world: World) -> str:
    codes.import_codes(cast.actor(world.dora), "autumn", 47 * NANO, [_CODE])
    return "/o/acme/billing/redeem"


# Subscriptions -----------------------------------------------------------------------------------


def _plans(world: World) -> tuple[SubscriptionPlan, SubscriptionPlan]:
    """Two plans on offer, a rich one and a free one."""
    rich = SubscriptionPlan.objects.create(
        name="Autumn", description="For a team of five", price_nano=53 * NANO,
        included_nano=59 * NANO, overage="refuse", state="offered",
        units=[{"meter": "in_text", "models": ["gpt-5*"], "units": 61_000_000}],
        multipliers=[["gpt-5*", 670_000]],
    )  # fmt: skip
    free = SubscriptionPlan.objects.create(
        name="Winter", price_nano=0, included_nano=0, state="offered",
        multipliers=[["claude-*", 1_300_000], ["*", 970_000]],
    )  # fmt: skip
    return rich, free


def _subscribed(world: World, **over: Any) -> str:
    """A subscription whose month ends far away, so that a page says the same on each day."""
    rich, free = _plans(world)
    month = _in(64).date().replace(day=1)
    subscription = Subscription.objects.create(
        organisation=world.acme, plan=rich, zone="UTC", month=month, started_at=_in(-70), **over
    )
    for n, (plan, nano, included) in enumerate(((free, -71, -73), (rich, 79, 83))):
        charge = SubscriptionCharge.objects.create(
            organisation=world.acme, subscription=subscription, plan=plan, month=month, n=n,
            from_day=_in(-9 + n).date(), charge_nano=nano * NANO, included_nano=included * NANO,
        )  # fmt: skip
    PromoGrant.objects.create(
        organisation=world.acme, amount_nano=83 * NANO, consumed_nano=13 * NANO, charge=charge,
        expires_at=_in(95), source="included",
    )  # fmt: skip
    IncludedUnits.objects.create(
        organisation=world.acme, subscription=subscription, month=month, position=0,
        meter="in_text", patterns=["gpt-5*"], included=61_000_000, used=19_000_000, held=2_000_000,
        ends_at=_in(95),
    )  # fmt: skip
    return "/o/acme/billing/plan"


def _offered(world: World) -> str:
    _in_euros(world)
    _plans(world)
    return "/o/acme/billing/plan"


# Invoices ----------------------------------------------------------------------------------------


def _invoice(
    world: World, month: dt.date, lines: tuple[dict[str, Any], ...], **over: Any
) -> Invoice:
    """A closed document with these lines."""
    invoice = empty_invoice(world.acme, month=month)
    for n, line in enumerate(lines):
        InvoiceLine.objects.create(invoice=invoice, n=n, **line)
    closed = {
        "state": "closed", "closed_at": dt.datetime(1999, 2, 3, tzinfo=dt.UTC),
        "proposed_by": world.dora, "closed_by": world.people["operator", "active"],
        "checksum": "ab" * 32,
    }  # fmt: skip
    for name, value in {**closed, **over}.items():
        setattr(invoice, name, value)
    invoice.save()
    return invoice


def _lines(world: World) -> str:
    """An invoice with lines of most kinds: its totals are cut off."""
    rate = {"model": "gpt-5", "meter": "in_text", "rate_nano_per_million": 170_000_000}
    lines: tuple[dict[str, Any], ...] = (
        {"kind": "usage", "team": "Core", "quantity": 89_000_000, "amount_nano": 1513 * _CENT,
         **rate},
        {"kind": "usage", "project": "Bot", "quantity": 97_000_000, "amount_nano": 1649 * _CENT,
         "origin": dt.date(1989, 11, 1), **rate},
        {"kind": "correction", "team": "Core", "model": "m-2", "amount_nano": -101 * _CENT},
        {"kind": "included", "amount_nano": 103 * _CENT},
        {"kind": "own_key", "team": "Core", "model": "m-3", "amount_nano": 107 * _CENT},
    )  # fmt: skip
    _invoice(world, dt.date(1999, 1, 1), lines, number="INV-1999-0137")
    return "/o/acme/billing/invoices/INV-1999-0137"


def _invoices(world: World) -> tuple[Invoice, Invoice]:
    """An invoice that is paid in part, and a note that corrects it."""
    tax = {"kind": "tax", "text": "VAT", "rate_ppm": 190_000, "amount_nano": 109 * _CENT}
    seller = {"legal_name": "Weir Ltd", "address": "1 Lock Lane\nCork", "country": "IE",
              "tax_id": "IE-113", "bank_account": "IBAN 127\nBIC 131"}  # fmt: skip
    invoice = _invoice(
        world, dt.date(1999, 1, 1), (), number="INV-1999-0137", seller=seller,
        buyer={"legal_name": "Acme Inc"},
        net_nano=139 * NANO, tax_nano=149 * NANO, rounding_nano=NANO // 1000,
        total_nano=151 * NANO, due_nano=141 * NANO,
    )  # fmt: skip
    InvoiceDue.objects.create(invoice=invoice, left_nano=43 * NANO)
    paid = {"invoice": invoice, "paid_on": dt.date(1999, 2, 3)}
    InvoicePayment.objects.create(amount_nano=10 * NANO, source="balance", **paid)
    InvoicePayment.objects.create(
        amount_nano=98 * NANO, source="recorded", reference="BANK-157", recorded_by=world.dora,
        **paid,
    )  # fmt: skip
    note = _invoice(
        world, dt.date(1999, 2, 1), (tax,), number="CN-1999-0163", kind="credit_note",
        corrects=invoice, reason="Counted twice", net_nano=-101 * _CENT, total_nano=-101 * _CENT,
    )  # fmt: skip
    return invoice, note


def _due(world: World) -> str:
    _in_euros(world)
    invoice, _ = _invoices(world)
    return f"/o/acme/billing/invoices/{invoice.number}"


def _note(world: World) -> str:
    _, note = _invoices(world)
    return f"/o/acme/billing/invoices/{note.number}"


def _draft(world: World) -> str:
    draft = empty_invoice(world.acme, month=dt.date(1999, 3, 1))
    return f"/o/acme/billing/invoices/{id_text(draft.id)}"


def _page(path: str) -> Callable[[World], str]:
    return lambda world: path


# Pages of operators ------------------------------------------------------------------------------


def _approval(world: World, by: str = "dora", nano: int = -1_167 * NANO) -> str:
    asked_by = world.dora if by == "dora" else world.people["operator", "active"]
    credit = credits.request_credit(
        cast.actor(asked_by), world.acme, nano, reason="Wrong invoice", document="DOC-173"
    )
    waiting = waiting_approval(credits.CORRECTION, credit)
    return f"/admin/approvals/{waiting.outer_id}"


def _rejected(world: World) -> str:
    path = _approval(world)
    decide(
        cast.actor(world.people["operator", "active"]), Approval.objects.latest("id"),
        approve=False, reason="Paid already",
    )  # fmt: skip
    return path


def _approved(world: World) -> str:
    path = _approval(world, nano=-229 * NANO)
    decide(
        cast.actor(world.people["operator", "active"]), Approval.objects.latest("id"), approve=True
    )
    return path


def _undecided(world: World) -> str:
    return f"{_approval(world)}/decide"


def _unmatched(world: World) -> str:
    for n, (verdict, payment, reason) in enumerate(
        (("waiting", "", ""), ("refused", "pi_179", "No top-up has this payment."))
    ):
        ProcessorEvent.objects.create(
            processor="stripe", event_id=f"evt_{n}", kind="paid", payment_id=payment, told={},
            verdict=verdict, reason=reason,
        )  # fmt: skip
    return "/admin/payments"


def _safeguards(world: World) -> str:
    dora = cast.actor(world.dora)
    safeguards.set_safeguard(dora, "credit_limit", 7 * NANO, world.acme)
    safeguards.set_safeguard(dora, "credit_limit", 1_181 * NANO, world.stranger)
    return "/admin/safeguards"


def _trial(world: World) -> str:
    trials.save_trial_setting(cast.actor(world.dora), amount="1191", once="person", days=17)
    return "/admin/people/sign-up/trial"


_CREDIT: Final = {
    "organisation": "norse", "kind": "promo", "days": "19", "reason": "Welcome",
    "document": "D-193",
}  # fmt: skip
_BAD_PLAN: Final = {
    "name": "", "price": "x", "included": "-1", "units": "in_text many", "multipliers": "gpt-5",
    "overage": "none",
}  # fmt: skip

_TOP_UPS: Final[dict[str, dict[str, Any]]] = {
    "is disputed": {"state": "paid", "disputed_nano": 11 * NANO},
    "is paid and refunded in part": {"state": "paid", "refunded_nano": 13 * NANO},
    "failed": {"state": "failed"},
    "expired": {"state": "expired"},
    "is cancelled": {"state": "cancelled"},
    "is confirmed once": {"processor": "manual", "payment_id": "BANK-17"},
    "is at the processor": {"state": "pending"},
    "is ordered": {"checkout_url": "https://pay.example/p-19"},
    "was left": {"checkout_url": "https://pay.example/p-23", "query": "?return=cancelled"},
}

_OF_NORSE: Final = (
    Scene("balance with grants, alerts and a plan", _balance),
    Scene("balance with a debt for a reader", _debt, "custom reader"),
    Scene("balance with a credit line", _credit_line, "billing"),
    Scene("alerts with a saved card", _saved_card),
    Scene(
        "alerts with wrong amounts", _page("/o/acme/billing/alerts"),
        posted={"low": "x", "enabled": "on", "below": "0", "amount": "-3"},
    ),
    *(
        Scene(f"top-up that {title}", partial(_top_up, **over), headers=_HTMX)
        for title, over in _TOP_UPS.items()
    ),
    Scene("transfer for a reader", _transfer, "custom reader"),
    Scene("receipt of a top-up", _receipt),
    Scene("top-up with a wrong amount", _page("/o/acme/billing/top-up"),
          posted={"amount": "other", "other": "0.01", "processor": "none"}),
    Scene("code that is redeemed", _code, posted={"code": _CODE}, headers=_HTMX),
    Scene("code that is unknown", _page("/o/acme/billing/redeem"), posted={"code": "X"}),
    Scene("plan of a subscription", _subscribed),
    Scene("plan that is cancelled", partial(_subscribed, cancelled_at=_in(-7))),
    Scene("plan that is unpaid for a reader",
          partial(_subscribed, state="unpaid", unpaid_since=_in(-7)), "custom reader"),
    Scene("plans that are offered", _offered, posted={"plan": str(UUID(int=7))}),
    Scene("plan when none is offered", _page("/o/acme/billing/plan"), "billing"),
    Scene("new plan with wrong terms", _page("/admin/subscription-plans/new"), "operator",
          posted=_BAD_PLAN),
    Scene("invoice with lines of each kind", _lines),
    Scene("invoice that is due", _due),
    Scene("credit note", _note),
    Scene("draft of an invoice", _draft),
    Scene("change that one asked for oneself", partial(_approval, by="self"), "operator"),
    Scene("change that leads into a debt", _approval, "operator"),
    Scene("change that is approved", _approved, "operator"),
    Scene("change that is rejected", _rejected, "operator"),
    Scene("change that is approved unconfirmed", _undecided, "operator",
          posted={"act": "approve", "reason": "It is right"}),
    Scene("payments without a top-up", _unmatched, "operator"),
    Scene("safeguards of organisations", _safeguards, "operator"),
    Scene("trial credit that waits", _trial, "operator"),
    Scene("correction before it is confirmed", _page("/admin/credits/new"), "operator",
          posted={**_CREDIT, "amount": "197"}),
    Scene("correction into a debt", _page("/admin/credits/new"), "operator",
          posted={**_CREDIT, "amount": "-1,199", "kind": "cash", "days": ""}),
    Scene("correction without a reason", _page("/admin/credits/new"), "operator",
          posted={**_CREDIT, "amount": "0,75", "days": "0", "reason": ""}),
)  # fmt: skip


def _of_norse(make: Callable[[World], str]) -> Callable[[World], str]:
    """Play a scene in an organisation of its own: what Acme has is made when it is asked for."""

    def made(world: World) -> str:
        owner, admin = cast.person("nora"), cast.person("ada")
        norse = organisations.create_organisation("Norse", owner=owner, actor=SYSTEM)
        members.set_member(norse, admin.email, Role.ADMIN, actor=SYSTEM)
        balances.add_opening_credit(norse, 1_000 * NANO)
        team = norse.teams.get()
        key, _ = cast.make_key(team, "ci", user=owner)
        happen(key, clock.now(), charge_nano=NANO // 239)
        admit(key, clock.now() - dt.timedelta(minutes=5), hold_nano=13 * NANO)
        for role, user in (("owner of Norse", owner), ("admin of Norse", admin)):
            client = cast.signed_in(user)
            open_first_page(client, user, norse)
            world.clients[Who(role)] = client
        path = make(replace(world, acme=norse, core=team))
        return path.replace("/o/acme/", "/o/norse/")

    return made


_ROLES: Final = {
    "owner": "owner of Norse", "billing": "owner of Norse", "custom reader": "admin of Norse",
}  # fmt: skip
SCENES: Final = tuple(
    replace(scene, make=_of_norse(scene.make), role=_ROLES.get(scene.role, scene.role))
    for scene in _OF_NORSE
)
