"""The management API of the content log's rules. The page calls the same functions."""

import datetime as dt
from typing import Final

from ninja import Query, Status
from pydantic import Field

from accounts.access.actors import Actor, organisation_of
from accounts.access.operations import Router, requires
from content.models import LogRule
from content.rules import log_rules
from content.rules.rules import REDACTED_BY_DEFAULT, RETENTION_HOURS_MAX, Kept, Redacted, Scope
from lib.api import pagination
from lib.api.instants import Instant
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text
from lib.numbers.whole_numbers import Whole

router = Router(tags=["Content log"])

_KEEP: Final = "`everything`, only `errors`, or `nothing`, which always applies."
_REDACT: Final = (
    "What is masked before a text is kept, besides what the policies of the key mask or reject."
)
_ENDS: Final = (
    "The time from which the rule no longer applies. Null: the rule applies until it is deleted."
)


class LogRuleIn(RequestBody):
    """What is to be kept of whose requests. Without a rule, nothing is kept."""

    scope: Scope
    subject: str = Field(
        "",
        max_length=log_rules.SUBJECT_MAX,
        description="A team's slug, a key's ID, or a model's name or pattern (`gpt-*`); empty for "
        "the organisation.",
    )
    keep: Kept = Field("everything", description=_KEEP)
    share_percent: Whole = Field(100, ge=1, le=100, description="The share that is kept.")
    retention_hours: Whole = Field(
        log_rules.RETENTION_HOURS,
        ge=1,
        le=RETENTION_HOURS_MAX,
        description="When a text can no longer be read.",
    )
    callers_may_opt_out: bool = Field(
        True,
        description="Whether a request can ask not to be kept, with the header "
        '`x-weir-store: false` or with `"store": false` in the body.',
    )
    redact: list[Redacted] = Field(list(REDACTED_BY_DEFAULT), description=_REDACT)
    ends_at: Instant | None = Field(None, description=_ENDS)


class LogRuleChange(RequestBody):
    """Changes to a rule. Omitted fields stay as they are. Another subject needs another rule."""

    keep: Kept | None = Field(None, description=_KEEP)
    share_percent: Whole | None = Field(None, ge=1, le=100)
    retention_hours: Whole | None = Field(None, ge=1, le=RETENTION_HOURS_MAX)
    callers_may_opt_out: bool | None = None
    redact: list[Redacted] | None = Field(None, description=_REDACT)
    ends_at: Instant | None = Field(None, description=_ENDS)


class LogRuleOut(Schema):
    id: str
    scope: Scope
    subject: str = Field(description="As it was given when the rule was added.")
    subject_name: str = Field(description="What people call it.")
    keep: Kept
    share_percent: int
    retention_hours: int
    callers_may_opt_out: bool
    redact: list[Redacted] = Field(description=_REDACT)
    ends_at: dt.datetime | None = Field(description=_ENDS)
    created_at: dt.datetime


class LogRulePage(Schema):
    items: list[LogRuleOut]
    next: str | None


@router.get("/content-log/rules", response=LogRulePage, summary="List rules of the content log")
def list_log_rules(actor: Actor, query: Query[pagination.PageQuery]) -> LogRulePage:
    """Newest first. *Keep nothing* always applies; otherwise the rule of the key does, then that of
    the model, the team, the organisation."""
    page = pagination.page_by_id(log_rules.visible_rules(actor), query.limit, query.cursor)
    return LogRulePage(items=_serialize(page.items), next=page.next)


@router.post(
    "/content-log/rules", response={201: LogRuleOut}, summary="Add a rule to the content log"
)
@requires("organisation.write")
def add_log_rule(actor: Actor, body: LogRuleIn) -> Status[LogRuleOut]:
    """Applies to requests that begin from now on."""
    rule = log_rules.add_rule(
        actor,
        organisation_of(actor),
        scope=body.scope,
        subject=log_rules.find_subject(actor, body.scope, body.subject),
        **{name: getattr(body, name) for name in log_rules.FIELDS},
    )
    return Status(201, _stored(actor, rule))


@router.get(
    "/content-log/rules/{id}", response=LogRuleOut, summary="Show a rule of the content log"
)
def show_log_rule(actor: Actor, id: str) -> LogRuleOut:
    """One rule."""
    return _serialize([log_rules.access_rule(actor, id)])[0]


@router.patch(
    "/content-log/rules/{id}", response=LogRuleOut, summary="Change a rule of the content log"
)
@requires("organisation.write")
def change_log_rule(actor: Actor, id: str, body: LogRuleChange) -> LogRuleOut:
    """Applies to requests that begin from now on. What was kept stays until its own end."""
    sent = {name: getattr(body, name) for name in log_rules.FIELDS}
    values = {name: value for name, value in sent.items() if value is not None}
    if "ends_at" in body.model_fields_set:
        values["ends_at"] = body.ends_at
    rule = log_rules.change_rule(actor, log_rules.access_rule(actor, id), **values)
    return _stored(actor, rule)


@router.delete(
    "/content-log/rules/{id}", response={204: None}, summary="Delete a rule of the content log"
)
@requires("organisation.write")
def remove_log_rule(actor: Actor, id: str) -> Status[None]:
    """Applies at once. What was kept stays until its own end."""
    log_rules.remove_rule(actor, log_rules.access_rule(actor, id))
    return Status(204, None)


def _stored(actor: Actor, rule: LogRule) -> LogRuleOut:
    """Return a rule that was just written, with what the database added."""
    return _serialize([log_rules.access_rule(actor, id_text(rule.id))])[0]


def _serialize(rules: list[LogRule]) -> list[LogRuleOut]:
    names, ids = log_rules.subject_names(rules), log_rules.subject_ids(rules)
    return [
        LogRuleOut(
            id=id_text(rule.id),
            subject=ids[rule.id],
            subject_name=names[rule.id],
            **{name: getattr(rule, name) for name in ("scope", *log_rules.FIELDS, "created_at")},
        )
        for rule in rules
    ]
