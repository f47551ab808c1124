"""Where a request's data may go: only to providers that keep nothing, or only to certain regions.
An organisation, a key and a request may each set this; all of them apply.

How long the content of an organisation's requests is kept for later requests: responses that a
request continues, signatures of tool calls, and responses to idempotent requests.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

PolicyReason = Literal["retention", "region"]
"""Why a channel may not receive the data: its provider may keep it, or is in another region."""
REGION_PATTERN: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""For example `eu` or `us-east-1`. The larger region comes first."""
REGION_MAX: Final = 40
REGIONS_MAX: Final = 20


class DataPolicy(NamedTuple):
    """The rules for an organisation's data. `regions` has one set for each choice that was made;
    the channel's region must be within one region of every set."""

    zero_retention: bool = False
    regions: tuple[tuple[str, ...], ...] = ()

    def why_not(self, *, zero_retention: bool, region: str) -> PolicyReason | None:
        """Return why a channel may not receive the data, or None if it may."""
        if self.zero_retention and not zero_retention:
            return "retention"
        met = (
            any(is_region_within(region, wanted) for wanted in choice) for choice in self.regions
        )
        return None if all(met) else "region"

    def __str__(self) -> str:
        parts = ["zero data retention"] if self.zero_retention else []
        parts += [f"region {' or '.join(choice)}" for choice in self.regions]
        return ", ".join(parts)


NO_POLICY: Final = DataPolicy()


def policy_of(*, zero_retention: bool, regions: Sequence[str]) -> DataPolicy:
    """Return the policy for the settings of one organisation, key or request."""
    return DataPolicy(zero_retention, (tuple(regions),) if regions else ())


def combine_policies(policies: Iterable[DataPolicy]) -> DataPolicy:
    """Return a policy that combines these; all of them apply."""
    zero_retention, regions = False, dict[tuple[str, ...], None]()
    for policy in policies:
        zero_retention = zero_retention or policy.zero_retention
        regions |= dict.fromkeys(policy.regions)
    return DataPolicy(zero_retention, tuple(regions))


def is_region(text: str) -> bool:
    """Return whether the text is a valid name of a region."""
    return len(text) <= REGION_MAX and re.fullmatch(REGION_PATTERN, text) is not None


def is_region_within(region: str, wanted: str) -> bool:
    """Return whether a region is the wanted one or lies in it: eu-west-1 in eu-west and in eu."""
    return region == wanted or region.startswith(f"{wanted}-")


RETENTION_HOURS: Final = 24
"""The default number of hours; 0 keeps nothing."""

RETENTION_HOURS_MAX: Final = 24

CLIENT_ADDRESS_DAYS_MAX: Final = 365
"""The maximum number of days for which an organisation may keep the addresses of its clients."""
