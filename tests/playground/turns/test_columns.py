"""A model is added to a comparison once, however often its form arrives."""

import threading

import pytest
from django.db import connection, transaction

from lib.ids import new_id
from playground.models import Conversation, Run
from playground.payers.paying import default_payer
from playground.turns.turns import Column, Turn, TurnForm, add_column, begin_turns
from tests.support.cast import Cast, actor, assemble
from tests.support.waiting_locks import await_waiting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people(transactional_db: None) -> Cast:
    return assemble()


def test_form_that_is_sent_twice_at_once_adds_one_column(people: Cast) -> None:
    """Each column is an answer that is charged."""
    bob, token = actor(people.bob, people.acme), new_id()
    payer = default_payer(bob)
    columns = [Column("weir-1"), Column("weir-2")]
    begun = begin_turns(bob, TurnForm(columns, "hi", new_id(), payer, compare=True))
    chat, added = begun[0].conversation, list[Turn]()

    def add() -> None:
        added.append(add_column(bob, chat, Column("weir-3"), token, payer))

    def add_beside() -> None:
        try:
            add()
        finally:
            connection.close()

    second = threading.Thread(target=add_beside)
    with transaction.atomic():
        add()
        second.start()
        await_waiting()
    second.join()
    assert len({turn.run.id for turn in added}) == 1
    assert [turn.fresh for turn in added] == [True, False]
    assert Run.objects.filter(conversation=chat).count() == 3
    assert len(Conversation.objects.get(id=chat.id).columns) == 3
