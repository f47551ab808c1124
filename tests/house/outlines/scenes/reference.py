"""Pages of the room reference."""

from typing import Final

from tests.house.outlines.scenes.scene import Scene

SCENES: Final[tuple[Scene, ...]] = ()
