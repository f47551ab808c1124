"""The place of a reader of the log, which a browser may name as it likes."""

import pytest

from usage.requests.log_position import BEHIND_MAX, OPEN_MAX, Place, place_of, read_place


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
        (f"1:2000:{','.join(str(n) for n in range(1, OPEN_MAX + 2))}", None),
        ("1" * 10_000, None),
    ],
)
def test_cursor_is_a_snapshot_or_none(text: str, place: Place | None) -> None:
    assert read_place(text) == place


@pytest.mark.parametrize(
    ("end", "goes_on"),
    [(100_000, True), (100_000 - BEHIND_MAX, True), (99_999 - BEHIND_MAX, False), (100_001, False)],
)
def test_old_or_foreign_cursor_is_not_continued(end: int, goes_on: bool) -> None:
    assert Place("", end, ()).can_continue_to(Place("", 100_000, ())) is goes_on


@pytest.mark.parametrize(("running", "shortened"), [(OPEN_MAX, False), (OPEN_MAX + 1, True)])
def test_overlong_cursor_becomes_an_earlier_one(running: int, shortened: bool) -> None:
    """Whoever comes back with it misses nothing: all that ran then is new to them."""
    ids = range(10**9, 10**9 + running)
    place = place_of(f"{ids[0]}:{2 * 10**9}:{','.join(map(str, ids))}")
    named = read_place(place.name)
    assert named == (Place(f"{ids[0]}:{ids[0]}:", ids[0], ()) if shortened else place)
    assert len(place.name) < 8 * 1024
