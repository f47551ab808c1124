"""The bounds of the histograms of times, for `/metrics` and for the pages of channels, in ms."""

from typing import Final

FIRST_TOKEN_MS: Final = (
    50, 100, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10_000, 15_000, 30_000, 60_000
)  # fmt: skip
"""The bounds of the histogram of the time to the first token."""
DURATION_MS: Final = (
    100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 40_000, 60_000, 120_000, 300_000, 600_000
)  # fmt: skip
"""The bounds of the histogram of the total duration of requests."""
