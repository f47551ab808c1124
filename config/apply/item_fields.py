"""Which fields of a part of a file are fields of its item, and how they are taken over."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db.models import Model
from pydantic import BaseModel

from config.apply.difference import Value

LIMITS: Final = ("rpm", "tpm", "parallel")
BUDGET_TERMS: Final = ("timezone", "enabled", "action", "alert_percents", "alert_forecast")
DATA_POLICY: Final = ("zero_retention", "data_regions")
KEY_LIMITS: Final = ("endpoints", "ips", "tags", "required_labels", "log_content", *DATA_POLICY)
KEY_FIELDS: Final = {
    "models": "model_patterns",
    "expires_at": "expires_at",
    "disabled": "disabled",
    **{name: name for name in (*LIMITS, *KEY_LIMITS)},
    "ips": "networks",
}
"""A field of a key in the file -> the key's own."""
ORGANISATION_STATES: Final = (
    *DATA_POLICY,
    *("required_labels", "second_factor_roles", "suspended", "archived"),
)
TEAM_FIELDS: Final = ("plan", "required_labels", "archived", *LIMITS)
MEMBER_FIELDS: Final = ("teams", "leads", "plan", *LIMITS)
RULE_FIELDS: Final = ("fallbacks", "causes", "pick")
ENTRY_FIELDS: Final = (
    *("can", "context_max", "output_max", "deprecated_at", "sunset_at", "replacement", "forwards"),
    *("plans", "roles"),
)
_UNORDERED: Final = frozenset(
    {
        *("causes", "data_regions", "permissions", "plans", "required_labels", "roles"),
        *("second_factor_roles", "teams", "leads"),
    }
)
MAIL_SERVER_FIELDS: Final = ("host", "port", "encryption", "username", "sender")
SINGLE_SIGN_ON_FIELDS: Final = (
    *("issuer", "client_id", "domains", "domains_confirmed", "group_claim", "group_rules"),
    *("default_role", "required"),
)


def set_fields(part: BaseModel, names: Iterable[str]) -> dict[str, Any]:
    """The fields that a file states."""
    return {name: getattr(part, name) for name in names if name in part.model_fields_set}


def defaults_of(kind: type[BaseModel], names: Iterable[str]) -> dict[str, Any]:
    """What holds for fields that a new thing does not state; a field without a default is always
    stated."""
    fields = kind.model_fields
    return {name: fields[name].default for name in names if not fields[name].is_required()}


def fields_of(row: Model, names: Iterable[str]) -> dict[str, Value]:
    """The fields of a row that have the same names in the file."""
    return tuples({name: getattr(row, name) for name in names})


def tuples(fields: Mapping[str, Any]) -> dict[str, Value]:
    """The same with tuples for lists, which can be compared; where the order says nothing, in one
    order."""
    return {name: _tuple(name, value) for name, value in fields.items()}


def _tuple(name: str, value: Any) -> Value:
    if not isinstance(value, list | tuple):
        return value
    return tuple(sorted(value)) if name in _UNORDERED else tuple(value)
