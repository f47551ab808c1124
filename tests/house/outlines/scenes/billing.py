"""Pages of the room billing."""

from typing import Final

from tests.house.outlines.scenes.scene import Scene

SCENES: Final[tuple[Scene, ...]] = ()
