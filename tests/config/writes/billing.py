"""Writes of billing."""

import datetime as dt
from typing import Final

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from billing.approvals import approvals
from billing.balances.credit_line import set_credit_line
from billing.credits import codes, credits
from billing.currency import exchange_rates
from billing.invoices import billing_details
from billing.limits import (
    budget_alerts,
    budget_increases,
    budgets,
    charge_rule_settings,
    ended_sessions,
)
from billing.limits.charge_rule import MEASURED
from billing.models import Budget, TopUp, TopUpState
from billing.price_plans import price_plans
from billing.prices import prices, proposals
from billing.prices.catalogue.catalogue import CatalogueRow
from billing.prices.conditions import PriceKey
from billing.safeguards import safeguards
from billing.topups import automatic as automatic_topups
from billing.topups import topups
from billing.trials import trials
from billing.wallets import low_balance
from lib import clock
from tests.config.writes.world import NANO, RATES, Writes
from tests.support.approving import waiting_approval
from usage.limits import budget_simulation

SOURCE: Final = f"{prices.CATALOGUE} test"
ROW: Final = CatalogueRow("m-5", None, "test", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None, RATES)
BEFORE: Final[Writes] = {
    "billing.limits.budgets.restore_budget": lambda w: budgets.remove_budget(SYSTEM, w.budget),
    "billing.limits.budgets.set_own_amount": lambda w: budget_simulation.create_budget(
        SYSTEM, w.people.acme, scope="end_user", subject="", amount_nano=7, period="day"
    ),
    "billing.limits.ended_sessions.reopen_session": lambda w: ended_sessions.end_session(
        w.alice, w.people.acme, w.key.id, "Fix the parser"
    ),
    "billing.limits.budgets.transfer_budgets": lambda w: keys.revoke_key(SYSTEM, w.bobs),
    "billing.limits.budget_increases.end_raise": lambda w: budget_increases.approve(
        w.alice, w.asked
    ),
    "billing.prices.prices.remove_price": lambda w: prices.end_price(
        SYSTEM, w.version, clock.now() + dt.timedelta(days=1)
    ),
    "billing.topups.topups.cancel_transfer operator": lambda w: TopUp.objects.filter(
        id=w.top_up.id
    ).update(state=TopUpState.PENDING, payment_id="bank 7"),
    "billing.topups.topups.confirm_transfer": lambda w: topups.keep_checkout(
        w.top_up, "transfer-1", ""
    ),
}
WRITES: Final[Writes] = {
    "billing.trials.trials.save_trial_setting": lambda w: trials.save_trial_setting(
        w.dora, amount="5"
    ),
    "billing.safeguards.safeguards.set_safeguard": lambda w: safeguards.set_safeguard(
        w.dora, "credit_limit", 50 * NANO
    ),
    "billing.limits.ended_sessions.end_session": lambda w: ended_sessions.end_session(
        w.alice, w.people.acme, w.key.id, "Fix the parser"
    ),
    "billing.limits.ended_sessions.reopen_session": lambda w: ended_sessions.reopen_session(
        w.alice, w.people.acme, w.key.id, "Fix the parser"
    ),
    "billing.limits.budget_alerts.send_test": lambda w: budget_alerts.send_test(w.alice, w.budget),
    "billing.limits.budgets.change_budget": lambda w: budget_simulation.change_budget(
        w.alice, w.budget, amount_nano=5
    ),
    "billing.limits.budgets.create_budget": lambda w: budget_simulation.create_budget(
        w.alice, w.people.acme, scope="organisation", subject="", amount_nano=5, period="day"
    ),
    "billing.limits.budgets.transfer_budgets": lambda w: budgets.transfer_budgets(
        w.alice, w.bobs, w.key
    ),
    "billing.limits.budgets.remove_budget": lambda w: budgets.remove_budget(w.alice, w.budget),
    "billing.limits.budgets.set_own_amount": lambda w: budgets.set_own_amount(
        w.alice, Budget.objects.get(scope="end_user"), "ana@chat", 5
    ),
    "billing.limits.budgets.restore_budget": lambda w: budget_simulation.restore_budget(
        w.alice, str(w.budget.id)
    ),
    "billing.credits.codes.import_codes": lambda w: codes.import_codes(
        w.dora, "brought", 1, ["0" * 32]
    ),
    "billing.credits.codes.create_batch": lambda w: codes.create_batch(
        w.dora, "more", value_nano=1, count=1
    ),
    "billing.credits.codes.download_codes": lambda w: codes.download_codes(
        w.dora, codes.create_batch(SYSTEM, "new", value_nano=1, count=1)
    ),
    "billing.invoices.billing_details.add_tax_rate": lambda w: billing_details.add_tax_rate(
        w.dora, "VAT", "de", "19", clock.now().date()
    ),
    "billing.currency.exchange_rates.add_rates": lambda w: exchange_rates.add_rates(
        w.dora, [exchange_rates.RateFields("EUR", clock.now().date(), "0.92")]
    ),
    "billing.invoices.billing_details.set_buyer": lambda w: billing_details.set_buyer(
        w.alice, w.people.acme, "Asia/Kolkata", legal_name="Acme Ltd"
    ),
    "billing.invoices.billing_details.set_seller": lambda w: billing_details.set_seller(
        w.dora, legal_name="Weir Ltd"
    ),
    "billing.credits.codes.kill_batch": lambda w: codes.kill_batch(w.dora, w.batch),
    "billing.credits.codes.redeem": lambda w: codes.redeem(w.alice, w.people.acme, w.code),
    "billing.credits.codes.try_code": lambda w: codes.try_code(
        w.alice, w.people.acme, w.code, "127.0.0.1"
    ),
    "billing.approvals.approvals.request_approval": lambda w: approvals.request_approval(
        w.dora, credits.CORRECTION, "none", [], about="Acme"
    ),
    "billing.approvals.approvals.decide": lambda w: approvals.decide(
        w.otto, waiting_approval(credits.CORRECTION, w.credit), approve=True
    ),
    "billing.approvals.approvals.withdraw_waiting": lambda w: approvals.withdraw_waiting(
        w.otto, credits.CORRECTION, w.credit.outer_id
    ),
    "billing.credits.credits.request_credit": lambda w: credits.request_credit(
        w.dora, w.people.acme, NANO, reason="r"
    ),
    "billing.price_plans.price_plans.assign_plan": lambda w: price_plans.assign_plan(
        w.dora, w.people.acme, "retail"
    ),
    "billing.price_plans.price_plans.remove_plan": lambda w: price_plans.remove_plan(
        w.dora, w.plan
    ),
    "billing.price_plans.price_plans.save_plan": lambda w: price_plans.save_plan(
        w.dora, "retail", models=["gpt-*"]
    ),
    "billing.prices.prices.end_price": lambda w: prices.end_price(
        w.dora, w.version, clock.now() + dt.timedelta(days=1)
    ),
    "billing.prices.prices.load_catalogue": lambda w: prices.load_catalogue(w.dora, [ROW], SOURCE),
    "billing.prices.prices.remove_price": lambda w: prices.remove_price(
        w.dora,
        prices.set_price(SYSTEM, "m-9", clock.now() + dt.timedelta(days=1), RATES, source="t"),
    ),
    "billing.prices.prices.set_price": lambda w: prices.set_price(
        w.dora, "m-3", clock.now(), RATES, source="test"
    ),
    "billing.prices.proposals.accept": lambda w: proposals.accept(w.dora, [w.draft.id]),
    "billing.prices.proposals.draft_price": lambda w: proposals.draft_price(
        w.dora, PriceKey("m-4"), RATES, valid_from=None
    ),
    "billing.prices.proposals.ignore": lambda w: proposals.ignore(w.dora, [w.draft.id]),
    "billing.prices.proposals.propose_upstream": lambda w: proposals.propose_upstream(
        w.dora, {PriceKey("m-1", "cost", "main"): RATES}, "upstream main", ended=[]
    ),
    "billing.prices.proposals.propose_list": lambda w: proposals.propose_list(
        w.dora, {PriceKey("m-9"): RATES}, "list x"
    ),
    "billing.prices.proposals.propose_catalogue": lambda w: proposals.propose_catalogue(
        w.dora, [ROW], SOURCE
    ),
    "billing.limits.budget_increases.approve": lambda w: budget_increases.approve(w.alice, w.asked),
    "billing.limits.budget_increases.ask_for_more": lambda w: budget_increases.ask_for_more(
        w.bob,
        budget_simulation.create_budget(
            SYSTEM,
            w.people.acme,
            scope="user",
            subject=str(w.people.bob.id),
            amount_nano=5,
            period="day",
        ),
        amount_nano=5,
        until=clock.now() + dt.timedelta(days=1),
        reason="r",
    ),
    "billing.limits.budget_increases.deny_all_of": lambda w: budget_increases.deny_all_of(
        w.alice, w.people.bob, w.people.acme
    ),
    "billing.limits.budget_increases.deny": lambda w: budget_increases.deny(w.alice, w.asked, "no"),
    "billing.limits.budget_increases.end_raise": lambda w: budget_increases.end_raise(
        w.alice, w.asked
    ),
    "billing.topups.topups.cancel_transfer": lambda w: topups.cancel_transfer(
        w.alice, w.top_up, by_operator=False
    ),
    "billing.topups.topups.cancel_transfer operator": lambda w: topups.cancel_transfer(
        w.dora, w.top_up, by_operator=True
    ),
    "billing.topups.topups.confirm_transfer": lambda w: topups.confirm_transfer(
        w.dora, w.top_up, "bank 1"
    ),
    "billing.topups.topups.order_top_up": lambda w: topups.order_top_up(
        w.alice, w.people.acme, 25 * NANO, processor="manual"
    ),
    "billing.limits.charge_rule_settings.set_charge_rule": lambda w: (
        charge_rule_settings.set_charge_rule(w.dora, w.people.acme, MEASURED)
    ),
    "billing.balances.credit_line.set_credit_line": lambda w: set_credit_line(
        w.people.acme, NANO, actor=w.dora
    ),
    "billing.topups.automatic.set_automatic": lambda w: automatic_topups.set_automatic(
        w.alice, w.people.acme, enabled=False, below_nano=NANO, amount_nano=25 * NANO
    ),
    "billing.wallets.low_balance.set_low_balance": lambda w: low_balance.set_low_balance(
        w.alice, w.people.acme, 5
    ),
}
