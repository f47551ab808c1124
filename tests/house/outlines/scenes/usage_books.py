"""Pages of documents, findings, reviews and exports, and of a policy that is tried."""

import datetime as dt
from functools import partial
from typing import Any, Final

from accounts.access.actors import SYSTEM
from billing.invoices.billing_details import add_tax_rate
from billing.models import Invoice
from content.guards.rules import GuardRule
from content.policies import policies
from lib import clock
from lib.ids import id_text, new_id
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import NANO, World
from tests.usage.rows import happen
from usage.limits.budget_simulation import look_back
from usage.models import DetachedMonth, Finding, ReportReceiver, ReportSchedule, SavedView
from usage.saved_views.scheduled_reports import leaving_token

_DAY: Final = dt.timedelta(days=1)


# Documents ---------------------------------------------------------------------------------------


def _invoice(world: World, **over: Any) -> Invoice:
    month = dt.date(1981, 3, 1)
    begin, end = (dt.datetime(1981, n, 1, tzinfo=dt.UTC) for n in (3, 4))
    return Invoice.objects.create(
        **{
            "organisation": world.acme, "kind": "invoice", "month": month, "zone": "UTC",
            "from_at": begin, "until_at": end, **over,
        }
    )  # fmt: skip


def _closed(world: World) -> Invoice:
    return _invoice(
        world, state="closed", number="INV-1981-0007", proposed_by=world.dora,
        closed_by=world.places["colleague"].user, closed_at=clock.now() - 6 * _DAY,
        seller={"legal_name": "Weir Operations"}, net_nano=83 * NANO, tax_nano=19 * NANO,
        total_nano=102 * NANO, due_nano=97 * NANO,
    )  # fmt: skip


def _page(invoice: Invoice) -> str:
    return f"/admin/invoices/{id_text(invoice.id)}"


def _invoice_with_notes(world: World) -> str:
    invoice = _closed(world)
    over = {
        "corrects": invoice, "state": "closed", "proposed_by": world.dora,
        "closed_by": world.places["side"].user, "closed_at": clock.now() - 5 * _DAY,
    }  # fmt: skip
    _invoice(world, kind="credit_note", number="CN-1981-0003", **over)
    _invoice(world, kind="debit_note", corrects=invoice)
    return _page(invoice)


def _note(world: World, state: str) -> str:
    over = {"corrects": _closed(world), "kind": "debit_note", "reason": "Counted twice"}
    return _page(_invoice(world, state=state, total_nano=11 * NANO, **over))


def _seller(world: World) -> str:
    for name, country, percent, text in (
        ("VAT", "IE", "23", ""), ("VAT", "", "0", "Reverse charge"),
    ):  # fmt: skip
        add_tax_rate(SYSTEM, name, country, percent, dt.date(2001, 7, 1), text)
    return "/admin/invoices/seller"


# What an operator decides ------------------------------------------------------------------------


def _acknowledged(world: World) -> str:
    finding = Finding.objects.create(
        invariant="I7", object="17", walk="whole", expected="19", found="23", holds=False,
        first_seen_at=clock.now() - 9 * _DAY, last_seen_at=clock.now() - 8 * _DAY,
        acknowledged_at=clock.now() - 7 * _DAY, acknowledged_as="dora@example.org",
        reason="A restored backup",
    )  # fmt: skip
    return f"/admin/findings/{finding.id}"


def _unknown_usage(world: World) -> str:
    """Of two providers: one's may be accepted, the other's has no table."""
    key, at = world.places["colleague"].key, clock.now() - dt.timedelta(minutes=40)
    for provider, wire, members in (
        ("openai", "chat", ["odd_tokens", "even_tokens"]), ("mistral", "", ["pages"]),
    ):  # fmt: skip
        pricing = {"provider": provider, "wire": wire, "unknown": members}
        happen(
            key, at, 0, hold_nano=2_300_000, basis="held", meters={}, pricing=pricing,
            flags=["unknown_member", "quarantine"],
        )  # fmt: skip
    return "/admin/reviews"


# Files and reports -------------------------------------------------------------------------------


def _detach(world: World) -> None:
    begin, end = (dt.datetime(2025, n, 1, tzinfo=dt.UTC) for n in (2, 3))
    DetachedMonth.objects.create(
        month=begin.date(),
        from_at=begin,
        to_at=end,
        first_id=new_id(),
        end_id=new_id(),
        price_version_ids=[],
    )


def _export(world: World, query: str) -> str:
    _detach(world)
    return f"/o/acme/exports/start?{query}&range=custom&from=2025-02-03&to=2025-02-17"


def _report(world: World, *, stopped: bool = False) -> str:
    if stopped:
        return "/reports/x/leave"
    view = SavedView.objects.create(
        organisation=world.acme, user=world.dora, page="usage", name="Weekly by team"
    )
    schedule = ReportSchedule.objects.create(
        view=view, every="week", hour=17, zone="UTC", due_at=clock.now() + 9 * _DAY
    )
    receiver = ReportReceiver.objects.create(schedule=schedule, user=view.user)
    return f"/reports/{leaving_token(receiver)}/leave"


# Policies ----------------------------------------------------------------------------------------


def _policy(world: World, end: str = "") -> str:
    rules = [
        GuardRule("email", {}, ["request", "answer"], "mask", "email"),
        GuardRule("card", {}, ["answer"], "refuse", "card_found"),
        GuardRule("iban", {}, ["request", "tool_call"], "flag", "iban"),
    ]
    policy = policies.create_policy(SYSTEM, world.acme, look_back, name="Privacy", rules=rules)
    return f"/o/acme/policies/{id_text(policy.id)}{end}"


_TEXT: Final = "Write to ana@example.org, card 4111 1111 1111 1111, DE89370400440532013000"
SCENES: Final = (
    Scene("invoice with notes", _invoice_with_notes, "operator"),
    Scene("note that is a draft", partial(_note, state="draft"), "operator"),
    Scene("note that is proposed", partial(_note, state="proposed"), "operator"),
    Scene("seller with taxes", _seller, "operator"),
    Scene("finding that was acknowledged", _acknowledged, "operator"),
    Scene("unknown usage under review", _unknown_usage, "operator"),
    Scene("export of the log", partial(_export, query="export=csv&cols=time,cost")),
    Scene("export of costs", partial(_export, query="export=focus")),
    Scene("report that is left", _report, "operator"),
    Scene("report that was stopped", partial(_report, stopped=True), "operator"),
    Scene("policy that is tried", partial(_policy, end="/try"), posted={"text": _TEXT}),
    Scene("policy tried without a text", partial(_policy, end="/try"), posted={"text": ""}),
)  # fmt: skip
