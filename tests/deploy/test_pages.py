"""What an operator pastes from the pages does what the page says, also when a step fails."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.deploy import files
from tests.deploy.test_files import PRODUCT

DOCS = files.ROOT / "docs"
_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")


def blocks(page: Path) -> list[str]:
    """The blocks of commands on a page."""
    return [text for kind, text in _BLOCK.findall(page.read_text()) if kind == "sh"]


def commands(page: Path) -> Iterator[str]:
    """Each line of the blocks of a page, and each command within its text."""
    for block in blocks(page):
        yield from block.replace("\\\n", "").splitlines()
    for span in _SPAN.findall(_BLOCK.sub("", page.read_text())):
        yield " ".join(span.split())


def needed_by(names: set[str]) -> set[str]:
    """The services that compose starts with these."""
    before = {
        one
        for name in names
        for one in files.compose_file()["services"][name].get("depends_on", [])
    }
    return names | needed_by(before) if before else names


def started_by(command: str) -> set[str]:
    """The services that a `docker compose up` means: those that it names, or those of `--scale`."""
    words = command.split()
    scaled = {words[at + 1].partition("=")[0] for at, word in enumerate(words) if word == "--scale"}
    return {word for word in words if word in PRODUCT} | scaled


def test_no_command_of_a_page_prepares_beside_what_it_starts() -> None:
    """After an update the container of the service `prepare` is still the older version's, and an
    older version must not prepare (docs/operate/update.md, "Going back")."""
    found = [
        (page.name, command)
        for page in sorted(DOCS.rglob("*.md"))
        for command in commands(page)
        if "docker compose up" in command and "prepare" in needed_by(started_by(command))
    ]
    assert {name for name, _ in found} >= {"scale.md", "troubleshooting.md", "update.md"}
    assert [one for one in found if "--no-deps" not in one[1].split()] == []
