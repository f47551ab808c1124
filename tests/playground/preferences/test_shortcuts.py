"""Keys that a person lays otherwise."""

import pytest

from playground.preferences.shortcuts import (
    DEFAULTS,
    ShortcutConflict,
    apply_rebindings,
    code_of,
    read_letters,
)


def test_only_what_is_laid_otherwise_is_kept() -> None:
    assert read_letters(DEFAULTS) == {}
    assert read_letters({**DEFAULTS, "tools": " w "}) == {"tools": "W"}
    assert read_letters({"tools": "7", "code": ""}) == {}
    assert apply_rebindings({"tools": "W"}) == {**DEFAULTS, "tools": "W"}


def test_two_acts_may_change_places_but_not_share_one() -> None:
    swapped = {**DEFAULTS, "tools": "C", "code": "T"}
    assert read_letters(swapped) == {"tools": "C", "code": "T"}
    with pytest.raises(ShortcutConflict) as clash:
        read_letters({**DEFAULTS, "tools": "C"})
    assert {clash.value.act, clash.value.other} == {"tools", "code"}


def test_a_place_is_a_letter_with_alt_or_f2_without() -> None:
    assert (code_of("N"), code_of("F2")) == ("KeyN", "F2")
    assert read_letters({**DEFAULTS, "rename": "X", "tools": "f2"}) == {
        "rename": "X",
        "tools": "F2",
    }
    assert read_letters({**DEFAULTS, "rename": "F3"}) == {}
