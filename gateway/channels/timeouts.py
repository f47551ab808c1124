"""The timeouts of a channel's provider, stage by stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

# 300 s instead of 60 (docs/promises.md, "Numbers").
_THINKING_TIMES: Final = 5
# Ten minutes instead of one: the official clients wait that long for a whole answer.
_WHOLE_TIMES: Final = 10


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in seconds. The defaults are those of docs/promises.md, "Numbers"."""

    connect: float = 3
    first_content: float = 60
    idle: float = 60
    total: float = 1800

    @classmethod
    def of(cls, values: Mapping[str, float]) -> Self:
        """Return a channel's values, and the defaults for the others."""
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})

    def until_content(self, *, thinks: bool, whole: bool) -> float:
        """Return the timeout until the first content (F11). It is longer for a model that thinks,
        which may be silent for a while, and for a `whole` answer, whose first content is also the
        last."""
        if whole:
            return self.first_content * _WHOLE_TIMES
        return self.first_content * (_THINKING_TIMES if thinks else 1)
