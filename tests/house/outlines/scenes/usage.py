"""Pages of the room usage."""

from typing import Final

from tests.house.outlines.scenes.scene import Scene

SCENES: Final[tuple[Scene, ...]] = ()
