"""The section of how soon pages answer: of each step the median and the highest."""

from tests.bench.interactions import render
from tests.bench.page import section_of, with_section


def test_unreported_interaction_is_below_the_minimum() -> None:
    section = render({"Open a menu": [24, 40, 120], "Change the tab": [0, 0, 16]}, "Today.")
    assert section.splitlines()[-2:] == [
        "| Open a menu | 40 | 120 |",
        "| Change the tab | < 16 | 16 |",
    ]
    page = with_section("# Performance\n\n## Memory\n", section)
    assert section_of(page, "Interactions") == section
