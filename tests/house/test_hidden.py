"""What style sheets hide, and where: at which widths, for which readers.

A rule that hides too much takes away a button from everybody with a narrow screen, and no page
fails. So `hidden.txt` has each rule that hides something, with its conditions. Whoever adds one
says so there, and looks at what else it matches."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.house.test_style import ROOT

_HIDES: Final = re.compile(
    r"(?:^|;)\s*(?:display:none|visibility:hidden|content-visibility:hidden)"
)
_TOKEN: Final = re.compile(r"[^{};]*[{};]|[^{};]+$")


def hiding_rules(css: str) -> Iterator[str]:
    """The rules that hide something: their conditions and their selector."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    around: list[str] = []
    for token in _TOKEN.findall(css):
        text = " ".join(token[:-1].split())
        if token.endswith("{"):
            around.append(text)
        else:
            if _HIDES.match(text):
                yield " ".join(one for one in around if not one.startswith("@layer"))
            if token.endswith("}") and around:
                around.pop()


def test_every_rule_that_hides_something_is_listed() -> None:
    found = [
        f"{path.name} {rule}"
        for path in sorted((ROOT / "static" / "css").glob("*.css"))
        for rule in hiding_rules(path.read_text())
    ]
    assert found == Path(__file__).with_name("hidden.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("css", "rules"),
    [
        (".a{color:red;display:none}", [".a"]),
        (".a{display:flex}.b{display:none!important}", [".b"]),
        ("@layer x{@media(max-width:45rem){.a{margin:0}.a .b{display:none}}}.c{margin:0}",
         ["@media(max-width:45rem) .a .b"]),
        ("/* .a{display:none} */.b{visibility:hidden;margin:0}", [".b"]),
        (".a{.b{display:none}}", [".a .b"]),
    ],
)  # fmt: skip
def test_hiding_rules_are_recognised(css: str, rules: list[str]) -> None:
    assert list(hiding_rules(css)) == rules
