"""The conditions that a price may depend on besides the counted usage: the member that requests
one, the member of an answer that reports it, and its known values.

    kind            requested by              reported by
    service_tier    service_tier,             openai, responses: service_tier of the answer
                    serviceTier               anthropic: usage.service_tier
                                              gemini: usageMetadata.serviceTier, .trafficType
    speed           speed (anthropic)         usage.speed
    inference_geo   inference_geo (anthropic) usage.inference_geo
    processing      none of our requests      anthropic: usage.service_tier "batch"

Reported conditions are always read, requested or not: known ones that nobody requested are not
charged, unknown ones are reviewed.

Input size is a tier of a price; cache lifetime and resolution are separate meters
(billing/prices/meters.py). A value that is neither plain nor known here puts its request under
review, because nobody has decided its price.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

VALUE: Final = re.compile(r"[a-z0-9_-]{1,40}")


class Kind(NamedTuple):
    """`plain` values mean the standard price; `known` ones may have their own price. `requested_by`
    are the members of a request that ask for a value; none if requests cannot."""

    plain: frozenset[str]
    known: frozenset[str]
    requested_by: tuple[str, ...]

    def is_classified(self, value: str) -> bool:
        """Return whether the value's effect on the price is known."""
        return value in self.plain or value in self.known


def condition_word(value: str) -> str:
    """Normalise a value for comparison: Google also writes SERVICE_TIER_PRIORITY for `priority`."""
    return value.lower().removeprefix("service_tier_")


TIER: Final = "service_tier"
KINDS: Final[Mapping[str, Kind]] = {
    TIER: Kind(
        # `on_demand` is Groq's word.
        frozenset({"", "auto", "default", "standard", "standard_only", "unspecified", "on_demand"}),
        frozenset({"flex", "priority", "fast", "scale", "ultrafast", "batch", "performance"}),
        ("service_tier", "serviceTier"),
    ),
    "speed": Kind(frozenset({"", "standard"}), frozenset({"fast"}), ("speed",)),
    "inference_geo": Kind(
        frozenset({"", "global", "not_available"}), frozenset({"us"}), ("inference_geo",)
    ),
    "processing": Kind(frozenset({""}), frozenset({"batch"}), ()),
}

# The conditions that a version of a price has terms for; a service tier has a separate price.
OF_VERSIONS: Final[tuple[str, ...]] = tuple(kind for kind in KINDS if kind != TIER)

# Google's names of Vertex AI's traffic types.
TRAFFIC: Final[Mapping[str, str]] = {
    "TRAFFIC_TYPE_UNSPECIFIED": "standard",
    "ON_DEMAND": "standard",
    "PROVISIONED_THROUGHPUT": "standard",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
}
