"""Chats of the playground."""

import datetime as dt
import json
from typing import Any, Final

from billing.models import Budget
from lib import clock
from lib.ids import id_text, new_id
from playground.models import Conversation, Message, RunEvent, RunState
from tests.house.outlines.scenes.scene import Scene
from tests.house.outlines.scenes.talk import Talk, charged, file_of, place_of
from tests.isolation.world import World
from usage.models import Feedback

_HTMX: Final = {"HX-Request": "true"}
_NOTES: Final = {"type": "array", "items": {"type": "object", "required": ["name", "sum"]}}
_CITY: Final = {
    "type": "object", "required": ["city"],
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
}  # fmt: skip
_TOOLS: Final = [
    {"name": "get_weather", "parameters": _CITY, "mock": {"sky": "clear"}, "always": True},
    {"name": "find_train", "parameters": _CITY, "mock": "at noon"},
    {"name": "book_room", "parameters": _CITY},
]


def _log_of(talk: Talk) -> str:
    chat = id_text(talk.chat.id)
    return f"/o/{talk.at.organisation.slug}/playground/c/{chat}/_f/log"


def _rate(talk: Talk, answer: Message, score: int, comment: str = "") -> None:
    at = talk.at
    assert answer.request_id is not None
    Feedback.objects.create(
        organisation=at.organisation, request_id=answer.request_id, author_key_id=at.key.id,
        author=at.user, team_id=at.team.id, key_id=at.key.id, user_id=at.user.pk, model="m-1",
        score=score, comment=comment,
    )  # fmt: skip


def _answers_that_are_whole(world: World) -> str:
    talk = Talk(place_of(world), "Whole answers")
    talk.ask(
        "What is on the picture?",
        [file_of(new_id(), "weir.png", "image", "image/png", 2_300),
         file_of(new_id(), "notes.pdf", "file", "application/pdf", 4_100_000)],
    )  # fmt: skip
    meters = {"in_text": 1_301, "in_cache_read": 307, "out_text": 211, "out_reasoning": 103}
    first = talk.answer(
        "A weir[^1].",
        charged(
            17_000_000, meters=meters, expected_nano=19_000_000, hold_nano=23_000_000,
            ttft_ms=410, total_ms=5_410, thought_ms=2_900,
        ) | {"settings": {"params": {"n": 3}}},
        reasoning="I look at the water.",
        parts={
            "sources": [{"url": "https://example.org/weirs", "title": "On weirs"},
                        {"url": "https://example.com/dams", "title": ""},
                        {"url": "ftp://example.net/locks", "title": "On locks"}],
            "media": [{"id": str(new_id()), "kind": "image", "media_type": "image/png"},
                      {"id": str(new_id()), "kind": "audio", "media_type": "audio/mpeg"}],
            "tokens": [{"text": "A", "logprob": -0.1, "top": [["A", -0.1]]}],
            "summary": [{"text": "They asked about a picture."}],
        },
    )  # fmt: skip
    _rate(talk, first, 100, "Right")
    question = talk.ask("And a lock?")
    for number, text in enumerate(("Old", "Middle", "New"), 1):
        one = talk.answer(
            text,
            charged(
                number * 1_000_000, meters={"in_text": 1_009, "out_text": 13},
                basis=("estimated", "absorbed", "drained")[number - 1],
            ) | {"settings": {"params": {"max_output": 40}}},
            parent=question,
        )  # fmt: skip
        if number == 2:
            _rate(talk, one, 0)
            Conversation.objects.filter(id=talk.chat.id).update(leaf=one)
    return _log_of(talk)


def _answers_that_were_edited_or_stopped(world: World) -> str:
    talk = Talk(place_of(world), "Edited and stopped answers")
    talk.ask("Begin")
    talk.say("assistant", "In my own words", model="m-1", edited=True)
    talk.ask("Go on")
    talk.answer(
        "The page was",
        charged(29_000_000, hold_nano=131_000_000, meters={"out_text": 37}) | {"left": True},
        state=RunState.STOPPED,
    )
    talk.ask("Go on again")
    talk.answer("I was", charged(0, basis="free"), state=RunState.STOPPED)
    talk.ask("More")
    talk.answer(
        "", charged(31_000_000, finish_reason="length", head={"dropped": ["top_k", "seed"]})
    )
    talk.ask("More yet")
    talk.answer(
        "It may",
        charged(37_000_000, finish_reason="content_filter", head={"output_cap": 1_234}),
    )
    return _log_of(talk)


def _answers_that_failed(world: World) -> str:
    talk = Talk(place_of(world), "Failed answers")
    talk.ask("A")
    talk.answer(
        "Half of it",
        charged(41_000_000, kind="upstream_truncated", message="the stream broke off"),
        state=RunState.FAILED,
    )
    talk.ask("B")
    budget = Budget.objects.filter(organisation=world.acme).earliest("id")
    facts = {"kind": "insufficient_balance", "message": "no", "budget_id": budget.id}
    talk.answer("", {"outcome": facts}, state=RunState.FAILED)
    talk.ask("C")
    talk.answer(
        "", {"outcome": {"kind": "max_cost_exceeded", "message": "It could cost 43 dollars."}},
        state=RunState.REFUSED,
    )  # fmt: skip
    talk.ask("D")
    talk.answer(
        "", {"outcome": {"kind": "provider_rejected", "message": "top_k is too high"}},
        state=RunState.FAILED,
    )  # fmt: skip
    talk.ask("E")
    talk.answer("So far", {"outcome": {}}, state=RunState.INTERRUPTED)
    return _log_of(talk)


def _answers_in_json(world: World) -> str:
    talk = Talk(place_of(world), "Answers in JSON")
    for text, settings in (
        ('[{"name": "Ann", "sum": 7}, {"name": "Bo", "sum": 11}]', {"schema": _NOTES}),
        ('[{"name": "Cy"}]', {"schema": _NOTES}),
        ('[{"name": "Di"}, {"sum": 13}]', {"schema": _NOTES}),
        ('{"list": [{"name": "Ed", "tags": ["x"]}, {"age": 17}]}',
         {"raw": {"response_format": {"type": "json_object"}}}),
        ('{"name": ', {"raw": {"response_format": {"type": "json_object"}}}),
    ):  # fmt: skip
        talk.answer(text, charged(47_000_000) | {"settings": settings}, parent=talk.ask("List"))
    return _log_of(talk)


def _calls(*calls: tuple[str, str]) -> dict[str, Any]:
    return {
        "calls": [
            {"id": f"call_{number}", "name": name, "arguments": arguments}
            for number, (name, arguments) in enumerate(calls)
        ]
    }


def _calls_of_tools(world: World) -> str:
    talk, ran = Talk(place_of(world), "Calls of tools"), {"settings": {"tools": _TOOLS}}
    talk.ask("Will it rain?")
    called = _calls(("get_weather", '{"city": "Ghent", "days": 3}'), ("get_clouds", "{}"))
    talk.answer("", charged(53_000_000) | ran, parts=called)
    talk.say(
        "tool",
        parts={"results": [
            {"call_id": "call_0", "name": "get_weather", "content": "It rains.", "failed": False},
            {"call_id": "call_1", "name": "get_clouds", "content": "No such tool.", "failed": True},
        ]},
    )  # fmt: skip
    talk.answer("", charged(59_000_000) | ran, parts=_calls(("get_weather", '{"city": "Lier"}')))
    talk.say(
        "tool",
        parts={"results": [{"call_id": "call_0", "name": "get_weather", "content": "Dry."}]},
    )
    called = _calls(
        ("get_weather", '{"city": 5, "days": "many"}'), ("find_train", '{"city": "Mol"}'),
        ("book_room", '{"city"'),
    )  # fmt: skip
    talk.answer("Let me look.", charged(61_000_000) | ran, parts=called)
    return _log_of(talk)


def _answer_by_mocks(world: World) -> str:
    talk, ran = Talk(place_of(world), "Mocks"), {"settings": {"tools": _TOOLS}}
    talk.ask("Will it snow?")
    talk.answer("", charged(67_000_000) | ran, parts=_calls(("get_weather", '{"city": "Ghent"}')))
    return _log_of(talk)


def _answer_that_is_being_written(world: World) -> str:
    talk = Talk(place_of(world), "An answer that is being written")
    talk.ask("Tell me of rivers")
    answer = talk.answer("", {"unwatched_ms": 9_000}, state=RunState.RUNNING)
    assert answer.run is not None
    call = {"index": 0, "id": "call_0", "type": "function",
            "function": {"name": "find_train", "arguments": '{"city": "Mo'}}  # fmt: skip
    wire = {"id": "c", "object": "chat.completion.chunk", "choices": [
        {"index": 0, "delta": {"tool_calls": [call]}}]}  # fmt: skip
    for seq, fields in enumerate((
        {"reasoning": "I think of water."}, {"text": "Rivers **meander"},
        {"wire": f"data: {json.dumps(wire)}\n\n"},
    ), 1):  # fmt: skip
        RunEvent.objects.create(run=answer.run, seq=seq, html="", **fields)
    return _log_of(talk)


def _answer_that_waits(world: World) -> str:
    talk = Talk(place_of(world), "An answer that waits")
    talk.ask("And then?")
    talk.answer("", state=RunState.RUNNING)
    return _log_of(talk)


def _list_of_chats(world: World) -> str:
    place = place_of(world)
    now = clock.now()
    Conversation.objects.filter(user=place.user).update(archived_at=now)
    Talk(place, "Pinned one", pinned=True)
    Talk(place, "One in a folder", folder="Rivers")
    Talk(place, "One of last week", updated_at=now - dt.timedelta(days=4))
    Talk(place, "One of a month", updated_at=dt.datetime(2026, 2, 14, tzinfo=dt.UTC))
    Talk(place, "Being named", pinned=True, named_by="pending")
    talk = Talk(place, "Being answered", pinned=True)
    talk.ask("Who?")
    talk.answer("", state=RunState.RUNNING)
    return f"/o/{place.organisation.slug}/playground/_f/chats"


def _chats(query: str) -> Any:
    return lambda world: f"/o/{world.acme.slug}/playground/_f/chats?{query}"


def _none_archived(world: World) -> str:
    Conversation.objects.filter(user=place_of(world).user).update(archived_at=None)
    return str(_chats("archived=1")(world))


SCENES: Final = (
    Scene("answers that are whole", _answers_that_are_whole, headers=_HTMX),
    Scene(
        "answers that were edited or stopped", _answers_that_were_edited_or_stopped, headers=_HTMX
    ),
    Scene("answers that failed", _answers_that_failed, headers=_HTMX),
    Scene("answers in JSON", _answers_in_json, headers=_HTMX),
    Scene("calls of tools", _calls_of_tools, headers=_HTMX),
    Scene("call that a mock answers", _answer_by_mocks, headers=_HTMX),
    Scene("answer that is being written", _answer_that_is_being_written, headers=_HTMX),
    Scene("answer that waits", _answer_that_waits, headers=_HTMX),
    Scene("list of chats", _list_of_chats, headers=_HTMX),
    Scene("chats that are searched for", _chats("q=no+such+words"), headers=_HTMX),
    Scene("chats of which none is archived", _none_archived, headers=_HTMX),
)
