"""The bodies of charge rules in the management API."""

from typing import Any, Final, Literal

from pydantic import Field

from billing.limits.charge_rule import DRAIN_SECONDS, DRAIN_SECONDS_MAX
from lib.api.openapi import RequestBody, Schema
from lib.numbers.whole_numbers import Whole

_KIND: Final = (
    "`measured`: Weir disconnects from the provider at once, and charges what it measured. "
    "`drain`: Weir reads the rest of the answer, up to the limits `seconds` and `cost`, and "
    "charges what it read. `absorb`: Weir disconnects from the provider at once, and the operator "
    "bears the cost. `inherit`: no rule here."
)


class ChargeRuleIn(RequestBody):
    """What is charged for abandoned and failed requests."""

    kind: Literal["measured", "drain", "absorb", "inherit"] = Field(description=_KIND)
    seconds: Whole | None = Field(
        None,
        ge=1,
        le=DRAIN_SECONDS_MAX,
        description=f"`drain`: read the rest for at most so many seconds. Default {DRAIN_SECONDS}.",
    )
    cost: str | None = Field(
        None,
        max_length=40,
        description="`drain`: charge at most this amount more than at the disconnect. Exact "
        "decimal.",
    )

    def rule_fields(self) -> dict[str, Any]:
        """Return the rule in its stored form, without validation."""
        if self.kind == "inherit":
            return {}
        return self.model_dump(exclude_none=True)


class ChargeRuleOut(Schema):
    kind: str = Field("inherit", description=_KIND)
    seconds: int | None = None
    cost: str | None = None
