"""Pages of the room reference."""

from typing import Final

from tests.house.outlines.scenes.scene import Scene

SCENES: Final = (
    Scene("operation with notes and other addresses", lambda world: "/docs/translations"),
)
