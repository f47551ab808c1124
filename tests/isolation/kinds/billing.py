"""Whatever of billing an address names: budgets, payments, prices."""

import datetime as dt
from dataclasses import replace
from typing import Final

from accounts.access.actors import SYSTEM
from billing.credits import codes, credits
from billing.limits import budgets
from billing.models import Budget, BudgetRaise, Credit, Posting, PriceProposal
from billing.price_plans import price_plans
from billing.prices import prices, proposals
from billing.prices.conditions import PriceKey
from billing.subscriptions import subscription_plans
from billing.subscriptions.rules import Terms
from billing.topups import topups
from lib import clock
from lib.ids import id_text, new_id
from tests.isolation.world import (
    IN_ORGANISATION,
    NANO,
    Kind,
    Place,
    World,
    no_number,
    of_installation,
    personal,
)
from tests.support import cast
from tests.support.approving import waiting_approval
from tests.support.invoicing import empty_invoice
from usage.limits import budget_simulation

RATES: Final = {"meters": {"in_text": 150_000_000, "out_text": 600_000_000}}


def _new_budget(at: Place) -> int:
    """A budget of a key of its own."""
    key, _ = cast.make_key(at.team, f"bound {new_id()} {at.word}", user=at.user)
    return budget_simulation.create_budget(
        SYSTEM, at.organisation, scope="key", subject=str(key.id), amount_nano=10 * NANO,
        period="month", timezone="UTC",
    ).id  # fmt: skip


def _budget(world: World, at: Place) -> str:
    return str(_new_budget(at))


def _removed_budget(world: World, at: Place) -> str:
    id = _new_budget(at)
    budgets.remove_budget(SYSTEM, Budget.objects.get(id=id))
    return str(id)


def _end_users_budget(world: World, at: Place) -> str:
    existing = Budget.objects.filter(organisation=at.organisation, scope="end_user").first()
    budget = existing or budget_simulation.create_budget(
        SYSTEM, at.organisation, scope="end_user", subject="", amount_nano=10 * NANO,
        period="month", timezone="UTC",
    )  # fmt: skip
    return str(budget.id)


def _raise(world: World, at: Place) -> str:
    budget_raise = BudgetRaise.objects.create(
        budget_id=_new_budget(at), asked_by=at.user, amount_nano=NANO,
        until=clock.now() + dt.timedelta(days=2), reason=f"Reason {at.word}",
    )  # fmt: skip
    return id_text(budget_raise.id)


def _top_up(world: World, at: Place) -> str:
    buyer = cast.actor(at.user, at.organisation)
    return id_text(topups.order_top_up(buyer, at.organisation, 25 * NANO, processor="manual").id)


def _invoice(world: World, at: Place) -> str:
    return id_text(empty_invoice(at.organisation, world.dora, at.user).id)


def _document(world: World, at: Place) -> str:
    return id_text(empty_invoice(world.acme).id)


def _credit(world: World, at: Place) -> str:
    created = credits.request_credit(cast.actor(world.dora), world.acme, 5_000 * NANO, reason="r")
    return id_text(created.id)


def _approval(world: World, at: Place) -> str:
    _credit(world, at)
    asked_for = Credit.objects.latest("id")
    return waiting_approval(credits.CORRECTION, asked_for).outer_id


def _posting(world: World, at: Place) -> str:
    return id_text(Posting.objects.filter(organisation=world.acme).latest("id").id)


def _code_batch(world: World, at: Place) -> str:
    return id_text(codes.create_batch(SYSTEM, "spring", value_nano=NANO, count=2).id)


def _version(world: World, at: Place) -> str:
    at_time = clock.now() + dt.timedelta(days=9)
    return str(prices.set_price(SYSTEM, f"m-{new_id()}", at_time, RATES, source="test").id)


def _price(world: World, at: Place) -> str:
    version = prices.set_price(SYSTEM, f"m-{new_id()}", clock.now(), RATES, source="test")
    return str(version.price_id)


def proposal_row() -> PriceProposal:
    return proposals.draft_price(SYSTEM, PriceKey(f"m-{new_id()}"), RATES, valid_from=None)


def _proposal(world: World, at: Place) -> str:
    return id_text(proposal_row().id)


def _plan(world: World, at: Place) -> str:
    return str(price_plans.save_plan(SYSTEM, f"plan {new_id()}", multiplier_ppm=2_000_000).id)


def _subscription_plan(world: World, at: Place) -> str:
    terms = Terms(20 * 10**9, 25 * 10**9)
    plan = subscription_plans.write_plan(cast.actor(world.dora), f"plan {new_id()}", terms)
    return id_text(plan.id)


# Of an organisation or a team.
TOP_UP: Final = Kind("top-up", "topups.read", _top_up, wheres=IN_ORGANISATION, of_organisation=True)
INVOICE: Final = Kind(
    "invoice", "balance.read", _invoice, wheres=IN_ORGANISATION, of_organisation=True
)
# Of a person, in an organisation.
BUDGET: Final = personal("budget", "budgets.read", _budget, missing=no_number)
LINKED_BUDGET: Final = replace(BUDGET, name="linked budget", read=None, of_members=True)
REMOVED_BUDGET: Final = personal(
    "removed budget", "budgets.read", _removed_budget, missing=no_number
)
RAISE: Final = personal("raise", "budgets.ask", _raise, reach="budgets.write", by_role=True)
END_USERS_BUDGET: Final = Kind(
    "budget of each end user", "budgets.read", _end_users_budget, wheres=IN_ORGANISATION,
    of_organisation=True, missing=no_number,
)  # fmt: skip
# Of the installation.
SUBSCRIPTION_PLAN: Final = of_installation("subscription plan", "credits.read", _subscription_plan)
APPROVAL: Final = of_installation("approval", "credits.read", _approval)
CREDIT: Final = of_installation("credit", "credits.read", _credit)
POSTING: Final = of_installation("posting", "credits.read", _posting)
DOCUMENT: Final = of_installation("document", "credits.read", _document)
PAYMENT: Final = of_installation("payment", "credits.read", _top_up)
CODE_BATCH: Final = of_installation("code batch", "codes.read", _code_batch)
VERSION: Final = of_installation("price version", "prices.write", _version, missing=no_number)
PRICE: Final = of_installation("price", "prices.write", _price, missing=no_number)
PROPOSAL: Final = of_installation("proposal", "prices.write", _proposal)
PLAN: Final = of_installation("plan", "prices.write", _plan, missing=no_number)
