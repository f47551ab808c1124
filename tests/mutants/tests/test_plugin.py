"""What `make mutants` concludes of a mutant: whoever catches it passes without it, in time."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.mutants.mutations import Mutation, mutations
from tests.mutants.outcome import CAUGHT, SURVIVED, TIMEOUT, UNDECIDED
from tests.runner.databases import ROOT

FILE = "billing/currency/money.py"


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"phase": "try", "out": str(tmp_path)}))
    monkeypatch.setenv("WEIR_MUTANTS", str(job))
    return importlib.reload(importlib.import_module("tests.mutants.plugin"))


@pytest.mark.parametrize(
    ("with_it", "without_it", "expected"),
    [
        (CAUGHT, SURVIVED, CAUGHT),
        (CAUGHT, CAUGHT, SURVIVED),  # its only test is not asked again
        (TIMEOUT, SURVIVED, TIMEOUT),
        (TIMEOUT, TIMEOUT, UNDECIDED),  # a busy machine
        (TIMEOUT, CAUGHT, UNDECIDED),
        (SURVIVED, SURVIVED, SURVIVED),
    ],
)
def test_verdicts_about_a_mutant(
    plugin: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    with_it: str,
    without_it: str,
    expected: str,
) -> None:
    text = (ROOT / FILE).read_text()
    mutation = next(iter(mutations(FILE, text)))

    def once(_: Any, tried: Mutation, tests: Sequence[str]) -> tuple[str, str]:
        result = with_it if tried.applied(text) != text else without_it
        return (result, tests[0] if result == CAUGHT else "") if tests else (SURVIVED, "")

    trials = plugin.Trials()
    monkeypatch.setattr(trials, "_items", {"test_a": None})
    monkeypatch.setattr(trials, "_try_once", once)
    plugin._LAST_RUN.write_text("")
    assert trials._try(None, mutation, ["test_a"], [])[0] == expected
