"""What answers tell of limits: never more room, and never sooner, than there is."""

import datetime as dt
import json
import re

import pytest

from dialects.chat.chat import Dialect
from dialects.codecs import CODECS
from dialects.errors.errors import KINDS, ErrorKind
from dialects.errors.upstream_errors import UpstreamFault, describe
from gateway.routing.channel_order import Candidate
from lib.id_types import UpstreamModelName
from relay.front.downstream import ErrorAnswer
from relay.front.error_answers import answer_to, answer_to_failures, error_response
from relay.front.limit_answers import Headroom, LimitReached, UsedUp, limit_headers
from relay.health.channel_health import Health
from relay.health.channels_out import none_ready
from relay.requests.context import Invocation
from relay.upstream.upstream import UpstreamFailed
from tests.relay.health.test_health import CHANNEL, WHO

NOW = 1_795_262_400.0


def headers(dialect: str, reset_ms: int, now: float = NOW) -> dict[bytes, bytes]:
    return dict(limit_headers(dialect, {"requests": Headroom(60, 7, reset_ms)}, now))  # type: ignore[arg-type]


@pytest.mark.parametrize("now", [NOW, NOW + 0.001, NOW + 0.999])
@pytest.mark.parametrize("reset_ms", [0, 1, 999, 1_000, 1_001, 59_999, 60_000])
def test_an_instant_of_whole_seconds_is_not_before_the_room_is_there(
    reset_ms: int, now: float
) -> None:
    told = headers("anthropic", reset_ms, now)
    assert told[b"anthropic-ratelimit-requests-limit"] == b"60"
    assert told[b"anthropic-ratelimit-requests-remaining"] == b"7"
    at = dt.datetime.fromisoformat(told[b"anthropic-ratelimit-requests-reset"].decode())
    assert 0 <= at.timestamp() - (now + reset_ms / 1000) < 1


@pytest.mark.parametrize(
    ("reset_ms", "told"),
    [(0, b"0ms"), (999, b"999ms"), (1_000, b"1s"), (1_200, b"1.2s"), (59_999, b"59.999s"),
     (60_000, b"1m0s")],
)  # fmt: skip
def test_a_duration_is_written_to_the_millisecond(reset_ms: int, told: bytes) -> None:
    assert headers("openai", reset_ms) == {
        b"x-ratelimit-limit-requests": b"60",
        b"x-ratelimit-remaining-requests": b"7",
        b"x-ratelimit-reset-requests": told,
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


def test_a_refusal_by_a_budget_says_by_which() -> None:
    """Pages lead from it to the form; what refuses for another reason has none."""
    budget = {
        "gate": "budget", "budget": 12, "window": 7, "scope": "key", "subject": "", "spent": 5,
        "held": 0, "limit": 5, "period": "total", "wait_ms": 1000,
    }  # fmt: skip
    wallet = {"gate": "wallet", "owed": 0}
    assert answer_to(UsedUp(budget, 1, 0, "http://hub.example")).budget_id == 12
    assert answer_to(LimitReached(budget | {"gate": "slow"}, "")).budget_id == 12
    assert answer_to(UsedUp(wallet, 1, 0, "")).budget_id is None
    assert own_limit(1).budget_id is None


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("wait_ms", [0, 1, 999, 1_000, 1_001, 6_999, 7_000, 59_950, 120_000])
@pytest.mark.parametrize("jitter", [1.0, 1.05, 1.1])
def test_words_and_header_name_the_same_seconds(
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
        words = re.search(r"retry in (\d+) s", json.loads(response.body)["error"]["message"])
        assert words is not None, case
        assert fields[b"retry-after"].decode() == words[1], case


# What may be otherwise a moment later, with nobody changing anything.
PASSING: set[ErrorKind] = {
    "request_timeout", "conflict", "rate_limited", "upstream_rate_limited", "internal",
    "upstream_error", "upstream_unreachable", "upstream_auth", "upstream_truncated",
    "upstream_malformed", "no_channel", "overloaded", "server_shutting_down", "timeout",
}  # fmt: skip


@pytest.mark.parametrize("dialect", sorted(CODECS))
@pytest.mark.parametrize("kind", KINDS)
def test_clients_are_told_what_no_repetition_mends(kind: ErrorKind, dialect: Dialect) -> None:
    """The official clients of OpenAI and Anthropic heed the header before they heed the status."""
    answer = ErrorAnswer(kind, KINDS[kind].status, "no")
    for waits in (True, False):
        response = error_response(
            answer._replace(waits=waits), Invocation(CODECS[dialect], ""), "r"
        )
        told = dict(response.fields).get(b"x-should-retry")
        passes = kind in PASSING and (waits or KINDS[kind].status not in (429, 503))
        assert told == (None if passes else b"false")
