"""P12: every function that acts for somebody and asks for a permission, whoever calls it: a page,
the management API, a command or a job. Which permission each page and each operation asks for
stands in tests/isolation/table; what is listed here is behind them."""

import ast
import importlib
from collections.abc import Iterator
from typing import Any, Final
from unittest.mock import MagicMock

import pytest

from accounts.access import AccessDenied
from accounts.actors import Actor
from accounts.models import Role
from tests.cast import Cast
from tests.house.test_style import ROOMS, ROOT

ASKED: Final = {
    "audit.read": "accounts.audit_log.all_events accounts.audit_log.visible_events",
    "budgets.ask": "billing.raises.askable_budgets billing.raises.visible_raises",
    "budgets.read": "billing.budgets.visible_budgets",
    "budgets.write": "accounts.limits.limited_subjects",
    "channels.read": """
        gateway.access.access_channel_key gateway.access.access_model
        gateway.access.every_channel gateway.access.visible_test_runs
        gateway.access.visible_aliases gateway.access.visible_announcements
        gateway.access.visible_entries gateway.access.visible_model_proposals
        gateway.access.visible_models gateway.access.visible_rules
        gateway.access.visible_shadow_answers notify.access.operator_endpoints
        usage.findings.all_findings
    """,
    "channels.write": "gateway.setting_changes._events usage.findings.acknowledge",
    "codes.read": "billing.access.visible_batches",
    "credits.read": """
        billing.access.access_posting billing.access.all_invoices
        billing.access.all_organisations billing.access.all_top_ups
        billing.access.exchange_rates billing.access.organisation_named
        billing.access.tax_rates billing.access.unmatched_events
        billing.access.visible_credits billing.access.visible_subscription_plans
        usage.bills.access_difference usage.bills.kept_mappings usage.bills.visible_bills
        usage.margin.margin usage.reviews.count_open usage.reviews.found_reviews
        usage.reviews.open_reviews usage.reviews.unknown_kinds
        usage.accepted_members.accepted_members
    """,
    "credits.write": """
        billing.invoices._person usage.bills.reconcile usage.bills.reopen_difference
        usage.accepted_members.accept_members usage.accepted_members.revoke_member
        usage.bills.settle_difference usage.reviews.settle_kind
        usage.reviews.settle_review
    """,
    "keys.read": "accounts.access.visible_keys accounts.access.visible_service_accounts",
    "keys.write": "accounts.access.writable_key accounts.access.writable_service_account",
    "members.read": """
        accounts.member_access.named_members accounts.member_access.visible_invitations
        accounts.member_access.visible_members accounts.member_access.visible_roles
    """,
    "members.write": """
        accounts.member_access.writable_invitation accounts.member_access.writable_member
    """,
    "organisations.read": """
        accounts.access.all_organisations accounts.access.all_people
        accounts.access.any_keys
    """,
    "playground.read": """
        playground.compare.organisation_standings
        playground.conversations._standing_conversations
        playground.conversations.access_attachment playground.media.visible_media
        playground.presets.visible_presets playground.sharing.links_of
    """,
    "playground.use": """
        accounts.access.payable_keys playground.attachments.add_bytes
        playground.compare.cast_vote playground.export_import.import_conversations
        playground.history.archive_chats playground.history.delete_chats
        playground.history.move_chats playground.history.undo_changes
        playground.media.begin_media playground.paying.choose_default_payer
        playground.preferences.choose_default_model playground.preferences.choose_keys
        playground.preferences.choose_leaving playground.preferences.choose_title_model
        playground.preferences.toggle_favourite playground.presets.save_preset
        playground.prompts.put_in_production playground.prompts.require_person
        playground.prompts.save_prompt playground.realtime.charges_of
        playground.realtime.issue_ticket playground.sharing.revoke_link
        playground.sharing.share_branch playground.turns.add_column
        playground.turns.begin_turns
    """,
    "playground.write": """
        playground.payer_rules.change_rules playground.preferences.choose_organisation_model
        playground.preferences.set_leaving_rule playground.prompts.owned_prompt
    """,
    "prices.write": """
        gateway.access.access_price gateway.access.visible_ignore_rules
        gateway.access.visible_plans gateway.access.visible_previews
        gateway.access.visible_proposals gateway.access.visible_updates
        gateway.access.visible_versions
    """,
    "prompts.read": "playground.prompts.visible_prompts",
    "requests.read": "usage.exports.start_export usage.exports.visible_exports",
    "sign_in.write": "accounts.single_sign_on.access_single_sign_on",
    "teams.read": "accounts.access.access_any_team accounts.access.visible_projects",
    "teams.write": """
        accounts.access.writable_project accounts.access.writable_team
        usage.chart_notes.add_note usage.chart_notes.writable_notes
    """,
    "usage.read": """
        usage.chart_notes.visible_notes usage.saved_views.require_person
        usage.saved_views.visible_views
    """,
    "webhooks.read": "notify.access.visible_deliveries notify.access.visible_endpoints",
}
# They ask for one that they are given, or that follows from what they are about.
GIVEN: Final = {
    "billing.access.access_wallet", "gateway.setting_changes.undo_setting_change",
    "usage.export_views._focus_shown", "usage.exports.start_export", "usage.visibility.seen_by",
}  # fmt: skip
_REQUIRE: Final = ("require", "access.require")
FUNCTIONS: Final = [
    pytest.param(name, id=name) for names in ASKED.values() for name in names.split()
]


def asking() -> Iterator[tuple[str, str]]:
    """Each function that asks, and for what; "" where that is given to it."""
    for room in ROOMS:
        for path in sorted((ROOT / room).glob("*.py")):
            for function in ast.parse(path.read_text()).body:
                if not isinstance(function, ast.FunctionDef):
                    continue
                if "actor" not in {one.arg for one in function.args.args[:1]}:
                    continue
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and ast.unparse(call.func) in _REQUIRE:
                        asked = call.args[1]
                        permission = asked.value if isinstance(asked, ast.Constant) else ""
                        yield f"{room}.{path.stem}.{function.name}", str(permission)


def test_each_function_asks_for_what_stands_here() -> None:
    """Whoever takes a question away, or asks for less, changes this table with it."""
    found: dict[str, set[str]] = {}
    for name, permission in asking():
        if permission:
            found.setdefault(permission, set()).add(name)
    assert found == {permission: set(names.split()) for permission, names in ASKED.items()}
    assert {name for name, permission in asking() if not permission} == GIVEN


@pytest.mark.django_db
@pytest.mark.parametrize("name", FUNCTIONS)
def test_who_has_no_permission_is_refused_whatever_they_name(people: Cast, name: str) -> None:
    nobody = Actor(
        user=people.bob, key=None, organisation=people.acme, role=Role.CUSTOM, operator=False
    )
    module, _, function = name.rpartition(".")
    act = getattr(importlib.import_module(module), function)
    named: list[Any] = [MagicMock() for _ in range(act.__code__.co_argcount - 1)]
    rest = act.__code__.co_varnames[act.__code__.co_argcount :][: act.__code__.co_kwonlyargcount]
    with pytest.raises(AccessDenied):
        act(nobody, *named, **{one: MagicMock() for one in rest})
