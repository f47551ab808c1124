"""Totals of `/metrics` that have no labels, as statements."""

from typing import Any, Final, Literal

Family = Literal["shed", "dropped_lines", "damaged_records"]
"""Requests that were refused by a busy process; log lines that nobody read in time; records of
spools and journals that could not be read."""

ALONE: Final = ("shed", "dropped_lines", "damaged_records")
"""All of them: none belongs to a model or a channel."""


def add_to_total(family: Family, value: int) -> tuple[str, dict[str, Any]]:
    """Add this to what all processes have counted."""
    return _ADD, {"family": family, "value": value}


_ADD: Final = """
    INSERT INTO gateway_traffictotal AS total (family, labels, value, counts)
    VALUES (%(family)s, '{}', %(value)s::bigint, '{}')
    ON CONFLICT (family, labels) DO UPDATE SET value = total.value + excluded.value"""
