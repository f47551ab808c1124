"""What became of a mutation."""

from typing import Final, NamedTuple

from tests.mutants.mutations import Mutation

CAUGHT: Final = "caught"
SURVIVED: Final = "survived"
TIMEOUT: Final = "timeout"
UNREACHED: Final = "no test reaches it"
UNMEASURED: Final = "not measured"


class Outcome(NamedTuple):
    """`test` is the one that failed, where it is known. A test that does not end has caught it. A
    mutant is not measured if no test is known to reach it, and the tests were measured in part."""

    mutation: Mutation
    result: str
    test: str
    seconds: float = 0.0

    @property
    def caught(self) -> bool:
        return self.result in (CAUGHT, TIMEOUT)
