"""Read people and their access as items to compare."""

from collections.abc import Iterator
from typing import Any

from accounts.keys.lookup import digest_of
from accounts.mail_server import mail_server
from accounts.members.access import role_name
from accounts.models import (
    CustomRole,
    Invitation,
    Membership,
    Organisation,
    Project,
    ServiceAccount,
    SingleSignOn,
    Team,
    User,
)
from accounts.sign_up import sign_up
from accounts.single_sign_on import single_sign_on
from billing.models import MemberPlan, TeamPlan
from config.apply.difference import Id, Item, Secret, Value
from config.apply.item_fields import LIMITS, fields_of, tuples
from lib import clock
from playground.models import PayerRule
from playground.payers.payer_rules import rules_by_name


def present_people() -> Iterator[Item]:
    for user in User.objects.order_by("id"):
        fields: dict[str, Value] = {
            "name": user.name or None,
            "operator": user.operator,
            "active": user.is_active,
        }
        # People are never removed, because the books refer to them.
        yield Item(Id("person", (user.email.lower(),)), fields, lasting=True)


def present_access() -> Iterator[Item]:
    """Yield the roles, teams with their contents, members, invitations and single sign-on of every
    organisation."""
    for role in CustomRole.objects.select_related("organisation").order_by("id"):
        fields = tuples({"permissions": role.permissions})
        yield Item(Id("role", (role.organisation.slug, role.name)), fields)
    yield from _teams()
    for project in Project.objects.select_related("organisation", "team").order_by("id"):
        fields = {
            "name": project.name,
            "team": project.team.name,
            "archived": project.archived_at is not None,
        }
        yield Item(Id("project", (project.organisation.slug, project.slug)), fields, lasting=True)
    accounts = ServiceAccount.objects.select_related("organisation", "team", "custom_role")
    for account in accounts.order_by("id"):
        fields = {
            "team": account.team.name,
            "role": role_name(account),
            "disabled": account.disabled,
        }
        id = Id("service_account", (account.organisation.slug, account.name))
        yield Item(id, fields, lasting=True)
    yield from _members()
    yield from _invitations()
    yield from _single_sign_on()
    yield from _payer_rules()


def present_sign_up() -> Item:
    described = sign_up.describe_settings()
    fields = tuples({**described, "mode": str(described["mode"])})
    return Item(Id("sign_up"), fields, lasting=True)


def present_mail_server() -> Iterator[Item]:
    stored = mail_server.describe_stored()
    if stored is not None:
        password = mail_server.stored_password()
        secret = Secret(digest_of(password)) if password else None
        yield Item(Id("mail_server"), {**stored, "secret": secret})


def _teams() -> Iterator[Item]:
    plans = dict(TeamPlan.objects.values_list("team", "plan__name"))
    # Teams have books and usage, like organisations, so they are never removed.
    for team in Team.objects.select_related("organisation").order_by("created_at", "id"):
        fields: dict[str, Value] = {
            "slug": team.slug,
            "plan": plans.get(team.id, ""),
            "archived": team.archived_at is not None,
            **fields_of(team, ("required_labels", *LIMITS)),
        }
        yield Item(Id("team", (team.organisation.slug, team.name)), fields, lasting=True)


def _members() -> Iterator[Item]:
    plans = dict(MemberPlan.objects.values_list("membership", "plan__name"))
    names = dict(Team.objects.values_list("id", "name"))
    members = Membership.objects.select_related("organisation", "user", "custom_role")
    for member in members.prefetch_related("teams").order_by("created_at", "id"):
        fields: dict[str, Value] = {
            "role": role_name(member),
            "teams": _team_names(member),
            "leads": tuple(sorted(names[id] for id in member.leads)),
            "plan": plans.get(member.pk, ""),
            "operator": member.user.operator,
            **fields_of(member, LIMITS),
        }
        yield Item(Id("member", (member.organisation.slug, member.user.email.lower())), fields)


def _invitations() -> Iterator[Item]:
    """Yield the open invitations by e-mail address. An invitation without an address cannot be
    created again, and is left out."""
    open_ones = Invitation.objects.filter(
        accepted_at=None, withdrawn_at=None, expires_at__gt=clock.now(), invited_by__isnull=False
    ).exclude(email="")
    rows = open_ones.select_related("organisation", "custom_role", "invited_by")
    for invitation in rows.prefetch_related("teams").order_by("id"):
        fields: dict[str, Value] = {
            "role": role_name(invitation),
            "teams": _team_names(invitation),
            "message": invitation.message,
            "invited_by": invitation.invited_by.email.lower() if invitation.invited_by else "",
        }
        id = Id("invitation", (invitation.organisation.slug, invitation.email.lower()))
        yield Item(id, fields)


def _team_names(row: Membership | Invitation) -> tuple[str, ...] | None:
    """Return the names of the teams that the row is limited to; None without a limit."""
    return None if row.all_teams else tuple(sorted(team.name for team in row.teams.all()))


def _single_sign_on() -> Iterator[Item]:
    teams = {(team.organisation_id, team.slug): team.name for team in Team.objects.all()}
    for row in SingleSignOn.objects.select_related("organisation").order_by("id"):
        fields: dict[str, Any] = tuples(single_sign_on.describe_settings(row))
        fields["group_rules"] = tuple(
            {
                "group": rule["group"],
                "role": rule["role"],
                "teams": tuple(
                    teams.get((row.organisation_id, slug), slug) for slug in rule["teams"]
                ),
            }
            for rule in row.group_rules
        )
        fields["secret"] = Secret(digest_of(single_sign_on.secret_of(row)))
        yield Item(Id("single_sign_on", (row.organisation.slug,)), fields)


def _payer_rules() -> Iterator[Item]:
    """Yield one rule per role whose members use the playground. A default rule is never removed."""
    for organisation in Organisation.objects.order_by("created_at", "id"):
        for role, rule in rules_by_name(organisation).items():
            id = Id("payer_rule", (organisation.slug, role))
            yield Item(id, {"rule": str(rule)}, lasting=rule == PayerRule.ANY)
