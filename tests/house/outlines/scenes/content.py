"""Pages of the room content."""

from typing import Final

from tests.house.outlines.scenes.scene import Scene

SCENES: Final[tuple[Scene, ...]] = ()
