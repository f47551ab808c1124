"""What answers tell of limits: never more room, and never sooner, than there is."""

import datetime as dt
import json
import re

import pytest

from dialects.chat.chat import Dialect
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import KINDS
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import quote_value
from dialects.upstream_errors.upstream_errors import UpstreamFault, describe
from gateway.channel_order.channel_order import Candidate
from lib.id_types import UpstreamModelName
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import answer_to, answer_to_failures, error_response
from relay.downstream.limit_answers import (
    ChannelFull,
    Headroom,
    LimitReached,
    UsedUp,
    limit_headers,
    read_headroom,
)
from relay.health.channel_health import Health
from relay.health.channels_out import none_ready
from relay.requests.invocation import Invocation
from relay.upstream.failures import UpstreamFailed
from tests.relay.health.test_health import CHANNEL, WHO
from usage.requests.budget_refusals import budget_id_of

NOW = 1_795_262_400.0


def headers(dialect: str, reset_ms: int, now: float = NOW) -> dict[bytes, bytes]:
    return dict(limit_headers(dialect, {"requests": Headroom(60, 7, reset_ms)}, now))  # type: ignore[arg-type]


@pytest.mark.parametrize("now", [NOW, NOW + 0.001, NOW + 0.999])
@pytest.mark.parametrize("reset_ms", [0, 1, 999, 1_000, 1_001, 59_999, 60_000])
def test_retry_instant_is_never_too_early(reset_ms: int, now: float) -> None:
    message = headers("anthropic", reset_ms, now)
    assert message[b"anthropic-ratelimit-requests-limit"] == b"60"
    assert message[b"anthropic-ratelimit-requests-remaining"] == b"7"
    at = dt.datetime.fromisoformat(message[b"anthropic-ratelimit-requests-reset"].decode())
    assert 0 <= at.timestamp() - (now + reset_ms / 1000) < 1


@pytest.mark.parametrize(
    ("left", "used", "threshold"),
    [
        (1000, "0.00", None),
        (251, "0.74", None),
        (250, "0.75", "0.75"),
        (51, "0.94", "0.75"),
        (50, "0.95", "0.95"),
        # What is still served has not used up everything.
        (0, "0.99", "0.95"),
    ],
)
def test_budget_headers_are_what_claude_code_reads(
    left: int, used: str, threshold: str | None
) -> None:
    headroom = {"budget": Headroom(1000, left, 0, 1_795_300_000)}
    status = b"allowed" if threshold is None else b"allowed_warning"
    wanted = {
        b"status": status,
        b"reset": b"1795300000",
        b"representative-claim": b"overage",
        b"overage-status": status,
        b"overage-reset": b"1795300000",
        b"overage-utilization": used.encode(),
    }
    if threshold is not None:
        wanted[b"overage-surpassed-threshold"] = threshold.encode()
    prefix = b"anthropic-ratelimit-unified-"
    assert dict(limit_headers("anthropic", headroom, NOW)) == {
        prefix + name: value for name, value in wanted.items()
    }
    assert not list(limit_headers("openai", headroom, NOW))
    assert read_headroom({"budget": [1000, left, 1_795_300_000]}) == headroom


@pytest.mark.parametrize(
    ("reset_ms", "raw"),
    [(0, b"0ms"), (999, b"999ms"), (1_000, b"1s"), (1_200, b"1.2s"), (59_999, b"59.999s"),
     (60_000, b"1m0s"), (1_020, b"1.02s"), (1_005, b"1.005s"), (61_050, b"1m1.05s")],
)  # fmt: skip
def test_a_duration_is_written_to_the_millisecond(reset_ms: int, raw: bytes) -> None:
    assert headers("openai", reset_ms) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"7",
        b"x-ratelimit-reset-requests": raw,
    }


def provider_limit(wait_ms: int | None) -> UpstreamFailed:
    fault: UpstreamFault = describe("upstream_rate_limited", "F8", "", status=429, wait_ms=wait_ms)
    return UpstreamFailed(
        fault.fault, fault.kind, fault.message, retry_after_ms=fault.retry_after_ms
    )


def all_cooling(wait_ms: int) -> ErrorAnswer:
    """Every channel of the model is at its provider's limit."""
    resting, candidate = Health(), Candidate("c", UpstreamModelName("m"), 2)
    resting.begin(candidate, CHANNEL, WHO).failed(provider_limit(wait_ms))
    return answer_to(none_ready("m", resting.blocks([candidate], WHO)))


def own_limit(wait_ms: int) -> ErrorAnswer:
    reached = {
        "gate": "requests", "scope": "key", "limit": 2, "used": 2, "need": 1, "wait_ms": wait_ms,
    }  # fmt: skip
    return answer_to(LimitReached(reached, ""))


def test_budget_rejection_names_the_budget() -> None:
    """Pages lead from it to the form; what refuses for another reason has none."""
    budget = {
        "gate": "budget", "budget": 12, "window": 7, "scope": "key", "subject": "", "spent": 5,
        "held": 0, "limit": 5, "period": "total", "wait_ms": 1000, "policy": "",
    }  # fmt: skip
    wallet = {"gate": "wallet", "owed": 0}
    assert (
        "Request more: http://hub.example/b/12"
        in UsedUp(budget, 1, 0, "http://hub.example").message
    )
    plan = budget | {"scope": "organisation", "subject": "subscription"}
    message = UsedUp(plan, 1, 0, "http://hub.example").message
    assert "Request more" not in message
    # Pages learn from the link which budget it was.
    assert budget_id_of(message) == 12
    assert answer_to(UsedUp(budget, 1, 0, "http://hub.example")).budget_id == 12
    assert answer_to(LimitReached(budget | {"gate": "slow"}, "")).budget_id == 12
    assert answer_to(UsedUp(wallet, 1, 0, "")).budget_id is None
    assert own_limit(1).budget_id is None


@pytest.mark.parametrize("dialect", sorted(CODECS))
@pytest.mark.parametrize("wait_ms", [0, 1, 999, 1_000, 1_001, 6_999, 7_000, 59_950, 120_000])
@pytest.mark.parametrize("jitter", [1.0, 1.05, 1.1])
def test_message_and_header_give_the_same_seconds(
    monkeypatch: pytest.MonkeyPatch, dialect: Dialect, wait_ms: int, jitter: float
) -> None:
    """F8: whoever reads either of them waits as long."""
    monkeypatch.setattr("random.uniform", lambda low, high: jitter)
    answers = {
        "one failed": answer_to_failures([provider_limit(wait_ms)]),
        "of two": answer_to_failures([provider_limit(90_000), provider_limit(wait_ms)]),
        "unnamed": answer_to_failures([provider_limit(None)]),
        # What is over by now says nothing of seconds.
        "all cooling": all_cooling(max(wait_ms, 999)),
        "own": own_limit(wait_ms),
    }
    for case, answer in answers.items():
        response = error_response(answer, Invocation(CODECS[dialect], "messages"), "r")
        fields = dict(response.fields)
        body = json.loads(response.body)
        words = re.search(r"retry in (\d+) s", body.get("error", body)["message"])
        assert words is not None, case
        assert fields[b"retry-after"].decode() == words[1], case


# What may be otherwise a moment later, with nobody changing anything.
PASSING: set[ErrorKind] = {
    "request_timeout", "conflict", "rate_limited", "upstream_rate_limited", "internal",
    "upstream_error", "upstream_unreachable", "upstream_auth", "upstream_truncated",
    "upstream_malformed", "no_channel", "guard_failed", "overloaded", "server_shutting_down",
    "timeout",
}  # fmt: skip


@pytest.mark.parametrize("dialect", sorted(CODECS))
@pytest.mark.parametrize("kind", KINDS)
def test_clients_learn_when_retrying_is_useless(kind: ErrorKind, dialect: Dialect) -> None:
    """The official clients of OpenAI and Anthropic heed the header before they heed the status."""
    answer = ErrorAnswer(kind, KINDS[kind].status, "no")
    for waits in (True, False):
        response = error_response(
            answer._replace(waits=waits), Invocation(CODECS[dialect], ""), "r"
        )
        page_response = dict(response.fields).get(b"x-should-retry")
        passes = kind in PASSING and (waits or KINDS[kind].status not in (429, 503))
        assert page_response == (None if passes else b"false")


# What each limit says ----------------------------------------------------------------------------


def reached(**over: object) -> dict[str, object]:
    plain = {"gate": "requests", "scope": "key", "limit": 5, "used": 5, "need": 1, "wait_ms": 7_000}
    return {**plain, **over}


@pytest.mark.parametrize("scope", ["key", "team", "organisation", "person"])
@pytest.mark.parametrize(
    ("gate", "used", "need", "words"),
    [
        ("requests", 5, 1, "5 requests per minute of this {}, 5 are used; retry in 7 s"),
        ("tokens", 3, 4, "5 tokens per minute of this {}, 3 are used and this request needs up "
                         "to 4; retry in 7 s"),
        ("tokens", 3, 5, "5 tokens per minute of this {}, 3 are used and this request needs up "
                         "to 5; retry in 7 s"),
        ("parallel", 5, 1, "5 requests at once of this {}, 5 are running; retry in 7 s"),
    ],
)  # fmt: skip
def test_rejection_names_its_limit_and_the_keys_remainder(
    scope: str, gate: str, used: int, need: int, words: str
) -> None:
    fault = LimitReached(reached(gate=gate, scope=scope, used=used, need=need), "")
    assert words.format(scope) in fault.message
    assert "waiting does not help" not in fault.message
    assert (fault.kind, fault.wait_ms) == ("rate_limited", 7_000)
    own = scope == "key" and gate != "parallel"
    assert fault.headroom == ({gate: Headroom(5, 5 - used, 7_000)} if own else {})


def test_request_above_the_whole_limit_learns_that_waiting_is_useless() -> None:
    fault = LimitReached(reached(gate="tokens", used=9, need=6), "")
    assert "and this request needs 6." in fault.message
    assert "waiting does not help: request fewer tokens" in fault.message
    assert "retry in" not in fault.message
    assert fault.wait_ms is None
    # What others used above it is no room below nothing.
    assert fault.headroom["tokens"].left == 0


@pytest.mark.parametrize(
    ("wait_ms", "told"), [(59_999, 59_999), (60_000, 60_000), (99_999, 60_000)]
)
def test_wait_is_never_longer_than_the_window(wait_ms: int, told: int) -> None:
    assert LimitReached(reached(wait_ms=wait_ms), "").wait_ms == told
    assert ChannelFull(reached(wait_ms=wait_ms)).wait_ms == told
    gates = {"requests": (5, 1, wait_ms)}
    assert read_headroom(gates) == {"requests": Headroom(5, 1, told)}
    assert read_headroom(None) == {}


@pytest.mark.parametrize(("need", "waits"), [(4, True), (5, True), (6, False)])
def test_never_fitting_channel_is_not_awaited(need: int, waits: bool) -> None:
    full = ChannelFull(reached(gate="tokens", need=need))
    assert str(full) == "5 tokens per minute of the channel"
    assert (full.reason, full.wait_ms) == ("tokens", 7_000 if waits else None)


BUDGET: dict[str, object] = {
    "gate": "budget", "budget": 12, "window": 7, "scope": "team", "subject": "s", "period": "month",
    "reset": 1_795_262_400, "spent": 3 * 10**9, "held": 10**9, "limit": 4 * 10**9, "policy": "",
}  # fmt: skip


@pytest.mark.parametrize("scope", ["organisation", "team", "key", "user", "model", "project", "tag",
                                   "customer"])  # fmt: skip
def test_budget_is_named_by_its_scope(scope: str) -> None:
    subject = "" if scope == "organisation" else "s"
    fault = UsedUp(BUDGET | {"scope": scope, "subject": subject}, 10**9, 0, "http://hub.example")
    named = f" {subject}" if subject else ""
    assert fault.message == (
        f"Insufficient Balance: {scope} budget{named} is used up: 3.00 USD spent and 1.00 USD "
        "reserved of 4.00 USD per month; this request may cost 1.00 USD. It resets at "
        "2026-11-21T12:00:00Z. Request more: http://hub.example/b/12"
    )
    assert (fault.kind, fault.budget_id, fault.window_id) == ("insufficient_balance", 12, 7)


@pytest.mark.parametrize("policy", ["Thrift", "Research & Co"])
@pytest.mark.parametrize("dialect", sorted(CODECS))
def test_policy_that_gave_the_budget_is_named(dialect: Dialect, policy: str) -> None:
    """In every dialect; a budget of its own names none, and the rest of the message is equal."""
    own = UsedUp(BUDGET, 10**9, 0, "")
    given = UsedUp(BUDGET | {"policy": policy}, 10**9, 0, "")
    named = f", set by the policy {quote_value(policy)}"
    assert given.message == own.message.replace("USD per month", f"USD per month{named}")
    assert "policy" not in own.message
    plain, answer = (
        error_response(answer_to(fault), Invocation(CODECS[dialect], "messages"), "r")
        for fault in (own, given)
    )
    assert (answer.status, answer.fields) == (plain.status, plain.fields)
    whole = plain.body.decode().replace("USD per month", f"USD per month{named}")
    assert json.loads(answer.body) == json.loads(whole)
    slow = LimitReached(BUDGET | {"policy": policy, "gate": "slow", "wait_ms": 1}, "")
    assert f"per month{named}, so its requests run" in slow.message


def test_unending_budget_never_resets_and_one_with_room_says_so() -> None:
    fault = UsedUp(BUDGET | {"period": "total"}, 10**9, 0, "")
    assert "of 4.00 USD; this request may cost 1.00 USD. It does not reset" in fault.message
    assert "Request more" not in fault.message
    roomy = UsedUp(BUDGET | {"held": 10**9 - 1}, 10**9, 0, "")
    assert "has too little left" in roomy.message


@pytest.mark.parametrize(
    ("wallet", "words"),
    [
        (None, "needed 1.00 USD, available 2.00 USD)"),
        ({"gate": "wallet", "owed": 0}, "needed 1.00 USD, available 2.00 USD)"),
        ({"gate": "wallet", "owed": 10**9}, "available 2.00 USD, debt 1.00 USD)"),
    ],
)
def test_wallet_error_states_balance_and_debt(wallet: dict[str, object] | None, words: str) -> None:
    fault = UsedUp(wallet, 10**9, 2 * 10**9, "")
    assert words in fault.message
    assert (fault.budget_id, fault.window_id, fault.kind) == (None, None, "insufficient_balance")


def test_slowing_budget_says_so_and_links_its_form() -> None:
    slow = BUDGET | {"gate": "slow", "wait_ms": 1_000}
    fault = LimitReached(slow, "http://hub.example")
    assert "so its requests run one at a time" in fault.message
    assert "retry in 1 s" in fault.message
    assert fault.message.endswith("Request more: http://hub.example/b/12")
    assert (fault.budget_id, fault.headroom) == (12, {})
