"""The bodies of charge rules in the management API."""

from typing import Any, Final, Literal

from pydantic import Field

from billing.limits.charge_rule import DRAIN_SECONDS, DRAIN_SECONDS_MAX
from lib.api.openapi import RequestBody, Schema
from lib.numbers.whole_numbers import Whole

_KIND: Final = (
    "`measured`: the provider is disconnected at once, and what was measured is charged. `drain`: "
    "the answer is read on, and its usage is charged. `absorb`: the provider is disconnected at "
    "once, and the operator bears the cost. `inherit`: no rule here."
)


class ChargeRuleIn(RequestBody):
    """What is charged for abandoned and failed requests."""

    kind: Literal["measured", "drain", "absorb", "inherit"] = Field(description=_KIND)
    seconds: Whole | None = Field(
        None,
        ge=1,
        le=DRAIN_SECONDS_MAX,
        description=f"`drain`: read on for at most so long. Default {DRAIN_SECONDS}.",
    )
    cost: str | None = Field(
        None,
        max_length=40,
        description="`drain`: charge at most so much more than at the disconnect. Exact decimal.",
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
