"""The README of the wheel, which is read where its relative links lead nowhere."""

import re

import pytest

from stack.wheels.readme import absolute_readme
from tests.support.hub import ROOT

README = (ROOT / "README.md").read_text()
RELATIVE = re.compile(r"\]\((?!https?:|#)[^)]+\)")
SOURCE = "https://git.example.org/weir"


def test_links_are_absolute_with_the_source_address() -> None:
    shown = absolute_readme(README, SOURCE)
    assert RELATIVE.findall(README)
    assert RELATIVE.findall(shown) == []
    assert f"]({SOURCE}/blob/HEAD/docs/background/performance.md)" in shown
    assert f"![The playground, with the cost under the answer]({SOURCE}/raw/HEAD/" in shown
    assert f"git clone {SOURCE} weir" in shown


def test_links_are_text_without_the_source_address() -> None:
    shown = absolute_readme(README, "")
    assert RELATIVE.findall(shown) == []
    assert "![" not in shown
    assert "all workloads" in shown


@pytest.mark.parametrize("line", ["[a](https://example.org/x)", "[a](#part)", "`[a]`"])
def test_other_links_stay(line: str) -> None:
    assert absolute_readme(line, SOURCE) == line
