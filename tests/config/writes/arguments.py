"""Each optional argument of each write, with values that must be seen afterwards: unlike what the
write does without it, and unlike each other. `None`, nothing and "unchanged" are told apart so."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from accounts.access.actors import SYSTEM
from accounts.keys import keys, service_accounts
from accounts.mail_server import mail_server
from accounts.members import invitations, members
from accounts.models import KeyKind, Role
from accounts.organisations import organisations, projects, teams
from accounts.sign_up import sign_up
from billing.approvals import approvals
from billing.credits import codes, credits
from billing.invoices import billing_details
from billing.limits import budget_increases, budgets
from billing.limits.budgets import BudgetPolicy
from billing.limits.policy_budgets import PolicyBudget
from billing.models import CreditKind
from billing.price_plans import price_plans
from billing.prices import prices, proposals
from billing.prices.conditions import PriceKey
from billing.prices.own_key_fee import OwnKeyFee
from billing.safeguards import safeguards
from billing.trials import trials
from content.guards.rules import GuardRule
from content.policies import policies
from content.policies.policies import Assigned
from content.rules import log_rules
from gateway.catalogue import updates
from gateway.model_entries import entries
from gateway.own_keys import offers, own_keys
from gateway.prices.upstream_prices import upstream_prices
from gateway.settings import installation
from lib import clock
from notify.endpoints import endpoints
from tests.config.writes.world import NANO, RATES, World
from usage.limits import budget_simulation
from usage.limits.budget_simulation import look_back
from usage.overview import chart_notes


class Arguments(NamedTuple):
    """How a write is called with what is given, and the values of each argument."""

    call: Callable[..., object]
    values: Mapping[str, Sequence[Any] | Callable[[World], Sequence[Any]]]


LATER: Final = dt.datetime(2031, 2, 3, tzinfo=dt.UTC)


def _role(w: World) -> Sequence[Any]:
    return [w.role]


def _save_trial(w: World, **given: Any) -> None:
    trials.save_trial_setting(w.dora, amount="7", once="person", days=17)
    trials.save_trial_setting(w.dora, **given)


def _sign_up(w: World, **given: Any) -> None:
    domains = [{"domain": "c.example", "organisation": "acme", "role": "viewer"}]
    sign_up.save_sign_up(SYSTEM, mode="off", captcha=True, domains=domains)
    sign_up.save_sign_up(w.dora, **given)


def _settings(w: World, **given: Any) -> None:
    installation.save_settings(
        SYSTEM, egress_allow=["10.0.0.0/8"], egress_allow_users=["10.1.0.0/16"],
        unpriced_models="free", public_models=True, public_status=True, prefix_sessions=True,
        task_result_days=17, backup_every_hours=24, backup_hour=17, backup_folder="backups/a",
        backup_keep=3,
    )  # fmt: skip
    installation.save_settings(w.dora, **given)


def _offer(w: World, **given: Any) -> Any:
    return offers.set_offer(
        SYSTEM, w.channel, **{"title": "Own", "everyone": False, "fee": OwnKeyFee(), **given}
    )


def _own_key(w: World, **given: Any) -> Any:
    return own_keys.add_own_key(
        w.alice, w.people.acme, None, _offer(w, everyone=True),
        **{"name": "ours", "secret": "sk-own-key-secret", **given},
    )  # fmt: skip


def _entry(w: World, **given: Any) -> None:
    entries.save_entry(SYSTEM, "m-1", aliases=["fast"], context_max=7)
    entries.save_entry(w.dora, "m-1", **given)


def _plan(w: World, **given: Any) -> None:
    price_plans.save_plan(SYSTEM, "retail", multiplier_ppm=1_500_000, models=["m-*"])
    price_plans.save_plan(w.dora, "retail", **given)


def _restored(w: World, **given: Any) -> None:
    budgets.remove_budget(SYSTEM, w.budget)
    budget_simulation.restore_budget(w.alice, str(w.budget.id), **given)


def _rule(w: World, **given: Any) -> None:
    rule = updates.add_ignore_rule(w.dora, "m-*", "price")
    updates.change_ignore_rule(w.dora, rule, **given)


_BUDGET: Final = PolicyBudget(amount_nano=5, period="week")
_GUARD: Final = GuardRule("email", {}, ["request"], "mask", "no_email")


def _policy(w: World, **given: Any) -> None:
    policy = policies.create_policy(
        w.alice,
        w.people.acme,
        look_back,
        name="People",
        rules=[_GUARD],
        assigned=[Assigned("organisation")],
        budgets=[PolicyBudget(amount_nano=3, period="day")],
    )
    policies.change_policy(w.alice, policy, look_back, **given)


def _team(w: World) -> list[Assigned]:
    return [Assigned("team", str(w.people.core.id))]


def _note(w: World, **given: Any) -> None:
    note = chart_notes.add_note(w.alice, clock.now(), "Raised the limits")
    chart_notes.change_note(w.alice, note, **given)


ARGUMENTS: Final[Mapping[str, Arguments]] = {
    "accounts.keys.keys.import_hashed_key": Arguments(
        lambda w, **given: keys.import_hashed_key(w.alice, w.people.core, "h", b"x" * 32, **given),
        {"user": lambda w: [w.people.bob]},
    ),
    "accounts.keys.keys.import_key": Arguments(
        lambda w, **given: keys.import_key(w.alice, w.people.core, "b", "x" * 30, **given),
        {"user": lambda w: [w.people.bob], "service_account": lambda w: [w.account]},
    ),
    "accounts.keys.keys.mint_key": Arguments(
        lambda w, **given: keys.mint_key(
            w.alice, w.people.core, "more", **{"user": w.people.alice, **given}
        ),
        {
            "kind": [KeyKind.MANAGEMENT], "project": lambda w: [w.project],
            "model_patterns": [["m-*"], ["n-*"]], "expires_at": [LATER],
        },
    ),
    "accounts.keys.service_accounts.change_service_account": Arguments(
        lambda w, **given: service_accounts.change_service_account(
            w.account, disabled=False, actor=w.alice,
            role=Role.CUSTOM if given else Role.VIEWER, **given,
        ),
        {"custom_role": _role},
    ),
    "accounts.keys.service_accounts.create_service_account": Arguments(
        lambda w, **given: service_accounts.create_service_account(
            w.people.core, "more", actor=w.alice, **given
        ),
        {"role": [Role.VIEWER]},
    ),
    "accounts.mail_server.mail_server.save_mail_server": Arguments(
        lambda w, **given: mail_server.save_mail_server(
            w.dora, host="mail.example.org", port=25, encryption="tls",
            password="p" if "username" in given else "", **given,
        ),
        {"username": ["weir"], "sender": ["weir@example.org"]},
    ),
    "accounts.members.invitations.resend": Arguments(
        lambda w, **given: invitations.resend(w.invitation, actor=w.alice, **given),
        {"days": [1, 30]},
    ),
    "accounts.members.members.add_person": Arguments(
        lambda w, **given: members.add_person("new@example.org", actor=w.dora, **given),
        {"name": ["New One"], "operator": [True]},
    ),
    "accounts.members.members.set_member": Arguments(
        lambda w, **given: members.set_member(
            w.people.acme, w.people.bob.email,
            Role.CUSTOM if "custom_role" in given else Role.VIEWER, actor=w.alice, **given,
        ),
        {"custom_role": _role, "teams": lambda w: [[w.second], [w.people.core]]},
    ),
    "accounts.organisations.organisations.create_organisation": Arguments(
        lambda w, **given: organisations.create_organisation(
            "New", owner=w.people.alice, actor=w.alice, **given
        ),
        {"slug": ["another"]},
    ),
    "accounts.organisations.projects.create_project": Arguments(
        lambda w, **given: projects.create_project(w.second, "Search", actor=w.alice, **given),
        {"slug": ["another"]},
    ),
    "accounts.organisations.teams.create_team": Arguments(
        lambda w, **given: teams.create_team(w.people.acme, "third", actor=w.alice, **given),
        {"slug": ["another"]},
    ),
    "accounts.sign_up.sign_up.save_sign_up": Arguments(
        _sign_up,
        {"mode": ["invite"], "captcha": [False], "domains": [[]]},
    ),
    "billing.approvals.approvals.request_approval": Arguments(
        lambda w, **given: approvals.request_approval(
            w.dora, credits.CORRECTION, "none", [], about="Acme", **given
        ),
        {"organisation": lambda w: [w.people.acme], "reason": ["as agreed"]},
    ),
    "billing.credits.codes.create_batch": Arguments(
        lambda w, **given: codes.create_batch(w.dora, "more", value_nano=7, count=1, **given),
        {"max_uses": [7], "expires_at": [LATER], "credit_days": [7]},
    ),
    "billing.credits.codes.import_codes": Arguments(
        lambda w, **given: codes.import_codes(
            w.dora, "brought", 7, ["0" * 32], **given
        ),
        {"expires_at": [LATER]},
    ),
    "billing.credits.credits.request_credit": Arguments(
        lambda w, **given: credits.request_credit(
            w.dora, w.people.acme, NANO, **{"reason": "r", **given}
        ),
        {"kind": [CreditKind.PROMO], "document": ["note 7"]},
    ),
    "billing.invoices.billing_details.add_tax_rate": Arguments(
        lambda w, **given: billing_details.add_tax_rate(
            w.dora, "VAT", "DE", "19", LATER.date(), **given
        ),
        {"reverse_charge_text": ["You owe the tax."]},
    ),
    "billing.limits.budget_increases.approve": Arguments(
        lambda w, **given: budget_increases.approve(w.alice, w.asked, **given),
        {"answer": ["Just this once"]},
    ),
    "billing.limits.budgets.change_budget": Arguments(
        lambda w, **given: budget_simulation.change_budget(
            w.alice, w.budget, **{"enabled": False, **given}
        ),
        {"amount_nano": [7, 0]},
    ),
    "billing.limits.budgets.create_budget": Arguments(
        lambda w, **given: budget_simulation.create_budget(
            w.alice, w.people.acme, scope="organisation", subject="", amount_nano=5, period="week",
            **given,
        ),
        {
            "anchor": [3, 4], "timezone": ["Asia/Tokyo"],
            "policy": [BudgetPolicy(UUID(int=1), "Thrift"), BudgetPolicy(UUID(int=1), "People")],
        },
    ),
    "billing.limits.budgets.restore_budget": Arguments(_restored, {"enabled": [False]}),
    "billing.price_plans.price_plans.save_plan": Arguments(
        _plan, {"multiplier_ppm": [1_250_000, 0], "models": [[], ["n-*"]]}
    ),
    "billing.prices.prices.set_price": Arguments(
        lambda w, **given: prices.set_price(w.dora, "m-3", clock.now(), RATES, source="t", **given),
        {"valid_to": [LATER]},
    ),
    "billing.prices.proposals.draft_price": Arguments(
        lambda w, **given: proposals.draft_price(
            w.dora, PriceKey("m-4"), RATES, valid_from=None, **given
        ),
        {"note": ["as agreed"]},
    ),
    "billing.safeguards.safeguards.set_safeguard": Arguments(
        lambda w, **given: safeguards.set_safeguard(w.dora, "credit_limit", 7 * NANO, **given),
        {"organisation": lambda w: [w.people.acme]},
    ),
    "billing.trials.trials.save_trial_setting": Arguments(
        _save_trial, {"amount": ["0", "5"], "once": ["domain"], "days": [None, 5]}
    ),
    "content.policies.policies.change_policy": Arguments(
        _policy,
        {
            "name": ["Persons"], "rules": [[]], "budgets": [[], [_BUDGET]],
            "assigned": lambda w: [[], _team(w)],
        },
    ),
    "content.policies.policies.create_policy": Arguments(
        lambda w, **given: policies.create_policy(
            w.alice, w.people.acme, look_back, name="People", **given
        ),
        {
            "rules": [[_GUARD]], "budgets": [[_BUDGET]],
            "assigned": lambda w: [[Assigned("organisation")], _team(w)],
        },
    ),
    "content.rules.log_rules.add_rule": Arguments(
        lambda w, **given: log_rules.add_rule(
            w.alice, w.people.acme, scope="model" if given.get("subject") else "organisation",
            **given,
        ),
        {
            "subject": ["m-*", "n-*"], "keep": ["errors", "nothing"], "share_percent": [1, 50],
            "retention_hours": [1, 720], "callers_may_opt_out": [False],
            "redact": [[], ["email"]],
        },
    ),
    "gateway.catalogue.updates.change_ignore_rule": Arguments(
        _rule, {"model": ["n-*"], "field": ["", "vision"]}
    ),
    "gateway.model_entries.entries.save_entry": Arguments(_entry, {"aliases": [[], ["slow"]]}),
    "gateway.own_keys.offers.set_offer": Arguments(
        _offer, {"organisations": lambda w: [[w.people.acme]]}
    ),
    "gateway.own_keys.own_keys.add_own_key": Arguments(_own_key, {"fall_back": [True]}),
    "gateway.own_keys.own_keys.change_own_key": Arguments(
        lambda w, **given: own_keys.change_own_key(w.alice, _own_key(w, fall_back=True), **given),
        {"name": ["theirs"], "enabled": [False], "fall_back": [False]},
    ),
    "gateway.prices.upstream_prices.upstream_prices.follow_prices": Arguments(
        lambda w, **given: upstream_prices.follow_prices(w.dora, w.channel, **given),
        {"group": ["vip"], "markup_ppm": [0, 1_250_000]},
    ),
    "gateway.settings.installation.save_settings": Arguments(
        _settings,
        {
            "egress_allow": [[], ["10.2.0.0/16"]], "egress_allow_users": [[], ["10.3.0.0/16"]],
            "unpriced_models": ["reject"], "public_models": [False], "public_status": [False],
            "prefix_sessions": [False], "task_result_days": [7], "backup_every_hours": [0, 12],
            "backup_hour": [0, 5], "backup_folder": ["backups/b"], "backup_keep": [5],
        },
    ),
    "notify.endpoints.endpoints.change_endpoint": Arguments(
        lambda w, **given: (
            endpoints.change_endpoint(
                SYSTEM, w.endpoint, name="Ours", language="zh-hans", kinds=["topup.paid"]
            ),
            endpoints.change_endpoint(w.alice, w.endpoint, **given),
        ),
        {
            "name": ["", "Theirs"], "url": ["https://c.example/h"], "language": ["", "en"],
            "kinds": [[], ["budget.reached"]],
        },
    ),
    "notify.endpoints.endpoints.create_endpoint": Arguments(
        lambda w, **given: endpoints.create_endpoint(
            w.alice, w.people.acme, "https://b.example/h", **given
        ),
        {"kinds": [["topup.paid"]], "name": ["Ours"]},
    ),
    "usage.overview.chart_notes.add_note": Arguments(
        lambda w, **given: chart_notes.add_note(w.alice, clock.now(), "Raised", **given),
        {"team": ["core"]},
    ),
    "usage.overview.chart_notes.change_note": Arguments(
        _note, {"at": [LATER.replace(year=2021)], "text": ["Raised it"]}
    ),
}  # fmt: skip
_TESTS: Final[Mapping[str, str]] = {
    "tests/accounts/keys/test_keys.py": "accounts.keys.keys.import_hashed_key last4",
    "tests/accounts/keys/test_service_accounts.py": "accounts.keys.keys.mint_key service_account",
    "tests/accounts/mail_server/test_mail_server.py": (
        "accounts.mail_server.mail_server.save_mail_server password"
    ),
    "tests/accounts/access/test_leads.py": (
        "accounts.keys.service_accounts.create_service_account custom_role"
    ),
    "tests/accounts/test_confirmed_facts.py": (
        "accounts.single_sign_on.single_sign_on.save_single_sign_on secret"
    ),
    "tests/billing/approvals/test_decisions.py": "billing.approvals.approvals.decide reason",
    "tests/billing/credits/test_credits.py": (
        "billing.credits.credits.request_credit expires_at reverses"
    ),
    "tests/billing/prices/test_proposals.py": (
        "billing.prices.proposals.accept replacing replaces;"
        "billing.prices.proposals.draft_price replaces;"
        "billing.prices.proposals.propose_list ignored"
    ),
    "tests/billing/subscriptions/test_subscriptions.py": (
        "billing.subscriptions.subscription_plans.write_plan multipliers description overage;"
        "billing.subscriptions.subscriptions.choose_plan seen"
    ),
    "tests/billing/topups/test_topups.py": "billing.topups.topups.order_top_up keep_card",
    "tests/gateway/channels/channel_tests/test_channel_checks.py": (
        "gateway.channels.channel_tests.channel_test.check_channel variant"
    ),
    "tests/content/log/test_log.py": (
        "content.log.log.download text cursor among;content.log.log.search cursor among"
    ),
    "tests/gateway/channels/test_channels.py": "gateway.channels.channels.change_channel seen",
    "tests/notify/deliveries/test_chats.py": (
        "notify.endpoints.endpoints.create_endpoint service secret language"
    ),
    "tests/playground/erasure/test_erasure.py": (
        "playground.erasure.erasure_requests.request_erasure fates"
    ),
    "tests/usage/reviews/test_reviews.py": "usage.reviews.reviews.settle_kind reason accept",
}
"""The tests that name the other arguments, with what these need around them."""
TRIED_IN: Final[Mapping[str, str]] = {
    f"{name} {argument}": path
    for path, writes in _TESTS.items()
    for name, *arguments in (write.split(" ") for write in writes.split(";"))
    for argument in arguments
}
# What is given by nobody but the product itself, and seen at what calls it.
WITHIN: Final[Mapping[str, str]] = {
    "accounts.members.members.add_member custom_role": "as of set_member, which it calls",
    "accounts.members.members.add_member teams": "as of set_member, which it calls",
    "billing.limits.budgets.change_budget by_policy": "tests/usage/policies/test_policy_budgets",
    "billing.limits.budgets.remove_budget by_policy": "as above",
    "accounts.sessions.sessions.end actor": "who ends them is named in the audit log's tests",
    "accounts.sessions.sessions.end but": "tests/accounts/sessions: all other sessions end",
    "accounts.sessions.sessions.end_signed_in_by but": "as of `end`",
    "accounts.single_sign_on.single_sign_on.remove_single_sign_on keep_session": "as of `end`",
    "accounts.single_sign_on.single_sign_on.save_single_sign_on keep_session": "as of `end`",
    "billing.prices.proposals.propose_list listed_names": "what an update of the catalogue passes",
    "gateway.catalogue.updates.update_catalogue choice": "what the form of an update passes",
}
