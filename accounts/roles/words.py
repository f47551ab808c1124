"""Descriptions of permissions, grouped as in the editor of a role."""

from typing import Final, NamedTuple, cast

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.roles.authority import Authority
from accounts.roles.rules import Action, Permission, scope_of


class Words(NamedTuple):
    """The title of a permission and a line that describes it."""

    title: Promise
    line: Promise


class PermissionRow(NamedTuple):
    """One row of a role's page: a permission, and whether the role has it."""

    title: Promise
    line: Promise
    has: bool


GROUPS: Final[tuple[tuple[Promise, dict[Permission, Words]], ...]] = (
    (_("People"), {
        "members.read": Words(
            _("See members"), _("Email address, role, teams and last use of every member.")),
        "members.read:own": Words(
            _("See own profile"), _("Their own role and teams, and the names of colleagues.")),
        "members.write": Words(
            _("Manage members"), _("Invite people, change their roles and teams, remove them.")),
        "roles.write": Words(
            _("Manage roles"), _("Create, change and delete the roles of this organisation.")),
        "teams.read": Words(_("See all teams"), _("Every team and project.")),
        "teams.read:own": Words(_("See own teams"), _("Only the teams that they belong to.")),
        "teams.write": Words(
            _("Manage teams"), _("Create, rename and archive teams and projects.")),
        "team_members.write": Words(
            _("Manage members of teams"), _("Add members to teams and remove them.")),
    }),
    (_("API keys"), {
        "keys.read": Words(_("See all keys"), _("Name, limits and last use; never the secret.")),
        "keys.read:own": Words(_("See own keys"), _("Only the keys that belong to them.")),
        "keys.write": Words(
            _("Manage all keys"), _("Create, change, rotate and revoke keys of others.")),
        "keys.write_own": Words(
            _("Create own keys"), _("Call models with keys of their own, and manage these.")),
    }),
    (_("Usage"), {
        "usage.read": Words(_("See all usage"), _("Spend and tokens of the whole organisation.")),
        "usage.read:own": Words(_("See own usage"), _("Only their own spend and tokens.")),
        "requests.read": Words(
            _("See all requests"), _("Cost, status and errors of every request.")),
        "requests.read:own": Words(_("See own requests"), _("Only requests that they made.")),
        "content.read": Words(
            _("Read contents"),
            _("The texts of requests and answers that the content log keeps. Each reading is "
              "recorded with its reason.")),
        "sessions.write": Words(
            _("End all sessions"), _("End and reopen every session of an agent.")),
        "sessions.write:own": Words(
            _("End own sessions"), _("Only sessions whose requests they made.")),
        "audit.read": Words(_("See the audit log"), _("Who changed what, and when.")),
    }),
    (_("Budgets"), {
        "budgets.read": Words(_("See all budgets"), _("Every budget and what is left of it.")),
        "budgets.read:own": Words(_("See own budgets"), _("Only budgets that apply to them.")),
        "budgets.write": Words(
            _("Manage budgets and limits"),
            _("Set budgets and rate limits. Decide on increases, except as a lead.")),
        "budgets.ask": Words(
            _("Request increases"), _("Request an increase of any budget in the organisation.")),
        "budgets.ask:own": Words(
            _("Request own increases"), _("Request an increase of a budget that applies to them.")),
    }),
    (_("Billing"), {
        "balance.read": Words(_("See the balance"), _("Balance, ledger and statements.")),
        "wallet.write": Words(
            _("Change billing settings"), _("Balance alerts and automatic top-up.")),
        "topups.read": Words(_("See top-ups"), _("Every payment and its status.")),
        "topups.write": Words(_("Top up"), _("Start and cancel payments.")),
        "codes.redeem": Words(
            _("Redeem codes"), _("Add the value of a code to the balance.")),
    }),
    (_("Models and playground"), {
        "models.read": Words(_("See models"), _("Available models and their prices.")),
        "prompts.read": Words(
            _("See prompts"), _("Prompts that were shared with the organisation.")),
        "playground.read": Words(_("Open the playground"), _("Read their own chats.")),
        "playground.use": Words(
            _("Send messages"), _("Chat with models, paid for by the organisation.")),
        "playground.write": Words(
            _("Manage the playground"), _("Rules that apply to the chats of all members.")),
    }),
    (_("Organisation"), {
        "organisation.read": Words(_("See the organisation"), _("Its name and settings.")),
        "organisation.write": Words(
            _("Change the organisation"), _("Its name, settings and security rules.")),
        "webhooks.read": Words(_("See webhooks"), _("Addresses and deliveries.")),
        "webhooks.write": Words(
            _("Manage webhooks"), _("Create, change and delete webhooks.")),
    }),
)  # fmt: skip
WORDS: Final[dict[Permission, Words]] = {
    permission: words for _, group in GROUPS for permission, words in group.items()
}


def has_permission(authority: Authority, permission: Permission) -> bool:
    """Return whether the authority covers a permission, in at least one team."""
    name, _, own = permission.partition(":")
    action = cast(Action, name)
    scope = authority.scope_of(action)
    if own or scope_of("owner", action) == "own":
        return scope is not None
    return scope in ("teams", "all")


def permission_groups(authority: Authority) -> list[tuple[Promise, list[PermissionRow]]]:
    """List what the authority can and cannot do, by group. A permission for own objects is listed
    only if the permission for all objects is missing."""
    return [
        (
            name,
            [
                PermissionRow(words.title, words.line, has_permission(authority, permission))
                for permission, words in group.items()
                if not permission.endswith(":own") or _covers_only_own(authority, permission)
            ],
        )
        for name, group in GROUPS
    ]


def lost(held: Authority, wanted: Authority) -> list[Promise]:
    """Return the titles of what `held` can do and `wanted` cannot."""
    return [
        words.title
        for permission, words in WORDS.items()
        if has_permission(held, permission) and not has_permission(wanted, permission)
        if not permission.endswith(":own") or _covers_only_own(held, permission)
    ]


def _covers_only_own(authority: Authority, permission: Permission) -> bool:
    whole = permission.removesuffix(":own")
    return has_permission(authority, permission) and not has_permission(authority, whole)
