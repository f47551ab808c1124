"""Files of a room do not need each other in a circle, and what decides is pure."""

import re
import tomllib
from graphlib import CycleError, TopologicalSorter
from typing import Any

import grimp
import pytest

from tests.house.test_style import ROOMS, ROOT


@pytest.mark.parametrize("room", ROOMS)
def test_no_import_leads_back_to_its_file(room: str) -> None:
    graph = grimp.build_graph(room, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        pytest.fail(" > ".join(error.args[1]))


def contracts() -> list[dict[str, Any]]:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return list(linter["contracts"])


def test_documented_order_of_nouns_is_the_enforced_one() -> None:
    orders = [c for c in contracts() if c["name"].startswith("Nouns of ")]
    held = [f"  {c['containers'][0]}: {' > '.join(c['layers'])}" for c in orders]
    lines = (ROOT / "CONTRIBUTING.md").read_text().splitlines()
    told = [line for line in lines if re.match(r"  \w+: .* > ", line)]
    assert held
    assert told == held


def test_every_rules_file_is_enforced_as_pure() -> None:
    (pure,) = (c for c in contracts() if c["name"].startswith("Pure code"))
    named = tuple(pure["source_modules"])
    texts = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*rules.py"))
        if "migrations" not in path.parts
    ]
    # Who may pay for whom, and what holds of models: kept in the database, and named after that.
    stored = {
        "playground.payers.payer_rules", "gateway.routing.model_rules", "content.rules.log_rules",
    }  # fmt: skip
    assert [name for name in texts if not name.startswith(named) and name not in stored] == []
