"""P12: whose keys a request may use, and in which order."""

from itertools import product
from uuid import UUID

import pytest

from billing.prices.own_key_fee import OwnKeyFee
from gateway.channel_order.channel_order import Candidate
from gateway.own_keys.routes import OwnKeyRequired, OwnKeyRoute, plan_own, requires_own_key
from lib.id_types import UpstreamModelName

ACME, OTHER, CORE, EDGE = UUID(int=1), UUID(int=2), UUID(int=11), UUID(int=12)
PLANNED = [Candidate(id, UpstreamModelName("m"), 2) for id in ("a", "b")]


def key(
    id: str,
    channel: str = "a",
    *,
    of: UUID = ACME,
    team: UUID | None = None,
    fall_back: bool = True,
    usable: bool = True,
    models: tuple[str, ...] = ("m",),
) -> OwnKeyRoute:
    return OwnKeyRoute(
        id=id, channel_id=channel, organisation_id=of, team_id=team, fee=OwnKeyFee(),
        fall_back=fall_back, usable=usable, models=models,
    )  # fmt: skip


def plan(*keys: OwnKeyRoute, operation: str = "chat_completions", model: str = "m") -> list[str]:
    candidates = plan_own(
        PLANNED, {ACME: keys}, model=model, operation=operation, organisation_id=ACME, team_id=CORE
    )
    return [candidate.channel_id for candidate in candidates]


@pytest.mark.parametrize(
    ("keys", "planned"),
    [
        ((), ["a", "b"]),
        ((key("own"),), ["own", "a", "b"]),
        ((key("own", "b"),), ["own", "a", "b"]),
        ((key("own", fall_back=False),), ["own"]),
        ((key("own"), key("too", "b")), ["own", "too", "a", "b"]),
        # One that must not fall back decides for all that serve the model.
        ((key("own"), key("too", "b", fall_back=False)), ["own", "too"]),
        # The team's own comes in place of the organisation's, whatever their order.
        ((key("own"), key("core", team=CORE)), ["core", "a", "b"]),
        ((key("core", team=CORE), key("own")), ["core", "a", "b"]),
        # Those of another team, or of another organisation, are nobody's here.
        ((key("edge", team=EDGE, fall_back=False),), ["a", "b"]),
        ((key("other", of=OTHER, fall_back=False),), ["a", "b"]),
        # A key for channels that do not serve the model says nothing about it.
        ((key("own", "z", fall_back=False, models=("x-*",)),), ["a", "b"]),
        ((key("own", usable=False),), ["a", "b"]),
    ],
)
def test_plan(keys: tuple[OwnKeyRoute, ...], planned: list[str]) -> None:
    assert plan(*keys) == planned


@pytest.mark.parametrize(
    "operation", ["realtime", "live_sessions", "midjourney_tasks", "suno_tasks"]
)
def test_other_operations_use_the_installations_keys_or_none(operation: str) -> None:
    assert plan(key("own"), operation=operation) == ["a", "b"]
    with pytest.raises(OwnKeyRequired) as refused:
        plan(key("own", fall_back=False), operation=operation)
    assert refused.value.operation


def test_only_key_that_cannot_be_used_is_refused_not_replaced() -> None:
    """Also where its channel is turned off, so that only others are planned."""
    for only in (
        key("own", fall_back=False, usable=False),
        key("own", "off", fall_back=False, usable=False),
        key("own", "off", fall_back=False, usable=False, models=("*",)),
    ):
        with pytest.raises(OwnKeyRequired) as refused:
            plan(only)
        assert not refused.value.operation


@pytest.mark.parametrize(
    ("keys", "required"),
    [
        ((), False),
        ((key("own"),), False),
        ((key("own", fall_back=False),), True),
        ((key("own", fall_back=False, usable=False),), True),
        ((key("own", "b", fall_back=False),), False),
        ((key("own", fall_back=False), key("core", team=CORE)), False),
        ((key("edge", team=EDGE, fall_back=False),), False),
        ((key("other", of=OTHER, fall_back=False),), False),
    ],
)
def test_channel_may_require_an_own_key_without_fall_back(
    keys: tuple[OwnKeyRoute, ...], required: bool
) -> None:
    assert requires_own_key({ACME: keys}, "a", ACME, CORE) is required


# The models are those of the channel.
MODELS = {"a": ("m",), "y": ("n",), "z": ("m",)}
KINDS = list(product("ayz", [ACME, OTHER], [None, CORE, EDGE], [True, False], [True, False]))


def made(id: str, kind: tuple[str, UUID, UUID | None, bool, bool]) -> OwnKeyRoute:
    channel, of, team, fall_back, usable = kind
    models = MODELS[channel]
    return key(id, channel, of=of, team=team, fall_back=fall_back, usable=usable, models=models)


def test_no_plan_contains_a_foreign_key() -> None:
    """P12: of all pairs of keys, also where one stands under the wrong organisation; and where none
    may fall back, no shared channel is in the plan."""
    for first, second in product(KINDS, KINDS):
        keys = [made("own-1", first), made("own-2", second)]
        mine = [one for one in keys if one.organisation_id == ACME and one.team_id in (None, CORE)]
        try:
            planned = set(plan(*keys))
        except OwnKeyRequired:
            assert any(not one.fall_back for one in mine)
            continue
        assert planned <= {one.id for one in mine if one.usable} | {"a", "b"}
        serving = [one for one in mine if "m" in one.models]
        if serving and not any(one.fall_back for one in serving):
            assert planned.isdisjoint({"a", "b"})
