"""Each column of a channel, a route, an own key and an entry reaches the catalogue where it is
read, and none in place of another: they have different values here."""

import base64
import json
import time
from typing import Any
from uuid import UUID

import pytest

from gateway.channels.timeouts import Timeouts
from lib.database.database_clock import DatabaseClock
from lib.ids import new_id
from relay.catalogue.snapshot import Channel, Snapshot
from relay.catalogue.snapshot_build import build
from tests.relay.catalogue.test_snapshot import VAULT, channel, price, snapshot

SECRET = "sk-provider-secret-0123456789"
ORGANISATION, TEAM = UUID(int=11), UUID(int=12)


def built(**parts: Any) -> Snapshot:
    """A catalogue of these parts of its row."""
    known = parts.pop("channels", [channel("a", "m")])
    raw = {
        "changed": 5.5, "epoch": 7, "egress_allow": [], "egress_allow_users": [],
        "unpriced_models": "reject", "channels": known, "prices": [], "plans": [], "rules": [],
        "aliases": {}, "entries": [], "accepted": [], "condition_holders": {},
    }  # fmt: skip
    clock = DatabaseClock(time.time() - time.monotonic())
    return build(json.dumps(raw | parts), VAULT, clock)


def one(**over: Any) -> Channel:
    (found,) = built(channels=[channel("a", "m", **over)]).channels.values()
    return found


def sealed(text: str, place: str) -> str:
    return base64.b64encode(VAULT.seal(text, place)).decode()


def test_limits_and_caps_of_a_channel_are_each_at_their_place() -> None:
    found = one(rpm=3, tpm=5, parallel=7, spend_cap_day_nano=11, spend_cap_month_nano=13)
    assert found.limits is not None
    assert (found.limits.rpm, found.limits.tpm, found.limits.parallel) == (3, 5, 7)
    assert found.limits.channel_id == found.uuid
    assert found.spend_caps == (11, 13)
    for limit in ("rpm", "tpm", "parallel"):
        assert one(**{limit: 1}).limits is not None
        assert built(channels=[channel("a", "m", **{limit: 1})]).limited
    assert one().limits is None
    assert not built().limited
    for cap in ("spend_cap_day_nano", "spend_cap_month_nano"):
        capped = built(channels=[channel("a", "m", **{cap: 1}), channel("b", "m")])
        assert [capped.channels[id].name for id in capped.spend_capped] == ["a"]


def test_route_has_its_own_rank_and_weight_or_those_of_its_channel() -> None:
    def routes(**own: Any) -> tuple[int, int]:
        row = {"model": "m", "upstream_model": "up", "can": {"tools": True}, **own}
        (route,) = built(
            channels=[channel("a", priority=2, weight=3, retries=4, routes=[row])]
        ).routes_of("m")
        assert (route.upstream_model, route.retries) == ("up", 4)
        assert route.overrides == frozenset({("tools", True)})
        return route.priority, route.weight

    assert routes() == (2, 3)
    assert routes(priority=0, weight=0) == (0, 0)
    assert routes(priority=5) == (5, 3)


def test_timeouts_of_a_model_replace_those_of_its_channel_one_by_one() -> None:
    rows = [
        {"model": "m", "upstream_model": "", "timeouts": {"idle": 7}},
        {"model": "m-*", "upstream_model": "", "timeouts": {"total": 8}},
        {"model": "m-long-*", "upstream_model": "", "timeouts": {"total": 9}},
    ]
    found = one(timeouts={"connect": 2, "idle": 3, "total": 4}, routes=rows)
    assert found.timeouts == Timeouts(connect=2, idle=3, total=4)
    assert found.timeouts_of("m") == Timeouts(connect=2, idle=7, total=4)
    assert found.timeouts_of("m-1") == Timeouts(connect=2, idle=3, total=8)
    # The closest pattern decides.
    assert found.timeouts_of("m-long-1") == Timeouts(connect=2, idle=3, total=9)
    assert found.timeouts_of("other") == found.timeouts


@pytest.mark.parametrize(
    ("column", "value", "member", "wanted"),
    [
        ("on_leave", "drain", "drain", True),
        ("on_leave", "cancel", "drain", False),
        ("uncapped", True, "uncapped", True),
        ("zero_retention", True, "zero_retention", True),
        ("region", "eu", "region", "eu"),
        (
            "overrides",
            {"system_prompt": {"text": "Be brief.", "mode": "prepend"}},
            "has_prompt",
            True,
        ),
        ("overrides", {"headers": {"x-a": "b"}}, "has_prompt", False),
    ],
)
def test_column_of_a_channel_is_read(column: str, value: Any, member: str, wanted: Any) -> None:
    assert getattr(one(**{column: value}), member) == wanted


@pytest.mark.parametrize("names", [True, False])
def test_client_is_named_to_the_provider_if_the_channel_says_so(names: bool) -> None:
    passed = one(names_client=names).passed_headers
    assert passed
    assert {b"user-agent" in headers for headers in passed.values()} == {names}


def test_channel_with_conditions_or_without_caps_is_chosen_with_care() -> None:
    assert not built().selective
    assert built(channels=[channel("a", "m", uncapped=True)]).selective
    assert built(channels=[channel("a", "m", conditions={"tags": ["x"]})]).selective


@pytest.mark.parametrize(
    "column", [{"proxy_url": "http://proxy.example:3128"}, {"client_cert": "certificate"}]
)
def test_channel_behind_a_proxy_or_with_a_certificate_is_not_reached_directly(
    column: dict[str, str],
) -> None:
    id_ = channel("a")["id"]
    key = sealed("private key", f"gateway_channel|{id_}|client_key")
    outbound = one(**column, client_key=key).outbound
    assert (outbound.proxy is not None) == ("proxy_url" in column)
    assert outbound.cert_pem == column.get("client_cert", "")
    assert outbound.key_pem == "private key"


def test_channel_that_cannot_be_used_is_told_by_id_and_name_and_its_models_are_off() -> None:
    broken = channel("b", "m-1", "m-2", provider="gone")
    found = built(channels=[channel("a", "m"), broken])
    assert found.unusable == ((broken["id"], "b"),)
    assert [row.name for row in found.channels.values()] == ["a"]
    (off,) = found.off_channels("m-2")
    assert (off.reason, off.models) == ("unusable", ("m-1", "m-2"))


# ---- own keys


def own_key(**over: Any) -> dict[str, Any]:
    id_ = over.pop("id", new_id())
    return {
        "id": str(id_), "channel_id": channel("a")["id"], "organisation_id": str(ORGANISATION),
        "team_id": str(TEAM), "sealed": sealed(SECRET, f"gateway_ownkey|{id_}|sealed"),
        "last4": "6789", "fall_back": True, "fee": {"request_nano": 3, "million_nano": 5},
        "models": ["m"],
    } | over  # fmt: skip


def test_channel_with_an_own_key_is_free_of_what_protects_the_operators_account() -> None:
    limited = channel(
        "a", "m", rpm=1, spend_cap_day_nano=1, conditions={"tags": ["x"]}, uncapped=True,
        region="eu", zero_retention=True, overrides={"headers": {"x-a": "b"}},
    )  # fmt: skip
    row = own_key()
    found = built(channels=[limited], own_keys=[row])
    own, plain = found.channels[row["id"]], found.channels[limited["id"]]
    assert (own.limits, own.spend_caps, own.conditions, own.uncapped) == (
        None, (None, None), None, False,
    )  # fmt: skip
    assert None not in (plain.limits, plain.conditions)
    # What the operator says of its provider, and does to requests, applies.
    assert (own.region, own.zero_retention, own.overrides) == ("eu", True, plain.overrides)
    assert (own.key_endings, own.key_ids) == (("6789",), (UUID(row["id"]),))
    assert own.own is not None
    assert (own.own.key_id, own.own.fee.request_nano, own.own.fee.million_nano) == (
        UUID(row["id"]), 3, 5,
    )  # fmt: skip
    (headers,) = own.headers
    assert any(SECRET in value for _, value in headers["openai"])
    assert own.uuid == plain.uuid
    # No route and no name leads to it.
    assert found.channel_named("a") == plain
    assert [route.channel_id for route in found.routes_of("m")] == [limited["id"]]
    (route,) = found.own_keys[ORGANISATION]
    assert (route.id, route.channel_id, route.team_id) == (row["id"], limited["id"], TEAM)
    assert (route.usable, route.fall_back, route.models) == (True, True, ("m",))


@pytest.mark.parametrize(
    "over",
    [{"fee": None}, {"sealed": None}, {"sealed": sealed("x", "elsewhere")}, {"channel_id": "c"}],
    ids=["not offered", "no secret", "another secret", "no channel"],
)  # fmt: skip
def test_own_key_that_cannot_be_used_stays_with_its_organisation(over: dict[str, Any]) -> None:
    row = own_key(fall_back=False, **over)
    found = built(own_keys=[row])
    assert row["id"] not in found.channels
    (route,) = found.own_keys[ORGANISATION]
    assert (route.usable, route.fall_back) == (False, False)


# ---- entries, plans, members


def entry(name: str, **over: Any) -> dict[str, Any]:
    return {
        "name": name, "can": {}, "context_max": None, "output_max": None, "deprecated_at": None,
        "sunset_at": None, "replacement": "", "forwards": False, "plans": [], "roles": [],
    } | over  # fmt: skip


def test_properties_of_a_model_are_each_at_their_place() -> None:
    plans = [
        {"id": 1, "name": "Small", "multiplier_ppm": 2_000_000, "models": ["m"]},
        {"id": 2, "name": "Large", "multiplier_ppm": 500_000, "models": []},
    ]
    whole = entry(
        "m", deprecated_at=3.0, sunset_at=5.0, replacement="n", forwards=True, context_max=7,
        output_max=8, plans=["Large"], roles=["owner"],
    )  # fmt: skip
    found = built(plans=plans, entries=[whole, entry("bare"), entry("gone", plans=["Former"])])
    known = found.entries["m"]
    assert (known.deprecated_at, known.sunset_at, known.replacement) == (3.0, 5.0, "n")
    assert known.forwards
    assert known.overrides == frozenset({("context_max", 7), ("output_max", 8)})
    assert (known.price_plan_ids, known.roles) == (frozenset({2}), frozenset({"owner"}))
    # A model that only deleted plans see is seen by nobody; one without properties by everybody.
    assert found.entries["gone"].price_plan_ids == frozenset()
    assert set(found.entries) == {"m", "gone"}
    assert [found.shows("m", plan, "owner") for plan in (None, 1, 2)] == [False, False, True]
    assert not found.shows("m", 2, "member")
    assert not any(found.shows("gone", plan, "owner") for plan in (None, 1, 2))
    # A plan shows its own models only, and has its own prices.
    assert [found.shows("other", plan, "owner") for plan in (None, 1, 2)] == [True, False, True]
    assert [found.multiplier_for("m", plan, ()) for plan in (None, 1, 2)] == [
        1_000_000, 2_000_000, 500_000,
    ]  # fmt: skip


def test_members_of_usage_that_count_as_free_are_kept_by_provider_and_table() -> None:
    rows = [("openai", "chat", "a"), ("openai", "chat", "b"), ("openai", "responses", "c"),
            ("gemini", "chat", "d")]  # fmt: skip
    accepted = [dict(zip(("provider", "wire", "member"), row, strict=True)) for row in rows]
    assert built(accepted=accepted).accepted == {
        "openai": {"chat": frozenset("ab"), "responses": frozenset("c")},
        "gemini": {"chat": frozenset("d")},
    }


def test_names_that_can_be_requested_are_those_of_routes_and_priced_ones_of_patterns() -> None:
    prices = [price(n, name, 1, 0.0, None) for n, name in enumerate(("p-1", "p-*", "q-1"), 1)]
    found = snapshot([channel("a", "m", "p-*")], prices)
    assert found.listed_models() == ["m", "p-1"]
    aliased = built(aliases={"usual": "m", "lost": "gone"})
    assert aliased.listed_models() == ["m", "usual"]
    assert (aliased.served_name("usual"), aliased.served_name("m")) == ("m", "m")
