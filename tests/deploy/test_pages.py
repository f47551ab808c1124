"""What an operator pastes from the pages does what the page says, also when a step fails."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.deploy import chart, files
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
        (page.stem, command)
        for page in sorted(DOCS.rglob("*.md"))
        for command in commands(page)
        if "docker compose up" in command and "prepare" in needed_by(started_by(command))
    ]
    assert {name for name, _ in found} >= {"scale", "troubleshooting", "update"}
    assert [one for one in found if "--no-deps" not in one[1].split()] == []


# ---- a step fails

# Says what it is called with, and fails as the call of that number.
STUB: Final = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
    "compose ps --quiet web") printf 'old-1\\nold-2\\n' ;;
    "compose ps --all --quiet web") printf 'new-1\\nold-1\\nnew-2\\nold-2\\n' ;;
esac
[ "$(wc -l < "$CALLS")" -ne "$FAILS" ]
"""


def pasted(script: str, folder: Path, *, fails: int = 0) -> list[str]:
    """What a shell calls that an operator pastes these lines into, where that call fails."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("docker", "git", "helm", "kubectl", "weir"):
        (programs / name).write_text(STUB)
        (programs / name).chmod(0o755)
    calls = folder / "calls"
    calls.write_text("")
    environment = {"PATH": f"{programs}:{os.defpath}", "CALLS": str(calls), "FAILS": str(fails)}
    subprocess.run(["/bin/sh"], input=script, env=environment, text=True, capture_output=True)
    return calls.read_text().splitlines()


def page_of(name: str) -> Path:
    return DOCS / "operate" / f"{name}.md"


def block_with(page: str, words: str) -> str:
    [result] = [block for block in blocks(page_of(page)) if words in block]
    return result


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("update", "docker stop $old"),
        ("restore", "worker python manage.py restore"),
        ("restore", "weir restore weir.zip"),
        ("kubernetes", "python manage.py restore"),
    ],
)
def test_a_failed_step_is_the_last_one(page: str, words: str, tmp_path: Path) -> None:
    """P10: healthy processes are not stopped before others can take their place, and none starts on
    a database that is not restored."""
    script = block_with(page, words)
    every = pasted(script, tmp_path)
    assert len(every) > 1
    for number in range(1, len(every)):
        assert pasted(script, tmp_path, fails=number) == every[:number]


def test_new_web_processes_that_fail_are_removed_beside_the_old_ones(tmp_path: Path) -> None:
    update = block_with("update", "docker stop $old")
    [remove] = [one for one in commands(page_of("update")) if "grep --invert-match" in one]
    [start] = [one for one in pasted(update, tmp_path) if "--scale" in one]
    assert "--scale web=4 web" in start
    calls = pasted(f"{update}\n{remove}", tmp_path, fails=pasted(update, tmp_path).index(start) + 1)
    assert calls[-3:] == [
        start,
        "docker compose ps --all --quiet web",
        "docker rm --force new-1 new-2",
    ]


def test_a_restore_on_kubernetes_creates_what_it_stopped() -> None:
    """An autoscaler whose target has been set to no pods is off, and so is what starts them again;
    an object that Helm creates begins with its own number."""
    first, *_ = block_with("kubernetes", "python manage.py restore").splitlines()
    stopped = {word for word in first.split() if "/" in word}
    running = {
        f"{one['kind'].lower()}/{one['metadata']['name']}"
        for one in chart.workloads(chart.EVERYTHING).values()
        if one["kind"] in ("Deployment", "StatefulSet")
    }
    assert stopped == running
    assert first.split()[:4] == ["kubectl", "--namespace", "weir", "delete"]
