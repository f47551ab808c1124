"""The management API of policies. Pages call the same functions."""

import datetime as dt
from typing import Annotated, Any, Final, Literal

from django.http import HttpRequest
from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor, organisation_of
from accounts.access.operations import Router, requires
from accounts.limits.rules import LISTED_MAX
from billing.currency.money import parse_usd
from billing.limits.budget_rules import ALERT_PERCENTS, PERIODS, Period
from billing.limits.policy_budgets import PolicyBudget, describe
from content.guards.rules import Action, GuardRule, Place
from content.models import Policy
from content.policies import policies, trying
from content.policies.limits import RETENTION_HOURS_MAX
from content.policies.rules import RULES_MAX
from content.policies.written import write_tried
from dialects.chat.chat import Dialect
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from lib.numbers.whole_numbers import Whole
from usage.limits.api import ACTION_HELP, Amount, Percents
from usage.limits.api import Action as BudgetAction
from usage.limits.budget_simulation import look_back

router = Router(tags=["Policies"])

PolicyTarget = Literal["organisation", "team", "key"]
_ASSIGNED_MAX: Final = 500
_MODELS: Final = "Names or patterns (`gpt-*`) that keys may use, beside their own list. Empty: all."
_NETWORKS: Final = "Networks that keys may be used from, beside their own list. Empty: all."
_RETENTION: Final = (
    "The longest time, in hours, for which the content log keeps texts. `0`: nothing is kept. "
    "`null`: as its rules say."
)
_BUDGETS: Final = (
    "Needs the permission `budgets.write` too. Each organisation, team and key that the policy "
    "applies to has a budget of its own for each. All budgets of a request must hold."
)
Pattern = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")]
Network = Annotated[str, Field(min_length=1, max_length=100)]
_GUARDS: Final = "A guard: [the manual](/manual/guides/guards) lists them."


class PolicyRule(RequestBody):
    """What one guard does, and where."""

    guard: str = Field(max_length=40, description=_GUARDS)
    settings: dict[str, Any] = Field(default={}, description="As the guard needs them.")
    places: list[Place] = Field(
        default=["request", "answer", "tool_call", "tool_result"], min_length=1, max_length=4
    )
    action: Action = Field(
        description="`mask` puts a placeholder there, which becomes the text again in the answer; "
        "`refuse` ends the request; `flag` lets it pass and records it."
    )
    code: str = Field(max_length=40, description="The error's code, and the name of a flag.")


class PolicyAssigned(RequestBody):
    scope: PolicyTarget
    subject: str = Field(
        "", max_length=120, description="A team's slug or a key's ID; empty for the organisation."
    )


class PolicyBudgetIn(RequestBody):
    """A budget that the organisation, each team and each key gets that the policy applies to."""

    amount: Amount = Field(description="Decimal string in USD.")
    period: Period = Field(description="One budget for each period.")
    anchor: Whole | None = Field(None, description="When the period starts, as budgets have it.")
    timezone: str = Field("UTC", description="IANA name of the time zone in which periods start.")
    action: BudgetAction = Field("block", description=ACTION_HELP)
    alert_percents: Percents = Field(
        list(ALERT_PERCENTS), description="Percentages at which people are notified."
    )
    alert_forecast: bool = Field(False, description="Notify when forecast to exceed the limit.")


class PolicyIn(RequestBody):
    name: str = Field(min_length=1, max_length=policies.NAME_MAX)
    rules: list[PolicyRule] = Field(default=[], max_length=RULES_MAX)
    assigned: list[PolicyAssigned] = Field(
        default=[], max_length=_ASSIGNED_MAX, description="Whose requests it applies to."
    )
    models: list[Pattern] = Field(default=[], max_length=LISTED_MAX, description=_MODELS)
    networks: list[Network] = Field(default=[], max_length=LISTED_MAX, description=_NETWORKS)
    retention_hours: Whole | None = Field(
        None, ge=0, le=RETENTION_HOURS_MAX, description=_RETENTION
    )
    budgets: list[PolicyBudgetIn] = Field(default=[], max_length=len(PERIODS), description=_BUDGETS)


class PolicyChange(RequestBody):
    """Changes to a policy. Omitted fields stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=policies.NAME_MAX)
    rules: list[PolicyRule] | None = Field(None, max_length=RULES_MAX)
    assigned: list[PolicyAssigned] | None = Field(None, max_length=_ASSIGNED_MAX)
    models: list[Pattern] | None = Field(None, max_length=LISTED_MAX, description=_MODELS)
    networks: list[Network] | None = Field(None, max_length=LISTED_MAX, description=_NETWORKS)
    retention_hours: Whole | None = Field(
        None, ge=0, le=RETENTION_HOURS_MAX, description=_RETENTION
    )
    budgets: list[PolicyBudgetIn] | None = Field(
        None, max_length=len(PERIODS), description=_BUDGETS
    )


class PolicyOut(Schema):
    id: str
    name: str
    rules: list[PolicyRule]
    assigned: list[PolicyAssigned]
    models: list[str]
    networks: list[str]
    retention_hours: int | None = Field(description=_RETENTION)
    budgets: list[PolicyBudgetIn]
    created_at: dt.datetime


class PolicyPage(Schema):
    items: list[PolicyOut]
    next: str | None


class PolicyText(RequestBody):
    text: str = Field(max_length=policies.TEXT_MAX)


class PolicyBody(Schema):
    """A body in the form of one API."""

    dialect: Dialect
    status: int | None = Field(description="The status of the error; null for a request.")
    body: str


class PolicyTried(Schema):
    """What a policy makes of a text in one place."""

    place: Place
    text: str = Field(description="What goes on; empty after a refusal.")
    refused_by: str = Field(description="The code of the refusal; empty without one.")
    flags: list[str]
    failure: str = Field(description="Which guard did not answer, and how; empty if none failed.")
    requests: list[str] = Field(description="IDs of the requests of guards to models.")
    bodies: list[PolicyBody] = Field(
        description="The request that goes on, or the error that the client gets, in the form of "
        "each API. Empty for other texts that pass."
    )


@router.get("/policies", response=PolicyPage, summary="List policies")
def list_policies(actor: Actor, query: Query[pagination.NamedPageQuery]) -> PolicyPage:
    """Newest first."""
    rows = query.filter_by_name(policies.visible_policies(actor))
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return PolicyPage(items=[_serialize(one) for one in page.items], next=page.next)


@router.post("/policies", response={201: PolicyOut}, summary="Create a policy")
@requires("organisation.write")
def create_policy(actor: Actor, body: PolicyIn) -> Status[PolicyOut]:
    """Applies to requests that begin from now on. All policies of a request apply together."""
    policy = policies.create_policy(
        actor,
        organisation_of(actor),
        look_back,
        name=body.name,
        rules=_rules(body.rules),
        assigned=_find(actor, body.assigned),
        model_patterns=body.models,
        networks=body.networks,
        retention_hours=body.retention_hours,
        budgets=_budgets(body.budgets),
    )
    return Status(201, _serialize(policies.access_policy(actor, id_text(policy.id))))


@router.get("/policies/{id}", response=PolicyOut, summary="Show a policy")
def show_policy(actor: Actor, id: str) -> PolicyOut:
    """One policy."""
    return _serialize(policies.access_policy(actor, id))


@router.patch("/policies/{id}", response=PolicyOut, summary="Change a policy")
@requires("organisation.write")
def change_policy(actor: Actor, id: str, body: PolicyChange) -> PolicyOut:
    """Applies to requests that begin from now on."""
    limits: dict[str, Any] = {
        field: value
        for field, value in (("model_patterns", body.models), ("networks", body.networks))
        if value is not None
    }
    if "retention_hours" in body.model_fields_set:
        limits["retention_hours"] = body.retention_hours
    policy = policies.access_policy(actor, id)
    policies.change_policy(
        actor,
        policy,
        look_back,
        name=body.name,
        rules=None if body.rules is None else _rules(body.rules),
        assigned=None if body.assigned is None else _find(actor, body.assigned, policy),
        budgets=None if body.budgets is None else _budgets(body.budgets),
        **limits,
    )
    return _serialize(policies.access_policy(actor, id))


@router.delete("/policies/{id}", response={204: None}, summary="Delete a policy")
@requires("organisation.write")
def remove_policy(actor: Actor, id: str) -> Status[None]:
    """Its rules no longer apply, at once."""
    policies.remove_policy(actor, policies.access_policy(actor, id))
    return Status(204, None)


@router.post("/policies/{id}/try", response=list[PolicyTried], summary="Try a policy")
@requires("organisation.write")
def try_policy(request: HttpRequest, actor: Actor, id: str, body: PolicyText) -> list[PolicyTried]:
    """What the policy makes of a text in each place. The text is not stored. Guards that call a
    service are asked; their requests to models are charged to the playground's key."""
    policy = policies.access_policy(actor, id)
    return [
        PolicyTried(
            **one._asdict()
            | {"bodies": [PolicyBody(**body._asdict()) for body in write_tried(one)]}
        )
        for one in trying.try_policy(request, actor, policy, body.text)
    ]


def _rules(listed: list[PolicyRule]) -> list[GuardRule]:
    return [GuardRule(**one.model_dump()) for one in listed]


def _budgets(listed: list[PolicyBudgetIn]) -> list[PolicyBudget]:
    return [
        PolicyBudget(
            amount_nano=parse_usd(one.amount),
            alert_percents=tuple(one.alert_percents),
            **one.model_dump(exclude={"amount", "alert_percents"}),
        )
        for one in listed
    ]


def _find(
    actor: Actor, listed: list[PolicyAssigned], policy: Policy | None = None
) -> list[policies.Assigned]:
    return policies.find_assigned(actor, [(one.scope, one.subject) for one in listed], policy)


def _serialize(policy: Policy) -> PolicyOut:
    return PolicyOut(
        id=id_text(policy.id),
        name=policy.name,
        rules=[PolicyRule(**rule) for rule in policy.rules],
        assigned=[
            PolicyAssigned.model_validate({"scope": scope, "subject": subject})
            for scope, subject in policies.named_targets(policy)
        ],
        models=policy.model_patterns,
        networks=policy.networks,
        retention_hours=policy.retention_hours,
        budgets=[PolicyBudgetIn(**describe(one)) for one in policies.budgets_of(policy)],
        created_at=policy.created_at,
    )
