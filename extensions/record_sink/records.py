"""A usage record as a line of JSON Lines. It has no prompts, answers or error texts."""

from typing import Any, Final
from uuid import UUID

import msgspec

from lib.ids import id_text

_IDS: Final = (
    "id", "request_id", "organisation_id", "team_id", "key_id", "channel_id", "session_id",
)  # fmt: skip
_COLUMNS: Final = (
    *_IDS, "user_id", "admitted_at", "ended_at", "final", "status", "kind", "finish_reason",
    "model", "stream", "dialect", "operation", "source", "client_app", "channel_name",
    "upstream_model", "upstream_request_id", "meters", "basis", "charge_nano", "hold_nano",
    "price_version_id", "multiplier_ppm", "cost_nano", "cost_version_id", "saved_nano", "own_nano",
    "ttft_ms", "total_ms", "project", "customer", "tags", "end_user", "prompt", "prompt_version",
    "flags", "dropped",
)  # fmt: skip
_READ: Final = ", ".join(f"r.{name}" for name in _COLUMNS)
ROW: Final = f"(SELECT row_to_json(x) FROM (SELECT {_READ}) x)::text"  # noqa: S608 - own names
"""The expression of a record `r`."""


def line_of(row: str) -> bytes:
    """Return a record as its line, with the ids that people and APIs see."""
    record: dict[str, Any] = {"type": "usage_record", **msgspec.json.decode(row)}
    for name in _IDS:
        if record[name] is not None:
            record[name] = id_text(UUID(record[name]))
    return msgspec.json.encode(record) + b"\n"
