"""Copy the fields of a part of a file to its item."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db.models import Model
from pydantic import BaseModel

from billing.limits.policy_budgets import PolicyBudget, describe, in_order
from config.apply.difference import Value

LIMITS: Final = ("rpm", "tpm", "parallel")
BUDGET_TERMS: Final = ("timezone", "enabled", "action", "alert_percents", "alert_forecast")
DATA_POLICY: Final = ("zero_retention", "data_regions")
CACHING: Final = ("cache_seconds", "cache_price_percent")
KEY_LIMITS: Final = (
    *("endpoints", "ips", "tags", "required_labels", "log_content"),
    *(*DATA_POLICY, *CACHING),
    *("end_user_header", "end_user_networks", "end_users_signed"),
)
KEY_FIELDS: Final = {
    "models": "model_patterns",
    "expires_at": "expires_at",
    "disabled": "disabled",
    **{name: name for name in (*LIMITS, *KEY_LIMITS)},
    "ips": "networks",
}
"""The fields of a key in the file -> the names of the stored key's fields."""
ORGANISATION_STATES: Final = (
    *DATA_POLICY,
    *("required_labels", "second_factor_roles", "suspended", "archived"),
    *("client_address_days", "display_currency"),
)
TEAM_FIELDS: Final = ("plan", "required_labels", "archived", *LIMITS, *CACHING)
MEMBER_FIELDS: Final = ("teams", "leads", "plan", *LIMITS)
OFFER_AMOUNTS: Final = ("fee_per_request", "fee_per_million_tokens")
RULE_FIELDS: Final = ("fallbacks", "causes", "pick")
LOG_RULE_FIELDS: Final = (
    *("keep", "share_percent", "retention_hours", "callers_may_opt_out", "redact", "ends_at"),
)
POLICY_LIMITS: Final = {
    "models": "model_patterns",
    "networks": "networks",
    "retention_hours": "retention_hours",
}
"""What a policy in the file permits -> the names of the stored policy's fields."""
ENTRY_FIELDS: Final = (
    *("can", "context_max", "output_max", "deprecated_at", "sunset_at", "replacement", "forwards"),
    *("plans", "roles"),
)
_UNORDERED: Final = frozenset(
    {
        *("causes", "data_regions", "permissions", "plans", "redact", "required_labels", "roles"),
        *("second_factor_roles", "teams", "leads", "organisations"),
    }
)
MAIL_SERVER_FIELDS: Final = ("host", "port", "encryption", "username", "sender")
SINGLE_SIGN_ON_FIELDS: Final = (
    *("issuer", "client_id", "domains", "domains_confirmed", "group_claim", "group_rules"),
    *("default_role", "required"),
)


def set_fields(part: BaseModel, names: Iterable[str]) -> dict[str, Any]:
    """Return the fields that a file states."""
    return {name: getattr(part, name) for name in names if name in part.model_fields_set}


def defaults_of(kind: type[BaseModel], names: Iterable[str]) -> dict[str, Any]:
    """Return the defaults of fields that a new object omits. A field without a default is never
    omitted."""
    fields = kind.model_fields
    return {name: fields[name].default for name in names if not fields[name].is_required()}


def policy_budgets(listed: Sequence[PolicyBudget]) -> tuple[dict[str, Any], ...]:
    """Return the budgets of a policy in one order and form, so that they can be compared."""
    return tuple(describe(one) for one in in_order(listed))


def fields_of(row: Model, names: Iterable[str]) -> dict[str, Value]:
    """Return a row's fields that have the same names in the file."""
    return tuples({name: getattr(row, name) for name in names})


def tuples(fields: Mapping[str, Any]) -> dict[str, Value]:
    """Return the fields with tuples in place of lists, so that they can be compared. Lists without
    a meaningful order are sorted."""
    return {name: _tuple(name, value) for name, value in fields.items()}


def _tuple(name: str, value: Any) -> Value:
    if not isinstance(value, list | tuple):
        return value
    return tuple(sorted(value)) if name in _UNORDERED else tuple(value)
