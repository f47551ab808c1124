"""Writes of accounts."""

from typing import Final

from accounts.access.actors import SYSTEM
from accounts.audit.changes import change_row
from accounts.custom_roles import custom_roles
from accounts.keys import departures, keys, service_accounts
from accounts.keys.departures import KeyFate
from accounts.mail_server import mail_server
from accounts.members import invitations, members, team_members
from accounts.members.invitations import Offer
from accounts.models import Role, SingleSignOn
from accounts.organisations import organisations, projects, teams
from accounts.second_factor import second_factor
from accounts.sessions import view_as
from accounts.sessions.store import SessionStore
from accounts.sign_in import sign_in
from accounts.sign_up import sign_up
from accounts.single_sign_on import single_sign_on
from tests.config.writes.world import World, Writes
from tests.support import cast


def _save_single_sign_on(w: World) -> SingleSignOn:
    return single_sign_on.save_single_sign_on(
        w.alice, w.people.acme, secret="s", issuer="https://a.example", client_id="c",
        domains=["a.example"], group_claim="", group_rules=[], default_role="viewer",
        required=False,
    )  # fmt: skip


def _confirm_domains(w: World) -> SingleSignOn:
    row = SingleSignOn.objects.get()
    return single_sign_on.confirm_domains(w.dora, row, seen=single_sign_on.facts_of(row))


def _save_and_confirm(w: World) -> None:
    _save_single_sign_on(w)
    _confirm_domains(w)


BEFORE: Final[Writes] = {
    "accounts.single_sign_on.single_sign_on.confirm_domains": _save_single_sign_on,
    "accounts.single_sign_on.single_sign_on.remove_single_sign_on": _save_and_confirm,
    "accounts.single_sign_on.single_sign_on.unconfirm_domains": _save_and_confirm,
    "accounts.members.team_members.add_to_team": lambda w: members.set_member(
        w.people.acme, w.people.bob.email, Role.DEVELOPER, teams=[w.people.core], actor=SYSTEM
    ),
    "accounts.members.team_members.remove_from_team": lambda w: members.set_member(
        w.people.acme,
        w.people.bob.email,
        Role.DEVELOPER,
        teams=[w.people.core, w.second],
        actor=SYSTEM,
    ),
    "accounts.mail_server.mail_server.remove_mail_server": lambda w: mail_server.save_mail_server(
        w.dora, host="mail.example.org", port=25, encryption="none"
    ),
    "accounts.organisations.organisations.lift_suspension": lambda w: (
        organisations.suspend_organisation(w.people.acme, "unpaid", actor=SYSTEM)
    ),
    "accounts.organisations.organisations.restore_organisation": lambda w: (
        organisations.archive_organisation(w.people.acme, actor=SYSTEM)
    ),
    "accounts.organisations.projects.restore_project": lambda w: projects.archive_project(
        w.project, actor=SYSTEM
    ),
    "accounts.organisations.teams.restore_team": lambda w: teams.archive_team(
        w.second, actor=SYSTEM
    ),
}

WRITES: Final[Writes] = {
    "accounts.second_factor.second_factor.reset_factors": lambda w: second_factor.reset_factors(
        w.dora, w.people.bob
    ),
    "accounts.single_sign_on.single_sign_on.confirm_domains": _confirm_domains,
    "accounts.single_sign_on.single_sign_on.remove_single_sign_on": lambda w: (
        single_sign_on.remove_single_sign_on(w.alice, SingleSignOn.objects.get())
    ),
    "accounts.single_sign_on.single_sign_on.save_single_sign_on": _save_single_sign_on,
    "accounts.single_sign_on.single_sign_on.unconfirm_domains": lambda w: (
        single_sign_on.unconfirm_domains(w.dora, SingleSignOn.objects.get())
    ),
    "accounts.organisations.organisations.create_for": lambda w: organisations.create_for(
        "Customer", w.people.bob.email, actor=w.alice
    ),
    "accounts.audit.changes.change_row": lambda w: change_row(
        w.people.core, "team.renamed", w.alice, name="kernel"
    ),
    "accounts.custom_roles.custom_roles.change_role": lambda w: custom_roles.change_role(
        w.role, name="auditor", permissions=["audit.read"], actor=w.alice
    ),
    "accounts.custom_roles.custom_roles.create_role": lambda w: custom_roles.create_role(
        w.people.acme, "reader", ["usage.read"], actor=w.alice
    ),
    "accounts.custom_roles.custom_roles.remove_role": lambda w: custom_roles.remove_role(
        w.role, actor=w.alice
    ),
    "accounts.keys.departures.end_membership": lambda w: departures.end_membership(
        w.alice, w.membership, {}, KeyFate("revoke")
    ),
    "accounts.keys.departures.transfer_key": lambda w: departures.transfer_key(
        w.alice, w.bobs, w.people.alice.memberships.get()
    ),
    "accounts.members.invitations.accept": lambda w: invitations.accept(
        w.invitation, cast.person("ivy")
    ),
    "accounts.members.invitations.accept_as_new": lambda w: invitations.accept_as_new(
        w.invitation, "Ivy", "!"
    ),
    "accounts.members.invitations.invite": lambda w: invitations.invite(
        w.people.acme, [], Offer(Role.VIEWER), actor=w.alice
    ),
    "accounts.members.invitations.resend": lambda w: invitations.resend(
        w.invitation, actor=w.alice
    ),
    "accounts.members.invitations.withdraw": lambda w: invitations.withdraw(
        w.invitation, actor=w.alice
    ),
    "accounts.members.invitations.withdraw_all_of": lambda w: invitations.withdraw_all_of(
        w.people.alice, w.people.acme, actor=w.alice
    ),
    "accounts.members.members.add_member": lambda w: members.add_member(
        organisations.create_organisation("Ownerless", owner=None, actor=SYSTEM),
        "eve@example.org",
        Role.OWNER,
        actor=w.dora,
    ),
    "accounts.organisations.organisations.archive_organisation": lambda w: (
        organisations.archive_organisation(w.people.acme, actor=w.alice)
    ),
    "accounts.organisations.organisations.force_second_factor": lambda w: (
        organisations.force_second_factor(w.people.acme, ["owner"], actor=w.alice)
    ),
    "accounts.organisations.organisations.lift_suspension": lambda w: organisations.lift_suspension(
        w.people.acme, actor=w.dora
    ),
    "accounts.organisations.organisations.rename_organisation": lambda w: (
        organisations.rename_organisation(w.people.acme, "Acme Ltd.", actor=w.alice)
    ),
    "accounts.organisations.organisations.require_labels": lambda w: organisations.require_labels(
        w.people.acme, ["project"], actor=w.alice
    ),
    "accounts.organisations.organisations.restore_organisation": lambda w: (
        organisations.restore_organisation(w.people.acme, actor=w.dora)
    ),
    "accounts.organisations.organisations.suspend_organisation": lambda w: (
        organisations.suspend_organisation(w.people.acme, "unpaid", actor=w.dora)
    ),
    "accounts.organisations.projects.archive_project": lambda w: projects.archive_project(
        w.project, actor=w.alice
    ),
    "accounts.organisations.projects.change_project": lambda w: projects.change_project(
        w.project, name="Bots", team=w.second, actor=w.alice
    ),
    "accounts.organisations.projects.create_project": lambda w: projects.create_project(
        w.second, "Search", actor=w.alice
    ),
    "accounts.organisations.projects.restore_project": lambda w: projects.restore_project(
        w.project, actor=w.alice
    ),
    "accounts.keys.service_accounts.change_service_account": lambda w: (
        service_accounts.change_service_account(
            w.account, role=Role.VIEWER, disabled=True, actor=w.alice
        )
    ),
    "accounts.keys.service_accounts.create_service_account": lambda w: (
        service_accounts.create_service_account(w.people.core, "more", actor=w.alice)
    ),
    "accounts.organisations.teams.archive_team": lambda w: teams.archive_team(
        w.second, actor=w.alice
    ),
    "accounts.organisations.teams.rename_team": lambda w: teams.rename_team(
        w.people.core, "kernel", actor=w.alice
    ),
    "accounts.organisations.teams.restore_team": lambda w: teams.restore_team(
        w.second, actor=w.alice
    ),
    "accounts.keys.keys.import_key": lambda w: keys.import_key(
        w.alice, w.people.core, "b", "x" * 30
    ),
    "accounts.keys.keys.import_hashed_key": lambda w: keys.import_hashed_key(
        w.alice, w.people.core, "h", b"x" * 32
    ),
    "accounts.keys.keys.change_key": lambda w: keys.change_key(w.alice, w.key, disabled=True),
    "accounts.keys.keys.change_limits": lambda w: keys.change_limits(w.alice, w.membership, rpm=3),
    "accounts.keys.keys.change_limits team": lambda w: keys.change_limits(
        w.alice, w.people.core, tpm=3
    ),
    "accounts.keys.keys.change_limits organisation": lambda w: keys.change_limits(
        w.alice, w.people.acme, parallel=3
    ),
    "accounts.keys.keys.end_former_secrets": lambda w: keys.end_former_secrets(w.alice, w.key),
    "accounts.keys.keys.read_end_user_secret": lambda w: keys.read_end_user_secret(w.alice, w.bobs),
    "accounts.keys.keys.mint_key": lambda w: keys.mint_key(
        w.alice, w.people.core, "more", user=w.people.alice
    ),
    "accounts.keys.keys.revoke_key": lambda w: keys.revoke_key(w.alice, w.key),
    "accounts.keys.keys.rotate_key": lambda w: keys.rotate_key(w.alice, w.key, 0),
    "accounts.members.members.add_person": lambda w: members.add_person(
        "alice@example.org", operator=True, actor=w.dora
    ),
    "accounts.members.members.add_person new": lambda w: members.add_person(
        "new@example.org", actor=w.dora
    ),
    "accounts.organisations.organisations.create_organisation": lambda w: (
        organisations.create_organisation("New", owner=w.people.alice, actor=w.alice)
    ),
    "accounts.organisations.teams.create_team": lambda w: teams.create_team(
        w.people.acme, "third", actor=w.alice
    ),
    "accounts.members.members.remove_member": lambda w: members.remove_member(
        w.people.acme, "bob@example.org", actor=w.alice
    ),
    "accounts.members.team_members.add_to_team": lambda w: team_members.add_to_team(
        w.alice, w.second, "bob@example.org"
    ),
    "accounts.members.team_members.remove_from_team": lambda w: team_members.remove_from_team(
        w.alice, w.second, w.membership
    ),
    "accounts.members.team_members.set_lead": lambda w: team_members.set_lead(
        w.alice, w.people.core, w.membership, True
    ),
    "accounts.members.members.set_active": lambda w: members.set_active(
        w.people.bob, False, actor=w.dora
    ),
    "accounts.organisations.organisations.set_data_policy": lambda w: organisations.set_data_policy(
        w.people.acme, zero_retention=True, regions=["eu"], actor=w.alice
    ),
    "accounts.organisations.organisations.set_include_cost": lambda w: (
        organisations.set_include_cost(w.people.acme, True, actor=w.alice)
    ),
    "accounts.members.members.set_member": lambda w: members.set_member(
        w.people.acme, "bob@example.org", Role.VIEWER, actor=w.alice
    ),
    "accounts.organisations.organisations.set_retention": lambda w: organisations.set_retention(
        w.people.acme, 0, actor=w.alice
    ),
    "accounts.organisations.organisations.set_client_address_days": (
        lambda w: organisations.set_client_address_days(w.people.acme, 30, actor=w.alice)
    ),
    "accounts.sign_in.sign_in.make_sign_in_link": lambda w: sign_in.make_sign_in_link(w.people.bob),
    "accounts.sign_in.sign_in.use_sign_in_link": lambda w: sign_in.use_sign_in_link(
        sign_in.make_sign_in_link(w.people.bob).rstrip("/").rpartition("/")[2]
    ),
    "accounts.mail_server.mail_server.save_mail_server": lambda w: mail_server.save_mail_server(
        w.dora, host="mail.example.org", port=25, encryption="none"
    ),
    "accounts.mail_server.mail_server.remove_mail_server": lambda w: mail_server.remove_mail_server(
        w.dora
    ),
    "accounts.sign_up.sign_up.save_sign_up": lambda w: sign_up.save_sign_up(w.dora, mode="off"),
    "accounts.sessions.view_as.begin_view": lambda w: view_as.begin_view(
        w.dora, SessionStore(), w.people.acme, Role.ADMIN, "r"
    ),
    "accounts.sessions.view_as.end_view": lambda w: view_as.end_view(w.dora, w.viewing),
    "accounts.organisations.organisations.set_display_currency": lambda w: (
        organisations.set_display_currency(w.people.acme, "EUR", actor=w.alice)
    ),
}
