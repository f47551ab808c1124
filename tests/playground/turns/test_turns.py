"""Turns as they are written: who begins one, what it follows, and what stops it (W10)."""

import datetime as dt
from contextlib import nullcontext

import pytest

from accounts.access.actors import SYSTEM
from accounts.models import Role
from accounts.organisations import teams
from lib import clock
from lib.ids import new_id
from playground.answers.late_charges import UNCHARGED, late_charges
from playground.compare.rules import COLUMNS_MAX
from playground.conversations.temporary_chats import STANDS_LEFT
from playground.models import Conversation, LeavingRule, Message, Preference, Run, RunState
from playground.payers.paying import Payer, default_payer
from playground.preferences.unwatched import GRACE_MS
from playground.turns.turns import (
    TEXT_MAX,
    Column,
    Turn,
    TurnForm,
    TurnRefused,
    add_column,
    begin_turns,
    lost_runs,
    messages_before,
    request_stop,
)
from tests.playground.messages.test_answer_facts import chat_of, say
from tests.support.cast import Cast, actor, make_key, member

pytestmark = pytest.mark.django_db
MICROSECOND = dt.timedelta(microseconds=1)


def begin(people: Cast, *models: str, text: str = "Hi", **over: object) -> list[Turn]:
    bob = actor(people.bob, people.acme)
    columns = [Column(model) for model in models or ("m",)]
    payer = default_payer(bob)
    return begin_turns(bob, TurnForm(columns, text, new_id(), payer, **over))  # type: ignore[arg-type]


def end_all() -> None:
    Run.objects.update(ended_at=clock.now(), state=RunState.DONE)
    Message.objects.filter(role="assistant").update(state=RunState.DONE)


def test_token_of_another_person_begins_a_turn_of_ones_own(people: Cast) -> None:
    """P12: a form that arrives again gets its turn back, and no other."""
    bob = actor(people.bob, people.acme)
    carl = actor(member(people.acme, "carl", Role.DEVELOPER), people.acme)
    token = new_id()
    forms = {
        by: TurnForm([Column("m")], text, token, default_payer(by))
        for by, text in ((bob, "of bob"), (carl, "of carl"))
    }
    for fresh in (True, False):
        for by, form in forms.items():
            (turn,) = begin_turns(by, form)
            assert (turn.user_message.content, turn.fresh) == (form.text, fresh)
            assert turn.conversation.user == by.user


@pytest.mark.parametrize(("length", "valid"), [(TEXT_MAX, True), (TEXT_MAX + 1, False)])
def test_message_of_the_greatest_length_is_sent(people: Cast, length: int, valid: bool) -> None:
    with nullcontext() if valid else pytest.raises(TurnRefused, match="too long"):
        begin(people, text="x" * length)
    assert Run.objects.exists() == valid


def test_chat_belongs_to_the_team_of_the_key_that_pays_last(people: Cast) -> None:
    (turn,) = begin(people)
    assert turn.conversation.team == people.core
    end_all()
    side = teams.create_team(people.acme, "Side", actor=SYSTEM)
    key, _ = make_key(side, user=people.bob)
    bob = actor(people.bob, people.acme)
    form = TurnForm(
        [Column("m2", {"system": "x"})], "Hi", new_id(), Payer(key, "dykes"),
        conversation=turn.conversation,
    )  # fmt: skip
    begin_turns(bob, form)
    chat = Conversation.objects.get()
    assert (chat.team, chat.key, chat.project) == (side, key, "dykes")
    assert (chat.model, chat.settings) == ("m2", {"system": "x"})


def test_turn_brings_an_archived_chat_back(people: Cast) -> None:
    chat = chat_of(people, archived_at=clock.now())
    begin(people, conversation=chat)
    chat.refresh_from_db()
    assert chat.archived_at is None


def test_each_column_goes_on_from_its_last_answer_that_is_left(people: Cast) -> None:
    first, second = begin(people, "a", "b", compare=True)
    chat = first.conversation
    end_all()
    newer = say(chat, parent=first.user_message, column=0)
    say(chat, parent=first.user_message, column=0, deleted_at=clock.now())
    say(chat, parent=first.user_message, column=1, deleted_at=clock.now())
    turns = begin(people, "a", "b", text="And?", conversation=chat, compare=True)
    parents = [turn.user_message.parent for turn in turns]
    assert parents == [newer, second.assistant_message]


def test_model_is_added_to_the_last_question_of_a_comparison(people: Cast) -> None:
    """Up to as many as fit side by side."""
    bob = actor(people.bob, people.acme)
    chat = begin(people, "a", "b", compare=True)[0].conversation
    end_all()
    last = begin(people, "a", "b", text="And?", conversation=chat, compare=True)
    end_all()
    payer = default_payer(bob)
    for number in range(2, COLUMNS_MAX):
        turn = add_column(bob, chat, Column(f"m{number}"), new_id(), payer)
        assert (turn.user_message, turn.run.column) == (last[0].user_message, number)
        assert turn.run.batch == last[0].run.batch
    with pytest.raises(TurnRefused, match="up to 4 models"):
        add_column(bob, chat, Column("more"), new_id(), payer)
    alone = begin(people)[0].conversation
    with pytest.raises(TurnRefused, match="up to 4 models"):
        add_column(bob, alone, Column("more"), new_id(), payer)


def test_refused_prompt_is_sent_no_more_but_results_of_tools_are(people: Cast) -> None:
    """Their calls need them. A prompt that failed otherwise stays too."""
    chat = chat_of(people)
    path: list[Message] = []
    for role, state in (
        ("user", "done"), ("assistant", "failed"), ("user", "done"), ("assistant", "refused"),
        ("user", "done"), ("assistant", "done"), ("tool", "done"), ("assistant", "refused"),
    ):  # fmt: skip
        path.append(say(chat, role, parent=path[-1] if path else None, state=state))
    Conversation.objects.filter(id=chat.id).update(leaf=path[-1])
    chat.refresh_from_db()
    bob = actor(people.bob, people.acme)
    form = TurnForm([Column("m")], "And?", new_id(), default_payer(bob), conversation=chat)
    assert messages_before(form) == [*path[:2], *path[4:7]]


def test_first_stop_of_an_answer_counts_and_none_after_its_end(people: Cast) -> None:
    (turn,) = begin(people)
    request_stop(turn.run, stop_seq=3)
    stopped = Run.objects.values().get()
    assert (stopped["stop_seq"], stopped["left"]) == (3, False)
    request_stop(turn.run, left=True, stop_seq=9)
    assert Run.objects.values().get() == stopped
    Run.objects.update(stop_at=None, stop_seq=None, ended_at=clock.now())
    request_stop(turn.run, stop_seq=4)
    assert Run.objects.get().stop_at is None


@pytest.mark.parametrize(
    ("limit_s", "leaving", "temporary", "expected_ms"),
    [
        (None, "keep", False, None),
        (None, "keep", True, STANDS_LEFT // dt.timedelta(milliseconds=1)),
        (5, "keep", False, 5_000),
        (5, "keep", True, 5_000),
        (3600, "keep", True, 60_000),
        (3600, "stop", True, GRACE_MS),
    ],
)
def test_unwatched_answer_ends_at_the_shortest_time_that_applies(
    people: Cast, limit_s: int | None, leaving: str, temporary: bool, expected_ms: int | None
) -> None:
    """The organisation's, the person's, and that of a temporary chat."""
    LeavingRule.objects.create(organisation=people.acme, seconds_max=limit_s)
    Preference.objects.create(user=people.bob, leaving=leaving)
    (turn,) = begin(people, temporary=temporary)
    assert turn.run.unwatched_ms == expected_ms
    assert (turn.run.watched_until is None) == (expected_ms is None)


def test_run_is_lost_after_its_heartbeat_and_before_its_end(people: Cast) -> None:
    (turn,) = begin(people)
    at = clock.now()
    Run.objects.update(heartbeat_at=at)
    assert [lost_runs(at + late * MICROSECOND).count() for late in (0, 1)] == [0, 1]
    end_all()
    assert not lost_runs(at + MICROSECOND).exists()
    assert turn.fresh


def test_answer_in_progress_waits_for_no_charge(people: Cast) -> None:
    """One that has ended without a request has none to wait for."""
    (turn,) = begin(people)
    assert late_charges(people.acme.id, [turn.assistant_message]) == {}
    end_all()
    turn.assistant_message.refresh_from_db()
    charges = late_charges(people.acme.id, [turn.assistant_message])
    assert charges == {turn.run.request_id: dict(UNCHARGED)}
