"""Each command writes its own section of the page, and lets the others stand."""

from tests.bench.page import KEPT, PAGE, section_of, with_kept, with_section

MEASURED = "# Performance\n\n## Memory\n\nold\n"


def test_sections_stay_when_the_rest_is_measured_anew() -> None:
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


def test_no_section_of_the_page_is_lost_when_one_is_written() -> None:
    page = PAGE.read_text()
    assert with_section(page, section_of(page, KEPT[-1])) == page
