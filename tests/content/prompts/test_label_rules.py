"""Labels of a prompt: which version each is on, and which it goes back to."""

from content.prompts.label_rules import (
    EARLIER_MAX,
    current_versions,
    earlier_version,
    is_label,
    labels_of_version,
    moved,
    rolled_back,
)

LABELS = {"staging": [4], "production": [3, 1], "beta": [3]}


def test_first_version_of_a_label_is_its_current_one() -> None:
    assert current_versions(LABELS) == {"beta": 3, "production": 3, "staging": 4}
    assert labels_of_version(LABELS, 3) == ["beta", "production"]
    assert labels_of_version(LABELS, 1) == []
    assert [earlier_version(LABELS, one) for one in ("production", "staging", "none")] == [
        1, None, None,
    ]  # fmt: skip


def test_moved_label_remembers_where_it_was() -> None:
    assert moved(LABELS, "production", 4) == LABELS | {"production": [4, 3, 1]}
    assert moved(LABELS, "production", 3) == LABELS
    assert moved(LABELS, "new", 2) == LABELS | {"new": [2]}
    labels = {"production": list(range(100, 100 - EARLIER_MAX - 1, -1))}
    assert moved(labels, "production", 101)["production"] == [
        101, *range(100, 100 - EARLIER_MAX, -1),
    ]  # fmt: skip


def test_label_goes_back_version_by_version() -> None:
    assert rolled_back(LABELS, "production") == LABELS | {"production": [1]}
    assert rolled_back(LABELS, "staging") is None
    assert rolled_back(LABELS, "none") is None


def test_label_is_no_number() -> None:
    for text, valid in (
        ("production", True), ("v2", True), ("a-b_c", True), ("a" * 40, True), ("a" * 41, False),
        ("2", False), ("Prod", False), ("", False), ("a b", False), ("a\n", False),
    ):  # fmt: skip
        assert is_label(text) is valid, text
