"""Which tests `make mutants` asks: those of the lines, also after these have moved."""

import json
from pathlib import Path

import coverage
import pytest

from tests.mutants import reach
from tests.mutants.mutations import mutations

SOURCE = "def f(a):\n    if a:\n        return 1\n    return 2\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in {
        "room/__init__.py": "",
        "room/codes.py": SOURCE,
        "tests/room/test_codes.py": "from room import codes\n",
        "tests/room/test_other.py": "from room.codes import f\n",
        "tests/far/test_far.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def known(tree: Path) -> reach.Reach:
    """Two tests of one file, which reach one line each, and one of another that reaches both."""
    taken = tree / "build" / "reach.json"
    taken.parent.mkdir(exist_ok=True)
    record = {"digest": "", "failed": [], "texts": {"room/codes.py": "then"}}
    tests = {
        "tests/room/test_codes.py": record
        | {
            "seconds": {
                "tests/room/test_codes.py::test_one": 2.0,
                "tests/room/test_codes.py::test_two": 1.0,
            },
            "lines": {"room/codes.py": {"2": [0, 1], "3": [0], "4": [1]}},
        },
        "tests/far/test_far.py": record
        | {
            "seconds": {"tests/far/test_far.py::test_far": 0.1},
            "lines": {"room/codes.py": {"2": [0], "3": [0], "4": [0]}},
        },
    }
    taken.write_text(json.dumps({"tests": tests, "texts": {"then": SOURCE}}))
    return reach.Reach(taken, tree)


def asked(tree: Path, line: int) -> list[str]:
    text = (tree / "room/codes.py").read_text()
    (mutation,) = (one for one in mutations("room/codes.py", text) if one.line == line)
    return [test.partition("::")[2] for test in known(tree).choose(mutation)]


def test_closest_test_of_the_line_runs_first(tree: Path) -> None:
    assert asked(tree, 3) == ["test_one", "test_far"]
    assert asked(tree, 4) == ["test_two", "test_far"]


def test_a_line_that_has_moved_keeps_its_tests(tree: Path) -> None:
    (tree / "room/codes.py").write_text("\n\n" + SOURCE)
    reach._text.cache_clear()
    assert asked(tree, 6) == ["test_two", "test_far"]


def test_a_new_line_has_the_tests_of_its_neighbours(tree: Path) -> None:
    (tree / "room/codes.py").write_text(SOURCE.replace("return 2", "return 3"))
    reach._text.cache_clear()
    assert asked(tree, 4) == ["test_one", "test_far"]


def test_changed_files_are_measured_again(tree: Path) -> None:
    files = reach.test_files(tree, ["far"])
    assert files == ["tests/room/test_codes.py", "tests/room/test_other.py"]
    assert known(tree).missing(files) == files


def test_file_without_a_runnable_test_is_known(tree: Path) -> None:
    """All of its tests belong to a slow lane. One whose tests did not end is measured anew."""
    files = reach.test_files(tree, ["far"])
    (tree / "map").mkdir()
    (tree / "map" / "ran-1.json").write_text(json.dumps({f"{files[1]}::test_cut": [None, False]}))
    reached = known(tree)
    reached.take(tree / "map", tree, files)
    assert reached.missing(files) == files[1:]
    assert reach.Reach(tree / "build" / "reach.json", tree).missing(files) == files[1:]


def test_file_whose_process_did_not_end_is_unknown(tree: Path) -> None:
    """The processes beside it wrote down which lines its tests reached, and nobody which tests."""
    file = "tests/room/test_other.py"
    (tree / "map").mkdir()
    beside = coverage.CoverageData(str(tree / "map" / "reach-1"))
    beside.set_context(f"{file}::test_it")
    beside.add_lines({str(tree / "room/codes.py"): [2, 3]})
    beside.write()
    reached = known(tree)
    reached.take(tree / "map", tree)
    assert reached.missing([file]) == [file]


def test_close_tests_have_a_similar_name_or_import_it(tree: Path) -> None:
    files = reach.test_files(tree, [])
    close = reach.close_ones(tree, files, ["room/codes.py"])
    assert close == ["tests/room/test_codes.py", "tests/room/test_other.py"]


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("from room import codes\n", True),
        ("from room import (\n    other,\n    codes,\n)\n", True),
        ("from room.codes import f\n", True),
        ("import room.codes\n", True),
        ("from room import codes_format\ncodes\n", False),
        ("# codes of a room\n", False),
    ],
)
def test_imports(text: str, does: bool) -> None:
    assert reach._imports(text, "room/codes.py") is does
