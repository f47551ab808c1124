"""Where a request's data may go: only to providers that keep nothing, or only to certain regions.
An organisation, a key and a request may each set this; all of them apply."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

PolicyReason = Literal["retention", "region"]
"""Why a channel may not have the data: its provider may keep it, or is elsewhere."""
REGION_PATTERN: Final = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""`eu`, `us-east-1`: the larger region first."""
REGION_MAX: Final = 40
REGIONS_MAX: Final = 20


class DataPolicy(NamedTuple):
    """`regions` are as many choices as were made: of each, one region must be the channel's."""

    zero_retention: bool = False
    regions: tuple[tuple[str, ...], ...] = ()

    def why_not(self, *, zero_retention: bool, region: str) -> PolicyReason | None:
        """Why a channel may not have the data; None where it may."""
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
    """Return the policy of one owner's settings."""
    return DataPolicy(zero_retention, (tuple(regions),) if regions else ())


def combine_policies(policies: Iterable[DataPolicy]) -> DataPolicy:
    """Combine policies; all of them apply."""
    zero_retention, regions = False, dict[tuple[str, ...], None]()
    for policy in policies:
        zero_retention = zero_retention or policy.zero_retention
        regions |= dict.fromkeys(policy.regions)
    return DataPolicy(zero_retention, tuple(regions))


def is_region(text: str) -> bool:
    """Return whether it can be the name of a region."""
    return len(text) <= REGION_MAX and re.fullmatch(REGION_PATTERN, text) is not None


def is_region_within(region: str, wanted: str) -> bool:
    """Return whether a region is the wanted one or lies in it: eu-west-1 in eu-west and in eu."""
    return region == wanted or region.startswith(f"{wanted}-")
