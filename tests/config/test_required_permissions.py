"""Whatever reads or writes for an actor requires its permission first, whoever calls it.

Each of these functions is called by somebody who may do everything but that. Pages, operations and
commands have guards of their own; these are behind all of them.
"""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from accounts.access.access import AccessDenied
from accounts.access.actors import Actor
from accounts.roles.rules import PERMISSIONS
from billing.access import access_wallet
from usage.filters.visibility import seen_by, visible

ROOT: Final = Path(__file__).parents[2]
# module -> permission -> the functions that require it.
REQUIRED: Final[dict[str, dict[str, str]]] = {
    "accounts.access.access": {
        "keys.read": "visible_keys visible_service_accounts",
        "playground.use": "payable_keys",
        "organisations.read": "any_keys all_organisations all_people",
        "teams.read": "access_any_team visible_projects",
        "teams.write": "writable_team writable_project",
        "team_members.write": "team_to_staff",
        "keys.write": "writable_service_account keyed_teams keyed_team",
    },
    "accounts.audit_log.log": {
        "audit.read": "visible_events all_events",
    },
    "accounts.keys.limited_subjects": {
        "budgets.write": "limited_subjects",
    },
    "accounts.members.access": {
        "members.read": "visible_members named_members visible_roles visible_invitations",
        "members.write": "writable_member writable_invitation working_keys_of",
    },
    "accounts.members.team_members": {
        "team_members.write": "addable_members",
        "teams.read": "access_team_member",
    },
    "accounts.single_sign_on.single_sign_on": {
        "sign_in.write": "access_single_sign_on",
    },
    "billing.access": {
        "credits.read": (
            "organisation_named all_organisations visible_credits access_posting "
            "all_top_ups unmatched_events all_invoices exchange_rates tax_rates "
            "visible_subscription_plans"
        ),
        "codes.read": "visible_batches",
        "balance.read": "offered_plans visible_invoices",
        "topups.read": "visible_top_ups",
    },
    "billing.approvals.approvals": {
        "credits.read": "visible_approvals",
    },
    "billing.invoices.invoices": {
        "credits.write": "_person",
    },
    "billing.limits.budget_increases": {
        "budgets.ask": "askable_budgets is_plan_limit visible_raises",
    },
    "billing.limits.budgets": {
        "budgets.read": "visible_budgets",
    },
    "billing.safeguards.safeguards": {
        "credits.read": "all_safeguards",
    },
    "content.access": {
        "content.read": "visible_entries",
    },
    "content.log.log": {
        "content.read": "download search",
    },
    "content.policies.policies": {
        "organisation.write": "visible_policies",
    },
    "content.rules.log_rules": {
        "organisation.write": "visible_rules",
    },
    "gateway.access": {
        "channels.read": (
            "every_channel access_channel_key visible_rules visible_shadow_answers "
            "visible_aliases visible_test_runs"
        ),
        "prices.write": (
            "access_price visible_proposals visible_versions visible_previews visible_price_plans"
        ),
    },
    "gateway.catalogue.access": {
        "channels.read": "visible_model_proposals",
        "prices.write": "visible_updates visible_ignore_rules",
    },
    "gateway.public_models.access": {
        "channels.read": "visible_models access_model",
    },
    "gateway.settings.history": {
        "channels.write": "_events",
    },
    "gateway.status.access": {
        "channels.read": "visible_announcements",
    },
    "notify.access": {
        "webhooks.read": "visible_endpoints visible_deliveries",
        "channels.read": "operator_endpoints",
    },
    "playground.attachments.attachments": {
        "playground.use": "add_bytes",
    },
    "playground.content_log.opening": {
        "playground.use": "open_in_playground",
    },
    "playground.conversations.conversations": {
        "playground.read": "_all_conversations access_attachment",
    },
    "playground.chats.export_import": {
        "playground.use": "import_conversations",
    },
    "playground.chats.history": {
        "playground.use": "archive_chats delete_chats move_chats undo_changes",
    },
    "playground.chats.sharing": {
        "playground.use": "share_branch revoke_link",
        "playground.read": "links_of",
    },
    "playground.compare_page.compare": {
        "playground.use": "cast_vote",
        "playground.read": "organisation_standings",
    },
    "playground.media.media": {
        "playground.read": "visible_media",
        "playground.use": "begin_media",
    },
    "playground.media.realtime": {
        "playground.use": "issue_ticket charges_of",
    },
    "playground.panel.presets": {
        "playground.read": "visible_presets",
        "playground.use": "save_preset",
    },
    "playground.payers.paying": {
        "playground.use": "choose_default_payer",
    },
    "playground.preferences.preferences": {
        "playground.use": (
            "choose_leaving choose_title_model choose_default_model toggle_favourite choose_keys"
        ),
        "playground.write": "choose_organisation_model set_leaving_rule",
    },
    "content.prompts.prompts": {
        "prompts.read": "visible_prompts",
        "playground.use": "save_prompt save_version require_person move_label roll_back_label"
        " remove_label",
    },
    "playground.turns.turns": {
        "playground.use": "begin_turns add_column",
    },
    "usage.books.findings": {
        "channels.read": "all_findings",
        "channels.write": "acknowledge",
    },
    "usage.exports.exports": {
        "requests.read": "visible_exports start_export",
    },
    "usage.margin.margin": {
        "credits.read": "margin",
    },
    "usage.margin.provider_bills": {
        "credits.read": "visible_bills access_difference kept_mappings",
        "credits.write": "reconcile settle_difference reopen_difference",
    },
    "gateway.own_keys.access": {
        "keys.write": "visible_own_keys access_holder visible_offers",
        "channels.read": "access_channel_offer",
    },
    "usage.feedback.feedback": {
        "playground.use": "give_feedback withdraw_feedback",
        "organisation.write": "delete_feedback",
    },
    "usage.overview.chart_notes": {
        "usage.read": "visible_notes",
        "teams.write": "writable_notes add_note",
    },
    "usage.reviews.accepted_members": {
        "credits.read": "accepted_members",
        "credits.write": "accept_members revoke_member",
    },
}
CASES: Final = [
    (module, name, permission)
    for module, by_permission in REQUIRED.items()
    for permission, names in by_permission.items()
    for name in names.split()
]


def actor_without(permission: str) -> Actor:
    """Somebody who may do everything but that."""

    def scope_of(action: str) -> str | None:
        return None if action == permission else "all"

    return cast(Actor, SimpleNamespace(
        user=None, key=None, model_key=None, organisation=SimpleNamespace(suspended_at=None),
        teams=None, operator=False, viewing=False, installation=False,
        authority=SimpleNamespace(scope_of=scope_of),
    ))  # fmt: skip


@pytest.mark.parametrize(("module", "name", "permission"), CASES)
def test_request_without_its_permission_is_rejected(
    module: str, name: str, permission: str
) -> None:
    """P12"""
    function: Any = getattr(import_module(module), name)
    _, *others = inspect.signature(function).parameters.values()
    given = {one.name: cast(Any, None) for one in others if one.default is one.empty}
    with pytest.raises(AccessDenied):
        function(actor_without(permission), **given)


@pytest.mark.parametrize("function", [access_wallet, seen_by, visible])
def test_request_without_its_stated_permission_is_rejected(function: Any) -> None:
    for permission in PERMISSIONS:
        action = permission.removesuffix(":own")
        with pytest.raises(AccessDenied):
            function(actor_without(action), action)


def test_every_permission_check_is_in_the_table() -> None:
    known = {(module, name) for module, name, _ in CASES}
    assert [one for one in _requiring() if one not in known] == []


def _requiring() -> Iterator[tuple[str, str]]:
    """The functions outside of views and operations that require a permission by its name."""
    for path in sorted(ROOT.glob("[a-z]*/**/*.py")):
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        if module.startswith("tests.") or path.stem.endswith(("views", "api")):
            continue
        for function in ast.parse(path.read_text()).body:
            if isinstance(function, ast.FunctionDef):
                calls = (one.value for one in function.body if isinstance(one, ast.Expr))
                for call in calls:
                    if isinstance(call, ast.Call) and _requires(call):
                        yield module, function.name


def _requires(call: ast.Call) -> bool:
    return (
        ast.unparse(call.func) in ("require", "access.require")
        and len(call.args) == 2
        and isinstance(call.args[1], ast.Constant)
    )
