"""What decides about money, authority and isolation is in plain `make test`: what of it is in
another lane is more of the same, and stands here with its reason."""

import re
from typing import Final

import pytest

from tests.house.test_style import ROOT
from tests.workers import is_in_part

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
    "billing/prices/test_upstream_prices.py": "lists of ten thousand models",
    "billing/prices/test_proposals.py": "the shipped catalogue as a whole",
    "billing/subscriptions/test_subscriptions.py": "kills at each step, and under load",
    "billing/topups/test_topups.py": "all orders of events, for a third of them",
    "billing/test_write_cost.py": "what a request leaves on the disk",
    "isolation/test_authority_sequences.py": "ten thousand sequences",
    "isolation/test_operations.py": "every cell, for those that bring a new fact",
    "isolation/test_pages.py": "every cell, for those that bring a new fact",
    "isolation/test_schema.py": "every role, for one at each operation",
    "isolation/test_streams.py": "every cell, for those that bring a new fact",
    "playground/payers/test_payer_menu.py": "a browser; the rules are tried without one",
    "relay/credentials/test_revoked_everywhere.py": "all causes by four processes",
    "relay/credentials/test_secrets.py": "further starts of a hub",
}
_MARKED: Final = re.compile(r"mark\.(slow|extended)|(slow|extended)_unless\(")


def test_what_of_money_and_authority_waits_for_another_lane_is_known() -> None:
    paths = [path for folder in FOLDERS for path in (ROOT / "tests" / folder).rglob("test_*.py")]
    marked = {
        path.relative_to(ROOT / "tests").as_posix()
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
def test_what_is_no_part_is_told(part: str) -> None:
    with pytest.raises(pytest.UsageError, match="such as 2/8"):
        is_in_part("tests/a.py::test_b", part)
