"""The company of the pictures: thirty days of a bookshop's use, with people, teams, keys and money.

Its requests were never sent, but each has its attempt, its hold, its record and its postings.
"""

import base64
import datetime as dt
import functools
import json
import random
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from django.db import connection, transaction

from accounts.access.actors import SYSTEM, Actor, actor_of_member
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.keys.keys import mint_key
from accounts.members import invitations, members
from accounts.members.invitations import Offer
from accounts.models import (
    AuditEvent,
    Invitation,
    Key,
    KeyKind,
    Organisation,
    Role,
    SecretUse,
    Team,
    User,
)
from accounts.organisations import organisations, projects, teams
from accounts.single_sign_on import single_sign_on
from billing.balances import balances
from billing.credits import codes, credits, promo
from billing.invoices import invoices
from billing.invoices import pdf as invoice_pdf
from billing.invoices.billing_details import set_buyer, set_seller, zone_of
from billing.limits import budget_increases
from billing.models import Approval, ApprovalState, BooksWalk, BudgetScope, Invoice, PriceVersion
from billing.periods.months import month_span
from billing.price_plans import price_plans
from billing.prices import proposals
from billing.prices.conditions import PriceKey
from billing.prices.own_key_fee import OwnKeyFee
from billing.seals import seals
from billing.subscriptions import subscription_plans, subscriptions
from billing.subscriptions.included_units import UnitTerm
from billing.subscriptions.rules import Terms
from billing.topups import topups
from content.prompts import prompts
from content.prompts.settings import Settings
from gateway.models import Channel, ModelRule
from gateway.own_keys.offers import set_offer
from gateway.own_keys.own_keys import add_own_key
from gateway.prices import previews
from gateway.status import announcements
from lib import clock
from lib.ids import id_text, new_id
from notify.endpoints import endpoints
from playground.preferences.preferences import choose_title_model
from tests.usage.rows import happen, refuse
from usage.books.written_rows import TURN
from usage.limits import budget_simulation
from usage.models import BooksCheck
from usage.months.invoice_lines import gather
from usage.records.partitions import ensure_partitions

DAYS: Final = 30
USD: Final = 10**9
_TEAMS: Final = ("Customer care", "Search", "Data platform")
_PEOPLE: Final = (
    ("lin.wei@riverside.example", "Lin Wei", Role.ADMIN, None),
    ("noor.haddad@riverside.example", "Noor Haddad", Role.DEVELOPER, (0, 1)),
    ("sam.okafor@riverside.example", "Sam Okafor", Role.BILLING, None),
    ("ines.marques@riverside.example", "Inês Marques", Role.DEVELOPER, (2,)),
    ("tomas.novak@riverside.example", "Tomáš Novák", Role.VIEWER, None),
    ("mei.tanaka@riverside.example", "Mei Tanaka", Role.DEVELOPER, (0,)),
)


class _Source(NamedTuple):
    """What one key sends: which model, through which channel, how often a day, and how large."""

    key: str
    model: str
    channel: str
    per_day: int
    tokens_in: int
    tokens_out: int


_SOURCES: Final = (
    _Source("web-chat", "support-chat", "openai-eu", 9, 2_400, 320),
    _Source("web-chat", "summaries", "deepseek", 4, 5_200, 180),
    _Source("nightly-digest", "summaries", "deepseek", 5, 18_000, 700),
    _Source("review-bot", "code-review", "anthropic-eu", 3, 6_000, 400),
    _Source("catalogue-import", "support-chat", "openai-eu", 4, 900, 90),
)
# What its provider takes of what customers pay.
_COST_PERCENT: Final = {"openai-eu": 82, "deepseek": 64, "anthropic-eu": 91}
# Name, price and included usage of a month in USD, and what becomes of more.
_SUBSCRIPTION_PLANS: Final = (
    ("Starter", 10, 10, (), "refuse", "For a first project. It never costs more."),
    (
        "Team",
        50,
        60,
        (UnitTerm("in_text", ("summaries",), 40_000_000),),
        "balance",
        "For teams in production.",
    ),
    (
        "Business",
        400,
        490,
        (UnitTerm("in_text", (), 200_000_000), UnitTerm("images", (), 500)),
        "balance",
        "For several products, with priority support.",
    ),
)
# What an agent is asked, and which of its agents sends each turn.
_SESSIONS: Final[tuple[tuple[str, tuple[dict[str, str], ...]], ...]] = (
    ("Upgrade the search index", ({},) * 5),
    ("Refund form loses its focus", ({},) * 9),
    (
        "Retry with jitter in the importer",
        ({}, {"agent": "tests"}, {"agent": "tests"}, {"agent": "review"}, {}, {}, {}),
    ),
)
_PROMPTS: Final = (
    "Write as a bookseller who knows the shelf: warm, short sentences, no jargon.",
    "Answer in two sentences. Name the order {{order}}, the amount, and the day it arrives.",
)
_OWN_KEY: Final = "sk-of-riverside-3c71"
_FAILURES: Final = (
    ("timeout", 504, "The provider sent nothing for 60 s."),
    ("upstream_rate_limited", 429, "The provider limits how many requests it takes."),
    ("upstream_error", 502, "The provider answered with an internal error."),
)


@transaction.atomic
def make() -> str:
    """Make everything, in a process of the installation; what the pictures' addresses need."""
    _hold_checks()
    owner = User.objects.get(email="demo@weir.example")
    owner.name = "Ada Brook"
    owner.save(update_fields=["name"])
    ours = organisations.create_organisation("Riverside Books", owner=owner, actor=SYSTEM)
    actor = Actor(owner, None, ours, Role.OWNER, operator=True)
    ours.teams.update(name="Website", slug="website")
    groups = [teams.create_team(ours, name, actor=actor) for name in _TEAMS]
    last_month = clock.now().replace(day=1) - dt.timedelta(days=1)
    facts = {"o": f"/o/{ours.slug}", "month": f"{last_month:%Y-%m}"}
    facts |= _add_people(actor, ours, groups)
    keys = _add_keys(actor, ours, groups)
    balances.add_opening_credit(ours, 150 * USD)
    # The demo's small model would name her chats.
    choose_title_model(actor, "")
    # What happened lies in months that an installation of today has no partitions for.
    with patch(
        "usage.records.partitions.clock.now", return_value=clock.now() - dt.timedelta(days=DAYS + 1)
    ):
        ensure_partitions()
    _use(keys)
    facts["session"] = _work_in_sessions(keys["review-bot"])
    _backdate_rows(ours)
    facts |= _add_money(actor, ours, keys)
    facts |= _add_prices(actor, ours)
    facts |= _add_invoice(actor, ours, last_month.date().replace(day=1))
    _add_subscription(actor, ours)
    facts |= _add_announcements(actor)
    webhook, _ = endpoints.create_endpoint(
        actor, ours, "https://ops.riverside.example/hooks/weir", ["budget.reached", "balance.low"]
    )
    endpoints.create_endpoint(actor, ours, "https://hooks.riverside.example/finance")
    facts["webhook"] = id_text(webhook.id)
    facts["offered"] = _add_own_key(actor, ours, groups[2])
    facts["event"] = id_text(AuditEvent.objects.filter(organisation=ours).latest("id").id)
    return json.dumps(facts)


def _hold_checks() -> None:
    """Let no check of the ledger begin before the end of this transaction, which is longer than any
    that runs: it would compare what it summed of the past with another past."""
    BooksCheck.objects.get_or_create(id=1)
    BooksWalk.objects.get_or_create(name=TURN)
    for checks in (BooksCheck.objects.filter(id=1), BooksWalk.objects.filter(name=TURN)):
        checks.select_for_update().get()


def _add_own_key(actor: Actor, ours: Organisation, team: Team) -> str:
    """A provider for which organisations add keys, and a team's key; the id of its channel."""
    channel = Channel.objects.get(name="translation")
    offer = set_offer(
        actor, channel, title="Translation", everyone=True, organisations=[],
        fee=OwnKeyFee(USD // 1000, 0),
    )  # fmt: skip
    add_own_key(actor, ours, team, offer, name="Our contract", secret=_OWN_KEY)
    return id_text(channel.id)


def _add_people(actor: Actor, ours: Organisation, groups: list[Team]) -> dict[str, str]:
    for email, name, role, at in _PEOPLE:
        members.add_person(email, name=name, actor=SYSTEM)
        limited = None if at is None else [groups[n] for n in at]
        members.set_member(ours, email, role, actor=actor, teams=limited)
    auditor = custom_roles.create_role(
        ours, "Auditor", ["audit.read", "usage.read", "requests.read", "balance.read"], actor=actor
    )
    custom_roles.create_role(
        ours, "Prompt editor", ["prompts.read", "playground.use", "usage.read:own"], actor=actor
    )
    colleague = members.set_member(
        ours, "j.rivera@audit.example", Role.CUSTOM, custom_role=auditor, actor=actor, teams=None
    )
    members.add_person("j.rivera@audit.example", name="Julia Rivera", actor=SYSTEM)
    User.objects.filter(email="j.rivera@audit.example").update(name="Julia Rivera")
    sent = invitations.invite(
        ours,
        ["paul.lang@riverside.example", "zhang.min@riverside.example"],
        Offer(Role.DEVELOPER, teams=groups[:1]),
        actor=actor,
    )
    sent += invitations.invite(ours, [], Offer(Role.VIEWER), actor=actor)
    late = sent[1].invitation
    Invitation.objects.filter(id=late.id).update(expires_at=clock.now() - dt.timedelta(days=2))
    project = projects.create_project(groups[0], "Returns assistant", actor=actor)
    projects.create_project(groups[1], "Shelf search", actor=actor)
    projects.create_project(groups[2], "Weekly report", actor=actor)
    account = service_accounts.create_service_account(groups[2], "Nightly jobs", actor=actor)
    service_accounts.create_service_account(groups[0], "Returns bot", Role.VIEWER, actor=actor)
    single_sign_on.save_single_sign_on(
        actor,
        ours,
        secret="of-the-pictures",  # noqa: S106
        issuer="https://login.riverside.example",
        client_id="weir",
        domains=["riverside.example"],
        group_claim="groups",
        group_rules=[{"group": "weir-admins", "role": "admin", "teams": []}],
        required=False,
        default_role="developer",
    )
    others = organisations.create_organisation("Harbour Press", owner=None, actor=SYSTEM)
    organisations.create_organisation("Kestrel Studio", owner=None, actor=SYSTEM)
    organisations.suspend_organisation(others, "Two invoices unpaid", actor=actor)
    noor = ours.memberships.get(user__email="noor.haddad@riverside.example")
    return {
        "member": str(noor.pk),
        "custom": str(colleague.pk),
        "invitation": id_text(sent[0].invitation.id),
        "invite": sent[0].path,
        "role": id_text(auditor.id),
        "team": groups[0].slug,
        "project": project.slug,
        "account": id_text(account.id),
        "suspended": "kestrel-studio",
    }


def _add_keys(actor: Actor, ours: Organisation, groups: list[Team]) -> dict[str, Key]:
    by = {user.email.partition(".")[0]: user for user in User.objects.all()}
    soon = clock.now() + dt.timedelta(days=6)
    account = ours.service_accounts.get(name="Nightly jobs")
    project = ours.projects.get(name="Returns assistant")
    herself = actor_of_member(by["lin"], ours, by["lin"].memberships.get(organisation=ours))
    minted = [
        mint_key(actor, groups[0], "web-chat", user=by["noor"], project=project,
                 model_patterns=["support-*", "summaries"], rpm=600),
        mint_key(actor, groups[2], "nightly-digest", user=None, service_account=account),
        mint_key(actor, groups[1], "review-bot", user=by["noor"], expires_at=soon),
        mint_key(actor, groups[2], "catalogue-import", user=by["ines"], tpm=200_000),
        mint_key(actor, groups[0], "prototype", user=by["mei"], disabled=True),
        mint_key(herself, groups[2], "terraform", user=by["lin"], kind=KeyKind.MANAGEMENT),
    ]  # fmt: skip
    keys = {key.name: key for key, _ in minted}
    return keys


def _use(keys: dict[str, Key]) -> None:
    """A request now and then, less at the weekend, and a failure among forty."""
    dice, used = random.Random(1), dict[str, dt.datetime]()
    for at, source in _moments(dice):
        key, sent = keys[source.key], _sent_by(source.model, source.channel)
        if dice.random() < 1 / 40:
            kind, status, message = dice.choice(_FAILURES)
            failed = {"status": status, "kind": kind, "message": message, "finish_reason": ""}
            happen(key, at, 0, meters={}, ttft_ms=None, basis="none", **failed, **sent)
            continue
        meters = {"in_text": int(source.tokens_in * dice.uniform(0.4, 1.8)),
                  "out_text": int(source.tokens_out * dice.uniform(0.4, 1.8))}  # fmt: skip
        # Few requests, each of a long conversation.
        meters = {name: count * 20 for name, count in meters.items()}
        charge_nano = _charge(source.model, meters)
        took = {"ttft_ms": dice.randint(180, 900), "total_ms": dice.randint(1_200, 9_000),
                "cost_nano": charge_nano * _COST_PERCENT[source.channel] // 100}  # fmt: skip
        happen(key, at, charge_nano, meters=meters, hold_nano=2 * charge_nano, **took, **sent)
        used[source.key] = max(at, used.get(source.key, at))
    for name, at in used.items():
        key = keys[name]
        SecretUse.objects.create(
            digest=key.digest, organisation=key.organisation, key=key, at=at, client="python-openai"
        )
    refuse(keys["web-chat"], clock.now() - dt.timedelta(hours=3), model="support-chat")


@functools.cache
def _charged(model: str) -> PriceVersion:
    return PriceVersion.objects.get(price__model=model, price__kind="charge")


def _charge(model: str, meters: dict[str, int]) -> int:
    """In nano-USD, by the rates for a million."""
    rates = _charged(model).rates["meters"]
    return sum(int(count * rates[name]) for name, count in meters.items()) // 10**6


def _saved(model: str, cached: int) -> int:
    """In nano-USD, what so many input tokens would have cost more if they had not been cached."""
    rates = _charged(model).rates["meters"]
    return int(cached * (rates["in_text"] - rates["in_cache_read"])) // 10**6


@functools.cache
def _sent_by(model: str, channel: str) -> dict[str, Any]:
    """What a request of that model and channel has in each of its rows."""
    return {
        "model": model,
        "upstream_model": model,
        "channel_id": Channel.objects.get(name=channel).id,
        "channel_name": channel,
        "price_version_id": _charged(model).id,
    }


def _work_in_sessions(key: Key) -> str:
    """Of an agent, with sub-agents; the id of the latest."""
    sent = {**_sent_by("code-review", "anthropic-eu"), "client_app": "claude-code"}
    for hours, (name, turns) in zip((50, 26, 2), _SESSIONS, strict=True):
        session, at = new_id(), clock.now() - dt.timedelta(hours=hours)
        for turn, agent in enumerate(turns):
            meters = {"in_text": 1_800 + 400 * turn, "in_cache_read": 9_000 * turn,
                      "out_text": 600 + 90 * turn}  # fmt: skip
            named = {"name": name, "source": "x-claude-code-session-id", **agent}
            charge_nano = _charge("code-review", meters)
            values = {"meters": meters, "session_id": session, "session": named, **sent,
                      "saved_nano": _saved("code-review", meters["in_cache_read"])}  # fmt: skip
            at += dt.timedelta(seconds=40)
            happen(key, at, charge_nano, hold_nano=2 * charge_nano, **values)
    return id_text(session)


# A posting is written when it happens, and never again: these never happened. What was checked and
# sealed before them begins anew, else both would rightly miss them.
_PAST: Final = """
SET LOCAL session_replication_role = replica;
CREATE TEMP TABLE moved ON COMMIT DROP AS
SELECT p.id, uuidv7(at - now()) AS moved_id, at FROM billing_posting p
LEFT JOIN usage_usagerecord r ON r.id = p.attempt_id OR p.idempotency_id = 'hold:' || r.id,
LATERAL (SELECT CASE p.kind WHEN 'opening' THEN now() - make_interval(days => {days})
         WHEN 'hold' THEN r.admitted_at ELSE r.ended_at END AS at) AS moment
WHERE p.organisation_id = '{organisation}';
UPDATE billing_posting p SET id = moved_id, created_at = at FROM moved m WHERE m.id = p.id;
UPDATE accounts_organisation SET created_at = now() - make_interval(days => {days} + 1)
WHERE id = '{organisation}';
DELETE FROM billing_seal;
DELETE FROM billing_checkedsum;
DELETE FROM billing_bookswalk WHERE name <> '{turn}';
SET LOCAL session_replication_role = origin;
"""


def _backdate_rows(ours: Organisation) -> None:
    with connection.cursor() as cursor:
        cursor.execute(seals.LOCK)
        cursor.execute(_PAST.format(days=DAYS + 1, organisation=ours.id, turn=TURN))


def _moments(dice: random.Random) -> Iterator[tuple[dt.datetime, _Source]]:
    now = clock.now()
    for day in range(DAYS - 1, -1, -1):
        quiet = (now - dt.timedelta(days=day)).isoweekday() > 5
        for source in _SOURCES:
            for _ in range(source.per_day // (3 if quiet else 1)):
                minutes = dice.randint(1, 600)
                yield now - dt.timedelta(days=day, minutes=minutes), source


def _add_money(actor: Actor, ours: Organisation, keys: dict[str, Key]) -> dict[str, str]:
    ids = {team.slug: str(team.id) for team in ours.teams.all()}
    budgets = [
        budget_simulation.create_budget(SYSTEM, ours, scope=scope, subject=subject,
                                amount_nano=amount * USD, period="month")
        for scope, subject, amount in (
            (BudgetScope.TEAM, ids["customer-care"], 34),
            (BudgetScope.TEAM, ids["search"], 60),
            (BudgetScope.KEY, str(keys["nightly-digest"].id), 22),
            (BudgetScope.MODEL, "code-*", 45),
        )
    ]  # fmt: skip
    noor = User.objects.get(email__startswith="noor")
    membership = noor.memberships.get(organisation=ours)
    more = budget_increases.ask_for_more(
        actor_of_member(noor, ours, membership),
        budgets[0],
        amount_nano=40 * USD,
        until=clock.now() + dt.timedelta(days=9),
        reason="The Christmas catalogue goes out on Monday.",
    )
    top_up = topups.order_top_up(actor, ours, 200 * USD, processor="manual")
    paid = topups.order_top_up(actor, ours, 100 * USD, processor="manual")
    for order in (top_up, paid):
        topups.open_checkout(order)
    topups.confirm_transfer(actor, paid, "Bank statement of 18 November")
    credit = credits.request_credit(actor, ours, 5_000 * USD, reason="Yearly contract 2027")
    credits.request_credit(actor, ours, 12 * USD, reason="Slow answers on 9 November")
    batch = codes.create_batch(SYSTEM, "Book fair", 10 * USD, 50)
    codes.download_codes(SYSTEM, batch)
    codes.create_batch(actor, "Partners", 5 * USD, 10)
    return {
        "budget": str(budgets[0].id),
        "more": id_text(more.id),
        "top_up": id_text(top_up.id),
        "approval": Approval.objects.get(subject=credit.outer_id).outer_id,
        "batch": id_text(batch.id),
        "key": id_text(keys["web-chat"].id),
    }


def _add_invoice(actor: Actor, ours: Organisation, month: dt.date) -> dict[str, str]:
    """The last month's, closed by another operator than the one who proposed it."""
    set_seller(actor, legal_name="Weir Operations Ltd", address="1 Lock Lane, Galway",
               country="IE", tax_id="IE1234567T")  # fmt: skip
    set_buyer(actor, ours, "Europe/Dublin", legal_name="Riverside Books Ltd",
              address="8 Quay Street, Galway", country="IE", tax_id="IE7654321A")  # fmt: skip
    zone = zone_of(ours)
    span = month_span(month, zone)
    month_lines = gather(ours, zone, span)
    draft = invoices.draft_invoice(ours, month, zone, span, month_lines.lines, month_lines.movement)
    proposed = invoices.propose_invoice(actor, draft)
    other = User.objects.get(email__startswith="sam")
    second = Actor(other, None, None, None, operator=True)
    closed = invoices.close_document(second, proposed)
    asked = Approval.objects.filter(kind=invoices.INVOICE, subject=id_text(closed.id))
    asked.update(state=ApprovalState.APPROVED, decided_by=other, decided_at=clock.now())
    return {"invoice": str(closed.number)}


def invoice_page(number: str) -> str:
    """The first page of the PDF of an invoice as PNG, in base64."""
    invoice = Invoice.objects.get(number=number)
    return base64.b64encode(invoice_pdf.invoice_picture(invoice, "en")).decode()


def _add_subscription(actor: Actor, ours: Organisation) -> None:
    for name, price, included, units, overage, about in _SUBSCRIPTION_PLANS:
        terms = Terms(price * USD, included * USD, units)
        # Another than who wrote a plan with units has to offer it.
        written = subscription_plans.write_plan(
            SYSTEM, name, terms, description=about, overage=overage
        )
        plan = subscription_plans.offer_plan(actor, written)
        if name == "Team":
            subscriptions.choose_plan(actor, ours, plan)
    promo.count_spending(ours.id)


def _add_announcements(actor: Actor) -> dict[str, str]:
    soon = clock.now() + dt.timedelta(days=2)
    planned = announcements.publish_announcement(
        actor,
        title="Maintenance on Sunday",
        text="Between 06:00 and 06:30 UTC, answers may take longer.",
        tone="info",
        starts_at=soon,
        ends_at=soon + dt.timedelta(days=1),
    )
    past = announcements.publish_announcement(
        actor,
        title="Slow answers of support-chat",
        text="The provider has repaired it.",
        tone="warn",
        starts_at=clock.now() - dt.timedelta(days=9),
        ends_at=None,
    )
    announcements.end_announcement(actor, past)
    return {"announcement": id_text(planned.id)}


def _add_prices(actor: Actor, ours: Organisation) -> dict[str, str]:
    version = PriceVersion.objects.get(price__model="support-chat", price__kind="charge")
    draft = proposals.draft_price(
        actor,
        PriceKey("support-chat"),
        {"meters": {"in_text": 15 * 10**8, "out_text": 12 * 10**9}},
        valid_from=None,
    )
    preview = previews.start_preview(actor, [draft.id], 7)
    plan = price_plans.save_plan(actor, "partners", multiplier_ppm=1_100_000)
    voice, refund = (Settings(system=text) for text in _PROMPTS)
    prompts.save_prompt(actor, "Tone of voice", "support-chat", voice, note="", shared=True)
    prompt = prompts.save_prompt(
        actor, "Refund answer", "support-chat", refund, note="Shorter", shared=True
    )
    return {
        "price": str(version.price_id),
        "version": str(version.id),
        "draft": id_text(draft.id),
        "preview": id_text(preview.id),
        "plan": str(plan.id),
        "prompt": prompt.prompt.slug,
        "channel": id_text(Channel.objects.get(name="openai-eu").id),
        "paid": id_text(Channel.objects.get(name="deepseek").id),
        "rule": str(ModelRule.objects.get(model="support-chat").id),
    }
