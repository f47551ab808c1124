"""The guards that rules can name."""

from collections.abc import Callable
from typing import Any

from content.detectors.detector import Detector
from content.detectors.patterns import EMAIL

# What makes a guard of a rule's settings; raises `ValueError` where they do not fit.
GUARDS: dict[str, Callable[[dict[str, Any]], Detector]] = {
    "email": lambda settings: EMAIL,
}
