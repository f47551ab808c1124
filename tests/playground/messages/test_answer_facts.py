"""What stands beside an answer: its tokens, charge, speed and versions, and its place in lists."""

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from lib import clock
from lib.ids import id_text, new_id
from playground.answers.late_charges import booked_outcomes
from playground.conversations.conversations import tree_of
from playground.messages import page
from playground.messages.page import Versions
from playground.messages.tool_calls import MOCK_ROUNDS_MAX, calls_context
from playground.models import Conversation, Message, Run, RunState
from tests.support.cast import Cast, make_key
from usage.feedback.rules import GOOD_FROM, Opinion
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db


def chat_of(people: Cast, **over: Any) -> Conversation:
    fields = {"title": "t", "model": "m"} | over
    return Conversation.objects.create(
        organisation=people.acme, team=people.core, user=people.bob, **fields
    )


def say(chat: Conversation, role: str = "assistant", **over: Any) -> Message:
    return Message.objects.create(conversation=chat, role=role, **over)


def facts(people: Cast, state: str = RunState.DONE, **outcome: Any) -> dict[str, Any]:
    """What a page says of an answer with that outcome."""
    message = say(chat_of(people), state=state, request_id=new_id(), parts={"outcome": outcome})
    return page.message_context(message, "acme", None)


@pytest.mark.parametrize(
    ("role", "parts", "shown"),
    [
        ("user", {"files": [{"id": "f"}], "results": [7]}, {"user": True, "files": [{"id": "f"}]}),
        ("user", {}, {"user": True, "files": ()}),
        ("tool", {"results": [{"name": "f"}], "files": [7]},
         {"tool": True, "results": [{"name": "f"}]}),
        ("tool", {}, {"tool": True, "results": ()}),
    ],
)  # fmt: skip
def test_question_shows_its_files_and_a_tool_its_results(
    people: Cast, role: str, parts: dict[str, Any], shown: dict[str, Any]
) -> None:
    context = page.message_context(Message(role=role, parts=parts), "acme", None)
    assert context | shown == context
    assert {"user", "tool", "files", "results", "running"} & set(context) == set(shown)


METERS = {
    "in_text": 2, "in_cache_read": 3, "in_audio_cached": 5, "in_image_cached": 7,
    "out_text": 600, "out_reasoning": 60, "out_audio": 1_000,
}  # fmt: skip


def test_tokens_of_an_answer_are_counted_by_direction(people: Cast) -> None:
    shown = facts(people, basis="measured", meters=METERS, charge_nano=1)
    assert (shown["in_tokens"], shown["out_tokens"], shown["cached_tokens"]) == (17, 1_660, 15)


def test_speed_is_that_of_the_text_after_its_first_token(people: Cast) -> None:
    shown = facts(people, meters=METERS, ttft_ms=2_000, total_ms=13_000)
    assert shown["speed"] == "60.0"
    assert facts(people, meters=METERS, total_ms=13_000)["speed"] == ""
    assert facts(people, meters={"out_audio": 9}, ttft_ms=1, total_ms=13_000)["speed"] == ""


def test_stopping_saved_what_was_held_beyond_the_charge(people: Cast) -> None:
    stopped = facts(people, RunState.STOPPED, hold_nano=500, charge_nano=120)
    assert stopped["saved_nano"] == 380
    assert facts(people, RunState.DONE, hold_nano=500, charge_nano=120)["saved_nano"] == 0


def test_answer_waits_for_its_charge_until_the_books_have_it(people: Cast) -> None:
    assert facts(people)["pending"]
    assert not facts(people, basis="measured")["pending"]
    imported = say(chat_of(people))
    assert not page.message_context(imported, "acme", None)["pending"]


def test_each_basis_of_a_charge_has_its_own_name() -> None:
    names = ("measured", "drained", "estimated", "absorbed", "held", "free")
    labels = [page.basis_label(name) for name in names]
    assert len(set(labels)) == len(names)
    assert all(labels)
    assert page.basis_label("") == ""


@pytest.mark.parametrize(
    ("state", "rateable"),
    [
        (RunState.DONE, True),
        (RunState.STOPPED, True),
        (RunState.FAILED, False),
        (RunState.INTERRUPTED, False),
        (RunState.REFUSED, False),
    ],
)
def test_whole_answers_of_models_can_be_rated(state: str, rateable: bool) -> None:
    assert page.is_rateable(Message(state=state, request_id=new_id())) == rateable
    assert not page.is_rateable(Message(state=state))
    assert not page.is_rateable(Message(state=state, request_id=new_id(), edited=True))


@pytest.mark.parametrize(
    ("score", "rated"), [(None, ""), (GOOD_FROM, "good"), (GOOD_FROM - 1, "bad"), (0, "bad")]
)
def test_thumb_that_is_pressed_is_the_readers(score: int | None, rated: str) -> None:
    opinion = Opinion()._replace(score=score)
    assert page.rating_context(Message(), "acme", opinion)["rated"] == rated


def test_versions_name_their_neighbours(people: Cast) -> None:
    chat = chat_of(people)
    question = say(chat, "user")
    one, two, three = (say(chat, parent=question) for _ in range(3))
    tree = tree_of(chat)
    ids = [id_text(message.id) for message in (one, two, three)]
    assert page.versions_of(tree, one.id) == Versions(1, 3, "", ids[1])
    assert page.versions_of(tree, two.id) == Versions(2, 3, ids[0], ids[2])
    assert page.versions_of(tree, three.id) == Versions(3, 3, ids[1], "")


def test_list_of_chats_is_grouped_by_pin_folder_and_day(people: Cast) -> None:
    noon = timezone.localtime().replace(hour=12)
    days = {"a": 0, "b": 1, "c": 2, "d": 7, "e": 8}
    chats = [
        Conversation(title=title, updated_at=noon - dt.timedelta(days=days[title]))
        for title in days
    ]
    old = chats[-1].updated_at
    chats.append(Conversation(title="in a folder", folder="Rivers", updated_at=old))
    chats.append(Conversation(title="pinned", folder="Rivers", pinned=True, updated_at=old))
    groups = page.chat_groups(chats, {}, "acme")
    shown = [(group.name, [chat.title for chat in group.chats]) for group in groups]
    assert shown[:5] == [
        ("Pinned", ["pinned"]),
        ("Rivers", ["in a folder"]),
        ("Today", ["a"]),
        ("Yesterday", ["b"]),
        ("Last 7 days", ["c", "d"]),
    ]
    assert [titles for _, titles in shown[5:]] == [["e"]]


def test_mock_results_answer_at_most_so_many_times(people: Cast) -> None:
    """Else two programs would talk to each other for good, and be charged for it."""
    call = {"id": "c", "name": "look", "arguments": "{}"}
    chat = chat_of(people)
    tools = [{"name": "look", "mock": "x", "always": True}]

    def automatic(rounds: int) -> bool:
        last = say(chat, "user")
        for _ in range(rounds):
            last = say(chat, "tool", parent=say(chat, parent=last))
        answer = say(chat, parent=last, parts={"calls": [call]}, state=RunState.DONE)
        run = Run(settings={"tools": tools})
        return bool(calls_context(answer, run)["automatic"])

    assert automatic(MOCK_ROUNDS_MAX - 1)
    assert not automatic(MOCK_ROUNDS_MAX)


def test_books_have_a_charge_once_the_answer_has_ended(people: Cast) -> None:
    key, _ = make_key(people.core)
    begun, ended = new_id(), new_id()
    for request, charge_nano in ((begun, 0), (ended, 5)):
        UsageRecord.objects.create(
            organisation=people.acme, id=new_id(), request_id=request, final=request == ended,
            team_id=people.core.id, key_id=key.id, model="m", dialect="openai",
            operation="chat_completions", stream=True, source="playground",
            admitted_at=clock.now(), status=200, total_ms=5, charge_nano=charge_nano,
            basis="measured", meters={},
        )  # fmt: skip
    booked = booked_outcomes(people.acme.id, [begun, ended])
    assert {request: facts["charge_nano"] for request, facts in booked.items()} == {ended: 5}
    assert booked_outcomes(people.stranger.id, [ended]) == {}
