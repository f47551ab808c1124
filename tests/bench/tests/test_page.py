"""Each command writes its own section of the page, and lets the others stand."""

from tests.bench.page import KEPT, PAGE, section_of, with_kept, with_section

MEASURED = "# Performance\n\n## Memory\n\nold\n"


def test_sections_stay_when_others_are_measured_again() -> None:
    page = MEASURED
    for name in reversed(KEPT):
        page = with_section(page, f"## {name}\n\nof {name}\n")
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## Memory", *(f"## {name}" for name in KEPT),
    ]  # fmt: skip
    anew = with_kept(MEASURED.replace("old", "new"), page)
    assert anew == page.replace("old", "new")


def test_a_section_is_written_in_its_own_place() -> None:
    page = with_kept(MEASURED, with_section(MEASURED, "## Idle\n\nbefore\n"))
    after = with_section(page, "## Idle\n\nafter\n")
    assert after == page.replace("before", "after")
    assert section_of(after, "Reading") == ""


def test_writing_one_section_keeps_the_others() -> None:
    page = PAGE.read_text()
    assert with_section(page, section_of(page, KEPT[-1])) == page
