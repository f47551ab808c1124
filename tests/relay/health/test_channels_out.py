"""When a client that no channel can serve now should come back: with the first channel that may
serve it (F8)."""

import random
from collections.abc import Sequence
from itertools import permutations
from math import inf
from typing import Any

import pytest

from accounts.limits.data_policy import policy_of
from gateway.breaker.channel_state import Block
from gateway.channel_order.channel_order import Skipped
from relay.catalogue.off_channels import OffChannel
from relay.health.channels_out import none_on, none_ready, none_suits

NOW = 1_000.0
EU = policy_of(zero_retention=False, regions=["eu"])


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, _: least)


def resting(back_in_s: float) -> OffChannel:
    return OffChannel(("m",), "resting", NOW + back_in_s, 600.0)


DISABLED = OffChannel(("m",), "disabled")
UNCHECKED = OffChannel(("m",), "resting", None, 600.0)


@pytest.mark.parametrize(
    ("off", "wait_ms"),
    [
        ([resting(3_600), resting(60), resting(600)], 60_000),
        # One that somebody has to turn on does not come back by itself, whatever the others do.
        ([resting(3_600), DISABLED, resting(90)], 90_000),
        ([DISABLED, OffChannel(("m",), "archived"), OffChannel(("m",), "resting")], None),
        # One that was never checked is checked in the next turn; one whose check was due, later.
        ([UNCHECKED, resting(3_600)], 60_000),
        ([resting(-10), resting(400)], 400_000),
    ],
)
def test_of_channels_that_are_off_the_first_to_return_says_when(
    off: list[OffChannel], wait_ms: int | None
) -> None:
    for order in permutations(off):
        assert none_on("m", order, NOW).retry_after_ms == wait_ms


READY_FIRST: Sequence[tuple[list[Block], str, int]] = [
    ([Block("cooling", 90.0), Block("cooling", 5.0)], "upstream_rate_limited", 5_000),
    ([Block("requests", 50.0), Block("tokens", 3.0)], "upstream_rate_limited", 3_000),
    ([Block("parallel", inf), Block("cooling", 7.0)], "upstream_rate_limited", 7_000),
    # Only a limit of ours is free again within a minute, and it is not what is waited for here.
    ([Block("cooling", 90.0), Block("tokens", inf)], "upstream_rate_limited", 90_000),
    # A request that fits no channel never will.
    ([Block("tokens", inf), Block("tokens", inf)], "upstream_rate_limited", 60_000),
    # A limit ends for certain, while a channel that fails may go on to.
    ([Block("failing", 2.0), Block("requests", 20.0)], "upstream_rate_limited", 20_000),
    ([Block("failing", 80.0), Block("failing", 4.0)], "no_channel", 4_000),
    ([Block("spend_day", 40_000.0), Block("key_refused", 300.0)], "no_channel", 300_000),
    # A cap may be raised within the month, and nobody comes back within a second.
    ([Block("spend_month", 1e6), Block("spend_month", 2e6)], "no_channel", 3_600_000),
    ([Block("failing", 0.0), Block("failing", 9.0)], "no_channel", 1_000),
]


@pytest.mark.parametrize(("blocks", "kind", "wait_ms"), READY_FIRST)
def test_of_channels_that_wait_the_first_to_be_ready_says_when(
    blocks: list[Block], kind: str, wait_ms: int
) -> None:
    for order in permutations(blocks):
        out = none_ready("m", order)
        assert (out.kind, out.retry_after_ms) == (kind, wait_ms)


@pytest.mark.parametrize(
    ("reasons", "kind", "words"),
    [
        (["region", "tools"], "data_policy", "region eu"),
        (["retention", "prepaid"], "data_policy", "region eu"),
        (["tools", "prepaid"], "no_channel", "none of its channels is for such a request"),
        (["prepaid", "prepaid"], "no_channel", ""),
    ],
)
def test_one_channel_that_the_client_could_use_otherwise_is_named(
    reasons: list[Any], kind: str, words: str
) -> None:
    for order in permutations(reasons):
        out = none_suits("m", EU, [Skipped(str(n), reason) for n, reason in enumerate(order)])
        assert out.kind == kind
        assert out.message.endswith(words or "is available for model m")


CAUSES: dict[Any, str] = {
    "key_refused": "rejects the channel's key", "no_credit": "rejects the channel's key",
    "misconfigured": "the hub cannot connect", "spend_day": "cap on its cost is reached",
    "spend_month": "cap on its cost is reached", "model_unknown": "does not know the model",
    "failing": "",
}  # fmt: skip


@pytest.mark.parametrize(("reason", "words"), CAUSES.items())
def test_cause_that_all_channels_share_is_named(reason: Any, words: str) -> None:
    message = none_ready("m", [Block(reason, 5.0), Block(reason, 7.0)]).message
    assert words in message
    assert ("notified" in message) is bool(words)
    other: Any = "failing" if words else "model_unknown"
    assert "notified" not in none_ready("m", [Block(reason, 5.0), Block(other, 7.0)]).message
    own = none_ready("m", [Block(reason, 5.0)], own=True).message
    assert ("your organisation's own key" in own) is (reason in ("key_refused", "no_credit"))


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (["cooling", "cooling"], "at its provider's limit"),
        (["requests", "parallel"], "at the limit that the operator has set"),
        (["tokens", "cooling"], "at its provider's limit or the operator's"),
    ],
)
def test_whose_limit_is_reached_is_named(reasons: list[Any], words: str) -> None:
    assert words in none_ready("m", [Block(reason, 5.0) for reason in reasons]).message


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("disabled", "is turned off"), ("archived", "is turned off"), ("no_key", "is turned off"),
        ("resting", "rests by a rule"), ("unusable", "settings of its channel cannot be used"),
    ],
)  # fmt: skip
def test_why_the_channels_of_a_model_are_off_is_named(reason: Any, words: str) -> None:
    channel = OffChannel(("m",), reason)
    assert words in none_on("m", [channel, channel], NOW).message
    other = OffChannel(("m",), "unusable" if reason != "unusable" else "disabled")
    assert none_on("m", [channel, other], NOW).message.endswith("is available for model m")
