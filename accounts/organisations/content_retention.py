"""How long the content of an organisation's requests is kept for later requests: responses that a
request continues, signatures of tool calls, and responses to idempotent requests."""

from typing import Final

RETENTION_HOURS: Final = 24
"""What holds for an organisation that has not said how long; 0 keeps nothing."""

RETENTION_HOURS_MAX: Final = 24

CLIENT_ADDRESS_DAYS_MAX: Final = 365
"""Of the addresses that requests came from: that long an organisation may have them kept."""
