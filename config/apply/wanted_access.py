"""Turn a loaded file's people and their access into items to compare."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.text import slugify

from config.apply import file_format
from config.apply.difference import Id, Item, Kept, Secret, Value
from config.apply.item_fields import SINGLE_SIGN_ON_FIELDS, defaults_of, set_fields, tuples
from config.apply.yaml_source import Path


def wanted_people(people: Iterable[file_format.Person]) -> Iterator[Item]:
    for n, person in enumerate(people):
        fields = set_fields(person, ("active",))
        if person.name:
            fields["name"] = person.name
        if person.operator:
            fields["operator"] = True
        id = Id("person", (person.email.lower(),))
        yield Item(id, fields, {"active": True}, ("people", n))


def wanted_sign_up(sign_up: file_format.SignUp) -> Item:
    names = tuple(file_format.SignUp.model_fields)
    fields: dict[str, Any] = tuples(set_fields(sign_up, names))
    if "domains" in fields:
        ordered = sorted(sign_up.domains, key=lambda domain: domain.domain.lower())
        fields["domains"] = tuple(
            {**domain.model_dump(), "domain": domain.domain.strip().lower()} for domain in ordered
        )
    return Item(Id("sign_up"), fields, tuples(defaults_of(file_format.SignUp, names)), ("sign_up",))


def wanted_access(
    organisation: file_format.Organisation, slug: str, path: Path, client_secret: Secret | Kept
) -> Iterator[Item]:
    """Yield all items except members and keys."""
    for n, role in enumerate(organisation.roles):
        fields = tuples(set_fields(role, ("permissions",)))
        id = Id("role", (slug, role.name))
        yield Item(id, fields, {"permissions": ()}, (*path, "roles", n))
    for n, team in enumerate(organisation.teams):
        at = (*path, "teams", n)
        for k, project in enumerate(team.projects):
            yield _project(project, slug, team.name, (*at, "projects", k))
        for k, account in enumerate(team.service_accounts):
            yield _service_account(account, slug, team.name, (*at, "service_accounts", k))
    for n, invitation in enumerate(organisation.invitations):
        yield _invitation(invitation, slug, (*path, "invitations", n))
    for role_name, rule in organisation.payer_rules.items():
        id = Id("payer_rule", (slug, role_name))
        yield Item(id, {"rule": rule}, path=(*path, "payer_rules", role_name))
    if organisation.single_sign_on is not None:
        sso_path = (*path, "single_sign_on")
        yield _single_sign_on(organisation.single_sign_on, slug, client_secret, sso_path)


def _project(project: file_format.Project, slug: str, team: str, path: Path) -> Item:
    fields: dict[str, Value] = {"name": project.name, "team": team}
    fields |= set_fields(project, ("archived",))
    id = Id("project", (slug, project.slug or slugify(project.name)))
    return Item(id, fields, {"archived": False}, path)


def _service_account(account: file_format.ServiceAccount, slug: str, team: str, path: Path) -> Item:
    fields: dict[str, Value] = {"team": team, **set_fields(account, ("role", "disabled"))}
    defaults = defaults_of(file_format.ServiceAccount, ("role", "disabled"))
    return Item(Id("service_account", (slug, account.name)), fields, defaults, path)


def _invitation(invitation: file_format.Invitation, slug: str, path: Path) -> Item:
    fields: dict[str, Value] = {
        "role": invitation.role,
        "invited_by": invitation.invited_by.lower(),
        **tuples(set_fields(invitation, ("teams", "message"))),
    }
    id = Id("invitation", (slug, invitation.email.lower()))
    return Item(id, fields, {"teams": None, "message": ""}, path)


def _single_sign_on(
    sso: file_format.SingleSignOn, slug: str, secret: Secret | Kept, path: Path
) -> Item:
    fields: dict[str, Any] = {"secret": secret, **tuples(set_fields(sso, SINGLE_SIGN_ON_FIELDS))}
    if "group_rules" in fields:
        fields["group_rules"] = tuple(map(_rule, sso.group_rules))
    defaults = tuples(defaults_of(file_format.SingleSignOn, SINGLE_SIGN_ON_FIELDS))
    return Item(Id("single_sign_on", (slug,)), fields, defaults, path)


def _rule(rule: file_format.GroupRule) -> dict[str, Value]:
    return {"group": rule.group, "role": rule.role, "teams": tuple(rule.teams)}
