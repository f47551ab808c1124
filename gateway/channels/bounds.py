"""The limits of a channel's numbers and names, the same for files, pages, the API and the writes;
and its defaults.

Seconds and counts. A priority may be negative.
"""

from typing import Final

NAME_MAX: Final = 120
MODEL_MAX: Final = 200
MODEL_PATTERN: Final = r"^[^\s\x00]+$"
URL_MAX: Final = 500
LABELS_MAX: Final = 20
SECRET_MAX: Final = 4096
PEM_MAX: Final = 100_000
KEYS_MAX: Final = 100
SEVERAL_MAX: Final = 500
"""The maximum number of channels in one change."""
ROUTES_MAX: Final = 2000
PRIORITY_MAX: Final = 1_000_000
WEIGHT_MAX: Final = 1_000_000
RETRIES_MAX: Final = 10
SECONDS_MAX: Final = 86_400
FAILURES_MAX: Final = 1_000_000
CHECK_MODELS_H_MAX: Final = 30 * 24
AMOUNT_NANO_MAX: Final = 2**62
"""The highest spend cap or fixed price."""
