"""Every write of the product: an audit event with its actor, and the relay's notification where it
matters.

The writes are found in the code: one that is added is either made here, or named below."""

import ast
import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from django.db import connection

from accounts import (
    custom_roles,
    departures,
    invitations,
    keys,
    members,
    organisations,
    projects,
    service_accounts,
    sign_up,
    signin,
    teams,
    view_as,
)
from accounts.actors import SYSTEM
from accounts.changes import change_row
from accounts.departures import KeyFate
from accounts.invitations import Offer
from accounts.models import (
    AuditEvent,
    Epoch,
    FormerSecret,
    Key,
    Role,
)
from accounts.session_store import SessionStore
from billing import (
    automatic_topups,
    billing_details,
    budget_alerts,
    budgets,
    charge_rules,
    codes,
    credits,
    exchange_rates,
    low_balance,
    plans,
    prices,
    proposals,
    raises,
    topups,
    wallets,
)
from billing.rules.catalogue import CatalogueRow
from billing.rules.charge_rule import MEASURED
from billing.rules.conditions import PriceKey
from gateway import (
    aliases,
    announcements,
    catalogue_updates,
    channel_tests,
    channels,
    installation,
    model_entries,
    model_proposals,
    model_rules,
    previews,
)
from gateway.models import Announcement, ModelProposal, PricePreview
from lib import clock
from lib.ids import id_text
from notify import deliveries, endpoints
from playground import departures as all_departures
from playground import payer_rules, preferences, prompts, sharing
from playground.rules.settings import Settings
from relay import auth, snapshot_statements
from tests import cast
from tests.config.writes_world import BANK_ACCOUNT, CHANNEL, NANO, RATES, World, world
from usage import budgeting, chart_notes

__all__ = ["world"]

ROOT: Final = Path(__file__).parents[2]
ROOMS: Final = ("accounts", "billing", "gateway", "notify", "playground", "usage")
# What is one's own and nobody else's, or stands in the trail by what it belongs to.
NO_EVENT: Final = {
    "accounts.audit.record",
    "billing.codes.counted_try",
    "billing.idempotency.answered",
    "billing.idempotency.form_answered",
    "billing.idempotency.once",
    "billing.promo.grant",
    "playground.attachments.add_bytes",
    "playground.attachments.add_file",
    "playground.compare.cast_vote",
    "playground.export_import.import_conversations",
    "playground.media.begin_media",
    "playground.paying.choose_default_payer",
    "playground.preferences.choose_default_model",
    "playground.preferences.choose_keys",
    "playground.preferences.choose_leaving",
    "playground.preferences.choose_title_model",
    "playground.preferences.toggle_favourite",
    "playground.presets.save_preset",
    "playground.realtime.issue_ticket",
    "playground.turns.add_column",
    "playground.turns.begin_turns",
}


# What there is -----------------------------------------------------------------------------------


def _functions() -> Iterator[tuple[str, ast.FunctionDef, dict[str, ast.FunctionDef]]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).glob("*.py")):
            if path.stem in ("views", "api") or path.stem.endswith(("_views", "_api")):
                continue
            tree = ast.parse(path.read_text())
            local = {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}
            for function in local.values():
                yield f"{room}.{path.stem}.{function.name}", function, local


def _reaches(
    function: ast.FunctionDef,
    local: dict[str, ast.FunctionDef],
    holds: Callable[[str], bool],
    seen: frozenset[str] = frozenset(),
) -> bool:
    """Whether a call is made in a function, or in what it calls of its own file."""
    for name in _called(function):
        if holds(name):
            return True
        inner = local.get(name) if name not in seen else None
        if inner is not None and _reaches(inner, local, holds, seen | {name}):
            return True
    return False


@cache
def _called(function: ast.FunctionDef) -> Sequence[str]:
    """What is called in a function, as it is written there."""
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return list(dict.fromkeys(ast.unparse(call.func) for call in calls))


def _audits(text: str) -> bool:
    return text in ("audit.record", "change_row")


def _writes(text: str) -> bool:
    ends = (".save", ".delete", ".create", ".bulk_create", ".update_or_create", ".get_or_create")
    return text.endswith(ends) or (text.endswith(".update") and "objects" in text)


def _has_actor(function: ast.FunctionDef) -> bool:
    return "actor" in {one.arg for one in (*function.args.args, *function.args.kwonlyargs)}


def _audited_and_silent() -> tuple[set[str], set[str]]:
    """The public functions that leave an event; those that write for an actor and leave none."""
    audited, silent = set(), set()
    for name, function, local in _functions():
        if name.rpartition(".")[2].startswith("_"):
            continue
        if _reaches(function, local, _audits):
            audited.add(name)
        elif _has_actor(function) and _reaches(function, local, _writes):
            silent.add(name)
    return audited, silent


# Every one of them, made -------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _bank(settings: Any) -> None:
    settings.BANK_ACCOUNT = BANK_ACCOUNT


def proposed(w: World) -> list[UUID]:
    """What a list proposes of the model that there is."""
    catalogue_updates.update_catalogue(w.dora, LIST, "list x")
    return list(ModelProposal.objects.values_list("id", flat=True))


LIST: Final = b'{"m-1": {"mode": "chat", "input_cost_per_token": 1e-06, "supports_vision": true}}'
TOLD: Final[dict[str, Any]] = {
    "title": "Maintenance",
    "text": "",
    "tone": "info",
    "starts_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "ends_at": None,
}
SOURCE: Final = f"{prices.CATALOGUE} test"
ROW: Final = CatalogueRow("m-5", None, "test", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None, RATES)


def announce(w: World) -> Announcement:
    return announcements.publish_announcement(w.dora, **TOLD)


# What a write needs to have happened before, which is no part of it.
BEFORE: Final[dict[str, Callable[[World], object]]] = {
    "billing.budgets.restore_budget": lambda w: budgets.remove_budget(SYSTEM, w.budget),
    "billing.budgets.hand_over": lambda w: keys.revoke_key(SYSTEM, w.bobs),
    "billing.raises.end_raise": lambda w: raises.approve(w.alice, w.asked),
    "billing.prices.remove_price": lambda w: prices.end_price(
        SYSTEM, w.version, clock.now() + dt.timedelta(days=1)
    ),
    "accounts.organisations.lift_suspension": lambda w: organisations.suspend_organisation(
        w.people.acme, "unpaid", actor=SYSTEM
    ),
    "accounts.organisations.restore_organisation": lambda w: organisations.archive_organisation(
        w.people.acme, actor=SYSTEM
    ),
    "accounts.projects.restore_project": lambda w: projects.archive_project(
        w.project, actor=SYSTEM
    ),
    "accounts.teams.restore_team": lambda w: teams.archive_team(w.second, actor=SYSTEM),
    "gateway.channels.restore_channel": lambda w: channels.archive_channel(SYSTEM, w.channel),
    "gateway.previews.cancel_preview": lambda w: previews.start_preview(w.dora, [w.draft.id], 7),
}
WRITES: Final[dict[str, Callable[[World], object]]] = {
    "accounts.changes.change_row": lambda w: change_row(
        w.people.core, "team.renamed", w.alice, name="kernel"
    ),
    "accounts.custom_roles.change_role": lambda w: custom_roles.change_role(
        w.role, name="auditor", permissions=["audit.read"], actor=w.alice
    ),
    "accounts.custom_roles.create_role": lambda w: custom_roles.create_role(
        w.people.acme, "reader", ["usage.read"], actor=w.alice
    ),
    "accounts.custom_roles.remove_role": lambda w: custom_roles.remove_role(w.role, actor=w.alice),
    "accounts.departures.end_membership": lambda w: departures.end_membership(
        w.alice, w.membership, {}, KeyFate("revoke")
    ),
    "accounts.departures.transfer_key": lambda w: departures.transfer_key(
        w.alice, w.bobs, w.people.alice.memberships.get()
    ),
    "accounts.invitations.accept": lambda w: invitations.accept(w.invitation, cast.person("ivy")),
    "accounts.invitations.accept_as_new": lambda w: invitations.accept_as_new(
        w.invitation, "Ivy", "!"
    ),
    "accounts.invitations.invite": lambda w: invitations.invite(
        w.people.acme, [], Offer(Role.VIEWER), actor=w.alice
    ),
    "accounts.invitations.resend": lambda w: invitations.resend(w.invitation, actor=w.alice),
    "accounts.invitations.withdraw": lambda w: invitations.withdraw(w.invitation, actor=w.alice),
    "accounts.invitations.withdraw_all_of": lambda w: invitations.withdraw_all_of(
        w.people.alice, w.people.acme, actor=w.alice
    ),
    "accounts.organisations.archive_organisation": lambda w: organisations.archive_organisation(
        w.people.acme, actor=w.alice
    ),
    "accounts.organisations.force_second_factor": lambda w: organisations.force_second_factor(
        w.people.acme, ["owner"], actor=w.alice
    ),
    "accounts.organisations.lift_suspension": lambda w: organisations.lift_suspension(
        w.people.acme, actor=w.dora
    ),
    "accounts.organisations.rename_organisation": lambda w: organisations.rename_organisation(
        w.people.acme, "Acme Ltd.", actor=w.alice
    ),
    "accounts.organisations.require_labels": lambda w: organisations.require_labels(
        w.people.acme, ["project"], actor=w.alice
    ),
    "accounts.organisations.restore_organisation": lambda w: organisations.restore_organisation(
        w.people.acme, actor=w.dora
    ),
    "accounts.organisations.suspend_organisation": lambda w: organisations.suspend_organisation(
        w.people.acme, "unpaid", actor=w.dora
    ),
    "accounts.projects.archive_project": lambda w: projects.archive_project(
        w.project, actor=w.alice
    ),
    "accounts.projects.change_project": lambda w: projects.change_project(
        w.project, name="Bots", team=w.second, actor=w.alice
    ),
    "accounts.projects.create_project": lambda w: projects.create_project(
        w.second, "Search", actor=w.alice
    ),
    "accounts.projects.restore_project": lambda w: projects.restore_project(
        w.project, actor=w.alice
    ),
    "accounts.service_accounts.change_service_account": lambda w: (
        service_accounts.change_service_account(
            w.account, role=Role.VIEWER, disabled=True, actor=w.alice
        )
    ),
    "accounts.service_accounts.create_service_account": lambda w: (
        service_accounts.create_service_account(w.people.core, "more", actor=w.alice)
    ),
    "accounts.teams.archive_team": lambda w: teams.archive_team(w.second, actor=w.alice),
    "accounts.teams.rename_team": lambda w: teams.rename_team(
        w.people.core, "kernel", actor=w.alice
    ),
    "accounts.teams.restore_team": lambda w: teams.restore_team(w.second, actor=w.alice),
    "accounts.keys.bring_key": lambda w: keys.bring_key(w.alice, w.people.core, "b", "x" * 30),
    "accounts.keys.bring_hashed_key": lambda w: keys.bring_hashed_key(
        w.alice, w.people.core, "h", b"x" * 32
    ),
    "accounts.keys.change_key": lambda w: keys.change_key(w.alice, w.key, disabled=True),
    "accounts.keys.change_limits": lambda w: keys.change_limits(w.alice, w.membership, rpm=3),
    "accounts.keys.change_limits team": lambda w: keys.change_limits(w.alice, w.people.core, tpm=3),
    "accounts.keys.change_limits organisation": lambda w: keys.change_limits(
        w.alice, w.people.acme, parallel=3
    ),
    "accounts.keys.end_former_secrets": lambda w: keys.end_former_secrets(w.alice, w.key),
    "accounts.keys.mint_key": lambda w: keys.mint_key(
        w.alice, w.people.core, "more", user=w.people.alice
    ),
    "accounts.keys.revoke_key": lambda w: keys.revoke_key(w.alice, w.key),
    "accounts.keys.rotate_key": lambda w: keys.rotate_key(w.alice, w.key, 0),
    "accounts.members.add_person": lambda w: members.add_person(
        "alice@example.org", operator=True, actor=w.dora
    ),
    "accounts.members.add_person new": lambda w: members.add_person(
        "new@example.org", actor=w.dora
    ),
    "accounts.organisations.create_organisation": lambda w: organisations.create_organisation(
        "New", owner=w.people.alice, actor=w.alice
    ),
    "accounts.teams.create_team": lambda w: teams.create_team(
        w.people.acme, "third", actor=w.alice
    ),
    "accounts.members.remove_member": lambda w: members.remove_member(
        w.people.acme, "bob@example.org", actor=w.alice
    ),
    "accounts.members.set_active": lambda w: members.set_active(w.people.bob, False, actor=w.dora),
    "accounts.organisations.set_data_policy": lambda w: organisations.set_data_policy(
        w.people.acme, zero_retention=True, regions=["eu"], actor=w.alice
    ),
    "accounts.organisations.set_include_cost": lambda w: organisations.set_include_cost(
        w.people.acme, True, actor=w.alice
    ),
    "accounts.members.set_member": lambda w: members.set_member(
        w.people.acme, "bob@example.org", Role.VIEWER, actor=w.alice
    ),
    "accounts.organisations.set_retention": lambda w: organisations.set_retention(
        w.people.acme, 0, actor=w.alice
    ),
    "accounts.organisations.set_client_address_days": (
        lambda w: organisations.set_client_address_days(w.people.acme, 30, actor=w.alice)
    ),
    "accounts.signin.make_sign_in_link": lambda w: signin.make_sign_in_link(w.people.bob),
    "accounts.signin.use_sign_in_link": lambda w: signin.use_sign_in_link(
        signin.make_sign_in_link(w.people.bob).rstrip("/").rpartition("/")[2]
    ),
    "accounts.sign_up.save_sign_up": lambda w: sign_up.save_sign_up(w.dora, mode="off"),
    "accounts.view_as.begin_view": lambda w: view_as.begin_view(
        w.dora, SessionStore(), w.people.acme, Role.ADMIN, "r"
    ),
    "accounts.view_as.end_view": lambda w: view_as.end_view(w.dora, w.viewing),
    "billing.budget_alerts.send_test": lambda w: budget_alerts.send_test(w.alice, w.budget),
    "billing.budgets.change_budget": lambda w: budgeting.change_budget(
        w.alice, w.budget, amount_nano=5
    ),
    "billing.budgets.create_budget": lambda w: budgeting.create_budget(
        w.alice, w.people.acme, scope="organisation", subject="", amount_nano=5, period="day"
    ),
    "billing.budgets.hand_over": lambda w: budgets.hand_over(w.alice, w.bobs, w.key),
    "billing.budgets.remove_budget": lambda w: budgets.remove_budget(w.alice, w.budget),
    "billing.budgets.restore_budget": lambda w: budgeting.restore_budget(w.alice, str(w.budget.id)),
    "billing.codes.create_batch": lambda w: codes.create_batch(
        w.dora, "more", value_nano=1, count=1
    ),
    "billing.codes.download_codes": lambda w: codes.download_codes(
        w.dora, codes.create_batch(SYSTEM, "new", value_nano=1, count=1)
    ),
    "billing.billing_details.add_tax_rate": lambda w: billing_details.add_tax_rate(
        w.dora, "VAT", "de", "19", clock.now().date()
    ),
    "accounts.organisations.set_display_currency": lambda w: organisations.set_display_currency(
        w.people.acme, "EUR", actor=w.alice
    ),
    "usage.chart_notes.add_note": lambda w: chart_notes.add_note(
        w.alice, clock.now(), "Raised the limits"
    ),
    "usage.chart_notes.delete_note": lambda w: chart_notes.delete_note(
        w.alice, chart_notes.add_note(w.alice, clock.now(), "Raised the limits")
    ),
    "billing.exchange_rates.add_rates": lambda w: exchange_rates.add_rates(
        w.dora, [exchange_rates.RateStated("EUR", clock.now().date(), "0.92")]
    ),
    "billing.billing_details.set_buyer": lambda w: billing_details.set_buyer(
        w.alice, w.people.acme, "Asia/Kolkata", legal_name="Acme Ltd"
    ),
    "billing.billing_details.set_seller": lambda w: billing_details.set_seller(
        w.dora, legal_name="Weir Ltd"
    ),
    "billing.codes.kill_batch": lambda w: codes.kill_batch(w.dora, w.batch),
    "billing.codes.redeem": lambda w: codes.redeem(w.alice, w.people.acme, w.code),
    "billing.codes.try_code": lambda w: codes.try_code(w.alice, w.people.acme, w.code, "127.0.0.1"),
    "billing.credits.approve_credit": lambda w: credits.approve_credit(w.otto, w.credit),
    "billing.credits.ask_credit": lambda w: credits.ask_credit(
        w.dora, w.people.acme, NANO, reason="r"
    ),
    "billing.credits.refuse_credit": lambda w: credits.refuse_credit(w.otto, w.credit),
    "billing.plans.put_on_plan": lambda w: plans.put_on_plan(w.dora, w.people.acme, "retail"),
    "billing.plans.remove_plan": lambda w: plans.remove_plan(w.dora, w.plan),
    "billing.plans.save_plan": lambda w: plans.save_plan(w.dora, "retail", models=["gpt-*"]),
    "billing.prices.end_price": lambda w: prices.end_price(
        w.dora, w.version, clock.now() + dt.timedelta(days=1)
    ),
    "billing.prices.load_catalogue": lambda w: prices.load_catalogue(w.dora, [ROW], SOURCE),
    "billing.prices.remove_price": lambda w: prices.remove_price(
        w.dora,
        prices.set_price(SYSTEM, "m-9", clock.now() + dt.timedelta(days=1), RATES, source="t"),
    ),
    "billing.prices.set_price": lambda w: prices.set_price(
        w.dora, "m-3", clock.now(), RATES, source="test"
    ),
    "billing.proposals.accept": lambda w: proposals.accept(w.dora, [w.draft.id]),
    "billing.proposals.draft_price": lambda w: proposals.draft_price(
        w.dora, PriceKey("m-4"), RATES, valid_from=None
    ),
    "billing.proposals.ignore": lambda w: proposals.ignore(w.dora, [w.draft.id]),
    "billing.proposals.propose_list": lambda w: proposals.propose_list(
        w.dora, {"m-9": RATES}, "list x"
    ),
    "billing.proposals.propose_catalogue": lambda w: proposals.propose_catalogue(
        w.dora, [ROW], SOURCE
    ),
    "billing.raises.approve": lambda w: raises.approve(w.alice, w.asked),
    "billing.raises.ask_for_more": lambda w: raises.ask_for_more(
        w.bob,
        budgeting.create_budget(
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
    "billing.raises.deny_all_of": lambda w: raises.deny_all_of(
        w.alice, w.people.bob, w.people.acme
    ),
    "billing.raises.deny": lambda w: raises.deny(w.alice, w.asked, "no"),
    "billing.raises.end_raise": lambda w: raises.end_raise(w.alice, w.asked),
    "billing.topups.cancel_transfer": lambda w: topups.cancel_transfer(
        w.alice, w.top_up, by_operator=False
    ),
    "billing.topups.confirm_transfer": lambda w: topups.confirm_transfer(
        w.dora, w.top_up, "bank 1"
    ),
    "billing.topups.order_top_up": lambda w: topups.order_top_up(
        w.alice, w.people.acme, 25 * NANO, processor="manual"
    ),
    "billing.charge_rules.set_charge_rule": lambda w: charge_rules.set_charge_rule(
        w.dora, w.people.acme, MEASURED
    ),
    "billing.wallets.set_credit_line": lambda w: wallets.set_credit_line(
        w.people.acme, NANO, actor=w.dora
    ),
    "billing.automatic_topups.set_automatic": lambda w: automatic_topups.set_automatic(
        w.alice, w.people.acme, enabled=False, below_nano=NANO, amount_nano=25 * NANO
    ),
    "billing.low_balance.set_low_balance": lambda w: low_balance.set_low_balance(
        w.alice, w.people.acme, 5
    ),
    "gateway.announcements.publish_announcement": lambda w: announce(w),
    "gateway.announcements.change_announcement": lambda w: announcements.change_announcement(
        w.dora, announce(w), **{**TOLD, "title": "Later"}
    ),
    "gateway.announcements.end_announcement": lambda w: announcements.end_announcement(
        w.dora, announce(w)
    ),
    "gateway.aliases.save_alias": lambda w: aliases.save_alias(w.dora, "fast", "m-1"),
    "gateway.aliases.write_alias": lambda w: aliases.write_alias(w.dora, "fast", "m-1"),
    "gateway.aliases.remove_alias": lambda w: aliases.remove_alias(
        w.dora, aliases.save_alias(w.dora, "fast", "m-1")
    ),
    "gateway.aliases.write_aliases": lambda w: aliases.write_aliases(w.dora, "m-1", ["fast"]),
    "gateway.catalogue_updates.update_catalogue": lambda w: catalogue_updates.update_catalogue(
        w.dora, LIST, "list x"
    ),
    "gateway.catalogue_updates.add_ignore_rule": lambda w: catalogue_updates.add_ignore_rule(
        w.dora, "m-*", ""
    ),
    "gateway.catalogue_updates.remove_ignore_rule": lambda w: catalogue_updates.remove_ignore_rule(
        w.dora, catalogue_updates.add_ignore_rule(w.dora, "m-*", "")
    ),
    "gateway.model_entries.save_entry": lambda w: model_entries.save_entry(
        w.dora, "m-1", aliases=["fast"], context_max=7
    ),
    "gateway.model_entries.write_entry": lambda w: model_entries.write_entry(
        w.dora, "m-1", roles=["owner"]
    ),
    "gateway.model_entries.remove_entry": lambda w: model_entries.remove_entry(
        w.dora, model_entries.save_entry(w.dora, "m-1", output_max=7)
    ),
    "gateway.model_proposals.accept_facts": lambda w: model_proposals.accept_facts(
        w.dora, proposed(w)
    ),
    "gateway.model_proposals.dismiss_facts": lambda w: model_proposals.dismiss_facts(
        w.dora, proposed(w)
    ),
    "gateway.model_rules.save_rule": lambda w: model_rules.save_rule(w.dora, "m-*", pick="ttft"),
    "gateway.model_rules.remove_rule": lambda w: model_rules.remove_rule(
        w.dora, model_rules.save_rule(w.dora, "m-*")
    ),
    "gateway.channels.add_key": lambda w: channels.add_key(w.dora, w.channel, "second-secret"),
    "gateway.channels.archive_channel": lambda w: channels.archive_channel(w.dora, w.channel),
    "gateway.channels.copy_channel": lambda w: channels.copy_channel(w.dora, w.channel, "second"),
    "gateway.channels.remove_key": lambda w: channels.remove_key(
        w.dora, w.channel, w.channel.keys.get()
    ),
    "gateway.channels.restore_channel": lambda w: channels.restore_channel(w.dora, w.channel),
    "gateway.channels.switch_key": lambda w: channels.switch_key(
        w.dora, w.channel, w.channel.keys.get(), enabled=False
    ),
    "gateway.channels.change_channel": lambda w: channels.change_channel(
        w.dora, w.channel, {"weight": 7}
    ),
    "gateway.channels.create_channel": lambda w: channels.create_channel(w.dora, "second", CHANNEL),
    "gateway.channels.remove_channel": lambda w: channels.remove_channel(w.dora, w.channel),
    "gateway.channels.switch_capability": lambda w: channels.switch_capability(
        w.dora, w.channel, "m-1", "tools", False
    ),
    "gateway.channel_tests.start_run": lambda w: channel_tests.start_run(w.dora, "plain"),
    "gateway.installation.save_settings": lambda w: installation.save_settings(
        w.dora, egress_allow=["10.0.0.0/8"]
    ),
    "gateway.previews.start_preview": lambda w: previews.start_preview(w.dora, [w.draft.id], 7),
    "gateway.previews.cancel_preview": lambda w: previews.cancel_preview(
        w.dora, PricePreview.objects.get()
    ),
    "notify.deliveries.send_again": lambda w: deliveries.send_again(w.alice, w.delivery),
    "notify.endpoints.create_endpoint": lambda w: endpoints.create_endpoint(
        w.alice, w.people.acme, "https://b.example/h"
    ),
    "notify.endpoints.remove_endpoint": lambda w: endpoints.remove_endpoint(w.alice, w.endpoint),
    "notify.endpoints.rotate_secret": lambda w: endpoints.rotate_secret(w.alice, w.endpoint),
    "notify.endpoints.send_test": lambda w: endpoints.send_test(w.alice, w.endpoint),
    "playground.departures.depart": lambda w: all_departures.depart(
        w.alice, w.membership, all_departures.Departure()
    ),
    "playground.departures.leave_chats": lambda w: all_departures.leave_chats(
        w.alice, w.people.alice.memberships.get(), w.membership
    ),
    "playground.preferences.choose_organisation_model": lambda w: (
        preferences.choose_organisation_model(w.alice, "m")
    ),
    "playground.payer_rules.change_rules": lambda w: payer_rules.change_rules(
        w.alice, {"developer": "own"}
    ),
    "playground.preferences.set_leaving_rule": lambda w: preferences.set_leaving_rule(w.alice, 30),
    "playground.prompts.put_in_production": lambda w: prompts.put_in_production(w.alice, w.prompt),
    "playground.prompts.save_prompt": lambda w: prompts.save_prompt(
        w.alice, "bye", "m-1", Settings(), note="", shared=False
    ),
    "playground.sharing.revoke_link": lambda w: sharing.revoke_link(w.alice, id_text(w.link.id)),
    "playground.sharing.share_branch": lambda w: sharing.share_branch(
        w.alice, w.conversation, days=1, members_only=False, system_shown=True, cost_shown=True
    ),
}
# These need more around them (a processor, a catalogue, an upstream, a clock): the tests of their
# rooms make them, and look at the event that is named here.
ELSEWHERE: Final = {
    "accounts.second_factor.reset_factors": "second_factor.reset",
    "accounts.security_changes.record_change": "authenticator_app.added",
    "accounts.set_up.make_set_up_link": "set_up_link.made",
    "accounts.set_up.set_up": "installation.set_up",
    "accounts.security_changes.record_use": "recovery_code.used",
    "accounts.sessions.end": "sessions.ended",
    "accounts.single_sign_on.confirm_domains": "single_sign_on.confirmed",
    "accounts.single_sign_on.remove_single_sign_on": "single_sign_on.removed",
    "accounts.single_sign_on.save_single_sign_on": "single_sign_on.saved",
    "accounts.sessions.end_one": "sessions.ended",
    "accounts.signin.sign_in_by_link": "sign_in_link.used",
    "billing.credits.ask_reversal": "credit.asked",
    "billing.invoices.close_document": "invoice.closed",
    "billing.invoices.draft_invoice": "invoice.drafted",
    "billing.invoices.propose_invoice": "invoice.proposed",
    "billing.invoices.propose_note": "invoice.proposed",
    "billing.invoices.withdraw_invoice": "invoice.withdrawn",
    "billing.invoice_payments.record_payment": "invoice.payment_recorded",
    "billing.subscription_plans.archive_plan": "subscription_plan.archived",
    "billing.subscription_plans.offer_plan": "subscription_plan.offered",
    "billing.subscription_plans.write_plan": "subscription_plan.written",
    "billing.subscriptions.cancel_subscription": "subscription.cancelled",
    "billing.subscriptions.choose_plan": "subscription.plan_chosen",
    "billing.subscriptions.renew_subscriptions": "subscription.renewed",
    "billing.subscriptions.resume_subscription": "subscription.resumed",
    "billing.topups.apply_event": "payment.paid",
    "usage.exports.delete_export": "export.deleted",
    "usage.exports.start_export": "export.started",
    "usage.scheduled_reports.end_schedule": "report.ended",
    "usage.scheduled_reports.leave": "report.left",
    "usage.scheduled_reports.set_schedule": "report.scheduled",
    "billing.topups.keep_checkout": "payment.paid",
    "billing.topups.open_checkout": "payment.paid",
    "billing.topups.take_event": "payment.paid",
    "billing.seal_cuts.cut_trail": "audit.cut",
    "billing.seal_cuts.cut_trail_before": "audit.cut",
    "billing.raises.end_raises": "raise.ended",
    "billing.automatic_topups.fill_balances": "wallet.automatic_stopped",
    "gateway.channel_checks.check_channel": "channel.tested",
    "gateway.model_changes.check_models": "channel.models_changed",
    "gateway.model_changes.decide": "channel.models_decided",
    "gateway.model_changes.work_off_schedule": "channel.models_changed",
    "gateway.channels.take_in": "channel.taken_in",
    "gateway.probes.probe_model": "model.probed",
    "gateway.channels.take_out": "channel.taken_out",
    "usage.bills.reconcile": "provider_bill.compared",
    "usage.bills.reopen_difference": "bill_difference.reopened",
    "usage.bills.settle_difference": "bill_difference.settled",
    "usage.months.attach": "month.attached",
    "usage.months.detach": "month.detached",
    "usage.reviews.settle_review": "request.reviewed",
}
# Nobody is signed in who could be named: the installation does it.
BY_NOBODY: Final = {"accounts.signin.make_sign_in_link"}


@pytest.mark.extended
def test_every_write_is_known() -> None:
    """Whatever changes something for others has an event, and is made here or elsewhere."""
    audited, silent = _audited_and_silent()
    assert silent == NO_EVENT
    assert {name.partition(" ")[0] for name in WRITES} | ELSEWHERE.keys() == audited
    texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    for action in ELSEWHERE.values():
        assert sum(f'"{action}"' in text for text in texts) > 1, action


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_audited_with_its_actor_and_heard_by_relays(world: World, name: str) -> None:
    """P11: what a relay holds in memory never changes without a notification. One that limits or
    budgets a running relay counts its changes instead, which the admission compares."""
    if name in BEFORE:
        BEFORE[name](world)
    last = AuditEvent.objects.order_by("-id").values_list("id", flat=True)[0]
    before, epoch = _known_to_relays(), Epoch.objects.get().n
    WRITES[name](world)
    events = AuditEvent.objects.filter(id__gt=last)
    actors = [(event.actor_user_id, event.actor_key) for event in events]
    assert events, f"{name} leaves no trace"
    if name not in BY_NOBODY:
        assert any(user is not None or key is not None for user, key in actors), actors
    for event in events:
        assert event.action
        assert event.object_id
    changed = _known_to_relays() != before
    if changed:
        assert Epoch.objects.get().n > epoch, f"{name} notifies no relay"
    if name.startswith("accounts."):
        # Who may call is changed by each of them but these, and it is seen above.
        assert changed != name.endswith(
            (
                "sign_in_link",
                "set_display_currency",
                "_team",
                "_role",
                "_project",
                "_service_account",
                "add_person new",
                "change_row",
                ".accept",
                ".accept_as_new",
                ".invite",
                ".resend",
                ".withdraw",
                ".withdraw_all_of",
                "force_second_factor",
                "rename_organisation",
                "save_sign_up",
                "_view",
            )
        )


def _known_to_relays() -> dict[str, object]:
    """What a relay would have in memory if it looked now: its catalogue, and all principals."""
    known: dict[str, object] = {}
    with connection.cursor() as cursor:
        cursor.execute(snapshot_statements.load_statement()[0])
        catalogue = json.loads(cursor.fetchone()[0])
        known["catalogue"] = {
            name: value for name, value in catalogue.items() if name not in ("now", "epoch")
        }
        digests = [*Key.objects.values_list("digest"), *FormerSecret.objects.values_list("digest")]
        for (digest,) in digests:
            text = "\\x" + bytes(digest).hex()
            cursor.execute(auth._BY_DIGEST, {"digest": text, "user": ""})
            *row, told = cursor.fetchone()
            # Budgets have a count of their own, which stands in the guards.
            told = {name: told[name] for name in told if name not in ("budgets", "guards")}
            known[text] = (row, told)
    return known
