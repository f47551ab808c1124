"""Reads and writes of policies. Relays apply a change to requests that begin afterwards."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor, organisation_of
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.limits.rules import LISTED_MAX, LimitInvalid, check_limits
from accounts.models import Key, KeyKind, Organisation, Team
from accounts.names.names import check_name
from accounts.secrets.sealing import open_sealed, seal
from billing.limits.budgets import BudgetPolicy, LookBack, lock_budgets
from billing.limits.policy_budgets import (
    BudgetTarget,
    PolicyBudget,
    check_budgets,
    describe,
    give_budgets,
    take_budgets,
)
from billing.prices.name_patterns import matches
from content.guards.rules import GuardRule
from content.models import Policy, PolicyAssignment, PolicyScope, PolicySecret
from content.policies.guards import KNOWN
from content.policies.limits import (
    RETENTION_HOURS_MAX,
    PolicyLimits,
    is_model_pattern,
    policy_against_model,
    read_limits,
    retention_max,
)
from content.policies.rules import check_rules, secret_place
from lib.ids import id_text, parse_id
from lib.refusal import Refused

NAME_MAX: Final = 60
POLICIES_MAX: Final = 100
LISTED_TOGETHER_MAX: Final = 300
"""Models and patterns in all policies of an organisation, and networks."""
LIMITS: Final = ("model_patterns", "networks", "retention_hours")
"""What a policy permits, beside its guards."""
TEXT_MAX: Final = 20_000
"""Characters of a text that is tried."""


class PolicyRefused(Refused):
    """The policy is not valid."""


class Assigned(NamedTuple):
    """Whose requests a policy applies to. `subject` is the id of the team or key, "" for the
    organisation."""

    scope: str
    subject: str = ""


def visible_policies(actor: Actor) -> QuerySet[Policy]:
    """Return the policies of the organisation, newest first."""
    access.require(actor, "organisation.write")
    policies = Policy.objects.filter(organisation=organisation_of(actor))
    return policies.select_related("created_by").prefetch_related("assignments").order_by("-id")


def access_policy(actor: Actor, id: str) -> Policy:
    """Return one policy of the organisation. Raises Http404."""
    return access.get_by_id(visible_policies(actor), id)


def policy_names(actor: Actor, ids: Iterable[str]) -> dict[str, str]:
    """Return the names of policies of the actor's organisation, by id. Everybody who sees a request
    may know what its policies are called."""
    wanted = {uuid: id for id in ids if (uuid := parse_id(id)) is not None}
    rows = Policy.objects.filter(organisation=organisation_of(actor), id__in=[*wanted])
    return {wanted[id]: name for id, name in rows.values_list("id", "name")}


def find_assigned(
    actor: Actor, listed: Iterable[tuple[str, str]], policy: Policy | None = None
) -> list[Assigned]:
    """Return whose requests a policy is to apply to, from a team's slug or a key's id. Archived
    teams and revoked keys are only found if `policy` applies to them already. Raises PolicyRefused
    if the actor's organisation has no such team or key."""
    assigned = _stored(policy) if policy else []
    stored = Q(id__in=[UUID(one.subject) for one in assigned if one.subject])
    targets = []
    for scope, subject in listed:
        row: Team | Key | None = None
        if scope == PolicyScope.TEAM:
            teams = access.visible_teams(actor).filter(Q(archived_at=None) | stored)
            row = teams.filter(slug=subject).first()
        elif scope == PolicyScope.KEY:
            id = parse_id(subject)
            keys = access.visible_keys(actor).filter(Q(revoked_at=None) | stored)
            row = keys.filter(kind=KeyKind.RELAY, id=id).first() if id else None
        if row is None and scope != PolicyScope.ORGANISATION:
            text = gettext("There is no such team or API key: %(subject)s.")
            raise PolicyRefused("assigned", text % {"subject": subject[:80]})
        targets.append(Assigned(scope, str(row.id) if row else ""))
    return list(dict.fromkeys(targets))


def named_targets(policy: Policy) -> list[tuple[str, str]]:
    """Return whose requests a policy applies to, as `find_assigned` takes it."""
    rows = sorted(policy.assignments.all(), key=lambda one: one.id)
    ids = [UUID(row.subject) for row in rows if row.scope == PolicyScope.TEAM]
    slugs = {str(team.id): team.slug for team in Team.objects.filter(id__in=ids)}
    listed = []
    for row in rows:
        subject = row.subject
        if row.scope == PolicyScope.TEAM:
            subject = slugs.get(subject, subject)
        elif row.scope == PolicyScope.KEY:
            subject = id_text(UUID(subject))
        listed.append((row.scope, subject))
    return listed


def rules_of(policy: Policy) -> list[GuardRule]:
    return msgspec.convert(policy.rules, list[GuardRule])


def budgets_of(policy: Policy) -> list[PolicyBudget]:
    """Return the budgets that a policy gives to each organisation, team and key that it is assigned
    to."""
    return msgspec.convert(policy.budgets, list[PolicyBudget])


def sealed_rules(policy: Policy) -> list[GuardRule]:
    """Return the rules with their policy and the sealed secrets of their guards, as a relay has
    them."""
    sealed = {row.guard: b64encode(bytes(row.sealed)).decode() for row in policy.secrets.all()}
    return [
        msgspec.structs.replace(rule, policy=str(policy.id), sealed=sealed.get(rule.guard, ""))
        for rule in rules_of(policy)
    ]


def policies_of(
    organisation: Organisation, team: Team | None = None, key: Key | None = None
) -> list[tuple[Policy, str]]:
    """Return the policies that apply to the requests of a key, of a team or of the organisation,
    each with the scope by which it does."""
    return _policies_of(organisation.id, team.id if team else None, key.id if key else None)


def _policies_of(
    organisation_id: UUID, team_id: UUID | None, key_id: UUID | None
) -> list[tuple[Policy, str]]:
    rows = PolicyAssignment.objects.filter(organisation_id=organisation_id)
    subjects = {PolicyScope.ORGANISATION: ""}
    if team_id is not None:
        subjects[PolicyScope.TEAM] = str(team_id)
    if key_id is not None:
        subjects[PolicyScope.KEY] = str(key_id)
    return [
        (row.policy, row.scope)
        for row in rows.select_related("policy").order_by("policy__name", "id")
        if row.subject == subjects.get(PolicyScope(row.scope))
    ]


def limits_of(policy: Policy) -> PolicyLimits:
    return read_limits(policy.name, policy.model_patterns, policy.networks, policy.retention_hours)


def hours_max_of(
    organisation: Organisation, team: Team | None = None, key: Key | None = None
) -> int | None:
    """Return the longest time, in hours, for which policies let the content log keep texts."""
    return retention_max(limits_of(policy) for policy, _ in policies_of(organisation, team, key))


def permitted_models(key: Key) -> Callable[[str], bool]:
    """Return a test of whether a key and its policies permit a model. The policies are read once,
    for a page that offers many models."""
    applying = _policies_of(key.organisation_id, key.team_id, key.id)
    limits = [limits_of(policy) for policy, _ in applying]
    patterns = key.model_patterns

    def permits(model: str) -> bool:
        by_key = not patterns or any(matches(pattern, model) for pattern in patterns)
        return by_key and not policy_against_model(limits, model)

    return permits


def create_policy(
    actor: Actor,
    organisation: Organisation,
    look_back: LookBack,
    *,
    name: str,
    rules: Sequence[GuardRule] = (),
    assigned: Sequence[Assigned] = (),
    budgets: Sequence[PolicyBudget] = (),
    **limits: Any,
) -> Policy:
    """Create a policy, with `limits` among LIMITS. Raises PolicyRefused, BudgetRefused for its
    budgets, AccessDenied if the actor may set none, and Refused for its name."""
    written = _check(rules)
    policy = Policy(
        organisation=organisation,
        name=check_name(name, NAME_MAX),
        rules=written.rules,
        created_by=actor.user,
    )
    with transaction.atomic():
        _set_limits(policy, limits)
        _set_budgets(policy, budgets)
        if policy.budgets:
            _require_budgets(actor)
        if Policy.objects.filter(organisation=organisation).count() >= POLICIES_MAX:
            text = gettext("There are %(n)s policies. Delete some first.") % {"n": POLICIES_MAX}
            raise PolicyRefused("name", text)
        _save(policy, force_insert=True)
        _keep_secrets(policy, written.secrets)
        _assign(policy, assigned)
        audit.record(actor, organisation, "policy.created", policy, **_described(policy, assigned))
        _give_budgets(actor, policy, assigned, look_back)
        bump_epoch()
    return policy


def change_policy(
    actor: Actor,
    policy: Policy,
    look_back: LookBack,
    *,
    name: str | None = None,
    rules: Sequence[GuardRule] | None = None,
    assigned: Sequence[Assigned] | None = None,
    budgets: Sequence[PolicyBudget] | None = None,
    **limits: Any,
) -> Policy:
    """Change a policy, and those of LIMITS that are given. What else is None stays, and so does the
    secret of a guard whose rule gives none, unless its URL changes. Raises PolicyRefused,
    BudgetRefused for its budgets, AccessDenied if those that it gives would change and the actor
    may set none, and Refused for its name."""
    with transaction.atomic():
        if policy.budgets or budgets:
            # Before the policy, as all writes of budgets do: `apply` changes both.
            lock_budgets(policy.organisation)
        rows = Policy.objects.select_for_update(of=("self",))
        locked = get_object_or_404(rows, id=policy.id)
        before = _described(locked, _stored(locked))
        if name is not None:
            locked.name = check_name(name, NAME_MAX)
        _set_limits(locked, limits)
        if budgets is not None:
            _set_budgets(locked, budgets)
        written = None
        if rules is not None:
            written = _check(rules, locked)
            locked.rules = written.rules
        after = _described(locked, _stored(locked) if assigned is None else assigned)
        if written is not None and written.renewed:
            before["secrets"], after["secrets"] = [], written.renewed
        changed = [one for one in after if before[one] != after[one]]
        gives = "budgets" in changed or ("assigned" in changed and locked.budgets)
        if gives:
            _require_budgets(actor)
        if changed:
            _save(locked)
            if written is not None:
                _keep_secrets(locked, written.secrets)
            if "assigned" in changed and assigned is not None:
                locked.assignments.all().delete()
                _assign(locked, assigned)
            audit.record(
                actor, locked.organisation, "policy.changed", locked, name=locked.name,
                before={one: before[one] for one in changed},
                after={one: after[one] for one in changed},
            )  # fmt: skip
            if gives or ("name" in changed and locked.budgets):
                _give_budgets(actor, locked, _stored(locked), look_back)
            bump_epoch()
    return locked


def remove_policy(actor: Actor, policy: Policy) -> None:
    """Remove a policy with the budgets that it gives. Its rules no longer apply to any request.
    Raises AccessDenied if it gives budgets and the actor may set none."""
    with transaction.atomic():
        if policy.budgets:
            lock_budgets(policy.organisation)
        locked = Policy.objects.select_for_update(of=("self",)).filter(id=policy.id).first()
        if locked is None:
            return
        if locked.budgets:
            _require_budgets(actor)
        described = _described(locked, _stored(locked))
        audit.record(actor, locked.organisation, "policy.removed", locked, **described)
        take_budgets(actor, BudgetPolicy(locked.id, locked.name))
        locked.delete()
        bump_epoch()


class _Written(NamedTuple):
    """Rules as they are stored, the secrets of their guards, and the guards with a new one."""

    rules: list[dict[str, Any]]
    secrets: dict[str, str]
    renewed: list[str]


def _check(rules: Sequence[GuardRule], policy: Policy | None = None) -> _Written:
    known = {rule.guard: rule for rule in rules_of(policy)} if policy else {}
    secrets = {rule.guard: rule.settings["secret"] for rule in rules if rule.settings.get("secret")}
    renewed = sorted(secrets)
    kept = policy.secrets.all() if policy else ()
    for row in kept:
        rule = next((rule for rule in rules if rule.guard == row.guard), None)
        before = known.get(row.guard)
        if rule is None or before is None or row.guard in secrets or row.guard not in KNOWN:
            continue
        if rule.settings.get("url") == before.settings.get("url"):
            secrets[row.guard] = open_sealed(
                row.sealed, secret_place(str(row.policy_id), row.guard)
            )
    whole = [
        msgspec.structs.replace(rule, settings=rule.settings | {"secret": secrets[rule.guard]})
        if rule.guard in secrets
        else rule
        for rule in rules
    ]
    try:
        check_rules(whole)
    except ValueError as error:
        raise PolicyRefused("rules", str(error)) from error
    builtins: list[dict[str, Any]] = msgspec.to_builtins(list(rules))
    for stored in builtins:
        stored["settings"].pop("secret", None)
    return _Written(builtins, secrets, renewed)


def _set_limits(policy: Policy, limits: Mapping[str, Any]) -> None:
    before = len(policy.model_patterns), len(policy.networks)
    for name, value in limits.items():
        if name not in LIMITS:
            raise TypeError(f"a policy has no {name}")
        setattr(policy, name, value if name == "retention_hours" else list(dict.fromkeys(value)))
    patterns, hours = policy.model_patterns, policy.retention_hours
    if len(patterns) > LISTED_MAX:
        text = gettext("You can list up to %(n)s models or patterns.") % {"n": LISTED_MAX}
        raise PolicyRefused("models", text)
    if not all(is_model_pattern(pattern) for pattern in patterns):
        text = gettext("Enter names of models, or patterns such as gpt-*, without spaces.")
        raise PolicyRefused("models", text)
    try:
        check_limits({"networks": policy.networks})
        policy.networks = [str(ip_network(network)) for network in policy.networks]
    except LimitInvalid as error:
        raise PolicyRefused("networks", error.message) from error
    if hours is not None and not 0 <= hours <= RETENTION_HOURS_MAX:
        text = gettext("The retention must be between 0 and %(hours)s hours.")
        raise PolicyRefused("retention_hours", text % {"hours": RETENTION_HOURS_MAX})
    if len(patterns) > before[0] and _listed(policy, "model_patterns") > LISTED_TOGETHER_MAX:
        text = gettext("All policies together can list up to %(n)s models or patterns.")
        raise PolicyRefused("models", text % {"n": LISTED_TOGETHER_MAX})
    if len(policy.networks) > before[1] and _listed(policy, "networks") > LISTED_TOGETHER_MAX:
        text = gettext("All policies together can list up to %(n)s IP addresses or networks.")
        raise PolicyRefused("networks", text % {"n": LISTED_TOGETHER_MAX})


def _listed(policy: Policy, field: str) -> int:
    """Return how much all policies of the organisation list with this one. It is bounded, because a
    relay can have to compare a request with all of it."""
    # The lock serialises changes, so that none overlooks another one.
    Organisation.objects.select_for_update(no_key=True).get(id=policy.organisation_id)
    others = Policy.objects.filter(organisation_id=policy.organisation_id).exclude(id=policy.id)
    return sum(map(len, [getattr(policy, field), *others.values_list(field, flat=True)]))


def _require_budgets(actor: Actor) -> None:
    """Raise AccessDenied unless the actor may set budgets, as the installation may."""
    if not actor.installation:
        access.require(actor, "budgets.write")


def _set_budgets(policy: Policy, listed: Sequence[PolicyBudget]) -> None:
    policy.budgets = msgspec.to_builtins(check_budgets(policy.organisation, listed))


def _give_budgets(
    actor: Actor, policy: Policy, assigned: Sequence[Assigned], look_back: LookBack
) -> None:
    give_budgets(
        actor, policy.organisation, look_back, policy=BudgetPolicy(policy.id, policy.name),
        targets=[BudgetTarget(*one) for one in assigned], wanted=budgets_of(policy),
    )  # fmt: skip


def _keep_secrets(policy: Policy, secrets: Mapping[str, str]) -> None:
    if policy.secrets.exists():
        policy.secrets.all().delete()
    PolicySecret.objects.bulk_create(
        PolicySecret(
            organisation_id=policy.organisation_id,
            policy=policy,
            guard=guard,
            sealed=seal(secret, secret_place(str(policy.id), guard)),
        )
        for guard, secret in secrets.items()
    )


def _save(policy: Policy, *, force_insert: bool = False) -> None:
    try:
        with transaction.atomic():
            policy.save(force_insert=force_insert)
    except IntegrityError as error:
        text = gettext("Another policy is already named %(name)s.") % {"name": policy.name}
        raise PolicyRefused("name", text, already_exists=True) from error


def _assign(policy: Policy, assigned: Sequence[Assigned]) -> None:
    PolicyAssignment.objects.bulk_create(
        PolicyAssignment(
            organisation_id=policy.organisation_id,
            policy=policy,
            scope=one.scope,
            subject=one.subject,
        )
        for one in assigned
    )


def _stored(policy: Policy) -> list[Assigned]:
    return [Assigned(row.scope, row.subject) for row in policy.assignments.all()]


def _described(policy: Policy, assigned: Sequence[Assigned]) -> dict[str, Any]:
    return {
        "name": policy.name,
        "rules": policy.rules,
        "models": policy.model_patterns,
        "networks": policy.networks,
        "retention_hours": policy.retention_hours,
        "budgets": [describe(one) for one in budgets_of(policy)],
        "assigned": sorted(f"{one.scope} {one.subject}".strip() for one in assigned),
    }
