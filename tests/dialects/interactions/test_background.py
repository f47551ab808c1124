"""Events and states of an interaction that runs in the background, without a hub."""

import json
from typing import Any

import pytest

from dialects.interactions import background
from dialects.interactions.background import BackgroundEvents
from dialects.json.body import read_body
from dialects.streams.background import has_failed, id_of, lacks_usage, request_body
from dialects.streams.sse import Frame, FrameSplitter
from dialects.usage.usage import Counts

BODY = b'{"model":"m","input":"hi","background":true,"previous_interaction_id":"v1_0"}'
DONE = b"event: done\ndata: [DONE]\n\n"
FROM_PROVIDER = {"id": "p", "object": "interaction", "previous_interaction_id": "p0"}


def events_of(raw: bytes) -> list[dict[str, Any]]:
    frames = FrameSplitter().feed(raw.removesuffix(DONE))
    events = [json.loads(frame.data or b"") for frame in frames]
    assert [frame.event for frame in frames] == [event["event_type"] for event in events]
    return events


def frame(kind: str, **members: Any) -> bytes:
    event = json.dumps({"event_type": kind, "event_id": "99", **members})
    return f"event: {kind}\ndata: {event}\n\n".encode()


def begun(raw: bytes = BODY) -> BackgroundEvents:
    body = read_body(raw)
    events = BackgroundEvents(body, "v1_w", background.queued_response(body, "v1_w", 7))
    events.begin()
    return events


def test_previous_interaction_while_it_runs() -> None:
    assert json.loads(background.queued_response(read_body(BODY), "v1_w", 7)) == {
        "id": "v1_w",
        "object": "interaction",
        "status": "in_progress",
        "model": "m",
        "created": "1970-01-01T00:00:07Z",
        "updated": "1970-01-01T00:00:07Z",
        "previous_interaction_id": "v1_0",
    }
    assert json.loads(request_body(read_body(BODY)))["stream"] is True


def test_its_stream_begins_with_our_events() -> None:
    body = read_body(BODY)
    events = background.open_events(body, "v1_w", background.queued_response(body, "v1_w", 7))
    first = {"id": "v1_w", "status": "in_progress", "object": "interaction", "model": "m"}
    assert events_of(events.begin()) == [
        {"interaction": first, "event_type": "interaction.created", "event_id": "0"},
        {
            "interaction_id": "v1_w",
            "status": "in_progress",
            "event_type": "interaction.status_update",
            "event_id": "1",
        },
    ]


def test_the_providers_events_follow_under_our_id() -> None:
    """Their beginning has been said already; the whole has the steps, its last event has not."""
    events = begun()
    text = {"type": "text", "text": "hello"}
    sent = (
        frame("interaction.created", interaction=FROM_PROVIDER),
        frame("interaction.status_update", interaction_id="p", status="in_progress"),
        frame("step.start", index=0, step={"type": "model_output"}),
        frame("step.delta", index=0, delta=text),
        frame("step.delta", index="no number", delta=text),
        frame("step.stop", index=0),
        frame("interaction.status_update", interaction_id="p", status="requires_action"),
        b": a comment\n\n",
        b"data: no event\n\n",
        frame("interaction.completed", interaction=FROM_PROVIDER | {"status": "completed"}),
    )
    raw = events.feed(b"".join(sent))
    heard = events_of(raw)
    assert raw.endswith(DONE)
    assert [(event["event_type"], event["event_id"]) for event in heard] == [
        ("step.start", "2"),
        ("step.delta", "3"),
        ("step.delta", "4"),
        ("step.stop", "5"),
        ("interaction.status_update", "6"),
        ("interaction.completed", "7"),
    ]
    assert heard[4]["interaction_id"] == "v1_w"
    named = FROM_PROVIDER | {"id": "v1_w", "previous_interaction_id": "v1_0", "status": "completed"}
    assert heard[5]["interaction"] == named
    steps = [{"type": "model_output", "content": [text]}]
    assert json.loads(events.response) == named | {"steps": steps}
    assert events.ended
    assert events.feed(frame("step.stop", index=0)) == b""


def test_end_with_steps_keeps_them() -> None:
    events, steps = begun(b'{"model":"m"}'), [{"type": "model_output", "content": []}]
    whole = {"id": "p", "status": "completed", "steps": steps}
    raw = events.feed(frame("interaction.completed", interaction=whole))
    assert json.loads(events.response) == whole | {"id": "v1_w"}
    assert events_of(raw)[0]["interaction"]["steps"] == steps


def test_failed_end_has_no_marker_after_it() -> None:
    events = begun()
    failed = {"status": "failed", "errors": [{"code": "internal", "message": "x"}]}
    raw = events.feed(frame("interaction.completed", interaction=failed))
    assert not raw.endswith(DONE)
    assert has_failed(events.response)


@pytest.mark.parametrize("error", [{"code": "internal", "message": "x"}, {}])
def test_provider_error_is_the_end(error: dict[str, str]) -> None:
    events = begun()
    assert events_of(events.feed(frame("error", error=error))) == [
        {"event_type": "error", "event_id": "2", "error": error}
    ]
    whole = json.loads(events.response)
    assert (whole["status"], whole["errors"], events.ended) == ("failed", [error], True)


def test_an_answer_that_arrived_whole() -> None:
    events, whole = begun(), {"id": "p", "status": "completed", "steps": []}
    raw = events.complete(json.dumps(whole).encode())
    named = whole | {"id": "v1_w", "previous_interaction_id": "v1_0"}
    assert events_of(raw)[0]["interaction"] == named == json.loads(events.response)
    assert raw.endswith(DONE)
    assert events.ended


def test_failed_interaction_gives_its_reason_everywhere() -> None:
    events = begun()
    (last,) = events_of(events.fail("internal", "broken"))
    assert last["error"] == {"code": "internal", "message": "broken"}
    assert events.ended
    failed = background.fail(begun().response, "internal", "broken")
    assert json.loads(failed)["errors"] == [last["error"]]
    assert failed == events.response
    assert lacks_usage(failed)
    assert events_of(background.failed_event(failed, 2)) == [last]
    counted = background.with_usage(failed, Counts(input=3, output=4))
    assert json.loads(counted)["usage"]["total_output_tokens"] == 4
    assert not lacks_usage(counted)
    # One of another release, or of a provider.
    assert events_of(background.failed_event(b'{"status":"failed"}', 0))[0]["error"] == {}


def test_cancelled_interaction_is_not_failed() -> None:
    cancelled = background.cancel(begun().response)
    assert (id_of(cancelled), json.loads(cancelled)["status"]) == ("v1_w", "cancelled")
    assert not has_failed(cancelled)
    assert id_of(b"nothing") == ""


@pytest.mark.parametrize(
    ("raw", "number", "ends"),
    [
        (frame("step.stop", event_id="12"), 12, False),
        (frame("step.stop", event_id="x"), None, False),
        (frame("error"), 99, True),
        (frame("interaction.completed"), 99, True),
        (DONE, None, True),
    ],
)
def test_numbers_and_ends_of_stored_events(raw: bytes, number: int | None, ends: bool) -> None:
    (event,) = FrameSplitter().feed(raw)
    assert (background.number_of(event), background.is_end(event)) == (number, ends)
    assert background.number_of(Frame(b"", "", None)) is None
