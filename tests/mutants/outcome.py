"""What became of a mutation."""

from typing import Final, NamedTuple

from tests.mutants.mutations import Mutation

CAUGHT: Final = "caught"
SURVIVED: Final = "survived"
TIMEOUT: Final = "timeout"
UNREACHED: Final = "no test reaches it"
UNMEASURED: Final = "not measured"
UNDECIDED: Final = "not decided"


class Outcome(NamedTuple):
    """`test` is the one that failed, where it is known. Tests that do not end have caught it if
    they end without it; if they do not, the mutant is not decided. It is not measured if no test
    is known to reach it, and the tests were measured in part."""

    mutation: Mutation
    result: str
    test: str
    seconds: float = 0.0

    @property
    def caught(self) -> bool:
        return self.result in (CAUGHT, TIMEOUT)
