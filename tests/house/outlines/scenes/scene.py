"""What a scene is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.isolation.world import World


@dataclass(frozen=True)
class Scene:
    """A page in a state. `title` names the state; `make` brings it about and returns the address,
    which `role` (of `tests/isolation/who.py`) asks for. `posted` is what a form sends. Whatever a
    scene changes is taken back before the next one. A part that no address answers with alone is
    returned by `make` itself."""

    title: str
    make: Callable[[World], str]
    role: str = "owner"
    posted: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
