"""How a request ended."""

from collections.abc import Mapping

import msgspec

from lib.id_types import RequestId


class Outcome(msgspec.Struct, frozen=True):
    """How a request ended. A refused request has no meters and no charge. `basis` is as in its
    usage record; amounts are nano-USD; `budget_id` is the budget that refused it. `own_nano` is
    what the organisation pays its provider itself."""

    request_id: RequestId
    status: int
    kind: str | None
    message: str
    finish_reason: str
    meters: Mapping[str, int]
    charge_nano: int
    basis: str
    hold_nano: int
    ttft_ms: int | None
    total_ms: int
    budget_id: int | None = None
    own_nano: int = 0

    @property
    def is_charged(self) -> bool:
        """Whether anybody pays for the request: the organisation us, or its provider."""
        return self.charge_nano > 0 or self.own_nano > 0
