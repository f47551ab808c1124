"""What a comparison says of its answers, and whose votes count (W11)."""

from typing import Any

import pytest

from lib.ids import new_id
from playground.compare.rules import rank_models
from playground.compare_page import compare
from playground.models import Conversation, Run, RunState, Vote
from tests.playground.messages.test_answer_facts import chat_of, say
from tests.support.cast import Cast, actor, make_key
from tests.usage.rows import admit, credit

pytestmark = pytest.mark.django_db


def sent(chat: Conversation, *outcomes: dict[str, Any] | None) -> list[Run]:
    """The runs of one Send, one of each column."""
    question, batch = say(chat, "user"), new_id()
    return [
        Run.objects.create(
            conversation=chat, user_message=question, user=chat.user, model=f"m{number}",
            assistant_message=say(chat, parent=question, column=number), batch=batch,
            column=number, token=new_id(), request_id=new_id(), process="p", outcome=outcome,
            state=RunState.DONE, ended_at=chat.created_at,
        )
        for number, outcome in enumerate(outcomes)
    ]  # fmt: skip


def test_sum_of_a_comparison_waits_for_every_charge(people: Cast) -> None:
    chat = chat_of(people, columns=[{"model": "m0"}, {"model": "m1"}])
    chat.refresh_from_db()
    known = {"charge_nano": 5, "basis": "measured", "meters": {"in_text": 2, "out_text": 3}}
    whole = sent(chat, known, {**known, "charge_nano": 7})
    shown = compare.summary_context(chat, whole, "acme")
    assert (shown["total_nano"], shown["ended"]) == (12, True)
    assert [(one.tokens, one.letter) for one in shown["results"]] == [(3, "A"), (3, "B")]
    part = sent(chat, known, None)
    key, _ = make_key(people.core)
    credit(key)
    admit(key, request_id=part[1].request_id)
    assert compare.summary_context(chat, part, "acme")["total_nano"] is None
    assert compare.last_batch(chat) == part


def test_names_are_hidden_until_the_last_answers_have_a_vote(people: Cast) -> None:
    chat = chat_of(people, columns=[{"model": "m0", "blind": True}, {"model": "m1"}])
    chat.refresh_from_db()
    by, first = actor(people.bob, people.acme), sent(chat, {}, {})
    assert compare.is_blind(chat, first)
    compare.cast_vote(by, first, "m1")
    assert not compare.is_blind(chat, first)
    assert compare.is_blind(chat, sent(chat, {}, {}))
    assert not compare.is_blind(chat_of(people, columns=[{"model": "m0"}]), first)


def test_vote_is_for_one_of_the_models_and_the_last_one_counts(people: Cast) -> None:
    chat = chat_of(people, columns=[{"model": "m0"}, {"model": "m1"}])
    chat.refresh_from_db()
    batch, by = sent(chat, {}, {}), actor(people.bob, people.acme)
    for winner, stored in (("m0", "m0"), ("another", ""), ("m1", "m1")):
        compare.cast_vote(by, batch, winner)
        assert Vote.objects.get().winner == stored
    assert [row.model for row in compare.organisation_standings(by)] == ["m1", "m0"]
    assert compare.organisation_standings(actor(people.charlie, people.stranger)) == []


def test_answer_that_is_kept_goes_on_alone_with_its_own_settings(people: Cast) -> None:
    chat = chat_of(people, model="m0", settings={"system": "Be long."},
                   columns=[{"model": "m0"}, {"model": "m1", "preset": "p"}])  # fmt: skip
    run = sent(chat, {}, {})[1]
    run.settings = {"system": "Be brief."}
    answer = run.assistant_message
    answer.run, answer.model = run, "m1"
    compare.keep_column(answer)
    chat.refresh_from_db()
    assert (chat.columns, chat.leaf, chat.model) == ([], answer, "m1")
    assert chat.settings == {"system": "Be brief."}


def test_model_with_few_votes_is_not_yet_the_best() -> None:
    often = [(("a", "b"), "a")] * 80 + [(("a", "b"), "b")] * 20
    assert rank_models([*often, (("c", "b"), "c")])[0].model == "a"
