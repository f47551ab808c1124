"""`make test` runs what fits in the time of each function, and something of every promise."""

import itertools
import re
from typing import Final

import pytest

from tests.runner import lanes
from tests.runner.lanes import Row, Takes
from tests.runner.workers import PARSED, is_in_part, place_of, seconds_of, units_of

# What of money, authority and isolation is slow is more of the same, for this reason.
FOLDERS: Final = ("accounts", "billing", "isolation", "lib/network", "playground/payers",
                  "relay/credentials")  # fmt: skip
ELSEWHERE: Final = {
    "accounts/members/test_authority.py": (
        "every operation by each kind of key; 150 sequences for 8"
    ),
    "accounts/second_factor/test_second_factor.py": (
        "each made-up credential at each path, for one at each"
    ),
    "billing/limits/test_budget.py": "every window of 20 years in 40 zones",
    "billing/prices/test_exact.py": "ten million rows",
    "billing/credits/test_codes.py": "a hundred people for one code, by four processes",
    "billing/prices/test_proposals.py": "the shipped catalogue as a whole",
    "billing/subscriptions/test_subscriptions.py": "kills at each step, and under load",
    "billing/topups/test_topups.py": "all orders of events, for a third of them",
    "isolation/test_authority_sequences.py": "ten thousand sequences",
    "isolation/test_operations.py": "every cell, for those that bring a new fact",
    "isolation/test_pages.py": "every cell, for those that bring a new fact",
    "isolation/test_schema.py": "every role, for one at each operation",
    "isolation/test_streams.py": "every cell, for those that bring a new fact",
    "playground/payers/test_payer_menu.py": "a browser; the rules are tried without one",
    "relay/credentials/test_revoked_everywhere.py": "all causes by four processes",
}
_MARKED: Final = re.compile(r"mark\.slow|slow_unless\(")
_NAMED: Final = "tests/relay/attempts/test_fault_table.py::test_before_the_first_content"


def rows(function: str, *ids: str) -> list[Row]:
    return [
        Row(f"{function}[{one}]", frozenset({("one", n), ("other", n % 3)}))
        for n, one in enumerate(ids)
    ]


def quick(its: list[Row], takes: Takes | None, proofs: frozenset[str] = frozenset()) -> list[str]:
    function = lanes.function_of(its[0].nodeid)
    known = {function: takes} if takes else {}
    return [*lanes.quick_rows(its, known, proofs)]


def test_quick_or_new_function_runs_whole() -> None:
    its = rows("tests/a/test_b.py::test_c", *"123456789")
    assert len(quick(its, None)) == 9
    assert len(quick(its, Takes(0.0, lanes.ALWAYS_S))) == 9


def test_slower_function_runs_as_many_rows_as_fit() -> None:
    its = rows("tests/a/test_b.py::test_c", *"123456789")
    assert len(quick(its, Takes(0.0, lanes.ANY_S / 4))) == 4
    assert len(quick(its, Takes(lanes.ANY_S / 2, lanes.ANY_S / 4))) == 2
    assert len(quick(its, Takes(0.0, lanes.ANY_S * 1.5))) == 1
    assert quick(its, Takes(0.0, lanes.ANY_S * 3)) == []


def test_proofs_and_deciding_tests_get_more_time() -> None:
    its = rows("tests/billing/test_b.py::test_c", *"123456789")
    assert len(quick(its, Takes(0.0, lanes.DECIDING_S / 4))) == 4
    proofs = frozenset({"tests/billing/test_b.py::test_c"})
    assert len(quick(its, Takes(0.0, lanes.PROVING_S / 4), proofs)) == 4


def test_each_value_of_each_parameter_comes_first() -> None:
    its = [
        Row(f"tests/a/test_b.py::test_c[{n}]", frozenset({("one", n // 3), ("other", n % 3)}))
        for n in range(9)
    ]
    chosen = lanes.spread(its, 3)
    assert {place for row in chosen for place in row.places} == {
        (name, n) for name in ("one", "other") for n in range(3)
    }


def test_rows_are_spread_over_all() -> None:
    its = [Row(f"tests/a/test_b.py::test_c[{n}]", frozenset({("one", n)})) for n in range(100)]
    numbers = [its.index(row) for row in lanes.spread(its, 10)]
    assert max(b - a for a, b in itertools.pairwise([0, *numbers, 99])) < 20


def test_each_promise_code_runs_where_requested() -> None:
    its = rows(_NAMED, "F1:a", "F1:b", "F14a:a", "F2:a", "F2:b", "none")
    assert quick(its, Takes(100.0, 0.01)) == [its[n].nodeid for n in (0, 2, 3)]


@pytest.mark.parametrize("function", [*lanes.WHOLE, *lanes.ONE_ROW])
def test_named_exception_exists_and_is_needed(function: str) -> None:
    """Else a test that was renamed would leave `make test` unseen."""
    file, _, name = function.partition("::")
    assert f"def {name}" in (lanes.ROOT / file).read_text()
    assert function in lanes.times()


def test_cost_of_a_function_is_estimated_from_its_rows() -> None:
    assert lanes.takes([0.1, 0.3]) == Takes(0.0, 0.2)
    once, row = lanes.takes([5.1, 0.1, 0.1, 0.1])
    assert (round(once, 6), row) == (5.0, 0.1)


def test_faster_machine_moves_no_test() -> None:
    known = {"a": Takes(1.0, 0.5), "b": Takes(0.0, 0.5), "gone": Takes(0.0, 9.0)}
    new = {"a": Takes(0.5, 0.25), "b": Takes(0.0, 0.25), "new": Takes(0.0, 3.0)}
    assert lanes.renewed(known, new) == {**known, "new": Takes(0.0, 6.0)}


def test_slow_function_without_a_time_is_named() -> None:
    seconds = {"tests/a.py::new": 3.0, "tests/a.py::quick": 0.1, "tests/a.py::known": 9.0,
               "tests/billing/a.py::new": 0.9, "tests/a.py::slowest": 4.0}  # fmt: skip
    known = {"tests/a.py::known": Takes(9.0, 0.0)}
    named = ["tests/a.py::slowest", "tests/a.py::new"]
    assert lanes.unlisted(seconds, known, frozenset()) == named


def test_long_units_come_first_and_folders_stay_together() -> None:
    tests = [("tests/a/test_b.py::test_c", 1.0), ("tests/a/test_a.py::test_c[1]", 0.0),
             ("tests/browser/test_a.py::test_c", 30.0), ("tests/browser/b/test_b.py::test_c", 9.0),
             ("tests/z/test_z.py::test_c", 35.0)]  # fmt: skip
    expected = ["tests/browser", "tests/z/test_z.py", "tests/a/test_a.py", "tests/a/test_b.py"]
    assert units_of(tests) == expected


def test_tests_that_read_the_code_stay_together() -> None:
    names = ("test_before", "test_bulk_statements", "test_style")
    assert {place_of(f"tests/house/{name}.py::test_a") for name in names} == {PARSED}
    assert place_of("tests/house/test_answers.py::test_a") == "tests/house/test_answers.py"


def test_first_row_takes_what_comes_once() -> None:
    nodeids = ["a.py::a[1]", "a.py::a[2]", "a.py::new"]
    known = {"a.py::a": Takes(5.0, 0.5)}
    assert [*seconds_of(nodeids, known)] == [*zip(nodeids, (5.5, 0.5, 0.0), strict=True)]


def test_slow_tests_of_money_and_authority_are_known() -> None:
    paths = [
        path for folder in FOLDERS for path in (lanes.ROOT / "tests" / folder).rglob("test_*.py")
    ]
    marked = {
        path.relative_to(lanes.ROOT / "tests").as_posix()
        for path in paths
        if _MARKED.search(path.read_text())
    }
    assert marked == ELSEWHERE.keys()


def test_each_test_is_in_one_part() -> None:
    names = [f"tests/a.py::test_b[{n}]" for n in range(400)]
    for n in (1, 2, 8):
        parts = [[name for name in names if is_in_part(name, f"{k}/{n}")] for k in range(1, n + 1)]
        assert sorted(name for part in parts for name in part) == sorted(names)
        assert min(map(len, parts)) > 300 / n


@pytest.mark.parametrize("part", ["", "0/8", "9/8", "1", "a/b", "-1/8", "1/8/2"])
def test_invalid_part_is_reported(part: str) -> None:
    with pytest.raises(pytest.UsageError, match="such as 2/8"):
        is_in_part("tests/a.py::test_b", part)
