import pytest

from dialects.errors.kinds import ErrorKind
from gateway.breaker.faults import FAULTS, final_kind


def test_every_fault_has_a_row_of_its_own() -> None:
    assert list(FAULTS) == [f"F{n}" for n in range(1, 40)]
    assert len({fault.name for fault in FAULTS.values()}) == len(FAULTS)


@pytest.mark.parametrize(
    ("kinds", "final"),
    [
        (["timeout"], "timeout"),
        (["upstream_rate_limited", "upstream_error"], "upstream_rate_limited"),
        (["upstream_error", "upstream_error"], "upstream_error"),
        (["upstream_rate_limited", "timeout"], "timeout"),
    ],
)
def test_final_kind(kinds: list[ErrorKind], final: ErrorKind) -> None:
    assert final_kind(kinds) == final
