import re
from pathlib import Path

import pytest

from dialects.errors.kinds import ErrorKind
from gateway.breaker.faults import FAULTS, final_kind

PROMISES = (Path(__file__).parents[3] / "docs/promises.md").read_text()
EFFECTS = {
    "counts": "count",
    "nothing": "none",
    "misconfigured": "misconfigured",
    "recorded": "note",
    "operators get an alert": "alert",
}


def test_every_fault_has_a_row_of_its_own() -> None:
    assert list(FAULTS) == [f"F{n}" for n in range(1, 40)]
    assert len({fault.name for fault in FAULTS.values()}) == len(FAULTS)


def test_each_fault_does_to_its_channel_what_the_promises_say() -> None:
    """docs/promises.md, "Fault table": the effects that one word names."""
    rows = re.findall(r"^\| (F\d+) \|[^|]*\|[^|]*\| ([a-z ]+) \|", PROMISES, re.MULTILINE)
    said = {code: EFFECTS[effect] for code, effect in rows if effect in EFFECTS}
    assert len(said) > 30
    assert {code: FAULTS[code].health for code in said} == said


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
