"""The default of how often another attempt follows at the same channel."""

from typing import Final

RETRIES: Final = 2
"""The default number of further attempts after a channel fails."""
