"""One known record for each list: what was done, and the figures that the list has to show of it.

All figures are of different magnitudes, and are written here as the test alone computes them: money
in nano, times in milliseconds, shares in their own unit.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.members import members
from accounts.models import Role
from accounts.organisations import projects, teams
from billing.balances import balances
from billing.credits import codes, credits
from billing.limits import budgets
from billing.models import BudgetRaise, BudgetWindow, Invoice, TopUp
from billing.price_plans import price_plans
from billing.prices import prices, proposals
from billing.prices.conditions import PriceKey
from billing.subscriptions import subscription_plans
from billing.subscriptions.rules import Terms
from billing.topups import topups
from content.models import Prompt, PromptVersion
from content.prompts.settings import Settings
from gateway.channels import channels
from gateway.channels.fields import ChannelFields
from gateway.health.histogram_bounds import FIRST_TOKEN_MS
from gateway.model_entries.entries import save_entry
from gateway.models import ShadowAnswer, TrafficBucket
from lib import clock
from lib.ids import id_text, new_id
from notify.endpoints import endpoints
from notify.models import Delivery
from playground.models import Conversation, Message, Run, RunState, Vote
from tests.support import cast
from tests.usage.rows import admit, happen
from usage.limits import budget_simulation
from usage.models import Export, Feedback, ProviderBill
from usage.rollups.rollups import replace_all

MODEL: Final = "m-figures"
NANO: Final = 10**9
CHARGE: Final = 1_234_567_800
COST: Final = 987_004_300
SMALL: Final = 210_000
SUM: Final = 1_234_777_800
SAVED: Final = 11_300_000
OWN: Final = 17_000_000
HELD: Final = 410_000_000
TTFT_MS: Final = 842
TOTAL_MS: Final = 73_210
METERS: Final = {"in_text": 7_001, "in_cache_read": 503, "out_text": 97, "out_reasoning": 31}
# Prices of a million units: in, read from cache, out.
RATES: Final = {
    "meters": {"in_text": 3_170_000_000, "in_cache_read": 410_000_000, "out_text": 17_300_000_000}
}


@dataclass(frozen=True)
class About:
    """A figure that is an estimate, which may be this much of a hundred off."""

    value: int
    percent: int = 5


@dataclass(frozen=True)
class Listed:
    """A list: its page, the text that names the record's row, and its figures by column. `shown`
    are those that the page writes in another form than that of the column's kind."""

    path: str
    row: str
    figures: Mapping[str, Any]
    shown: Mapping[str, str] = field(default_factory=dict)
    who: str = "alice"
    api: "Answered | None" = None


@dataclass(frozen=True)
class Answered:
    """The operation that lists the same, a text that names the record's item, and the path of each
    figure in it."""

    path: str
    item: str
    fields: Mapping[str, str]


_REQUEST: Final = {
    "ttft": TTFT_MS, "total": TOTAL_MS, "tokens_in": 7_504, "cached": 503, "saved": SAVED,
    "own": OWN, "tokens_out": 128, "reasoning": 31, "cost": CHARGE, "attempts": 1,
    "prompt_version": 2,
}  # fmt: skip
_CHANNEL: Final[ChannelFields] = {
    "provider": "openai_compatible", "base_url": "http://127.0.0.1:9/v1", "keys": ["secret"],
    "models": {MODEL: ""}, "priority": 3, "weight": 11,
}  # fmt: skip
_QUANTILES: Final = ("p50", "p95", "p99")
TABLES: Final[dict[str, Callable[["Company"], Listed]]] = {}
Maker = Callable[["Company"], Listed]


def shows(table: str) -> Callable[[Maker], Maker]:
    """A function that does what that table shows."""

    def kept(make: Maker) -> Maker:
        TABLES[table] = make
        return make

    return kept


class Company:
    """Acme, where the team Counted made two requests in a session; another organisation, whose
    request is still running and whose other one is under review."""

    def __init__(self, people: cast.Cast) -> None:
        at = self.at = clock.now()
        self.people, self.acme, self.other = people, people.acme, people.stranger
        self.alice = cast.actor(people.alice, people.acme)
        self.operator = cast.actor(people.dora)
        self.team = teams.create_team(people.acme, "Counted", actor=SYSTEM)
        self.version = prices.set_price(SYSTEM, MODEL, at, RATES, source="test")
        self.channel = channels.create_channel(SYSTEM, "figures", _CHANNEL)
        for organisation, nano in ((self.acme, 100 * NANO), (self.other, 7 * NANO)):
            balances.add_opening_credit(organisation, nano)
        self.key, _ = cast.make_key(
            self.team, "figures", user=people.bob, rpm=61, tpm=70_001, parallel=7
        )
        self.other_key, _ = cast.make_key(people.stranger.teams.get(), "running")
        self.session = new_id()
        of_session = budget_simulation.create_budget(
            SYSTEM, self.acme, scope="key", subject=str(self.key.id), amount_nano=13 * NANO,
            period="session", timezone="UTC",
        )  # fmt: skip
        self.budget = budget_simulation.create_budget(
            SYSTEM, self.acme, scope="key", subject=str(self.key.id), amount_nano=41 * NANO,
            period="month", timezone="UTC",
        )  # fmt: skip
        made: dict[str, Any] = {
            "model": MODEL, "channel_id": self.channel.id, "channel_name": "figures",
            "session_id": self.session, "hold_nano": 2 * NANO, "ttft_ms": TTFT_MS,
            "total_ms": TOTAL_MS, "ended_at": at + dt.timedelta(milliseconds=TOTAL_MS),
        }  # fmt: skip
        self.request = happen(
            self.key, at, CHARGE, meters=METERS, saved_nano=SAVED, cost_nano=COST, own_nano=OWN,
            cost_version_id=self.version.id, prompt="greeting", prompt_version=2, **made,
        )  # fmt: skip
        # Its id is the later one, so that the session ended with it.
        happen(
            self.key, at + dt.timedelta(milliseconds=1), SMALL,
            meters={"in_text": 11, "out_text": 2}, status=502, kind="upstream_error", **made,
        )  # fmt: skip
        # What the relay would have written there.
        BudgetWindow.objects.filter(budget=self.budget).update(spent_nano=SUM, held_nano=HELD)
        BudgetWindow.objects.create(
            budget=of_session, session_id=self.session, starts_at=at,
            ends_at=at + dt.timedelta(days=9), cap_nano=13 * NANO, spent_nano=SUM,
        )  # fmt: skip


def do_all(people: cast.Cast) -> dict[str, Listed]:
    """Do what every table shows, and say where each shows it."""
    company = Company(people)
    listed = {table: make(company) for table, make in TABLES.items()}
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())
    return listed


# Requests ---------------------------------------------------------------------------------------


@shows("requests")
def _requests(company: Company) -> Listed:
    return Listed(
        "/o/acme/requests",
        id_text(company.request.request_id),
        _REQUEST,
        api=Answered(
            "/requests",
            id_text(company.request.request_id),
            {
                "ttft": "ttft_ms",
                "total": "total_ms",
                "cached": "meters.in_cache_read",
                "reasoning": "meters.out_reasoning",
                "saved": "saved_by_cache",
                "own": "paid_to_provider",
                "cost": "charge",
                "attempts": "attempts",
                "prompt_version": "prompt_version",
            },
        ),
    )


@shows("key-requests")
def _key_requests(company: Company) -> Listed:
    figures = {
        name: _REQUEST[name]
        for name in _REQUEST
        if name not in ("saved", "own", "attempts", "reasoning", "prompt_version")
    }
    return Listed(
        f"/o/acme/keys/{id_text(company.key.id)}", id_text(company.request.request_id), figures
    )


@shows("session_turns")
def _turns(company: Company) -> Listed:
    figures = {
        "total": TOTAL_MS, "tokens_in": 7_504, "cached": 7, "cache_written": 0, "tokens_out": 128,
        "cost": CHARGE, "own": OWN,
    }  # fmt: skip
    path = f"/o/acme/sessions/{id_text(company.session)}"
    return Listed(path, id_text(company.request.request_id), figures)


@shows("sessions")
def _sessions(company: Company) -> Listed:
    figures = {
        "turns": 2, "agents": 0, "failed": 1, "total": TOTAL_MS, "tokens_in": 7_515, "cached": 7,
        "cache_written": 0, "tokens_out": 130, "cost": SUM, "own": OWN, "limit": 13 * NANO,
        "left": 13 * NANO - SUM,
    }  # fmt: skip
    return Listed(
        "/o/acme/sessions",
        id_text(company.session),
        figures,
        api=Answered(
            "/sessions",
            id_text(company.session),
            {
                "turns": "turns",
                "agents": "sub_agents",
                "failed": "failed",
                "cache_written": "cache_written",
                "cost": "charge",
                "own": "paid_to_provider",
                "limit": "limit",
                "left": "left",
            },
        ),
    )


@shows("explore")
def _explore(company: Company) -> Listed:
    total, ttft = About(TOTAL_MS), About(TTFT_MS)
    figures = {
        "cost": SUM, "before": 0, "change": SUM, "requests": 2, "errors": 1, "tokens_in": 7_515,
        "cached": 503, "saved": SAVED, "tokens_out": 130, "reasoning": 31,
        "per_request": SUM // 2, "p50": total, "p95": total, "p99": total, "ttft_p50": ttft,
        "ttft_p95": ttft, "ttft_p99": ttft,
    }  # fmt: skip
    return Listed(
        "/o/acme/usage/explore",
        MODEL,
        figures,
        api=Answered(
            "/usage?group_by=model",
            MODEL,
            {
                "cost": "charge",
                "requests": "requests",
                "errors": "errors",
                "cached": "meters.in_cache_read",
                "saved": "saved_by_cache",
                "reasoning": "meters.out_reasoning",
                **{f"{q}": f"times.total_ms.{q}" for q in _QUANTILES},
                **{f"ttft_{q}": f"times.ttft_ms.{q}" for q in _QUANTILES},
            },
        ),
    )


@shows("margin")
def _margin(company: Company) -> Listed:
    figures = {
        "requests": 2, "revenue": SUM, "cost": COST, "margin": CHARGE - COST, "share": "20.1",
        "unpriced": SMALL,
    }  # fmt: skip
    return Listed(
        "/admin/margin",
        MODEL,
        figures,
        {"share": "20.1 %"},
        who="dora",
        api=Answered(
            "/margin",
            MODEL,
            {
                "requests": "requests",
                "revenue": "revenue",
                "cost": "cost",
                "margin": "margin",
                "unpriced": "unpriced",
            },
        ),
    )


@shows("holds")
def _holds(company: Company) -> Listed:
    admit(
        company.other_key, company.at, hold_nano=3_210_000_000, model="m-running",
        channel_id=company.channel.id,
    )  # fmt: skip
    return Listed("/o/stranger/billing/holds", "m-running", {"held": 3_210_000_000}, who="charlie")


@shows("reviews")
def _reviews(company: Company) -> Listed:
    happen(
        company.other_key, company.at, 45_600_000, hold_nano=1_700_000_000, model="m-review",
        flags=["quarantine"],
    )  # fmt: skip
    figures = {"charged": 45_600_000, "maximum": 1_700_000_000}
    return Listed(
        "/admin/reviews",
        "m-review",
        figures,
        who="dora",
        api=Answered("/reviews", "m-review", {"charged": "charge", "maximum": "bound"}),
    )


@shows("chats")
def _chats(company: Company) -> Listed:
    chat = Conversation.objects.create(
        organisation=company.acme, team=company.people.core, user=company.people.alice, model=MODEL,
        title="Chat of figures",
    )  # fmt: skip
    question = Message.objects.create(conversation=chat, role="user", content="q", model=MODEL)
    answer = Message.objects.create(
        conversation=chat, parent=question, role="assistant", model=MODEL, content="a"
    )
    run = Run.objects.create(
        conversation=chat, user_message=question, assistant_message=answer,
        user=company.people.alice, model=MODEL, token=new_id(),
        request_id=company.request.request_id, state=RunState.DONE, process="gone",
        ended_at=clock.now(), outcome={"status": 200, "meters": METERS, "charge_nano": CHARGE},
    )  # fmt: skip
    Message.objects.filter(pk=answer.pk).update(run=run, request_id=run.request_id)
    figures = {"turns": 1, "tokens": 7_632, "cost": CHARGE}
    return Listed("/o/acme/playground/history", "Chat of figures", figures)


@shows("feedback")
def _feedback(company: Company) -> Listed:
    Feedback.objects.create(
        organisation=company.acme, request_id=company.request.request_id, score=73,
        author_key_id=company.key.id, team_id=company.team.id, key_id=company.key.id,
        model="m-rated", comment="Figures", prompt="greeting", prompt_version=2,
    )  # fmt: skip
    return Listed("/o/acme/usage/feedback", "m-rated", {"score": 73, "prompt_version": 2})


@shows("feedback_sums")
def _feedback_sums(company: Company) -> Listed:
    for n, score in enumerate((None, 20, 60, 100)):
        Feedback.objects.create(
            organisation=company.acme, request_id=new_id(), score=score,
            author_key_id=company.key.id, team_id=company.team.id, key_id=company.key.id,
            model="m-summed", comment="Figures" if n else "", prompt="p-summed", prompt_version=3,
        )  # fmt: skip
    Feedback.objects.create(
        organisation=company.acme, request_id=new_id(), score=50, author_key_id=company.key.id,
        team_id=company.team.id, key_id=company.key.id, model="m-summed", prompt="p-other",
        prompt_version=1,
    )  # fmt: skip
    figures = {
        "total": 4, "scored": 3, "good": 2, "good_percent": 67, "mean": 60, "commented": 3,
        "version": 3,
    }  # fmt: skip
    return Listed("/o/acme/usage/feedback/sums?by=prompt", "p-summed", figures)


@shows("votes")
def _votes(company: Company) -> Listed:
    for n in range(12):
        Vote.objects.create(
            organisation=company.acme, user=company.people.alice, batch=new_id(),
            candidates=["m-voted", "m-beaten"], winner="m-voted" if n < 9 else "m-beaten",
        )  # fmt: skip
    figures = {"rate": 75, "interval": "47–91%", "wins": 9, "votes": 12}
    return Listed("/o/acme/playground/votes", "m-voted", figures)


@shows("prompts")
def _prompts(company: Company) -> Listed:
    prompt = Prompt.objects.create(
        organisation=company.acme, user=company.people.alice, slug="figures",
        name="Prompt of figures", shared=True, labels={"production": [2]},
    )  # fmt: skip
    for number in (1, 2, 3):
        PromptVersion.objects.create(
            prompt=prompt, number=number, user=company.people.alice, model=MODEL,
            settings=Settings().stored(),
        )  # fmt: skip
    return Listed("/o/acme/prompts", "Prompt of figures", {"versions": 3, "production": 2})


@shows("exports")
def _exports(company: Company) -> Listed:
    export = Export.objects.create(
        organisation=company.acme, user=company.people.alice, form="csv", query="", language="en",
        state="done", done=31_007, size=4_200_331, expires_at=clock.now() + dt.timedelta(days=2),
    )  # fmt: skip
    return Listed(
        "/o/acme/exports",
        f"requests-{export.created_at:%Y-%m-%d}.csv",
        {"rows": 31_007, "size": 4_200_331},
        api=Answered(
            "/exports",
            f"requests-{export.created_at:%Y-%m-%d}.csv",
            {"rows": "rows", "size": "size"},
        ),
    )


# Who may, and how much --------------------------------------------------------------------------


@shows("keys")
def _keys(company: Company) -> Listed:
    figures = {"rpm": 61, "tpm": 70_001, "parallel": 7, "budget": 41 * NANO, "spent": SUM}
    return Listed(
        "/o/acme/keys",
        "figures",
        figures,
        {"budget": "$1.64 of $41.00"},
        api=Answered("/keys", "figures", {"rpm": "rpm", "tpm": "tpm", "parallel": "parallel"}),
    )


@shows("budgets")
def _budgets(company: Company) -> Listed:
    figures = {"used": SUM + HELD, "spent": SUM, "held": HELD, "limit": 41 * NANO}
    return Listed(
        "/o/acme/budgets?period=month",
        "Month",
        figures,
        api=Answered("/budgets", "month", {"spent": "spent", "held": "held", "limit": "limit"}),
    )


@shows("end-users")
def _end_users(company: Company) -> Listed:
    budget = budget_simulation.create_budget(
        SYSTEM, company.people.acme, scope="end_user", subject="", amount_nano=9 * NANO,
        period="week",
    )  # fmt: skip
    budgets.set_own_amount(SYSTEM, budget, "ana@chat", 23 * NANO)
    (usage,) = budgets.current_usage([budget])
    BudgetWindow.objects.create(
        budget=budget, end_user="ana@chat", starts_at=usage.span.start_at,
        ends_at=usage.span.end_at, cap_nano=23 * NANO, spent_nano=SUM, brought_nano=SUM,
    )  # fmt: skip
    return Listed(
        f"/o/acme/budgets/{budget.id}/end-users",
        "ana@chat",
        {"used": SUM, "spent": SUM, "held": 0, "limit": 23 * NANO, "own": 23 * NANO},
        {"used": "$1.23 of $23.00"},
        api=Answered(
            f"/budgets/{budget.id}/end-users",
            "ana@chat",
            {"spent": "spent", "held": "held", "limit": "limit", "own": "own_amount"},
        ),
    )


@shows("raises")
def _raises(company: Company) -> Listed:
    BudgetRaise.objects.create(
        budget=company.budget, asked_by=company.people.bob, amount_nano=5_170_000_000,
        until=clock.now() + dt.timedelta(days=2), reason="More figures",
    )  # fmt: skip
    return Listed(
        "/o/acme/budgets/requests",
        "More figures",
        {"amount": 5_170_000_000},
        api=Answered("/budget-requests", "More figures", {"amount": "amount"}),
    )


@shows("limits")
def _limits(company: Company) -> Listed:
    keys.change_limits(SYSTEM, company.team, rpm=601, tpm=91_003, parallel=17)
    return Listed(
        "/o/acme/limits",
        "Counted",
        {"rpm": 601, "tpm": 91_003, "parallel": 17},
        api=Answered("/limits", "counted", {"rpm": "rpm", "tpm": "tpm", "parallel": "parallel"}),
    )


@shows("members")
def _members(company: Company) -> Listed:
    return Listed("/o/acme/team", "bob@example.org", {"spent": SUM, "keys": 1})


@shows("teams")
def _teams(company: Company) -> Listed:
    for name in ("one", "two"):
        cast.make_key(company.team, f"figures {name}")
    for name in ("P", "Q"):
        projects.create_project(company.team, name, actor=SYSTEM)
    figures = {"members": 4, "keys": 3, "projects": 2, "spent": SUM}
    return Listed("/o/acme/teams", "Counted", figures)


@shows("organisations")
def _organisations(company: Company) -> Listed:
    figures = {"members": 4, "balance": 100 * NANO - SUM, "spent": SUM}
    return Listed("/admin/organisations", "Acme", figures, who="dora")


@shows("service-accounts")
def _service_accounts(company: Company) -> Listed:
    account = service_accounts.create_service_account(company.people.core, "robot", actor=SYSTEM)
    for name in ("x", "y"):
        cast.make_key(company.people.core, f"robot {name}", service_account=account)
    return Listed("/o/acme/service-accounts", "robot", {"keys": 2})


@shows("roles")
def _roles(company: Company) -> Listed:
    role = custom_roles.create_role(
        company.acme, "Reader of figures", ["models.read", "usage.read", "keys.read"], actor=SYSTEM
    )
    for name in ("ann", "ben"):
        members.set_member(
            company.acme, cast.person(name).email, Role.CUSTOM, custom_role=role, actor=SYSTEM
        )
    return Listed("/o/acme/team/roles", "Reader of figures", {"can": 3, "members": 2})


# Money ------------------------------------------------------------------------------------------


@shows("ledger")
def _ledger(company: Company) -> Listed:
    figures = {"requests": 2, "amount": -SUM, "balance": 100 * NANO - SUM}
    return Listed(
        "/o/acme/billing",
        "Usage",
        figures,
        api=Answered(
            "/ledger", "usage", {"requests": "requests", "amount": "amount", "balance": "balance"}
        ),
    )


@shows("credits")
def _credits(company: Company) -> Listed:
    credits.request_credit(company.operator, company.other, 23_450_000_000, reason="By figures")
    return Listed(
        "/admin/credits",
        "By figures",
        {"amount": 23_450_000_000},
        who="dora",
        api=Answered("/credits", "By figures", {"amount": "amount"}),
    )


@shows("codes")
def _codes(company: Company) -> Listed:
    batch = codes.create_batch(SYSTEM, "figures", value_nano=2_500_000_000, count=3, max_uses=11)
    charlie = cast.actor(company.people.charlie, company.other)
    codes.redeem(charlie, company.other, codes.download_codes(SYSTEM, batch)[0])
    figures = {"value": 2_500_000_000, "count": 3, "max_uses": 11, "used": 1}
    return Listed(
        "/admin/codes",
        "figures",
        figures,
        who="dora",
        api=Answered(
            "/code-batches", "figures", {"value": "value", "count": "count", "max_uses": "max_uses"}
        ),
    )


def _top_up(company: Company, nano: int) -> TopUp:
    top_up = topups.order_top_up(company.alice, company.acme, nano, processor="manual")
    TopUp.objects.filter(pk=top_up.pk).update(
        refunded_nano=3_000_000_000, disputed_nano=1_250_000_000, payment_id=f"pay-{nano}"
    )
    return top_up


@shows("payments")
def _payments(company: Company) -> Listed:
    _top_up(company, 25_000_000_000)
    figures = {"amount": 25_000_000_000, "refunded": 3_000_000_000, "disputed": 1_250_000_000}
    return Listed("/admin/payments", "pay-25000000000", figures, who="dora")


@shows("top-ups")
def _top_ups(company: Company) -> Listed:
    top_up = _top_up(company, 37_000_000_000)
    figures = {"amount": 37_000_000_000, "refunded": 4_250_000_000}
    return Listed(
        "/o/acme/billing/top-ups",
        "pay-37000000000",
        figures,
        api=Answered("/top-ups", top_up.outer_id, {"amount": "amount"}),
    )


def _document(company: Company, month: dt.datetime | None = None) -> Invoice:
    n = Invoice.objects.count() + 1
    month = month or dt.datetime(1990, n, 1, tzinfo=dt.UTC)
    return Invoice.objects.create(
        organisation=company.acme, kind="invoice", state="closed", number=f"INV-1990-{n:04d}",
        month=month.date(), zone="UTC", from_at=month, until_at=month + dt.timedelta(days=28),
        proposed_by=company.people.dora, closed_by=company.people.alice, closed_at=company.at,
        total_nano=119_000_000_000, tax_nano=19_000_000_000,
    )  # fmt: skip


@shows("invoices")
def _invoices(company: Company) -> Listed:
    invoice = _document(company)
    figures = {"total": 119_000_000_000, "tax": 19_000_000_000}
    return Listed(
        "/o/acme/billing/invoices",
        str(invoice.number),
        figures,
        api=Answered("/invoices", str(invoice.number), {"total": "total", "tax": "tax"}),
    )


@shows("documents")
def _documents(company: Company) -> Listed:
    invoice = _document(company)
    return Listed(
        "/admin/invoices",
        str(invoice.number),
        {"total": 119_000_000_000},
        who="dora",
        api=Answered("/documents", str(invoice.number), {"total": "total"}),
    )


@shows("statements")
def _statements(company: Company) -> Listed:
    month = company.at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    invoice = _document(company, month)
    return Listed("/o/acme/billing/statements", str(invoice.number), {"total": 119_000_000_000})


@shows("subscription-plans")
def _subscription_plans(company: Company) -> Listed:
    terms = Terms(20_500_000_000, 25_100_000_000)
    subscription_plans.write_plan(company.operator, "figures", terms)
    figures = {"price": 20_500_000_000, "included": 25_100_000_000, "subscribers": 0}
    return Listed(
        "/admin/subscription-plans",
        "figures",
        figures,
        who="dora",
        api=Answered(
            "/subscription-plans",
            "figures",
            {"price": "price", "included": "included", "subscribers": "subscribers"},
        ),
    )


@shows("bills")
def _bills(company: Company) -> Listed:
    _bill(company, "billed.csv")
    figures = {"lines": 17, "billed": 8_070_000_000, "ours": 7_900_000_000}
    return Listed(
        "/admin/reconcile",
        "billed.csv",
        figures,
        who="dora",
        api=Answered(
            "/provider-bills", "billed.csv", {"lines": "lines", "billed": "billed", "ours": "ours"}
        ),
    )


@shows("bill-differences")
def _differences(company: Company) -> Listed:
    bill = _bill(company, "differing.csv")
    bill.differences.create(
        n=3, kind="differs", model="m-billed", billed_nano=8_070_000_000, ours_nano=7_900_000_000
    )
    figures = {
        "n": 3, "billed": 8_070_000_000, "ours": 7_900_000_000, "difference": 170_000_000,
    }  # fmt: skip
    return Listed(
        f"/admin/reconcile/{id_text(bill.id)}",
        "m-billed",
        figures,
        who="dora",
        api=Answered(
            f"/provider-bills/{id_text(bill.id)}/differences",
            "m-billed",
            {"n": "n", "billed": "billed", "ours": "ours"},
        ),
    )


def _bill(company: Company, name: str) -> ProviderBill:
    today = clock.now().date()
    return ProviderBill.objects.create(
        provider="openai", file_name=name, match="day", first_on=today, last_on=today,
        channel_ids=[], tolerance_nano=0, lines=17, billed_nano=8_070_000_000,
        ours_nano=7_900_000_000,
    )  # fmt: skip


# Models, prices, channels -----------------------------------------------------------------------

_PRICES: Final = {"input": 3_170_000_000, "cached_input": 410_000_000, "output": 17_300_000_000}


@shows("models")
def _models(company: Company) -> Listed:
    save_entry(SYSTEM, MODEL, context_max=128_003, output_max=8_191)
    return Listed(
        "/models", MODEL, {"context": 128_003, "max_output": 8_191, **_PRICES}, {"context": "128 K"}
    )


@shows("routes")
def _routes(company: Company) -> Listed:
    figures = {"context": 128_003, "max_output": 8_191, **_PRICES}
    return Listed(
        "/admin/models",
        MODEL,
        figures,
        who="dora",
        api=Answered(
            "/public-models", MODEL, {"context": "context_max", "max_output": "output_max"}
        ),
    )


@shows("pricing")
def _pricing(company: Company) -> Listed:
    return Listed("/pricing", MODEL, _PRICES)


@shows("prices")
def _prices(company: Company) -> Listed:
    return Listed(
        "/admin/prices",
        MODEL,
        _PRICES,
        who="dora",
        api=Answered(
            "/price-versions",
            MODEL,
            {
                "input": "meters.in_text",
                "cached_input": "meters.in_cache_read",
                "output": "meters.out_text",
            },
        ),
    )


@shows("own-prices")
def _own_prices(company: Company) -> Listed:
    return Listed(
        "/o/acme/prices",
        MODEL,
        _PRICES,
        api=Answered(
            "/prices",
            MODEL,
            {
                "input": "meters.in_text",
                "cached_input": "meters.in_cache_read",
                "output": "meters.out_text",
            },
        ),
    )


@shows("proposals")
def _proposals(company: Company) -> Listed:
    rates = {"meters": {**RATES["meters"], "in_text": 4_121_000_000}}
    proposals.draft_price(SYSTEM, PriceKey(MODEL), rates, valid_from=None)
    # 4.121 is 30 % more than 3.17.
    return Listed("/admin/prices/proposals", MODEL, {"percent": "+30.0%"}, who="dora")


@shows("plans")
def _plans(company: Company) -> Listed:
    price_plans.save_plan(SYSTEM, "figures", multiplier_ppm=1_070_000)
    price_plans.assign_plan(SYSTEM, company.other, "figures")
    for team in (company.team, company.people.core):
        price_plans.assign_plan(SYSTEM, team, "figures")
    figures = {"markup": 7, "organisations": 1, "teams": 2, "members": 0}
    return Listed(
        "/admin/plans",
        "figures",
        figures,
        who="dora",
        api=Answered(
            "/plans",
            "figures",
            {"organisations": "organisations", "teams": "teams", "members": "members"},
        ),
    )


@shows("channels")
def _channels(company: Company) -> Listed:
    TrafficBucket.objects.create(
        bucket_at=clock.now(), channel_id=company.channel.id, model=MODEL, attempts=1, failed=0,
        requests=1, failed_requests=0, output_tokens=128, writing_ms=1,
        first_tokens=[int(bound >= TTFT_MS) for bound in FIRST_TOKEN_MS],
    )  # fmt: skip
    figures = {"in_flight": 1, "ttft": About(TTFT_MS, 30), "priority": 3, "weight": 11}
    return Listed(
        "/admin/channels",
        "figures",
        figures,
        who="dora",
        api=Answered("/channels", "figures", {"priority": "priority", "weight": "weight"}),
    )


@shows("shadow-answers")
def _shadow_answers(company: Company) -> Listed:
    ShadowAnswer.objects.create(
        rule=MODEL, request_id=new_id(), model="m-shadow", main_channel="a", main_status=200,
        main_ttft_ms=5, main_total_ms=61_250, main_tokens=1_013, main_finish="stop",
        main_cost_nano=1, channel_id=company.channel.id, channel="figures", upstream_model="u",
        fault="", ttft_ms=6, total_ms=747, tokens=20_011, finish="stop", cost_nano=31_700_000,
        likeness=87, same_structure=None,
    )  # fmt: skip
    figures = {
        "likeness": 87, "main_total": 61_250, "total": 747, "main_tokens": 1_013,
        "tokens": 20_011, "cost": 31_700_000,
    }  # fmt: skip
    return Listed(
        "/admin/models/shadows",
        "m-shadow",
        figures,
        who="dora",
        api=Answered(
            "/shadow-answers",
            "m-shadow",
            {
                "likeness": "likeness",
                "main_total": "main_total_ms",
                "total": "total_ms",
                "main_tokens": "main_tokens",
                "tokens": "tokens",
                "cost": "cost",
            },
        ),
    )


@shows("deliveries")
def _deliveries(company: Company) -> Listed:
    endpoint, _ = endpoints.create_endpoint(SYSTEM, company.acme, "https://figures.example/h")
    delivery = endpoints.send_test(SYSTEM, endpoint)
    at = clock.now().isoformat()
    tries = [
        {"at": at, "status": 500, "error": "", "ms": 7},
        {"at": at, "status": 200, "error": "", "ms": 1_847},
    ]
    Delivery.objects.filter(pk=delivery.pk).update(tries=tries)
    return Listed(
        f"/o/acme/webhooks/{id_text(endpoint.id)}",
        id_text(delivery.fact_id),
        {"duration": 1_847, "attempts": 2},
    )
