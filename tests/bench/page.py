"""The page of measurements: sections of which each command writes its own, and lets the others
stand."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs/background/performance.md"
KEPT: Final = (
    "Writing and checking", "Idle", "Starting", "Tool calls", "Reading", "Interactions",
)  # fmt: skip
"""The sections that `make bench` does not write, in their order behind what it does."""


def section_of(page: str, name: str) -> str:
    """A section as it stands in a page; "" where there is none."""
    _, heading, rest = page.partition(f"## {name}\n")
    return (heading + rest.partition("\n## ")[0]).rstrip() if heading else ""


def with_kept(page: str, before: str) -> str:
    """A page that `make bench` wrote, with the kept sections of the page before it."""
    return _joined([page, *(section_of(before, name) for name in KEPT)])


def with_section(page: str, section: str) -> str:
    """A page with one of its kept sections anew."""
    kept = {name: section_of(page, name) for name in KEPT}
    own = page.partition(next((text for text in kept.values() if text), "\0"))[0]
    kept[section.partition("\n")[0].removeprefix("## ")] = section
    return _joined([own, *kept.values()])


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.rstrip() for part in parts if part) + "\n"
