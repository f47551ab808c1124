"""How long the content of an organisation's requests is kept for later requests: responses that a
request continues, signatures of tool calls, and responses to idempotent requests."""

from typing import Final

RETENTION_HOURS: Final = 24
"""The default number of hours; 0 keeps nothing."""

RETENTION_HOURS_MAX: Final = 24

CLIENT_ADDRESS_DAYS_MAX: Final = 365
"""The maximum number of days for which an organisation may keep the addresses of its clients."""
