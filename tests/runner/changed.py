"""`make test CHANGED=1`: the tests that reach what has changed since the merge base with the main
branch, and the tests of the house; since another commit: `CHANGED=HEAD~3`.

`make mutants` keeps a map of the lines that each test reaches (build/mutants). Where that map knows
a changed file, the tests that reach a changed line run. For a test file that is not in the map, or
has changed since, and for a changed file that the map does not know, these run instead: the test
files that import it, directly or through other modules, those that name it, and those in the folder
of `tests` that has the same name as its folder. The first lines of the run say which way was taken.
"""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple, Protocol

import pytest

from tests.mutants.reach import Reach

ROOT: Final = Path(__file__).parents[2]
HOUSE: Final = "tests/house/"
# These import whatever there is, and so nothing is learned from what they import.
_ROOTS: Final = re.compile(
    r"(^|/)(urls|asgi|wsgi|settings|celery|imported)\.py$|^config/api/api\.py$"
)
_IMPORT: Final = re.compile(r"^[ \t]*(?:from ([\w.]+) )?import (\([^)]*\)|[^\n#]*)", re.MULTILINE)
# Whatever a person's git is set to show.
_PLAIN: Final = ("--no-color", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/")
_MAP: Final = ROOT / "build/mutants/reach.json"
_MAIN: Final = ("origin/HEAD", "origin/main", "main", "master")


class Chosen(NamedTuple):
    """Test files that run whole, tests of other files, and what a reader is told."""

    files: frozenset[str]
    tests: frozenset[str]
    notes: tuple[str, ...]


# What has changed ------------------------------------------------------------------------------


def merge_base() -> str:
    """The commit that this branch has in common with the main branch. Raises UsageError."""
    for name in _MAIN:
        done = _run("merge-base", "HEAD", name)
        if done.returncode == 0:
            return done.stdout.strip()
    raise pytest.UsageError(f"None of {', '.join(_MAIN)} is here. Name a commit: CHANGED=HEAD~3.")


def changed_lines(base: str) -> dict[str, set[int]]:
    """The lines of each file that are not as they were at `base`; a line that was removed is known
    by those beside it. Raises UsageError."""
    done = _run("diff", *_PLAIN, "--unified=0", "--no-renames", "--text", base)
    if done.returncode:
        raise pytest.UsageError(f"git cannot compare with {base!r}: {done.stderr.strip()}")
    changed = {}
    for file, hunks in _hunks(done.stdout):
        changed[file] = {
            line
            for first, count in hunks
            for line in (range(first, first + count) if count else (first, first + 1))
        }
    new = _run("ls-files", "--others", "--exclude-standard").stdout.splitlines()
    return changed | {file: set() for file in new}


def _hunks(difference: str) -> Iterable[tuple[str, list[tuple[int, int]]]]:
    old, hunks = "", dict[str, list[tuple[int, int]]]()
    file = ""
    for line in difference.splitlines():
        if line.startswith("--- "):
            old = line.removeprefix("--- a/")
        elif line.startswith("+++ "):
            # What is gone is asked for by its old name.
            file = old if line == "+++ /dev/null" else line.removeprefix("+++ b/")
            hunks[file] = []
        elif match := re.match(r"@@ \S+ \+(\d+)(?:,(\d+))? @@", line):
            hunks[file].append((int(match[1]), int(match[2] or 1)))
    return hunks.items()


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)


# Which tests reach it --------------------------------------------------------------------------


class Lines(Protocol):
    """A map of lines, see `tests.mutants.reach.Reach`."""

    def missing(self, test_files: Iterable[str]) -> Sequence[str]: ...

    def reaching(self, file: str, line: int) -> set[str]: ...


def choose(changed: Mapping[str, set[int]], known: Lines) -> Chosen:
    """The tests that reach changed lines, and those of the house."""
    files, tests, notes = set[str](), set[str](), list[str]()
    unknown = {*known.missing(sorted(test_files()))}
    if unknown == test_files():
        notes.append("There is no map of lines yet (`make mutants` makes one).")
    elif unknown:
        notes.append(f"{len(unknown)} test files are not in the map of lines, or newer than it.")
    for file, lines in sorted(changed.items()):
        near = reaching(file)
        by_line = [known.reaching(file, line) for line in sorted(lines)]
        if by_line and all(by_line):
            reached = set[str]().union(*by_line)
            tests |= reached
            files |= near & unknown
            notes.append(f"{file}: {len(reached)} tests by their lines,")
            notes.append(f"    and {len(near & unknown)} test files by imports and names.")
        else:
            files |= near
            notes.append(f"{file}: {len(near)} test files by imports and names.")
    house = {file for file in test_files() if file.startswith(HOUSE)}
    return Chosen(frozenset(files | house), frozenset(tests), tuple(notes))


def reaching(file: str) -> set[str]:
    """The test files that may reach a file: by imports, by its name, and by its folder."""
    path = PurePosixPath(file)
    if path.name == "conftest.py":
        return {one for one in test_files() if one.startswith(f"{path.parent}/")}
    results = {one for one in _importing(file) if one in test_files()}
    if file in test_files():
        results.add(file)
    elif path.parts[0] in ("templates", "static"):
        room = PurePosixPath(*path.parts[1:-1])
        results |= _in_folder(room) | _naming(path)
        for code in _naming_code(str(PurePosixPath(*path.parts[1:]))):
            results |= {one for one in _importing(code) if one in test_files()}
    else:
        results |= _in_folder(path.parent) | (_naming(path) if path.suffix != ".py" else set())
    if results or path.suffix != ".py":
        return results  # what is no code is read by the tests of the house
    return {*test_files()}


def _in_folder(folder: PurePosixPath) -> set[str]:
    """The test files in the folder of the same name, or in the nearest above that is there."""
    for one in (folder, *folder.parents):
        prefix = f"tests/{one}/"
        if str(one) != "." and (found := {f for f in test_files() if f.startswith(prefix)}):
            return found
    return set()


def _naming(path: PurePosixPath) -> set[str]:
    return {file for file in test_files() if path.name in _text(file)}


def _naming_code(template: str) -> set[str]:
    """The modules that name a template, or one that includes or extends it."""
    names, seen = {template}, set[str]()
    while new := names - seen:
        seen |= new
        for file in _files(".html"):
            if any(name in _text(file) for name in new):
                names.add(file.removeprefix("templates/"))
    return {file for file in _modules() if any(name in _text(file) for name in seen)}


@cache
def _importing(file: str) -> frozenset[str]:
    """The files that import a file, directly or through others."""
    importers, found, left = _importers(), set[str](), [file]
    while left:
        for one in importers.get(left.pop(), set()) - found:
            found.add(one)
            if not _ROOTS.search(one):
                left.append(one)
    return frozenset(found)


@cache
def _importers() -> dict[str, set[str]]:
    """The files that import each file."""
    modules = {_module_of(file): file for file in _modules()}
    results = defaultdict[str, set[str]](set)
    for file in _modules():
        for name in _imported(file):
            if (target := modules.get(name)) is not None and target != file:
                results[target].add(file)
    return results


def _imported(file: str) -> set[str]:
    """The names of what a file imports, also within its functions; a name that is imported from a
    package may be a module of it."""
    names = set()
    for match in _IMPORT.finditer(_text(file)):
        package, listed = match[1], re.findall(r"[\w.]+(?= as |,|\s|$)", match[2].strip("()"))
        names |= {package, *(f"{package}.{name}" for name in listed)} if package else {*listed}
    return names


def _module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def test_files() -> frozenset[str]:
    return frozenset(
        file
        for file in _modules()
        if file.startswith("tests/") and PurePosixPath(file).name.startswith("test_")
    )


def _modules() -> tuple[str, ...]:
    return _files(".py")


@cache
def _files(suffix: str) -> tuple[str, ...]:
    listed = _run("ls-files", "--cached", "--others", "--exclude-standard", f"*{suffix}").stdout
    return tuple(file for file in sorted(listed.splitlines()) if (ROOT / file).is_file())


@cache
def _text(file: str) -> str:
    return (ROOT / file).read_text()


# In a run ----------------------------------------------------------------------------------------

_CHOSEN: Final = pytest.StashKey[Chosen]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--changed", default="", metavar="COMMIT",
        help="run the tests that reach what has changed since a commit; 1: since the merge base",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    if base := config.getoption("changed"):
        changed = changed_lines(merge_base() if base == "1" else base)
        config.stash[_CHOSEN] = choose(changed, Reach(_MAP, ROOT))


def pytest_report_header(config: pytest.Config) -> Sequence[str]:
    chosen = config.stash.get(_CHOSEN, None)
    return chosen.notes if chosen else ()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    chosen = config.stash.get(_CHOSEN, None)
    if chosen is None or not collection_path.name.startswith("test_"):
        return None
    file = collection_path.relative_to(ROOT).as_posix()
    wanted = chosen.files | {test.partition("::")[0] for test in chosen.tests}
    return None if file in wanted or collection_path.is_dir() else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = config.stash.get(_CHOSEN, None)
    if chosen is None:
        return
    wanted = {
        item.nodeid
        for item in items
        if item.nodeid in chosen.tests or item.nodeid.partition("::")[0] in chosen.files
    }
    if others := [item for item in items if item.nodeid not in wanted]:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.nodeid in wanted]
