"""The time zones that pages offer."""

from functools import cache
from typing import Final
from zoneinfo import available_timezones

ZONES: Final = (
    "UTC",
    "America/Los_Angeles",
    "America/Denver",
    "America/Chicago",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Moscow",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Shanghai",
    "Asia/Hong_Kong",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Australia/Sydney",
    "Pacific/Auckland",
)
"""Some of all over the world, for a filter."""


@cache
def zone_choices() -> list[tuple[str, str]]:
    """Return all zones that are named after a place, and UTC, with their labels."""
    placed = [name for name in available_timezones() if name.partition("/")[0] in _PLACES]
    return [(name, name.replace("_", " ")) for name in ("UTC", *sorted(placed))]


_PLACES: Final = {
    *("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic"),
    *("Australia", "Europe", "Indian", "Pacific"),
}
