"""The guards that rules can name: Weir's own, and those of extensions."""

from typing import Final

from content.detectors.registry import GUARDS, Guard
from lib.extensions.installed import extend

KNOWN: Final = GUARDS
extend(KNOWN, "guards", Guard, dict)
