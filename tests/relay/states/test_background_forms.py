"""Answers that run in the background are their client's in every form: whole, streamed, polled."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from dialects.json.body import read_body
from dialects.streams.background import BackgroundEvents, BackgroundForm
from dialects.streams.sse import FrameSplitter
from relay.states.background_forms import BACKGROUND_KINDS

# By dialect: the member that names the former answer, the one of an event that has the answer, the
# one with an event's name, and the last event of a provider that streams.
MEMBERS: Final = {
    "responses": ("previous_response_id", "response", "type", "response.completed"),
    "interactions": (
        "previous_interaction_id", "interaction", "event_type", "interaction.completed",
    ),
}  # fmt: skip
WAYS: Final[Mapping[str, Callable[[BackgroundForm, BackgroundEvents, bytes, bytes], bytes]]] = {
    "queued": lambda form, events, whole, last: b"",
    "streamed": lambda form, events, whole, last: events.feed(last),
    "whole": lambda form, events, whole, last: events.complete(whole),
    "failed": lambda form, events, whole, last: events.fail("internal", "broken"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dialect", BACKGROUND_KINDS)
def test_answer_names_itself_and_the_one_it_continues(dialect: str, way: str) -> None:
    """By the ids that its client knows, and not by those of the provider."""
    form = BACKGROUND_KINDS[dialect].form
    previous, member, name, last_name = MEMBERS[dialect]
    body = read_body(json.dumps({"model": "m", "background": True, previous: "former"}).encode())
    events = form.open_events(body, "ours", form.queued_response(body, "ours", 7))
    events.begin()
    provided: dict[str, Any] = {"id": "theirs", "status": "completed", previous: "theirs too"}
    last = json.dumps({name: last_name, member: provided})
    raw = WAYS[way](
        form, events, json.dumps(provided).encode(),
        f"event: {last_name}\ndata: {last}\n\n".encode(),
    )  # fmt: skip
    told = [json.loads(one.data or b"") for one in FrameSplitter().feed(raw) if one.event != "done"]
    polled = (
        events.response,
        form.cancel(events.response),
        form.fail(events.response, "internal", ""),
    )
    answers = [event[member] for event in told if member in event] + list(map(json.loads, polled))
    assert {(answer["id"], answer[previous]) for answer in answers} == {("ours", "former")}
