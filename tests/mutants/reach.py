"""Which tests reach which lines of the targets, measured by test file and kept between runs.

The kept map is in build/mutants. A test file that has changed is measured anew. A target that has
changed is compared with its text at the time of the measurement: lines that are still there keep
their tests, and a new line has those of its neighbours.
"""

import difflib
import hashlib
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import coverage

from tests.mutants.mutations import Mutation

# The tests of one mutation run for so long at the most, by their own times.
TESTS_S_MAX: Final = 60.0
_POLL_S: Final = 0.005
# They call what every room has of a kind, and so are as close to each as what imports it.
OF_ALL_ROOMS: Final = (
    "tests/config/test_bounds.py",
    "tests/config/test_writes.py",
    "tests/house/test_permissions.py",
)
# It has the numbers that stand outside of functions.
_OF_NUMBERS: Final = "tests/config/test_numbers.py"
# It reads the code, and so reaches no line of it.
_READS_THE_CODE: Final = "tests/relay/test_errors.py"

# Measuring ---------------------------------------------------------------------------------------


def measure(root: Path, files: Iterable[str], folder: Path) -> coverage.Coverage:
    """Begin to measure this process; its data is in the folder when it has ended."""
    measured = coverage.Coverage(
        data_file=str(folder / f"reach-{os.getpid()}"),
        include=[str(root / file) for file in files],
        config_file=False,
    )
    measured.set_option("run:sigterm", True)
    measured.start()
    return measured


def measure_beside() -> None:
    """The same in a process that a test has started: what it does is reached by the test that runs
    meanwhile, which the tests' process writes down."""
    job = json.loads(Path(os.environ["WEIR_MUTANTS"]).read_text())
    test = Path(job["out"], f"test-{os.environ['WEIR_MUTANTS_WORKER']}")
    measured = measure(Path(__file__).parents[2], job["files"], Path(job["out"]))

    def follow() -> None:
        current = ""
        while True:
            if (now := test.read_text()) and now != current:
                current = now
                measured.switch_context(current)
            time.sleep(_POLL_S)

    threading.Thread(target=follow, daemon=True).start()


# The map -----------------------------------------------------------------------------------------


class Reach:
    """What is known of each test file: its tests' seconds, and the lines that they reach."""

    def __init__(self, place: Path, root: Path) -> None:
        self._place, self._root = place, root
        self._known: dict[str, Any] = {"tests": {}, "texts": {}}
        if place.exists():
            self._known = json.loads(place.read_text())
        self._lines_then = cache(self._translated)

    def missing(self, test_files: Iterable[str]) -> list[str]:
        """Those that have changed since they were measured, or never were."""
        tests = self._known["tests"]
        return [
            file
            for file in test_files
            if file not in tests or tests[file]["digest"] != _digest(self._text(file))
        ]

    def take(self, folder: Path, tree: Path, ended: Iterable[str] = ()) -> None:
        """Take in what was measured in a copy of the tree, and keep it; files that were measured
        in part, because the time was over, are measured anew the next time, and those of a
        process that wrote down no tests. Of the files `ended` every test was run, if they have
        any."""
        result: defaultdict[str, Any] = defaultdict(
            lambda: {"seconds": {}, "failed": [], "lines": defaultdict(lambda: defaultdict(set))}
        )
        for file in ended:
            result[file]  # a record, also if it has no test to run
        for part in folder.glob("ran-*.json"):
            for test, (seconds, failed) in json.loads(part.read_text()).items():
                record = result[_file_of(test)]
                if seconds is None:
                    record["cut"] = True
                    continue
                record["seconds"][test] = seconds
                record["failed"] += [test] * failed
        for part in folder.glob("reach-*"):
            data = coverage.CoverageData(str(part))
            data.read()
            for path in data.measured_files():
                source = Path(path).relative_to(tree).as_posix()
                for line, tests in data.contexts_by_lineno(path).items():
                    for test in filter(None, tests):
                        result[_file_of(test)]["lines"][source][line].add(test)
        for file, record in result.items():
            if "cut" in record and file in self._known["tests"]:
                continue  # more is known from before
            if record["lines"] and not record["seconds"]:
                continue
            numbers = {test: n for n, test in enumerate(record["seconds"])}
            self._known["tests"][file] = {
                "digest": "" if "cut" in record else _digest(self._text(file)),
                "seconds": record["seconds"],
                "failed": record["failed"],
                "lines": {
                    source: {
                        str(line): sorted(numbers[test] for test in tests if test in numbers)
                        for line, tests in lines.items()
                    }
                    for source, lines in record["lines"].items()
                },
                "texts": {source: self._keep(source) for source in record["lines"]},
            }
        self._place.parent.mkdir(parents=True, exist_ok=True)
        self._place.write_text(json.dumps(self._known))

    def seconds(self, test: str) -> float:
        return float(self._known["tests"][_file_of(test)]["seconds"][test])

    def failed(self) -> set[str]:
        """Tests that failed without any mutation."""
        return {test for record in self._known["tests"].values() for test in record["failed"]}

    def reaching(self, file: str, line: int) -> set[str]:
        """The tests that run a line of a file."""
        return {
            test
            for record in self._known["tests"].values()
            if file in record["lines"]
            for then in self._lines_then(file, line, line, record["texts"].get(file))
            for test in _tests_at(record, file, then)
        }

    def choose(self, mutation: Mutation) -> list[str]:
        """The tests that reach the statement, the closest first, then the quickest; so many as fit.

        What is outside of functions runs when it is imported: then those that reach the file, or
        a file that imports it, and first the test of such numbers. The same holds for a function
        that no test reaches: it may have run at import.
        """
        ranked = self._rank(mutation, self._reaching) if mutation.function else []
        if not ranked:
            ranked = self._rank(mutation, self._importing)
        # A function that no other test reaches stays one that none reaches.
        rank, file = (4, _READS_THE_CODE) if mutation.function else (-1, _OF_NUMBERS)
        if ranked or rank < 0:
            tests = self._known["tests"].get(file, {"seconds": {}})["seconds"].items()
            ranked += [(rank, seconds, test) for test, seconds in tests]
        chosen, total, failed = list[str](), 0.0, self.failed()
        for _, seconds, test in sorted(ranked):
            if test not in failed and (not chosen or total + seconds <= TESTS_S_MAX):
                chosen.append(test)
                total += seconds
        return chosen

    def closest(self, mutation: Mutation) -> list[str]:
        """The quick test files of its name, if nothing of them fails without a mutation."""
        return [
            file
            for file, record in self._known["tests"].items()
            if _closeness(self._root, file, mutation.file) == 0
            and not record["failed"]
            and sum(record["seconds"].values()) < TESTS_S_MAX / 2
        ]

    def _rank(
        self, mutation: Mutation, tests_of: Callable[[str, Mutation], set[str]]
    ) -> list[tuple[int, float, str]]:
        """The closeness, seconds and name of each test that `tests_of` lists for a test file."""
        return [
            (_closeness(self._root, file, mutation.file), self.seconds(test), test)
            for file in self._known["tests"]
            if (self._root / file).exists()
            for test in tests_of(file, mutation)
        ]

    def _reaching(self, file: str, mutation: Mutation) -> set[str]:
        """The tests of a file that run the statement."""
        record = self._known["tests"][file]
        span = mutation.file, mutation.statement, mutation.line
        then = self._lines_then(*span, record["texts"].get(mutation.file))
        return {test for line in then for test in _tests_at(record, mutation.file, line)}

    def _importing(self, file: str, mutation: Mutation) -> set[str]:
        """The tests of a file that run anything of the module, or of one that imports it."""
        record = self._known["tests"][file]
        sources = {mutation.file, *_importers(self._root, mutation.file)}
        names = list(record["seconds"])
        return {
            names[n]
            for source in sources & record["lines"].keys()
            for numbers in record["lines"][source].values()
            for n in numbers
        }

    def _translated(self, file: str, first: int, last: int, digest: str | None) -> list[int]:
        """Where lines of a file stood in the text that was measured."""
        wanted = range(first, last + 1)
        if digest is None:
            return []
        then, now = self._known["texts"][digest], self._text(file)
        if then == now:
            return list(wanted)
        blocks = _blocks(then, now)
        where = {b + n + 1: a + n + 1 for a, b, size in blocks for n in range(size)}
        exact = [where[line] for line in wanted if line in where]
        above = max((line for line in where if line < first), default=None)
        below = min((line for line in where if line > last), default=None)
        return exact or [where[line] for line in (above, below) if line is not None]

    def _keep(self, source: str) -> str:
        text = self._text(source)
        digest = _digest(text)
        self._known["texts"][digest] = text
        return digest

    def _text(self, file: str) -> str:
        return _text(self._root / file)


def _tests_at(record: Mapping[str, Any], file: str, line: int) -> list[str]:
    """The tests of a record that ran a line of the text that was measured."""
    names = list(record["seconds"])
    return [names[n] for n in record["lines"].get(file, {}).get(str(line), ())]


def test_files(root: Path, left_out: Iterable[str]) -> list[str]:
    """All of them, but for those of some folders, of which only those of all rooms."""
    out = set(left_out)
    files = [path.relative_to(root) for path in sorted((root / "tests").glob("*/**/test_*.py"))]
    return [
        file.as_posix()
        for file in files
        if file.parts[1] not in out or file.as_posix() in OF_ALL_ROOMS
    ]


def close_ones(
    root: Path, test_files: Sequence[str], sources: Iterable[str], rank_max: int = 1
) -> list[str]:
    """The test files that are named like one of the sources, or import one; the nearest first."""
    wanted = list(sources)
    ranks = {
        file: min((_closeness(root, file, source) for source in wanted), default=3)
        for file in test_files
    }
    return sorted((file for file in test_files if ranks[file] <= rank_max), key=ranks.__getitem__)


@cache
def _closeness(root: Path, test_file: str, source: str) -> int:
    """0 of the test file that is named like the source, 1 of one that imports it or makes
    every write, 2 of one of the same room, 3 of any other."""
    room = f"{source.partition('/')[0]}/"
    if test_file.startswith(f"tests/{room}") and test_file.endswith(f"/test_{Path(source).name}"):
        return 0
    if test_file in OF_ALL_ROOMS or _imports(_text(root / test_file), source):
        return 1
    return 2 if test_file.startswith(f"tests/{room}") else 3


@cache
def _importers(root: Path, source: str) -> frozenset[str]:
    """The files of the product that import a source."""
    rooms = {path.parent.name for path in root.glob("*/__init__.py")} - {"tests"}
    return frozenset(
        path.relative_to(root).as_posix()
        for room in rooms
        for path in (root / room).rglob("*.py")
        if _imports(_text(path), source)
    )


def _imports(text: str, source: str) -> bool:
    package, _, name = source.removesuffix(".py").replace("/", ".").rpartition(".")
    if f"{package}.{name} import" in text or f"import {package}.{name}" in text:
        return True
    start = f"from {package} import "
    return any(
        name in part.partition(")" if part.startswith("(") else "\n")[0].replace(",", " ").split()
        for part in text.split(start)[1:]
    )


@cache
def _blocks(then: str, now: str) -> list[tuple[int, int, int]]:
    matcher = difflib.SequenceMatcher(None, then.splitlines(), now.splitlines(), autojunk=False)
    return [(match.a, match.b, match.size) for match in matcher.get_matching_blocks()]


@cache
def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _file_of(test: str) -> str:
    return test.partition("::")[0]
