"""The catalogue: what serves a model, and what it costs when."""

import base64
import json
import os
import time
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from gateway.channels.passthrough.rules import COST_KIND, PRICE_KIND
from lib.database.database_clock import DatabaseClock
from lib.ids import new_id
from lib.vault import Vault
from relay.catalogue.snapshot import Snapshot
from relay.catalogue.snapshot_build import ChannelRow, build, build_single_channel

KEK = base64.b64encode(os.urandom(32)).decode()
VAULT = Vault(KEK)


def channel(name: str, *models: str, **over: Any) -> dict[str, Any]:
    number = sum(name.encode())
    return {
        "id": f"00000000-0000-7000-8000-{number:012d}", "name": name,
        "provider": "openai_compatible", "base_url": "https://api.example.com/v1", "priority": 0,
        "weight": 1, "retries": 2, "on_leave": "cancel", "timeouts": {}, "breaker": {}, "keys": [],
        "routes": [{"model": model, "upstream_model": ""} for model in models],
    } | over  # fmt: skip


def price(number: int, model: str, rate: int, since: float, until: float | None) -> dict[str, Any]:
    rates = {"meters": {"in_text": rate, "out_text": rate}}
    return {"id": number, "model": model, "kind": "charge", "channel": "", "service_tier": "",
            "hours": "", "region": "", "valid_from": since, "valid_to": until,
            "rates": rates}  # fmt: skip


def snapshot(
    channels: list[dict[str, Any]],
    prices: list[dict[str, Any]] | None = None,
    ahead: float = 0,
    plans: list[dict[str, Any]] | None = None,
    off: list[dict[str, Any]] | None = None,
) -> Snapshot:
    clock = DatabaseClock(time.time() + ahead - time.monotonic())
    raw = {"changed": 5.5, "epoch": 7, "egress_allow": ["10.0.0.0/8"],
           "egress_allow_users": [],
           "unpriced_models": "reject", "channels": channels, "prices": prices or [],
           "plans": plans or [], "rules": [], "aliases": {}, "entries": [], "accepted": [],
           "condition_holders": {}, "off": off or []}  # fmt: skip
    return build(json.dumps(raw), VAULT, clock)


def test_clock_takes_the_quickest_reading() -> None:
    """A catalogue may take long to load; a price begins when the database's clock says so."""
    clock = DatabaseClock()
    clock.read(1_000.0, 10.0, 10.5)
    assert clock.ahead_s == 1_000.0 - 10.25
    clock.read(1_001.0, 11.0, 11.01)
    quick = 1_001.0 - 11.005
    assert clock.ahead_s == quick
    clock.read(1_002.3, 12.0, 12.6)
    assert clock.ahead_s == quick
    clock.read(1_042.4, 52.0, 52.8)
    assert clock.ahead_s == 1_042.4 - 52.4


def test_exact_names_and_patterns() -> None:
    result = snapshot([channel("a", "gpt-4", "gpt-*"), channel("b", "gpt-*", "o1")])
    assert [route.model for route in result.routes_of("gpt-4")] == ["gpt-4", "gpt-*", "gpt-*"]
    assert [route.model for route in result.routes_of("gpt-5")] == ["gpt-*", "gpt-*"]
    assert result.routes_of("claude") == ()


def test_route_priority_and_weight_win() -> None:
    routes = [
        {"model": "m", "upstream_model": "", "priority": -1, "weight": 4},
        {"model": "n", "upstream_model": ""},
    ]
    result = snapshot([channel("a", routes=routes, priority=3, weight=2)])
    (own,), (common,) = result.routes_of("m"), result.routes_of("n")
    assert (own.priority, own.weight) == (-1, 4)
    assert (common.priority, common.weight) == (3, 2)


def test_exact_price_beats_the_longest_pattern() -> None:
    prices = [
        price(1, "*", 1, 0, None), price(2, "gpt-*", 2, 0, None), price(3, "gpt-4", 3, 0, None),
    ]  # fmt: skip
    result = snapshot([channel("a", "*")], prices)
    ids = [(priced := result.price_of(model)) and priced.id for model in ("gpt-4", "gpt-5", "o1")]
    assert ids == [3, 2, 1]


def test_price_in_force_is_by_the_databases_clock() -> None:
    now = time.time()
    prices = [price(1, "m", 1, 0, now + 500), price(2, "m", 2, now + 500, None)]
    here, ahead = snapshot([], prices).price_of("m"), snapshot([], prices, 1000).price_of("m")
    assert (here and here.id, ahead and ahead.id) == (1, 2)


def test_price_that_is_over_leaves_the_pattern_in_force() -> None:
    prices = [price(1, "m", 1, 0, 10), price(2, "*", 2, 0, None)]
    priced = snapshot([], prices).price_of("m")
    assert priced is not None
    assert priced.id == 2


def test_secret_is_opened_for_its_own_row_only(caplog: pytest.LogCaptureFixture) -> None:
    key_id, other_id = new_id(), new_id()
    sealed = VAULT.seal("sk-secret", f"gateway_channelkey|{key_id}|sealed")
    text = base64.b64encode(sealed).decode()
    good = channel("good", "m", keys=[[str(key_id), text, "cret"]])
    moved = channel("moved", "m", keys=[[str(other_id), text, "cret"]])
    result = snapshot([good, moved])
    assert [one.name for one in result.channels.values()] == ["good"]
    assert dict(next(iter(result.channels.values())).headers[0]["openai"]) == {
        "authorization": "Bearer sk-secret"
    }
    assert result.channels[good["id"]].key_endings == ("cret",)
    assert result.channels[good["id"]].key_ids == (key_id,)
    assert "moved" in caplog.text
    assert "sk-secret" not in caplog.text


@pytest.mark.parametrize(
    "over", [{"provider": "nobody"}, {"base_url": "ftp://x"}, {"provider": "openai"}]
)
def test_unusable_channel_harms_no_other(over: dict[str, Any]) -> None:
    result = snapshot([channel("bad", "m", **over), channel("good", "m")])
    assert [one.name for one in result.channels.values()] == ["good"]
    assert len(result.routes_of("m")) == 1
    assert [name for _, name in result.unusable] == ["bad"]


def test_unusable_price_is_left_out() -> None:
    broken = price(1, "m", 1, 0, None) | {"rates": {"meters": {"nothing": 1}}}
    assert snapshot([], [broken]).price_of("m") is None


def test_listed_models_are_names_and_priced_pattern_matches() -> None:
    prices = [price(1, "gpt-4", 1, 0, None), price(2, "o1", 1, 0, None), price(3, "*", 1, 0, None)]
    result = snapshot([channel("a", "mine", "gpt-*")], prices)
    assert result.listed_models() == ["gpt-4", "mine"]


def test_model_unpriced_now_is_rejected_where_prices_are_required() -> None:
    prices = [price(1, "m", 1, 0, None), price(2, "late", 1, time.time() + 500, None)]
    result = snapshot([channel("a", "*")], prices)
    assert [result.refuses(name) for name in ("m", "late", "o1")] == [False, True, True]
    assert not replace(result, unpriced_models="alert").refuses("o1")


def test_remembered_names_are_bounded() -> None:
    result = snapshot([channel("a", "*")])
    for number in range(10_000):
        assert result.routes_of(f"made-up-{number}")
    assert len(result._known) <= 4096


def test_timeouts_keep_their_defaults() -> None:
    result = snapshot([channel("a", "m", timeouts={"idle": 5})])
    times = next(iter(result.channels.values())).timeouts
    assert (times.idle, times.connect, times.total) == (5, 3.0, 1800.0)


def test_catalogue_of_one_channel_knows_no_other() -> None:
    """Also of models that were asked for before."""
    prices = [price(1, name, 1, 0, None) for name in ("m", "gone", "gone-now")]
    off = [{"models": ["gone", "gone-*"], "reason": "disabled"}]
    whole = snapshot([channel("a", "m")], prices, off=off)
    assert whole.routes_of("m")
    assert whole.off_channels("gone")
    row = msgspec.convert(channel("mine", "m", "mine-*"), ChannelRow)
    only, built = build_single_channel(whole, row, "")
    assert [*only.channels] == [built.id] == [row.id]
    for model, ids in (("m", [row.id]), ("mine-2", [row.id]), ("other", []), ("gone", [])):
        assert [route.channel_id for route in only.routes_of(model)] == ids, model
        assert only.off_channels(model) == (), model
    assert only.off_channels("gone-now") == ()
    # What is asked of one is not remembered by the other.
    assert [route.channel_id for route in whole.routes_of("m")] != [row.id]
    assert whole.routes_of("mine-2") == ()


def test_prices_of_channels_and_paths_are_kept_apart() -> None:
    kinds = {"cost": "costs", PRICE_KIND: "path_prices", COST_KIND: "path_costs"}
    rows = [
        price(number, "m", 7, 0.0, None) | {"kind": kind, "channel": f"channel-{number}"}
        for number, kind in enumerate(kinds, 1)
    ]
    known = snapshot([channel("a", "m")], rows)
    for number, name in enumerate(kinds.values(), 1):
        assert [*getattr(known, name)] == [f"channel-{number}"]
