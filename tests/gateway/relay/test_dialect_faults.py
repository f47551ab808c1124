"""The decisive rows of the fault table in every client dialect, through every upstream dialect."""

import secrets
from typing import Any

import pytest

from tests.fakes.upstream import FakeUpstream, expected_text
from tests.gateway.relay.speakers import SPEAKERS, UPSTREAMS, Said, Speaker, Wish
from tests.gateway.relay.test_matrix import RATES, cells, open_model, plain_and_streamed, send
from tests.hub import Answer, Hub

QUICK = {"connect": 0.3, "first_content": 0.6, "idle": 0.6, "total": 30}

# Fault -> status, openai code, anthropic type, gemini status; anthropic's overloaded is 529.
BEFORE_CONTENT: dict[str, tuple[int, str | None, str, str]] = {
    "F5:401": (502, "upstream_error", "api_error", "INTERNAL"),
    "F6:400": (400, None, "invalid_request_error", "INVALID_ARGUMENT"),
    "F8:seconds": (429, "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    "F10:500": (502, "upstream_error", "api_error", "INTERNAL"),
    "F10:503": (503, "server_overloaded", "overloaded_error", "UNAVAILABLE"),
    "F11:headers": (504, "timeout", "timeout_error", "DEADLINE_EXCEEDED"),
    "F14:close": (502, "upstream_truncated", "api_error", "INTERNAL"),
    "F23:error": (503, "server_overloaded", "overloaded_error", "UNAVAILABLE"),
}
AFTER_CONTENT = {
    "F13:stall@4": BEFORE_CONTENT["F11:headers"],
    "F14:eof@4": BEFORE_CONTENT["F14:close"],
    "F15@4": (502, "upstream_malformed", "api_error", "INTERNAL"),
    "F23:error@4": BEFORE_CONTENT["F23:error"],
}


def word_of(speaker: Speaker, error: dict[str, Any]) -> str | None:
    """The word by which a client of the dialect tells one error from another."""
    name = {"anthropic": "type", "gemini": "status"}.get(speaker.name, "code")
    word: str | None = error[name]
    return word


def wanted_word(speaker: Speaker, row: tuple[int, str | None, str, str]) -> str | None:
    _, code, word, status = row
    return {"anthropic": word, "gemini": status}.get(speaker.name, code)


def _told_by(upstream: str, fault: str, stream: bool) -> str:
    """A failed response has no word for an overload."""
    fault = fault.partition("@")[0]
    return "F10:500" if (upstream, fault, stream) == ("responses", "F23:error", True) else fault


def refused(speaker: Speaker, answer: Answer) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    error = speaker.error_of(answer.json())
    if speaker.name == "anthropic":
        assert answer.headers["request-id"] == answer.headers["x-request-id"]
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    if speaker.name == "gemini":
        assert error["code"] == answer.status
    return error


@cells
@plain_and_streamed
@pytest.mark.parametrize("fault", BEFORE_CONTENT)
def test_before_content(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool, fault: str
) -> None:
    """The client's own shape and status, our Retry-After, and nothing charged."""
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = open_model(hub, fake, upstream, retries=0, timeouts=QUICK)
    wish = Wish(f"#fault={fault} #wait_ms=3000 #retry_after=7", stream)
    answer = send(hub, tenant, speaker, model, speaker.body(model, wish), stream)
    error = refused(speaker, answer)
    row = BEFORE_CONTENT[_told_by(upstream, fault, stream)]
    status = 529 if row[0] == 503 and client == "anthropic" else row[0]
    assert answer.status == status
    if fault == "F6:400" and client in ("openai", "responses"):
        # The provider's own word, where it has one.
        assert error["code"] in (None, "INVALID_ARGUMENT")
    else:
        assert word_of(speaker, error) == wanted_word(speaker, row)
    assert fake.key not in answer.body.decode()
    if row[0] == 429:
        assert answer.headers["retry-after"] in ("7", "8")
        if client == "gemini":
            assert error["details"][0]["retryDelay"] == f"{answer.headers['retry-after']}s"
    elif row[0] == 503:
        assert int(answer.headers["retry-after"]) >= 1
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["charge_nano"]) == (row[0], 0)
    assert record["dialect"] == client
    hub.settled(tenant)
    hub.assert_books_balance()


@cells
@pytest.mark.parametrize("fault", ["F5:401", "F10:500", "F14:close", "F23:error"])
def test_next_channel_may_speak_another_dialect(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream, client: str, upstream: str, fault: str
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = f"m-{secrets.token_hex(6)}"
    second = {"openai": "gemini", "gemini": "anthropic"}.get(upstream, "openai")
    for priority, (one, dialect) in enumerate(((fake, upstream), (other_fake, second))):
        hub.channel(
            model, one.url, one.key, priority=priority, timeouts=QUICK, **UPSTREAMS[dialect]
        )
    hub.price(model, RATES)
    hub.know(model)
    wish = Wish(f"#a.fault={fault} #tokens=5", stream=True)
    answer = send(hub, tenant, speaker, model, speaker.body(model, wish), True)
    assert answer.status == 200, answer.body
    said = speaker.read(answer)
    assert (said.text, said.whole) == (expected_text("b", wish.text, 5), True)
    first, last = hub.records(answer.headers["x-request-id"])
    assert (first["final"], first["charge_nano"]) == (False, 0)
    assert (last["final"], last["status"], last["basis"]) == (True, 200, "measured")


@cells
@pytest.mark.parametrize("fault", AFTER_CONTENT)
def test_after_content(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, fault: str
) -> None:
    """A prefix of the text, one typed frame, no end of a whole answer; what came is paid."""
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = open_model(hub, fake, upstream, timeouts=QUICK)
    wish = Wish(f"#fault={fault} #tokens=20 #delay_ms=20 #wait_ms=3000", stream=True)
    answer = send(hub, tenant, speaker, model, speaker.body(model, wish), True)
    assert answer.status == 200, answer.body
    said: Said = speaker.read(answer)
    assert said.error is not None
    assert not said.whole
    assert said.text == expected_text("a", wish.text, 4)
    row = AFTER_CONTENT[fault]
    if (upstream, fault) == ("responses", "F23:error@4"):
        row = BEFORE_CONTENT["F10:500"]
    if not (client == upstream and fault.startswith("F23")):
        # The provider's own frame is passed on where no dialect lies between.
        wanted = wanted_word(speaker, row)
        if client == "responses":
            wanted = "server_error"
        assert word_of(speaker, said.error) == wanted
    record = hub.record(answer.headers["x-request-id"])
    assert record["status"] == row[0]
    assert 0 < record["charge_nano"] <= record["hold_nano"]
    assert fault.partition("@")[0].partition(":")[0] in record["flags"]
    hub.settled(tenant)
    hub.assert_books_balance()


@cells
@plain_and_streamed
@pytest.mark.parametrize(
    ("usage", "basis", "flagged"),
    [("none", "estimated", False), ("huge", "estimated", True), ("negative", "estimated", True),
     ("zero", "measured", False)],
)  # fmt: skip
def test_usage_that_is_missing_or_lies(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool, usage: str, basis: str,
    flagged: bool,
) -> None:  # fmt: skip
    """F25, F27, F28 by the upstream's dialect."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    wish = Wish(f"#tokens=8 #usage={usage}", stream)
    answer = send(hub, tenant, speaker, model, speaker.body(model, wish), stream)
    assert answer.status == 200, answer.body
    assert speaker.read(answer).text == expected_text("a", wish.text, 8)
    record = hub.record(answer.headers["x-request-id"])
    assert record["basis"] == basis
    assert ("quarantine" in record["flags"]) == flagged
    assert record["charge_nano"] <= record["hold_nano"]
    assert (record["charge_nano"] == 0) == (usage == "zero")
    hub.assert_books_balance()


@cells
def test_endless_stream_is_cut_at_its_hold(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str
) -> None:
    """F18: told as an end by length, in the client's own words."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    body = speaker.body(model, Wish("#fault=F18 #uncapped", stream=True, cap=20))
    answer = send(hub, tenant, speaker, model, body, True)
    said = speaker.read(answer)
    assert said.finish in ("length", "incomplete", "max_tokens", "MAX_TOKENS")
    assert (said.whole, said.error) == (True, None)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["finish_reason"]) == (200, "length")
    assert record["charge_nano"] == record["hold_nano"]
    assert "F18" in record["flags"]
    hub.wait(lambda: fake.totals()["open"] == 0, "the upstream goes on")
