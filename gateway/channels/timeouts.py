"""How long a channel's provider may take, stage by stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

# 300 s in place of 60 (docs/promises.md, "Numbers").
_THINKING_TIMES: Final = 5
# Ten minutes in place of one: so long the official clients wait for a whole answer themselves.
_WHOLE_TIMES: Final = 10


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; the defaults are those of docs/promises.md, "Numbers"."""

    connect: float = 3
    first_content: float = 60
    idle: float = 60
    total: float = 1800

    @classmethod
    def of(cls, values: Mapping[str, float]) -> Self:
        """Those that a channel states, and the defaults of the others."""
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})

    def until_content(self, *, thinks: bool, whole: bool) -> float:
        """Return how long may pass until the first content (F11): a model that thinks may be silent
        while it does, and the first of an answer that comes `whole` is its last, too."""
        if whole:
            return self.first_content * _WHOLE_TIMES
        return self.first_content * (_THINKING_TIMES if thinks else 1)
