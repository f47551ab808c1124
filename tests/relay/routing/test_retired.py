"""A retired model, by its own name and by an alias of it."""

import time
from dataclasses import replace

import pytest

from dialects.errors.errors import RequestFault
from gateway.channel_order.channel_order import Route
from gateway.model_entries.rules import ModelEntry
from relay.catalogue.off_channels import OffChannel
from relay.catalogue.snapshot import EMPTY, Snapshot
from relay.routing.retired_models import answering_model, retired_fault

NOW = time.time()
ENDED, LATER = NOW - 10**6, NOW + 10**6


def snapshot(*entries: ModelEntry, served: tuple[str, ...] = ("new",), **over: object) -> Snapshot:
    empty = replace(EMPTY, _known={})
    empty.clock.read(NOW, time.monotonic(), time.monotonic())
    return replace(
        empty,
        entries={entry.name: entry for entry in entries},
        aliases={"usual": "old"},
        exact_routes={name: (Route("c", name),) for name in served},
        **over,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", ["old", "usual"])
def test_replacement_is_named_or_answers(name: str) -> None:
    told = snapshot(ModelEntry("old", sunset_at=ENDED, replacement="new"))
    with pytest.raises(RequestFault) as retired:
        answering_model(told, name, "model")
    assert (retired.value.kind, retired.value.param) == ("model_retired", "model")
    assert f"{name}" in retired.value.message
    assert "use new instead" in retired.value.message
    forwarding = ModelEntry("old", sunset_at=ENDED, replacement="new", forwards=True)
    assert answering_model(snapshot(forwarding), name, "model") == "new"
    # Not yet, and never.
    for entry in (ModelEntry("old", sunset_at=LATER, replacement="new"), ModelEntry("old")):
        assert answering_model(snapshot(entry, served=("old",)), name, "model") == "old"
    unnamed = retired_fault(snapshot(ModelEntry("old", sunset_at=ENDED)), name)
    assert "instead" not in unnamed.message


def test_alias_with_properties_of_its_own_names_the_replacement_of_its_target() -> None:
    told = snapshot(
        ModelEntry("usual", deprecated_at=ENDED, replacement="other"),
        ModelEntry("old", sunset_at=ENDED, replacement="new"),
    )
    with pytest.raises(RequestFault) as retired:
        answering_model(told, "usual", "model")
    assert "use new instead" in retired.value.message


def test_replacement_whose_channel_is_off_is_told_as_off() -> None:
    forwarding = ModelEntry("old", sunset_at=ENDED, replacement="new", forwards=True)
    off = snapshot(forwarding, served=(), off=(OffChannel(("new",), "disabled"),))
    assert answering_model(off, "old", "model") == "new"
    with pytest.raises(RequestFault):
        answering_model(snapshot(forwarding, served=()), "old", "model")


def test_replacements_that_name_each_other_end() -> None:
    circle = snapshot(
        ModelEntry("old", sunset_at=ENDED, replacement="new", forwards=True),
        ModelEntry("new", sunset_at=ENDED, replacement="old", forwards=True),
    )
    with pytest.raises(RequestFault):
        answering_model(circle, "usual", "model")
