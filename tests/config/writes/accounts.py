"""Writes of accounts."""

from typing import Final

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
from accounts.models import Role
from accounts.session_store import SessionStore
from tests import cast
from tests.config.writes.world import Writes

BEFORE: Final[Writes] = {
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
}
WRITES: Final[Writes] = {
    "accounts.organisations.create_for": lambda w: organisations.create_for(
        "Customer", w.people.bob.email, actor=w.alice
    ),
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
    "accounts.members.add_member": lambda w: members.add_member(
        organisations.create_organisation("Ownerless", owner=None, actor=SYSTEM),
        "eve@example.org",
        Role.OWNER,
        actor=w.dora,
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
    "accounts.organisations.set_display_currency": lambda w: organisations.set_display_currency(
        w.people.acme, "EUR", actor=w.alice
    ),
}
