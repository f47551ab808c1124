"""What operators state about one public model: its limits, its capabilities, who sees it, and when
it ends.

    deprecated_at   from then on answers say that it is deprecated (RFC 9745, `Deprecation`)
    sunset_at       from then on it no longer exists (RFC 8594, `Sunset`): requests are refused, or
                    answered by the replacement, as `forwards` says
    plans, roles    who sees it. One of each stated list must match; for everybody else the model
                    does not exist

Times are in Unix seconds.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Literal, TypeVar, get_args

Role = Literal["owner", "admin", "billing", "developer", "viewer", "custom"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""Whom a model may be visible to: a member's role in their organisation; `custom` is any role that
an organisation has created."""
Limit = Literal["context_max", "output_max"]
LIMITS: Final[tuple[Limit, ...]] = get_args(Limit)
TOKENS_MAX: Final = 100_000_000
PLANS_MAX: Final = 100

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """`overrides` are its capabilities and limits, in the form of `providers/overrides.py`.
    `price_plan_ids` and `roles` are None for everybody."""

    name: str
    overrides: frozenset[tuple[str, int]] = frozenset()
    deprecated_at: float | None = None
    sunset_at: float | None = None
    replacement: str = ""
    forwards: bool = False
    price_plan_ids: frozenset[int] | None = None
    roles: frozenset[str] | None = None

    def visible_to(self, price_plan_id: int | None, role: str) -> bool:
        """Return whether the model exists for a plan ("" for none) and a role."""
        return is_visible(self.price_plan_ids, price_plan_id) and is_visible(self.roles, role)

    def ended(self, now: float) -> bool:
        """Return whether the model's sunset is in the past."""
        return self.sunset_at is not None and self.sunset_at <= now

    def notices(self, now: float) -> tuple[tuple[str, str], ...]:
        """Return the response headers that announce its end, once it is deprecated."""
        if self.deprecated_at is None or now < self.deprecated_at:
            return ()
        notices = (("deprecation", f"@{int(self.deprecated_at)}"),)
        if self.sunset_at is None:
            return notices
        return (*notices, ("sunset", formatdate(self.sunset_at, usegmt=True)))


def is_visible(allowed: Collection[_T] | None, having: _T | None) -> bool:
    """Return whether the value is among the allowed ones; None means not restricted."""
    return allowed is None or having in allowed


def overrides_of(
    can: Mapping[str, bool], context_max: int | None, output_max: int | None
) -> frozenset[tuple[str, int]]:
    """Return capabilities and limits in one. Values that are not set are omitted."""
    limits = (("context_max", context_max), ("output_max", output_max))
    return frozenset([*can.items(), *((name, n) for name, n in limits if n is not None)])


def merge_entries(
    general: Iterable[tuple[str, int]], closer: Iterable[tuple[str, int]]
) -> frozenset[tuple[str, int]]:
    """Merge entries. A channel's entry for a model takes precedence over the model's general
    entry."""
    return frozenset((dict(general) | dict(closer)).items())
