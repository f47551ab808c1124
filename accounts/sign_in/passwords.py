"""Requirements for passwords."""

from typing import Final

LENGTH_MIN: Final = 10
"""In characters. Common passwords are refused as well (`config/settings.py`)."""
