"""The bar above usage and above the log has each filter that is in effect, as its
field, as what its form keeps, and as a chip that removes that filter alone."""

import datetime as dt
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs
from uuid import UUID

import pytest

from lib.ids import id_text
from tests.support import cast
from usage.filter_bar.filter_bar import GROUPS_SHOWN, usage_bar
from usage.filters.filters import from_query

pytestmark = pytest.mark.django_db

NOW: Final = dt.datetime(2026, 11, 20, 14, 5, tzinfo=dt.UTC)
ONE, TWO, THREE, FOUR = (id_text(UUID(int=n)) for n in (71, 72, 73, 74))
# No two filters have a value in common, so that none can be shown in another's place.
SEVERAL: Final[Mapping[str, tuple[str, ...]]] = {
    "model": ("m-1", "m-2"),
    "key": (ONE, TWO),
    "user": ("ana@example.org", "ben@example.org"),
    "channel": (THREE, FOUR),
    "team": ("red", "blue"),
    "project": ("search", "bot"),
    "customer": ("c-1", "c-2"),
    "end_user": ("ana@chat", "ben@chat"),
    "tag": ("eu", "us"),
    "app": ("codex", "cline"),
    "without": ("user", "tag"),
}
OF_LOG: Final[Mapping[str, tuple[str, ...]]] = {
    "status": ("error",),
    "guards": ("masked",),
    "cause": ("timeout", "upstream_error"),
    "min_cost": ("0.25",),
    "q": (id_text(UUID(int=75)),),
    "session": (id_text(UUID(int=76)),),
}
KEPT: Final = {"range": ["7d"], "tz": ["Asia/Tokyo"]}


@pytest.mark.parametrize("log", [False, True])
def test_bar_shows_each_filter_and_each_chip_removes_its_own(people: cast.Cast, log: bool) -> None:
    chosen = {name: [*values] for name, values in {**SEVERAL, **(OF_LOG if log else {})}.items()}
    asked = {**KEPT, **chosen, **({} if log else {"compare": ["year"]})}
    usage_filter = from_query(asked, NOW, channels=True, log=log)
    assert usage_filter.dropped == ()
    bar = usage_bar(cast.actor(people.dora, people.acme), usage_filter, log=log)

    fields = {field.name: field for field in bar.fields}
    assert {name: field.value for name, field in fields.items()} == {
        name: values[0] for name, values in asked.items()
    }
    for name, field in fields.items():
        assert not field.choices or field.value in dict(field.choices), name
    others = [(name, value) for name, values in chosen.items() for value in values[1:]]
    own = [] if log else [("group_by", usage_filter.group_by), ("metric", usage_filter.metric)]
    assert sorted(bar.hidden) == sorted([*others, *own])

    assert len(bar.chips) == sum(map(len, chosen.values()))
    kept = {name: values for name, values in asked.items() if name not in chosen}
    assert parse_qs(bar.clear_href.removeprefix("?")) == kept
    removed = []
    for chip in bar.chips:
        left = parse_qs(chip.href.removeprefix("?"))
        [(name, value)] = [
            (name, value)
            for name, values in asked.items()
            for value in values
            if value not in left.get(name, ())
        ]
        assert left == {
            one: rest
            for one, values in asked.items()
            if (rest := [other for other in values if (one, other) != (name, value)])
        }
        assert chip.label == fields[name].label
        removed.append((name, value))
    assert sorted(removed) == sorted(
        (name, value) for name, values in chosen.items() for value in values
    )
    texts = {str(chip.text) for chip in bar.chips}
    assert {str(GROUPS_SHOWN["user"]), str(GROUPS_SHOWN["tag"])} <= texts
    assert ("$0.25" in texts) == log


def test_custom_range_shows_its_first_and_last_day_in_its_zone(people: cast.Cast) -> None:
    """Of an address with instants too, as the bars of charts have."""
    alice = cast.actor(people.alice, people.acme)
    for first, last in (
        ("2026-11-03", "2026-11-05"),
        ("2026-11-02T15:00Z", "2026-11-05T15:00Z"),  # midnight in Tokyo
    ):
        asked = {"range": ["custom"], "from": [first], "to": [last], "tz": ["Asia/Tokyo"]}
        bar = usage_bar(alice, from_query(asked, NOW, channels=False))
        values = {field.name: field.value for field in bar.fields}
        assert (values["from"], values["to"]) == ("2026-11-03", "2026-11-05"), first


@pytest.mark.parametrize(
    ("who", "lacks"), [("alice", {"channel"}), ("bob", {"channel", "user"}), ("dora", set())]
)
def test_bar_offers_whom_a_reader_may_choose_by(
    people: cast.Cast, who: str, lacks: set[str]
) -> None:
    user = getattr(people, who)
    bar = usage_bar(cast.actor(user, people.acme), from_query({}, NOW, channels=True))
    assert {"channel", "user"} - {field.name for field in bar.fields} == lacks
    assert bar.chips == []
