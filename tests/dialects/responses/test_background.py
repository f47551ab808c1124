"""Events and states of a response that runs in the background, without a hub."""

import json
from typing import Any

import pytest

from dialects.json.body import read_body
from dialects.responses import background
from dialects.responses.background import BackgroundEvents
from dialects.streams.background import asks_for_background, has_failed, id_of, request_body
from dialects.streams.sse import FrameSplitter

BODY = (
    b'{"model":"m","input":"hi","background":true,"stream":false,"temperature":0.5,'
    b'"previous_response_id":"resp_0","tools":[{"type":"function","name":"f"}]}'
)
FROM_PROVIDER = {"id": "resp_p", "object": "response", "previous_response_id": "resp_p0"}


def events_of(raw: bytes) -> list[dict[str, Any]]:
    frames = FrameSplitter().feed(raw)
    events = [json.loads(frame.data or b"") for frame in frames]
    assert [frame.event for frame in frames] == [event["type"] for event in events]
    return events


def frame(kind: str, **members: Any) -> bytes:
    event = json.dumps({"type": kind, "sequence_number": 99, **members})
    return f"event: {kind}\ndata: {event}\n\n".encode()


def begun() -> BackgroundEvents:
    body = read_body(BODY)
    events = BackgroundEvents(body, "resp_w", background.queued_response(body, "resp_w", 7))
    events.begin()
    return events


def test_the_queued_response_repeats_its_request() -> None:
    queued = json.loads(background.queued_response(read_body(BODY), "resp_w", 7))
    told = ("id", "object", "created_at", "status", "background", "store", "model", "output")
    assert [queued[name] for name in told] == [
        "resp_w", "response", 7, "queued", True, True, "m", [],
    ]  # fmt: skip
    assert (queued["temperature"], queued["top_p"]) == (0.5, 1.0)
    assert queued["tools"] == [{"type": "function", "name": "f"}]
    assert queued["previous_response_id"] == "resp_0"


def test_the_run_is_streamed_and_not_in_the_background() -> None:
    sent = json.loads(request_body(read_body(BODY)))
    assert (sent["stream"], "background" in sent) == (True, False)


@pytest.mark.parametrize(
    ("member", "asks"),
    [('"background":true', True), ('"background":false', False), ('"background":null', False)],
)
def test_only_true_requests_the_background(member: str, asks: bool) -> None:
    body = read_body(f'{{"model":"m",{member}}}'.encode())
    assert asks_for_background(body) is asks


def test_events_get_our_id_and_numbers() -> None:
    body = read_body(BODY)
    events = BackgroundEvents(body, "resp_w", background.queued_response(body, "resp_w", 7))
    raw = events.begin()
    raw += events.feed(b": ping\n\n" + frame("response.created", response=FROM_PROVIDER))
    assert not events.ended
    raw += events.feed(frame("response.in_progress", response=FROM_PROVIDER))
    raw += events.feed(frame("response.output_text.delta", item_id="msg_1", delta="a")[:20])
    raw += events.feed(frame("response.output_text.delta", item_id="msg_1", delta="a")[20:])
    last = frame("response.completed", response=FROM_PROVIDER | {"status": "completed"})
    raw += events.feed(last + frame("response.output_text.delta", delta="after the end"))
    raw += events.feed(b"data: [DONE]\n\n")
    seen = events_of(raw)
    assert [(event["sequence_number"], event["type"]) for event in seen] == [
        (0, "response.created"),
        (1, "response.queued"),
        (2, "response.in_progress"),
        (3, "response.output_text.delta"),
        (4, "response.completed"),
    ]
    for event in seen:
        response = event.get("response", {"id": "resp_w", "background": True})
        assert (response["id"], response["background"]) == ("resp_w", True)
    assert seen[-1]["response"]["previous_response_id"] == "resp_0"
    assert events.ended
    assert json.loads(events.response) == seen[-1]["response"]


def test_an_error_in_the_stream_is_a_failed_response() -> None:
    events = begun()
    (event,) = events_of(events.feed(frame("error", code="x", message="gone", param=None)))
    assert (event["type"], event["sequence_number"]) == ("response.failed", 2)
    error = {"code": "server_error", "message": "gone"}
    assert (event["response"]["status"], event["response"]["error"]) == ("failed", error)
    assert events.ended
    assert has_failed(events.response)


def test_a_whole_answer_is_its_last_event() -> None:
    events = begun()
    raw = json.dumps(FROM_PROVIDER | {"status": "incomplete"}).encode()
    (event,) = events_of(events.complete(raw))
    assert (event["type"], event["response"]["id"]) == ("response.incomplete", "resp_w")


def test_our_own_ends() -> None:
    queued = background.queued_response(read_body(BODY), "resp_w", 7)
    cancelled = background.cancel(queued)
    assert json.loads(cancelled)["status"] == "cancelled"
    assert not has_failed(cancelled)
    failed = background.fail(queued, "upstream_rate_limited", "later")
    assert json.loads(failed)["error"] == {"code": "rate_limit_exceeded", "message": "later"}
    (event,) = events_of(background.failed_event(failed, 5))
    assert (event["sequence_number"], event["response"]["status"]) == (5, "failed")


@pytest.mark.parametrize(
    ("raw", "number"),
    [(b'data: {"sequence_number":7}\n\n', 7), (b"data: {}\n\n", None), (b"data: x\n\n", None)],
)
def test_numbers_of_stored_events(raw: bytes, number: int | None) -> None:
    (one,) = FrameSplitter().feed(raw)
    assert background.number_of(one) == number


def test_ids_of_responses() -> None:
    assert id_of(json.dumps(FROM_PROVIDER).encode()) == "resp_p"
    assert id_of(b"[]") == ""
