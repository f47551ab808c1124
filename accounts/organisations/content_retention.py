"""How long the content of an organisation's requests is kept for those that come after: responses
that are gone on from, seals of tool calls, answers of idempotent requests."""

from typing import Final

RETENTION_HOURS: Final = 24
"""What holds for an organisation that has not said how long; 0 keeps nothing."""

RETENTION_HOURS_MAX: Final = 24

CLIENT_ADDRESS_DAYS_MAX: Final = 365
"""Of the addresses that requests came from: that long an organisation may have them kept."""
