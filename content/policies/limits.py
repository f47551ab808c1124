"""What policies permit: models, networks, and how long the content log keeps texts.

All policies of a key count together with the key's own rules: a model or an address must be
permitted by each of them, and the shortest time applies.
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import Final, NamedTuple

from accounts.limits.rules import Network, is_address_in
from billing.prices.name_patterns import matches

RETENTION_HOURS_MAX: Final = 8760
_PATTERN_MAX: Final = 200


class PolicyLimits(NamedTuple):
    """What one policy permits. `models` and `networks` () = all. `retention_hours` is the longest
    time of the content log: None = as its rules say, 0 = nothing is kept. `exact` and `patterns`
    are the models without and with `*`."""

    name: str
    models: tuple[str, ...]
    networks: tuple[Network, ...]
    retention_hours: int | None
    exact: frozenset[str]
    patterns: tuple[str, ...]


def read_limits(
    name: str, models: Sequence[str], networks: Iterable[str], retention_hours: int | None
) -> PolicyLimits:
    """Return the limits of a stored policy."""
    return PolicyLimits(
        name,
        tuple(models),
        tuple(map(ip_network, networks)),
        retention_hours,
        frozenset(model for model in models if "*" not in model),
        tuple(model for model in models if "*" in model),
    )


def is_model_pattern(text: str) -> bool:
    """Return whether a text can be the name of a model or a pattern."""
    whole = 0 < len(text) <= _PATTERN_MAX and text.isprintable()
    return whole and not any(one.isspace() for one in text)


def policy_against_model(policies: Iterable[PolicyLimits], model: str) -> str:
    """Return the name of the first policy that does not permit a model, "" if all do."""
    for policy in policies:
        if not policy.models or model in policy.exact:
            continue
        if not any(matches(pattern, model) for pattern in policy.patterns):
            return policy.name
    return ""


def policy_against_address(policies: Iterable[PolicyLimits], address: str) -> str:
    """Return the name of the first policy that does not permit an address, "" if all do. An invalid
    address is in no network."""
    for policy in policies:
        if policy.networks and not is_address_in(address, policy.networks):
            return policy.name
    return ""


def retention_max(policies: Iterable[PolicyLimits]) -> int | None:
    """Return the shortest of the times that policies set, in hours; None if they set none."""
    return min(
        (one.retention_hours for one in policies if one.retention_hours is not None), default=None
    )
