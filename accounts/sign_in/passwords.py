"""Requirements for passwords."""

from typing import Final

LENGTH_MIN: Final = 10
"""Characters; common ones are refused beside (`config/settings.py`)."""
