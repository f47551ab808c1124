"""The place of a reader of the log, which a browser may name as it likes."""

import pytest

from usage.rules.log_place import BEHIND_MAX, Place, read_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("742:745:742,744", Place("742:745:742,744", 745, (742, 744))),
        ("745:745:", Place("745:745:", 745, ())),
        ("", None),
        ("745:745", None),
        ("745:745:746", None),
        ("745:750:744", None),
        ("745:750:750", None),
        ("-1:5:", None),
        ("1:1:1;DROP TABLE x", None),
        ("1:1:\n", None),
        ("1:1:\x00", None),
        ("١:٢:", None),
        (f"1:{'9' * 19}:", None),
        (f"1:2000:{','.join(str(n) for n in range(1, 1003))}", None),
        ("1" * 10_000, None),
    ],
)
def test_a_place_is_a_snapshot_or_none(text: str, place: Place | None) -> None:
    assert read_place(text) == place


@pytest.mark.parametrize(
    ("end", "goes_on"),
    [(100_000, True), (100_000 - BEHIND_MAX, True), (99_999 - BEHIND_MAX, False), (100_001, False)],
)
def test_what_is_far_behind_or_of_another_database_is_no_place_to_go_on_from(
    end: int, goes_on: bool
) -> None:
    assert Place("", end, ()).goes_on_to(Place("", 100_000, ())) is goes_on
