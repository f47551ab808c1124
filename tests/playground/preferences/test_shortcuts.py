"""Keys that a person lays otherwise."""

import pytest

from playground.preferences.shortcuts import (
    DEFAULTS,
    ShortcutConflict,
    apply_rebindings,
    code_of,
    read_letters,
)


def test_only_changed_shortcuts_are_stored() -> None:
    assert read_letters(DEFAULTS) == {}
    assert read_letters({**DEFAULTS, "tools": " w "}) == {"tools": "W"}
    assert read_letters({"tools": "7", "code": ""}) == {}
    assert apply_rebindings({"tools": "W"}) == {**DEFAULTS, "tools": "W"}


def test_two_shortcuts_may_swap_but_not_coincide() -> None:
    swapped = {**DEFAULTS, "tools": "C", "code": "T"}
    assert read_letters(swapped) == {"tools": "C", "code": "T"}
    with pytest.raises(ShortcutConflict) as clash:
        read_letters({**DEFAULTS, "tools": "C"})
    assert {clash.value.act, clash.value.other} == {"tools", "code"}


def test_shortcut_is_alt_and_a_letter_or_f2() -> None:
    assert (code_of("N"), code_of("F2")) == ("KeyN", "F2")
    assert read_letters({**DEFAULTS, "rename": "X", "tools": "f2"}) == {
        "rename": "X",
        "tools": "F2",
    }
    assert read_letters({**DEFAULTS, "rename": "F3"}) == {}
