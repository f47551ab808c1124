"""Pages of the room usage: the modules `usage_*.py` have its scenes."""

from typing import Final

from tests.house.outlines.scenes import usage_books, usage_limits, usage_requests

SCENES: Final = (*usage_requests.SCENES, *usage_limits.SCENES, *usage_books.SCENES)
