"""Every figure of every round, by work and system. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.spread import Spread, spread


@dataclass
class Results:
    """`missing` says why a system has no figures at all; `failed` what went wrong with a work, of
    which a system then has none either: rounds are compared with each other. `repeated` tells of
    slots that went well only the second time."""

    round_count: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    _rounds: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def add(self, work: str, system: str, figures: Mapping[str, float]) -> None:
        """The figures of one more round."""
        for figure, value in figures.items():
            self._rounds.setdefault((work, system, figure), []).append(value)

    def rounds(self, work: str, system: str, figure: str) -> list[float]:
        """One value for each round; empty when it was not measured."""
        if (work, system) in self.failed:
            return []
        return self._rounds.get((work, system, figure), [])

    def spread(self, work: str, system: str, figure: str) -> Spread | None:
        result = self.rounds(work, system, figure)
        return spread(result) if result else None

    def has(self, work: str, system: str) -> bool:
        return (work, system) not in self.failed and any(
            key[:2] == (work, system) for key in self._rounds
        )
