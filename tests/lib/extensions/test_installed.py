"""Extensions that are installed, off or broken, and what they add to a registry."""

import logging
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from lib import env
from lib.extensions import installed as module
from lib.extensions.extension import Extension
from lib.extensions.installed import GROUP, Installed, contribute, extend, installed

HERE = __name__
GOOD = Extension(service=f"{HERE}:ROWS")
OTHER = Extension(service=f"{HERE}:MORE")
CLASH = Extension(service=f"{HERE}:TAKEN")
ROWS, MORE, TAKEN = {"a": 1}, {"b": 2}, {"c": 3, "there": 4}
WRONG = "no extension"


def points(**values: str) -> list[tuple[EntryPoint, str]]:
    return [(EntryPoint(name, f"{HERE}:{value}", GROUP), "1.2") for name, value in values.items()]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[EntryPoint, str]]]:
    known: list[tuple[EntryPoint, str]] = []
    monkeypatch.setattr(module, "_points", lambda: iter(known))
    installed.cache_clear()
    yield known
    installed.cache_clear()


def added(registry: dict[Any, Any]) -> list[tuple[str, str, str]]:
    extend(registry, "service", int, lambda rows: rows)
    return [(one.name, one.state, one.error) for one in installed()]


def test_extensions_add_their_rows_by_name(given: list[Any]) -> None:
    given += points(second="OTHER", first="GOOD", nothing="Extension()")[:2]
    registry = {"there": 0}
    assert added(registry) == [("first", "on", ""), ("second", "on", "")]
    assert registry == {"there": 0, "a": 1, "b": 2}
    assert [one.version for one in installed()] == ["1.2", "1.2"]


def test_extension_that_replaces_a_row_adds_nothing(given: list[Any]) -> None:
    given += points(clash="CLASH", good="GOOD")
    registry = {"there": 0}
    error = "InvalidContribution: service: there exists already"
    assert added(registry) == [("clash", "failed", error), ("good", "on", "")]
    assert registry == {"there": 0, "a": 1}


def test_value_of_another_type_is_no_contribution(given: list[Any]) -> None:
    given += points(good="GOOD")
    extend({}, "service", str, lambda rows: rows)
    assert installed()[0].error == "InvalidContribution: service: 1 is not a str"


def test_what_is_no_extension_fails_alone(
    given: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    given += points(wrong="WRONG", absent="ABSENT", good="GOOD")
    registry: dict[str, int] = {}
    states = added(registry)
    assert [(name, state) for name, state, _ in states] == [
        ("absent", "failed"), ("good", "on"), ("wrong", "failed"),
    ]  # fmt: skip
    assert states[2][2] == f"InvalidContribution: {HERE}:WRONG is not an Extension"
    assert "extension absent 1.2 is switched off" in caplog.text
    assert registry == ROWS


def test_failure_takes_away_what_was_added_before(given: list[Any]) -> None:
    given += points(good="GOOD")
    registry: dict[str, int] = {}
    added(registry)

    def fail(rows: dict[str, int]) -> None:
        raise RuntimeError("no")

    contribute("service", fail)
    assert (registry, installed()[0].state) == ({}, "failed")
    added(registry)
    assert registry == {}


def test_named_extensions_are_off_and_unknown_names_logged(
    given: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given += points(good="GOOD", other="OTHER")
    given += points(good="OTHER")
    monkeypatch.setenv("EXTENSIONS_OFF", " other, typo ,")
    registry: dict[str, int] = {}
    with caplog.at_level(logging.WARNING):
        states = added(registry)
    assert states == [("good", "on", ""), ("other", "off", "")]
    assert registry == ROWS
    assert "EXTENSIONS_OFF: no such extension: typo" in caplog.text


def test_wrong_setting_of_an_extension_stops_the_start() -> None:
    one = Installed(points(good="GOOD")[0][0], "1.2")
    with pytest.raises(env.ConfigurationError), one.guarded():
        raise env.ConfigurationError("X is wrong")
    assert one.state == "on"
