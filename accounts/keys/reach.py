"""The restrictions of keys, and their comparison (P23: authority only shrinks)."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, Literal

Field = Literal["expires_at", "model_patterns", "endpoints", "networks", "rpm", "tpm", "parallel"]


@dataclass(frozen=True)
class Reach:
    """The restrictions of a key: its expiry, what it may call and from where, and its limits. None
    and () mean no restriction."""

    expires_at: dt.datetime | None = None
    model_patterns: Sequence[str] = ()
    endpoints: Sequence[str] = ()
    networks: Sequence[str] = ()
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None


def first_field_beyond(reach: Reach, bound: Reach) -> Field | None:
    """Return the first field in which `reach` exceeds `bound`, or None. A model pattern is within
    another one if it is equal, or starts with the other's text before its final `*`."""
    return next((field for field in _WITHIN if _exceeds(field, reach, bound)), None)


def _exceeds(field: Field, reach: Reach, bound: Reach) -> bool:
    wanted, most = getattr(reach, field), getattr(bound, field)
    if most is None or most == ():
        return False
    return wanted is None or wanted == () or not _WITHIN[field](wanted, most)


def _cover_each(
    within: Callable[[str, str], bool],
) -> Callable[[Sequence[str], Sequence[str]], bool]:
    return lambda wanted, most: all(any(within(item, other) for other in most) for item in wanted)


def _extends_pattern(pattern: str, bound: str) -> bool:
    start, star, rest = bound.partition("*")
    return pattern == bound or (star == "*" and not rest and pattern.startswith(start))


def _is_subnetwork(network: str, bound: str) -> bool:
    inner, outer = ip_network(network), ip_network(bound)
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def _is_at_most(wanted: Any, most: Any) -> bool:
    return bool(wanted <= most)


_WITHIN: Final[dict[Field, Callable[[Any, Any], bool]]] = {
    "expires_at": _is_at_most,
    "model_patterns": _cover_each(_extends_pattern),
    "endpoints": _cover_each(str.__eq__),
    "networks": _cover_each(_is_subnetwork),
    "rpm": _is_at_most,
    "tpm": _is_at_most,
    "parallel": _is_at_most,
}
