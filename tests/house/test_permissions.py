"""P12: every function that acts for somebody and asks for a permission, whoever calls it: a page,
the management API, a command or a job. Which permission each page and each operation asks for
stands in tests/isolation/table; what is listed here is behind them."""

import ast
import importlib
from collections.abc import Iterator
from typing import Any, Final
from unittest.mock import MagicMock

import pytest

from accounts.access import access
from accounts.access.access import AccessDenied
from accounts.access.actors import Actor
from accounts.models import Role
from tests.house.parsed import tree_of
from tests.house.test_style import ROOMS, ROOT
from tests.support.cast import Cast

ASKED: Final = {
    "audit.read": "accounts.audit_log.log.all_events accounts.audit_log.log.visible_events",
    "budgets.ask": (
        "billing.limits.budget_increases.askable_budgets "
        "billing.limits.budget_increases.is_plan_limit "
        "billing.limits.budget_increases.visible_raises"
    ),
    "budgets.read": "billing.limits.budgets.visible_budgets",
    "budgets.write": """
        accounts.keys.limited_subjects.limited_subjects content.policies.policies._require_budgets
    """,
    "channels.read": """
        gateway.access.access_channel_key gateway.public_models.access.access_model
        gateway.access.every_channel gateway.access.visible_test_runs
        gateway.access.visible_aliases gateway.status.access.visible_announcements
        gateway.catalogue.access.visible_model_proposals
        gateway.public_models.access.visible_models gateway.access.visible_rules
        gateway.access.visible_shadow_answers notify.access.operator_endpoints
        gateway.own_keys.access.access_channel_offer usage.books.findings.all_findings
    """,
    "channels.write": "gateway.settings.history._events usage.books.findings.acknowledge",
    "codes.read": "billing.access.visible_batches",
    "content.read": """
        content.access.visible_entries content.log.log.download content.log.log.search
    """,
    "credits.read": """
        billing.access.access_posting billing.access.all_invoices
        billing.access.all_organisations billing.access.all_top_ups
        billing.access.exchange_rates billing.access.organisation_named
        billing.access.tax_rates billing.access.unmatched_events
        billing.access.visible_credits billing.access.visible_subscription_plans
        usage.margin.provider_bills.access_difference usage.margin.provider_bills.kept_mappings
        usage.margin.provider_bills.visible_bills usage.margin.margin.margin
        usage.reviews.reviews.count_open usage.reviews.reviews.list_reviews
        usage.reviews.reviews.open_reviews usage.reviews.reviews.unknown_kinds
        usage.reviews.accepted_members.accepted_members
        billing.safeguards.safeguards.all_safeguards
        billing.approvals.approvals.visible_approvals
    """,
    "credits.write": """
        billing.invoices.invoices._person usage.margin.provider_bills.reconcile
        usage.margin.provider_bills.reopen_difference usage.reviews.accepted_members.accept_members
        usage.reviews.accepted_members.revoke_member usage.margin.provider_bills.settle_difference
        usage.reviews.reviews.settle_kind usage.reviews.reviews.settle_review
    """,
    "keys.read": (
        "accounts.access.access.visible_keys accounts.access.access.visible_service_accounts"
    ),
    "keys.write": """
        accounts.access.access.keyed_team accounts.access.access.keyed_teams
        accounts.access.access.writable_key accounts.access.access.writable_service_account
        gateway.own_keys.access.access_holder gateway.own_keys.access.visible_offers
        gateway.own_keys.access.visible_own_keys
    """,
    "members.read": """
        accounts.members.access.named_members accounts.members.access.visible_invitations
        accounts.members.access.visible_members accounts.members.access.visible_roles
    """,
    "members.write": """
        accounts.members.access.working_keys_of accounts.members.access.writable_invitation
        accounts.members.access.writable_member
    """,
    "organisation.write": """
        content.policies.policies.visible_policies content.rules.log_rules.visible_rules
        usage.feedback.feedback.delete_feedback
    """,
    "organisations.read": """
        accounts.access.access.all_organisations accounts.access.access.all_people
        accounts.access.access.any_keys
    """,
    "playground.read": """
        playground.compare_page.compare.organisation_standings
        playground.conversations.conversations._all_conversations
        playground.conversations.conversations.access_attachment
        playground.media.media.visible_media playground.panel.presets.visible_presets
        playground.chats.sharing.links_of
    """,
    "playground.use": """
        accounts.access.access.payable_keys playground.attachments.attachments.add_bytes
        playground.compare_page.compare.cast_vote usage.feedback.feedback.give_feedback
        usage.feedback.feedback.withdraw_feedback
        playground.chats.export_import.import_conversations
        playground.chats.history.archive_chats playground.chats.history.delete_chats
        playground.chats.history.move_chats playground.chats.history.undo_changes
        playground.media.media.begin_media playground.payers.paying.choose_default_payer
        playground.preferences.preferences.choose_default_model
        playground.preferences.preferences.choose_keys
        playground.preferences.preferences.choose_leaving
        playground.preferences.preferences.choose_title_model
        playground.preferences.preferences.toggle_favourite playground.panel.presets.save_preset
        content.prompts.prompts.move_label content.prompts.prompts.remove_label
        content.prompts.prompts.require_person content.prompts.prompts.roll_back_label
        content.prompts.prompts.save_prompt content.prompts.prompts.save_version
        playground.media.realtime.charges_of
        playground.media.realtime.issue_ticket playground.chats.sharing.revoke_link
        playground.chats.sharing.share_branch playground.content_log.opening.open_in_playground
        playground.turns.turns.add_column
        playground.turns.turns.begin_turns
    """,
    "playground.write": """
        playground.payers.payer_rules.change_rules
        playground.preferences.preferences.choose_organisation_model
        playground.preferences.preferences.set_leaving_rule content.prompts.prompts.owned_prompt
    """,
    "prices.write": """
        gateway.access.access_price gateway.catalogue.access.visible_ignore_rules
        gateway.access.visible_price_plans gateway.access.visible_previews
        gateway.access.visible_proposals gateway.catalogue.access.visible_updates
        gateway.access.visible_versions
    """,
    "prompts.read": "content.prompts.prompts.visible_prompts",
    "requests.read": "usage.exports.exports.start_export usage.exports.exports.visible_exports",
    "sign_in.write": "accounts.single_sign_on.single_sign_on.access_single_sign_on",
    "teams.read": """
        accounts.access.access.access_any_team accounts.access.access.visible_projects
        accounts.members.team_members.access_team_member
    """,
    "team_members.write": """
        accounts.access.access.team_to_staff accounts.members.team_members.addable_members
    """,
    "teams.write": """
        accounts.access.access.writable_project accounts.access.access.writable_team
        usage.overview.chart_notes.add_note usage.overview.chart_notes.writable_notes
    """,
    "usage.read": """
        usage.overview.chart_notes.visible_notes usage.saved_views.saved_views.require_person
        usage.saved_views.saved_views.visible_views
    """,
    "webhooks.read": "notify.access.visible_deliveries notify.access.visible_endpoints",
}
# They ask for one that they are given, or that follows from what they are about.
GIVEN: Final = {
    "billing.access.access_wallet", "billing.approvals.approvals.decide",
    "gateway.settings.history.undo_setting_change",
    "usage.exports.views._describe_focus", "usage.exports.exports.start_export",
    "usage.filters.visibility.seen_by",
}  # fmt: skip
# They look up what is named before they ask for more than to see it.
LOOKING: Final = {
    "accounts.access.access.writable_key", "content.prompts.prompts.owned_prompt",
}  # fmt: skip
_REQUIRE: Final = ("require", "access.require")
FUNCTIONS: Final = [
    pytest.param(permission, name, id=name)
    for permission, names in ASKED.items()
    for name in names.split()
]


def asking() -> Iterator[tuple[str, str]]:
    """Each function that asks, and for what; "" where that is given to it."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text()
            for function in tree_of(path).body if "require(" in text else ():
                if not isinstance(function, ast.FunctionDef):
                    continue
                if "actor" not in {one.arg for one in function.args.args[:1]}:
                    continue
                if any("router" in ast.unparse(one) for one in function.decorator_list):
                    continue
                for call in ast.walk(function):
                    if isinstance(call, ast.Call) and ast.unparse(call.func) in _REQUIRE:
                        asked = call.args[1]
                        permission = asked.value if isinstance(asked, ast.Constant) else ""
                        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                        yield f"{module}.{function.name}", str(permission)


def test_each_function_checks_the_permissions_listed_here() -> None:
    """Whoever takes a question away, or asks for less, changes this table with it."""
    results: dict[str, set[str]] = {}
    asked = list(asking())
    for name, permission in asked:
        if permission:
            results.setdefault(permission, set()).add(name)
    assert results == {permission: set(names.split()) for permission, names in ASKED.items()}
    assert {name for name, permission in asked if not permission} == GIVEN


@pytest.mark.django_db
@pytest.mark.parametrize(("permission", "name"), FUNCTIONS)
def test_actor_lacking_one_permission_is_always_rejected(
    people: Cast, monkeypatch: pytest.MonkeyPatch, permission: str, name: str
) -> None:
    """They have every other one, so that nothing else that is asked answers for it."""
    if name not in LOOKING:
        monkeypatch.setattr(
            access, "scope_of", lambda actor, action: None if action == permission else "all"
        )
    nobody = Actor(
        user=people.bob, key=None, organisation=people.acme, role=Role.CUSTOM, operator=False
    )
    module, _, function = name.rpartition(".")
    act = getattr(importlib.import_module(module), function)
    named: list[Any] = [MagicMock() for _ in range(act.__code__.co_argcount - 1)]
    rest = act.__code__.co_varnames[act.__code__.co_argcount :][: act.__code__.co_kwonlyargcount]
    with pytest.raises(AccessDenied):
        act(nobody, *named, **{one: MagicMock() for one in rest})
