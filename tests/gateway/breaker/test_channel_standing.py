"""P26: what one answer of a provider holds against a key, a model, an organisation, and ends."""

from uuid import UUID

import msgspec
import pytest

from gateway.breaker.breaker import BreakerRule
from gateway.breaker.channel_state import (
    DOUBT_S,
    DOUBTED_MAX,
    OFF_S,
    ChannelCondition,
    Fault,
    Sought,
)

ONE, OTHER = UUID(int=1), UUID(int=2)
MODEL = Sought("m", ONE)


def blamed(usage: ChannelCondition, fault: Fault, times: int = 1, sought: Sought = MODEL) -> None:
    for _ in range(times):
        usage.blame(0, sought, fault, fault.began)


@pytest.mark.parametrize("fault", [Fault("F5", 1.0, 403), Fault("F7", 1.0, 404)])
def test_three_failures_in_a_row_raise_a_doubt_per_organisation(fault: Fault) -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    blamed(usage, fault, DOUBTED_MAX - 1)
    blamed(usage, fault, DOUBTED_MAX - 1, msgspec.structs.replace(MODEL, organisation=OTHER))
    assert usage.allows(MODEL, 2.0)
    # A good answer between them, to whomever, ends what was counted.
    usage.keys[0].good("m", 1.5)
    blamed(usage, fault, DOUBTED_MAX - 1)
    assert usage.allows(MODEL, 2.0)
    blamed(usage, fault)
    assert not usage.allows(MODEL, 2.0)
    assert usage.allows(msgspec.structs.replace(MODEL, organisation=OTHER), 2.0)
    assert usage.allows(msgspec.structs.replace(MODEL, model="n"), 2.0)
    assert usage.allows(MODEL, 1.0 + OFF_S)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("F5", 1.0, 401),
        Fault("F5", 1.0, 403, expired=True),
        Fault("F9", 1.0, 402),
        Fault("F8", 1.0, 429, 7_000),
    ],
)
def test_request_started_before_a_fault_ends_nothing(fault: Fault) -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    blamed(usage, fault, 2 if fault.row == "F5" else 1)
    assert not usage.allows(MODEL, 2.0)
    usage.keys[0].good("m", 0.5)
    assert not usage.allows(MODEL, 2.0)
    usage.keys[0].good("m", 1.5)
    assert usage.allows(MODEL, 2.0)


def test_one_401_rests_nothing() -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    usage.blame(0, MODEL, Fault("F5", 1.0, 401), 1.0)
    # Asked before that was known: it says nothing new.
    usage.blame(0, MODEL, Fault("F5", 0.5, 401), 1.5)
    assert usage.allows(MODEL, 2.0)
    assert [usage.keys[0].take_retry() for _ in range(2)] == [True, False]
    usage.blame(0, MODEL, Fault("F5", 1.5, 401), 2.0)
    assert not usage.allows(MODEL, 2.5)


def refused(usage: ChannelCondition, model: str, *times: float) -> None:
    """A 401 for a model at each of these times."""
    for at_s in times:
        usage.blame(0, Sought(model, ONE), Fault("F5", at_s, 401), at_s)


def allowed(usage: ChannelCondition, now: float) -> str:
    return "".join(model for model in "mno" if usage.allows(Sought(model, OTHER), now))


def test_a_key_that_is_refused_for_one_model_serves_the_others() -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    refused(usage, "m", 1.0, 2.0)
    assert allowed(usage, 3.0) == "no"
    assert usage.why(Sought("m", ONE), 3.0) == "key_refused"
    assert usage.models_out(3.0) == {"m": ("key_refused", int(OFF_S), 1)}
    assert usage.keys[0].status(3.0) == ("limited", int(OFF_S), "key_refused", 0)
    # A good answer for another model ends nothing of it; one for the model does.
    usage.keys[0].good("n", 3.0)
    assert allowed(usage, 4.0) == "no"
    usage.keys[0].good("m", 4.0)
    assert allowed(usage, 5.0) == "mno"


@pytest.mark.parametrize("before", [(1.0,), (1.0, 2.0)])
def test_a_key_that_is_refused_for_two_models_rests_for_all(before: tuple[float, ...]) -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    refused(usage, "m", *before)
    refused(usage, "n", 30.0)
    assert allowed(usage, 31.0) == ""
    assert usage.keys[0].status(31.0).condition == "paused"
    usage.keys[0].good("o", 32.0)
    assert allowed(usage, 33.0) == ("no" if len(before) == 2 else "mno")


def test_success_between_two_rejections_clears_the_key() -> None:
    """Each of the two models is refused, and the key is good."""
    usage = ChannelCondition(BreakerRule(), 1)
    refused(usage, "m", 1.0, 2.0)
    usage.keys[0].good("o", 3.0)
    refused(usage, "n", 4.0, 5.0)
    assert allowed(usage, 6.0) == "o"


def test_old_rejection_does_not_count_against_the_key() -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    refused(usage, "m", 1.0)
    refused(usage, "n", 1.0 + DOUBT_S + 1)
    assert allowed(usage, DOUBT_S + 3) == "mno"


def test_expired_credentials_affect_every_model() -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    blamed(usage, Fault("F5", 1.0, 403, expired=True), 2)
    assert allowed(usage, 2.0) == ""


def test_a_model_at_its_limit_leaves_the_key_to_others() -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    blamed(usage, Fault("F8", 1.0, 429, 7_000))
    assert (usage.allows(MODEL, 7.9), usage.allows(MODEL, 8.0)) == (False, True)
    assert usage.allows(msgspec.structs.replace(MODEL, model="n"), 2.0)
    assert not usage.allows(msgspec.structs.replace(MODEL, organisation=OTHER), 2.0)
    assert usage.wait_s(MODEL, 2.0) == 6.0
    assert usage.cools(MODEL, 2.0)
    assert usage.why(MODEL, 2.0) is None


def test_keys_take_turns_and_resting_ones_are_skipped() -> None:
    usage = ChannelCondition(BreakerRule(), 3)
    assert {usage.next_key(MODEL, 0.0) for _ in range(3)} == {0, 1, 2}
    for _ in range(2):
        usage.blame(1, MODEL, Fault("F5", 1.0, 401), 1.0)
    assert {usage.next_key(MODEL, 2.0) for _ in range(6)} == {0, 2}
    assert {usage.next_key(MODEL, 2.0, avoid=2) for _ in range(6)} == {0}
    assert {usage.next_key(MODEL, 2.0, order=[1, 2, 0]) for _ in range(6)} == {2}
    assert {usage.next_key(MODEL, 2.0, avoid=2, order=[1, 2, 0]) for _ in range(6)} == {0}
    assert usage.why(MODEL, 2.0) is None
    for key in (0, 2, 0, 2):
        usage.blame(key, MODEL, Fault("F5", 1.0, 401), 1.0)
    assert usage.why(MODEL, 2.0) == "key_refused"


def test_each_key_shows_its_state_since_when_and_why() -> None:
    usage = ChannelCondition(BreakerRule(), 3)
    usage.blame(0, msgspec.structs.replace(MODEL, model="n"), Fault("F5", 1.0, 401), 1.0)
    for at_s in (1.0, 5.0):
        usage.blame(0, MODEL, Fault("F5", at_s, 401), at_s)
    usage.blame(1, MODEL, Fault("F8", 6.0, 429, 7_000), 6.0)
    refused, limited, good = (key.status(11.0) for key in usage.keys)
    assert refused == ("paused", int(OFF_S) - 5, "key_refused", 10)
    assert limited == ("limited", 3, None, 0)
    assert good == ("good", 0, None, 0)
    usage.keys[0].good("m", 6.0)
    assert usage.keys[0].status(11.0).condition == "good"


def test_channel_explains_why_it_is_unusable_now() -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    assert usage.block(MODEL, 0.0) is None
    blamed(usage, Fault("F8", 1.0, 429, 7_000))
    assert usage.block(MODEL, 2.0) == ("cooling", 6.0)
    for _ in range(2):
        usage.blame(0, MODEL, Fault("F5", 10.0, 401), 10.0)
    assert usage.block(MODEL, 10.5) == ("key_refused", 0.5)
    failing = ChannelCondition(BreakerRule(failures=1, window=60, open_for=30), 1)
    failing.blame(0, MODEL, Fault("F10", 1.0, 503), 1.0)
    block = failing.block(MODEL, 1.5)
    assert block is not None
    assert block.reason == "failing"


def test_channel_at_its_own_limit_is_not_asked() -> None:
    usage = ChannelCondition(BreakerRule(), 1)
    usage.bar("requests", 5.0)
    usage.bar("spend_day", 60.0)
    assert not usage.allows(MODEL, 1.0)
    assert not usage.allows_without_alternative(MODEL, 1.0)
    assert not usage.only_fails(MODEL, 1.0)
    assert usage.block(MODEL, 1.0) == ("spend_day", 59.0)
    usage.bar("spend_day", 0.0)
    assert usage.block(MODEL, 1.0) == ("requests", 4.0)
    assert usage.block(MODEL, 5.0) is None
    assert usage.allows_without_alternative(MODEL, 5.0)
