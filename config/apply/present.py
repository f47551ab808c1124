"""Read the installation as items to compare, in one transaction."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.db import connection
from django.db.models import Prefetch, Q

from accounts.mail_server import current_server
from accounts.members.access import role_name
from accounts.models import (
    CustomRole,
    Invitation,
    Key,
    KeyKind,
    Membership,
    Organisation,
    Project,
    ServiceAccount,
    SingleSignOn,
    Team,
    User,
)
from accounts.secrets.key_lookup import digest_of
from accounts.secrets.sealing import open_sealed
from accounts.sign_up import sign_up
from accounts.single_sign_on import single_sign_on
from billing.models import (
    Account,
    Budget,
    LedgerEntry,
    MemberPlan,
    OrganisationChargeRule,
    OrganisationPlan,
    PriceKind,
    PriceVersion,
    TeamPlan,
    WalletSetting,
)
from billing.price_plans.price_plans import list_price_plans
from billing.prices.conditions import PriceKey
from billing.prices.prices import CATALOGUE, key_of
from billing.trials import trials
from config.apply.difference import Id, Item, Secret, Value
from config.apply.item_fields import (
    BUDGET_TERMS,
    CACHING,
    DATA_POLICY,
    KEY_FIELDS,
    LIMITS,
    LOG_RULE_FIELDS,
    POLICY_LIMITS,
    fields_of,
    policy_budgets,
    tuples,
)
from config.apply.wanted import assigned_targets, price_id
from content.models import LogRule, Policy, PolicySecret
from content.policies.policies import budgets_of
from content.policies.rules import secret_place
from gateway.aliases.aliases import all_aliases
from gateway.channels.channels import parts_of, routes_of, secret_digest
from gateway.channels.egress import SecretName, open_egress
from gateway.channels.fields import AMOUNT_NAMES, EGRESS_SECRETS, SETTINGS
from gateway.channels.passthrough.rules import read_rules, stored_rules
from gateway.model_entries import entries as model_entries
from gateway.model_entries.entries import visible_entries
from gateway.models import Channel, ChannelKey, ModelRule, OwnKeyOffer
from gateway.routing.model_rules import facts_of
from gateway.settings.installation import current_values
from lib import clock
from lib.vault import VaultError
from playground.models import PayerRule
from playground.payers.payer_rules import rules_by_name


def lock_installation() -> None:
    """Lock the installation for this transaction, waiting for other runs that read or write all of
    it.

    Two concurrent runs would each miss the other's writes.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('weir installation'))")


def present_items() -> list[Item]:
    """Return everything that a file can name, without the shipped catalogue and the playground's
    keys."""
    return [
        _settings(),
        *present_mail_server(),
        *_channels(),
        *_prices(),
        *_plans(),
        *_models(),
        *_model_rules(),
        *_aliases(),
        *_own_key_offers(),
        *present_people(),
        *_organisations(),
        present_sign_up(),
        _trial_credit(),
    ]


def organisation_names() -> dict[str, str]:
    """Return the names of organisations by slug."""
    return dict(Organisation.objects.values_list("slug", "name"))


def project_names() -> dict[tuple[str, str], str]:
    """Return the names of projects by the slug of the organisation and their own."""
    rows = Project.objects.values_list("organisation__slug", "slug", "name")
    return {(organisation, slug): name for organisation, slug, name in rows}


def _settings() -> Item:
    return Item(Id("settings"), tuples(current_values()), lasting=True)


def _secret(channel: Channel, name: SecretName) -> Secret | None:
    if getattr(channel, name) is None:
        return None
    return _by_digest(lambda: secret_digest(open_egress(channel, name)))


def _by_digest(digest: Callable[[], bytes]) -> Secret:
    """Return a secret by its digest. A secret that cannot be decrypted differs from every other."""
    try:
        return Secret(digest())
    except VaultError:
        return Secret(b"")


def _channels() -> Iterator[Item]:
    keys = Prefetch("keys", ChannelKey.objects.order_by("position"))
    for channel in Channel.objects.prefetch_related(keys, "routes").order_by("name"):
        parts = parts_of(channel)
        fields: dict[str, Value] = {
            **{name: getattr(channel, name) for name in SETTINGS},
            **{name: getattr(channel, f"{name}_nano") for name in AMOUNT_NAMES},
            **{name: _secret(channel, name) for name in EGRESS_SECRETS},
            **routes_of(channel),
            "keys": tuple(Secret(bytes(key.digest)) for key in channel.keys.all()),
            "archived": channel.archived_at is not None,
            "overrides": parts.pop("overrides"),
            "pass_through": tuple(stored_rules(read_rules(parts.pop("pass_through")))),
            **{f"{part}.{name}": parts[part][name] for part in parts for name in parts[part]},
        }
        yield Item(Id("channel", (channel.name,)), fields)


_OF_PATHS: Final = (PriceKind.PATH, PriceKind.PATH_COST)


def _prices() -> Iterator[Item]:
    versions = (
        PriceVersion.objects.select_related("price")
        # Prices of pass-through rules are left out, because they are members of their channels.
        .exclude(Q(source__startswith=CATALOGUE) | Q(price__kind__in=_OF_PATHS))
        .order_by(*(f"price__{name}" for name in PriceKey._fields), "valid_from")
    )
    now = clock.now()
    for version in versions:
        # A file omits empty tiers; an empty stored list means the same.
        rates = {name: part for name, part in version.rates.items() if part or name == "meters"}
        fields: dict[str, Value] = {"rates": rates, "valid_to": version.valid_to}
        ended = version.valid_to is not None and version.valid_to <= now
        yield Item(price_id(key_of(version.price), version.valid_from), fields, lasting=ended)


def _plans() -> Iterator[Item]:
    for plan in list_price_plans():
        fields: dict[str, Value] = {
            "multiplier": plan.multiplier_ppm,
            "models": plan.model_patterns,
        }
        yield Item(Id("plan", (plan.name,)), fields)


def _models() -> Iterator[Item]:
    for entry in visible_entries():
        yield Item(Id("model", (entry.name,)), tuples(model_entries.facts_of(entry)))


def _model_rules() -> Iterator[Item]:
    for rule in ModelRule.objects.order_by("model"):
        yield Item(Id("model_rule", (rule.model,)), tuples(facts_of(rule)))


def _aliases() -> Iterator[Item]:
    for name, target in all_aliases().items():
        yield Item(Id("alias", (name,)), {"target": target})


def _own_key_offers() -> Iterator[Item]:
    rows = OwnKeyOffer.objects.select_related("channel").prefetch_related("organisations")
    for offer in rows.order_by("channel__name"):
        fields: dict[str, Value] = {
            "title": offer.title,
            "everyone": offer.everyone,
            "organisations": tuple(sorted(one.slug for one in offer.organisations.all())),
            "fee_per_request": offer.fee_request_nano,
            "fee_per_million_tokens": offer.fee_million_nano,
        }
        yield Item(Id("own_key_offer", (offer.channel.name,)), fields)


def _organisations() -> Iterator[Item]:
    plans = dict(OrganisationPlan.objects.values_list("organisation_id", "plan__name"))
    credits = dict(
        LedgerEntry.objects.filter(posting__kind="opening", account__kind="customer:available")
        .order_by("id")
        .values_list("account__organisation_id", "amount_nano")
    )
    lines = dict(
        Account.objects.filter(overdraft_nano__gt=0).values_list("organisation", "overdraft_nano")
    )
    charge_rules = dict(OrganisationChargeRule.objects.values_list("organisation", "rule"))
    low_balances = dict(WalletSetting.objects.values_list("organisation", "low_nano"))
    for organisation in Organisation.objects.order_by("created_at", "id"):
        fields: dict[str, Value] = {
            **fields_of(organisation, ("name", "currency", "retention_hours", "include_cost")),
            **fields_of(organisation, (*DATA_POLICY, *LIMITS)),
            **fields_of(organisation, ("required_labels", "second_factor_roles")),
            **fields_of(organisation, ("client_address_days", "display_currency")),
            "plan": plans.get(organisation.id, ""),
            "credit": credits.get(organisation.id),
            "credit_line": lines.get(organisation.id, 0),
            "low_balance": low_balances.get(organisation.id),
            "charge_rule": charge_rules.get(organisation.id, {}),
            "suspended": organisation.suspended_reason if organisation.suspended_at else None,
            "archived": organisation.archived_at is not None,
        }
        # Organisations and teams have books and usage, so they are never removed.
        yield Item(Id("organisation", (organisation.slug,)), fields, lasting=True)
    yield from present_access()
    keys = Key.objects.filter(revoked_at=None, kind=KeyKind.RELAY)
    for key in keys.select_related(
        "organisation", "team", "user", "service_account", "project"
    ).order_by("created_at", "id"):
        fields = {
            "team": key.team.name,
            "secret": Secret(bytes(key.digest)),
            **tuples({name: getattr(key, field) for name, field in KEY_FIELDS.items()}),
            "user": key.user.email.lower() if key.user else "",
            "service_account": key.service_account.name if key.service_account else "",
            "project": key.project.slug if key.project else "",
        }
        yield Item(Id("key", (key.organisation.slug, key.name)), fields)
    yield from _budgets()
    yield from _log_rules()
    yield from _policies()


def _budgets() -> Iterator[Item]:
    """Yield the budgets of objects that a file can name. Budgets of ended keys and of former
    members are left out."""
    names = _names_by_id()
    members = {
        (organisation, str(user)): email
        for organisation, user, email in Membership.objects.values_list(
            "organisation", "user", "user__email"
        )
    }
    own = Budget.objects.filter(policy_id=None)
    for budget in own.select_related("organisation").order_by("id"):
        subject: str | None = budget.subject
        if budget.scope in ("team", "key"):
            subject = names.get((budget.scope, budget.subject))
        elif budget.scope == "user":
            subject = members.get((budget.organisation_id, budget.subject))
        if subject is None:
            continue
        fields: dict[str, Value] = {
            "amount": budget.amount_nano,
            **fields_of(budget, ("anchor", *BUDGET_TERMS)),
        }
        subject = subject.lower() if budget.scope == "user" else subject
        name = (budget.organisation.slug, str(budget.scope), subject, str(budget.period))
        yield Item(Id("budget", name), fields)


def _names_by_id() -> dict[tuple[str, str], str]:
    """Return the names of teams and of living keys, by scope and id."""
    teams = Team.objects.values_list("id", "name")
    keys = Key.objects.filter(revoked_at=None, kind=KeyKind.RELAY).values_list("id", "name")
    return {
        **{("team", str(id)): name for id, name in teams},
        **{("key", str(id)): name for id, name in keys},
    }


def _log_rules() -> Iterator[Item]:
    """Yield the rules of the content log. Those of ended keys are left out."""
    names = _names_by_id()
    for rule in LogRule.objects.select_related("organisation").order_by("id"):
        subject: str | None = rule.subject
        if rule.scope in ("team", "key"):
            subject = names.get((rule.scope, rule.subject))
        if subject is not None:
            id = Id("log_rule", (rule.organisation.slug, str(rule.scope), subject))
            yield Item(id, fields_of(rule, LOG_RULE_FIELDS))


def _policies() -> Iterator[Item]:
    """Yield the policies, without assignments to ended keys."""
    names = {**_names_by_id(), ("organisation", ""): ""}
    policies = Policy.objects.select_related("organisation")
    for policy in policies.prefetch_related("assignments", "secrets").order_by("id"):
        fields: dict[str, Value] = {
            **tuples({name: getattr(policy, field) for name, field in POLICY_LIMITS.items()}),
            "rules": tuple(policy.rules),
            "budgets": policy_budgets(budgets_of(policy)),
            "secrets": {one.guard: _guard_secret(one) for one in policy.secrets.all()},
            "assigned": assigned_targets(
                (str(one.scope), names[one.scope, one.subject])
                for one in policy.assignments.all()
                if (one.scope, one.subject) in names
            ),
        }
        yield Item(Id("policy", (policy.organisation.slug, policy.name)), fields)


def _guard_secret(row: PolicySecret) -> Secret:
    place = secret_place(str(row.policy_id), row.guard)
    return _by_digest(lambda: digest_of(open_sealed(row.sealed, place)))


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
            "slug": project.slug,
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


def _trial_credit() -> Item:
    return Item(Id("trial_credit"), trials.describe_setting(), lasting=True)


def present_mail_server() -> Iterator[Item]:
    stored = current_server.describe_stored()
    if stored is not None:
        yield Item(Id("mail_server"), {**stored, "secret": _mail_password()})


def _mail_password() -> Secret | None:
    try:
        password = current_server.stored_password()
    except VaultError:
        return Secret(b"")
    return Secret(digest_of(password)) if password else None


def _teams() -> Iterator[Item]:
    plans = dict(TeamPlan.objects.values_list("team", "plan__name"))
    # Teams have books and usage, like organisations, so they are never removed.
    for team in Team.objects.select_related("organisation").order_by("created_at", "id"):
        fields: dict[str, Value] = {
            "slug": team.slug,
            "plan": plans.get(team.id, ""),
            "archived": team.archived_at is not None,
            **fields_of(team, ("required_labels", *LIMITS, *CACHING)),
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
        fields["secret"] = _sign_on_secret(row)
        yield Item(Id("single_sign_on", (row.organisation.slug,)), fields)


def _sign_on_secret(row: SingleSignOn) -> Secret:
    return _by_digest(lambda: digest_of(single_sign_on.secret_of(row)))


def _payer_rules() -> Iterator[Item]:
    """Yield one rule per role whose members use the playground. A default rule is never removed."""
    for organisation in Organisation.objects.order_by("created_at", "id"):
        for role, rule in rules_by_name(organisation).items():
            id = Id("payer_rule", (organisation.slug, role))
            yield Item(id, {"rule": str(rule)}, lasting=rule == PayerRule.ANY)
