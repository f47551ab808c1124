"""What of the fault table has a story of its own; the rest is test_fault_table.py."""

import json
import socket
from decimal import Decimal
from typing import Any

import pytest

from relay.counting.tokenizer import count_text
from relay.counting.vocabularies import UNKNOWN, family_of
from relay.metering.output_cap import tokens_allowed
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import ask, chunks_of, text_of
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Converse, Wish, frames, messages
from tests.relay.test_matrix import (
    CELLS,
    cells,
    cost_nano_in,
    open_model,
    plain_and_streamed,
    send,
)
from tests.support.hub import Hub

# Tokens that one read of a socket brings at most: 64 KiB in frames of about 200 bytes.
READ_AT_ONCE = 330


@pytest.mark.parametrize("stream", [False, True])
def test_reset_after_sending_is_reported_not_repeated(
    hub: Hub, other_fake: FakeUpstream, stream: bool
) -> None:
    """F33: its provider may have billed it, and another one would bill it again."""
    tenant = hub.tenant()
    # Of its own, so that no connection is kept.
    with FakeUpstream(name="a") as first:
        model, asked = hub.model(first, other_fake, retries=2), other_fake.totals()["requests"]
        answer = hub.post(tenant, ask(model, "#tokens=3 #a.fault=F33", stream=stream))
        assert first.totals()["requests"] == 1
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    message = "the provider closed the connection behind the request, before it answered"
    assert message in answer.error["message"]
    assert other_fake.totals()["requests"] == asked
    hub.settled(tenant)


def test_stalled_handshake_is_tried_once(hub: Hub) -> None:
    """F4: a host that lets TLS hang for its whole time is not asked for as long again."""
    with socket.create_server(("127.0.0.1", 0)) as stalled:
        url = f"https://127.0.0.1:{stalled.getsockname()[1]}/v1"
        tenant, model = hub.tenant(), hub.model(url, retries=2)
        answer = hub.post(tenant, ask(model))
        assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
        (record,) = hub.records(answer.headers["x-request-id"])
        assert record["flags"] == ["F4"]
    hub.settled(tenant)


def test_upstream_error_frame_is_passed_on_and_ends_the_stream(
    hub: Hub, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.post(tenant, ask(model, "#fault=F23@4 #delay_ms=20", stream=True))
    assert answer.status == 200
    assert "error" in chunks_of(answer)[-1]
    assert b"[DONE]" not in answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert record["status"] >= 500
    assert record["charge_nano"] > 0


@pytest.mark.parametrize("tells_cost", [False, True])
def test_cut_after_the_finish_reason_is_complete(
    hub: Hub, fake: FakeUpstream, tells_cost: bool
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    body = ask(model, "#tokens=5 #nodone #usage=none", stream=True)
    answer = hub.post(tenant, body, headers={"x-weir-include-cost": str(tells_cost)})
    assert text_of(answer) == expected_text("a", "#tokens=5 #nodone #usage=none", 5)
    chunks = chunks_of(answer)
    if tells_cost:
        assert Decimal(chunks.pop()["usage"]["cost"]) > 0
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["kind"], record["basis"]) == (200, None, "estimated")


@pytest.mark.parametrize(
    ("upstream_model", "stream", "status"),
    [("fake", True, 504), ("fake", False, 200), ("grok-4", True, 200)],
)
def test_reasoning_and_plain_answers_get_longer_for_first_content(
    hub: Hub, fake: FakeUpstream, upstream_model: str, stream: bool, status: int
) -> None:
    """F11: nothing comes of a plain answer before all of it is there."""
    timeouts = {"connect": 3, "first_content": 0.5, "idle": 60, "total": 60}
    tenant = hub.tenant()
    model = hub.model(fake, upstream_model=upstream_model, timeouts=timeouts, retries=0)
    answer = hub.post(tenant, ask(model, "#tokens=5 #first_ms=1200", stream=stream))
    assert answer.status == status, answer.body
    hub.settled(tenant)


@pytest.mark.parametrize("stream", [True, False])
def test_unreadable_usage_after_the_whole_text(hub: Hub, fake: FakeUpstream, stream: bool) -> None:
    """F27: NaN is no JSON, and takes nothing from what has its finish reason. A client that reads
    counts gets null for it, and the counts beside it."""
    tenant, model = hub.tenant(), hub.model(fake)
    body = ask(model, "#tokens=8 #usage=nan", stream=stream)
    if stream:
        body["stream_options"] = {"include_usage": True}
    answer = hub.post(tenant, body)
    assert text_of(answer) == expected_text("a", "#tokens=8 #usage=nan", 8)
    usage = chunks_of(answer)[-1]["usage"] if stream else answer.json()["usage"]
    assert usage["completion_tokens"] is None
    assert usage["prompt_tokens"] > 0
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["kind"], record["basis"]) == (200, None, "estimated")
    assert 0 < record["charge_nano"] <= record["hold_nano"]


@pytest.mark.parametrize("client", SPEAKERS)
@pytest.mark.parametrize(
    ("how", "stream"),
    [("#usage=none", False), ("#usage=none", True), ("#usage=huge", True),
     ("#a.fault=F14:eof@200", True)],
)  # fmt: skip
def test_answer_without_usage_is_counted_by_its_models_vocabulary(
    hub: Hub, fake: FakeUpstream, client: str, stream: bool, how: str
) -> None:
    """F25, F27, F14, P27: words, by the vocabulary of the upstream's model, whoever asks."""
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = hub.model(fake, upstream_model="gpt-4o-2024-11-20")
    answer = send(
        hub, tenant, speaker, model, speaker.body(model, Wish(f"{how} #tokens=300", stream)), stream
    )
    text = speaker.read(answer).text
    assert text
    record = hub.record(answer.headers["x-request-id"])
    assert record["basis"] == "estimated"
    family = family_of("gpt-4o")
    assert record["meters"]["out_text"] == count_text(text, family)
    # OpenAI's cookbook: 3 and the role for each of two messages, 3 for the answer.
    asked = count_text("Be brief.", family) + 4 + count_text(f"{how} #tokens=300", family) + 4 + 3
    assert record["meters"]["in_text"] == asked


def test_charge_above_the_hold_is_limited_to_it(hub: Hub, fake: FakeUpstream) -> None:
    """I13: a provider that ignores the cap costs us, not the customer."""
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.post(tenant, ask(model, "#tokens=400 #uncapped", max_tokens=5))
    assert answer.status == 200
    record = hub.record(answer.headers["x-request-id"])
    assert record["charge_nano"] == record["hold_nano"]
    assert "above_hold" in record["flags"]
    hub.settled(tenant)
    hub.assert_books_balance()


@cells
def test_endless_stream_is_cut_at_its_cap(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str
) -> None:
    """F18: told as an end by length, in the client's own words; no more than the hold, and what
    it costs. The vocabulary of this model is not known."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    body = speaker.body(model, Wish("#fault=F18 #uncapped", stream=True, cap=20))
    answer = send(hub, tenant, speaker, model, body, True, tells_cost=True)
    text = speaker.read(answer)
    assert text.finish in ("length", "incomplete", "max_tokens", "MAX_TOKENS")
    assert (text.whole, text.error) == (True, None)
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["finish_reason"]) == (200, "length")
    assert cost_nano_in(answer) == record["charge_nano"] <= record["hold_nano"]
    assert 20 <= record["meters"]["out_text"] <= tokens_allowed(20, UNKNOWN) + READ_AT_ONCE
    assert "F18" in record["flags"]
    hub.wait(lambda: fake.totals()["open"] == 0, "the upstream goes on")


@pytest.mark.parametrize(
    ("cap", "delay_ms", "in_flight"),
    [
        # As much as a second on a busy machine brings.
        pytest.param(100, 5, 200, id="slowly"),
        pytest.param(1091, 0, READ_AT_ONCE, id="at once"),
    ],
)
@pytest.mark.parametrize("lang", ["en", "cjk"])
def test_stream_with_countable_tokens_is_cut_at_its_cap(
    hub: Hub, fake: FakeUpstream, lang: str, cap: int, delay_ms: int, in_flight: int
) -> None:
    """F18: by the vocabulary of its model, whatever its tokens are in bytes."""
    tenant, model = hub.tenant(), hub.model(fake, upstream_model="gpt-4o")
    text = f"#tokens={9 * cap} #uncapped #delay_ms={delay_ms} #lang={lang}"
    answer = hub.post(tenant, ask(model, text, stream=True, max_tokens=cap))
    last = [chunk for chunk in chunks_of(answer) if chunk["choices"]][-1]
    assert last["choices"][0]["finish_reason"] == "length"
    record = hub.record(answer.headers["x-request-id"])
    output = count_text(text_of(answer), family_of("gpt-4o"))
    assert cap < output <= tokens_allowed(cap, family_of("gpt-4o")) + in_flight
    assert record["meters"]["out_text"] == pytest.approx(output, rel=0.01, abs=2)
    assert "F18" in record["flags"]
    assert record["charge_nano"] <= record["hold_nano"]
    hub.settled(tenant)
    hub.assert_books_balance()


def test_stream_read_for_a_plain_answer_is_cut_at_its_cap(hub: Hub, fake: FakeUpstream) -> None:
    """F18: of a model that can only be asked for a stream."""
    tenant, name = hub.tenant(), "qwen3-omni-flash"
    model = hub.model(fake, upstream_model=name, provider="qwen")
    answer = hub.post(tenant, ask(model, "#fault=F18 #uncapped", max_tokens=1091))
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    record = hub.record(answer.headers["x-request-id"])
    assert record["finish_reason"] == "length"
    assert "F18" in record["flags"]
    most = tokens_allowed(1091, family_of(name)) + READ_AT_ONCE
    assert 1091 < record["meters"]["out_text"] <= most
    assert record["charge_nano"] <= record["hold_nano"]
    hub.wait(lambda: fake.totals()["open"] == 0, "the upstream goes on")


@pytest.mark.parametrize("lang", ["en", "cjk", "emoji", "mixed"])
@pytest.mark.parametrize("upstream_model", ["fake", "gpt-4o"])
def test_stream_within_its_cap_is_not_cut(
    hub: Hub, fake: FakeUpstream, upstream_model: str, lang: str
) -> None:
    """F18: its own end and its usage come."""
    tenant, model = hub.tenant(), hub.model(fake, upstream_model=upstream_model)
    text = f"#tokens=300 #lang={lang}"
    output = expected_text("a", text, 300, lang)
    cap = count_text(output, family_of(upstream_model))
    answer = hub.post(tenant, ask(model, text, stream=True, max_tokens=cap))
    assert text_of(answer) == output
    record = hub.record(answer.headers["x-request-id"])
    assert (record["basis"], record["flags"]) == ("measured", [])


@plain_and_streamed
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_closed_connection_is_replaced_and_the_request_resent(
    hub: Hub, fake: FakeUpstream, upstream: str, stream: bool
) -> None:
    """F32: the client notices nothing; the attempt that was not heard is at our cost."""
    speaker, tenant, model = SPEAKERS[upstream], hub.tenant(), open_model(hub, fake, upstream)
    warm = send(hub, tenant, speaker, model, speaker.body(model, Wish("warm")), False)
    # By the time of its record the connection has been given back.
    assert hub.record(warm.headers["x-request-id"])["status"] == 200
    wish = Wish(f"#1.fault=F32:reused #tokens=3 {model}", stream)
    answer = send(hub, tenant, speaker, model, speaker.body(model, wish), stream)
    assert answer.status == 200, answer.body
    assert speaker.read(answer).text == expected_text("a", wish.text, 3)
    first, last = hub.records(answer.headers["x-request-id"])
    assert (first["flags"], first["basis"], first["charge_nano"]) == (["F32"], "absorbed", 0)
    assert (last["final"], last["basis"]) == (True, "measured")


@cells
def test_stream_error_names_its_request(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str
) -> None:
    """F14: by the id of the header, where each dialect has room for it."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    body = speaker.body(model, Wish("#fault=F14:close@4 #tokens=20 #delay_ms=5", stream=True))
    answer = send(hub, tenant, speaker, model, body, True)
    assert answer.status == 200
    if client == Converse.name:
        *_, (_, error) = messages(answer.body)
    else:
        error = json.loads(frames(answer.body)[-1][1])
    assert speaker.read(answer).error is not None
    assert request_id_in(error) == answer.headers["x-request-id"]


def request_id_in(error: dict[str, Any]) -> str | None:
    """The id of the request in an error of any dialect."""
    details = error["error"].get("details", []) if isinstance(error.get("error"), dict) else []
    named = [row["requestId"] for row in details if row["@type"].endswith("RequestInfo")]
    return named[0] if named else error.get("request_id")


CUT_CALLS = [(client, upstream) for client, upstream in CELLS if upstream != "gemini"]


@pytest.mark.parametrize(("client", "upstream"), CUT_CALLS)
def test_cut_call_is_never_closed(hub: Hub, fake: FakeUpstream, client: str, upstream: str) -> None:
    """F38: a shortened command can be another valid command. Gemini sends calls whole."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    body = speaker.body(model, Wish("#fault=F38:eof #tokens=0", stream=True, tools=True))
    answer = send(hub, tenant, speaker, model, body, True)
    assert answer.status == 200
    text = speaker.read(answer)
    assert text.error is not None
    assert not text.whole
    for mark in (b"content_block_stop", b"arguments.done", b"functionCall", b'"tool_calls"}'):
        assert mark not in answer.body
    assert b"<b>bold</b>" in answer.body or client == "gemini" or b"otter" in answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert (record["kind"], record["basis"]) == ("upstream_truncated", "estimated")
    assert 0 < record["charge_nano"] <= record["hold_nano"]


@pytest.mark.parametrize(
    ("client", "upstream", "stream"),
    [
        pytest.param(*cell, stream, id=f"{'-'.join(cell)}-{'stream' if stream else 'plain'}")
        for stream in (False, True)
        for cell in CUT_CALLS
        # A whole interaction has whole calls.
        if stream or cell[1] != "interactions"
    ],
)
def test_call_that_was_closed_too_early_is_never_repaired(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool
) -> None:
    """F38: arguments that are no JSON stay none; where the client's dialect has objects only, they
    are shown as the text that they are, or the call that was cut is left out."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    body = speaker.body(model, Wish("#fault=F38:closed #tokens=0", stream, tools=True))
    answer = send(hub, tenant, speaker, model, body, stream)
    try:
        calls = speaker.read(answer).calls
    except json.JSONDecodeError:
        return
    assert len(calls) <= 1
    assert all("city" not in call.arguments for call in calls)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.2:1/v1", "http://169.254.169.254/v1", "http://[::1]:1/v1",
     "http://0.0.0.0:1/v1", "http://localtest:1/v1", "http://2130706434:1/v1"],
)  # fmt: skip
def test_inside_addresses_are_not_reached(hub: Hub, url: str) -> None:
    """P13: only what the operator permits (here 127.0.0.1)."""
    model = hub.model(url, retries=0)
    answer = hub.post(hub.tenant(), ask(model))
    assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")


def test_three_attempts_at_most(hub: Hub, fake: FakeUpstream) -> None:
    """P21: whatever the channels' retries say."""
    tenant, model = hub.tenant(), hub.model(fake, fake, fake, fake, retries=9)
    answer = hub.post(tenant, ask(model, "#fault=F10:500"))
    assert answer.status == 502
    assert len(hub.records(answer.headers["x-request-id"])) == 3


def test_rate_limit_takes_precedence_over_an_unspecific_error(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    """The client is told to wait, and how long."""
    tenant, model = hub.tenant(), hub.model(fake, other_fake)
    text = "#a.fault=F8:seconds #retry_after=7 #b.fault=F10:500"
    answer = hub.post(tenant, ask(model, text))
    assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
    # A little longer than the provider said: not all shall come back at once.
    assert answer.headers["retry-after"] in ("7", "8")
    assert 7000 <= int(answer.headers["retry-after-ms"]) <= 7700


def test_upstream_error_body_is_never_quoted(hub: Hub, fake: FakeUpstream) -> None:
    """F5: it may echo our own key."""
    body: dict[str, Any] = ask(hub.model(fake, retries=0), "#fault=F5:401")
    answer = hub.post(hub.tenant(), body)
    assert answer.error["message"] == ("API request failed: the provider refused the request")
