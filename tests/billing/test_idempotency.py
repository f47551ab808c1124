"""P5: the same key is the same effect and answer; another body 422; in flight 409."""

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import connection
from django.test import RequestFactory

from accounts.access.actors import Actor
from billing.balances.balances import balance
from billing.idempotency import (
    KEPT,
    Answer,
    FormSent,
    KeyInUse,
    KeyInvalid,
    KeyReused,
    answer_idempotently,
    drop_old_answers,
    form_answered,
    run_once,
)
from billing.ledger.ledger import post
from billing.ledger.posting import opening_credit
from billing.models import IdempotentAnswer
from lib import clock
from tests.support import cast

ASKED = ("POST", "/api/v1/credits", b'{"amount":"1"}')


def test_second_request_gets_the_first_answer(alice: Actor) -> None:
    message = iter(range(9))

    def act() -> Answer:
        return Answer(201, {"n": next(message)})

    assert run_once(alice, "k", ASKED, act) == Answer(201, {"n": 0})
    assert run_once(alice, "k", ASKED, act) == Answer(201, {"n": 0}, replayed=True)
    assert run_once(alice, "other", ASKED, act).body == {"n": 1}
    assert run_once(alice, None, ASKED, act).body == {"n": 2}


@pytest.mark.parametrize(
    "asked",
    [("POST", "/api/v1/credits", b'{"amount":"2"}'), ("POST", "/api/v1/top-ups", ASKED[2])],
)
def test_different_request_under_the_key_is_rejected(
    alice: Actor, asked: tuple[str, str, bytes]
) -> None:
    run_once(alice, "k", ASKED, lambda: Answer(201, {}))
    with pytest.raises(KeyReused):
        run_once(alice, "k", asked, lambda: Answer(201, {"never": True}))


def test_a_form_is_sent_once_as_it_is_filled_in(alice: Actor) -> None:
    """Whoever sends it again, from a page with another token, gets the first answer."""
    message = iter(range(9))

    def send(**fields: Any) -> Answer:
        request = RequestFactory().post("/x", fields)
        return form_answered(request, alice, "f", lambda: Answer(201, {"n": next(message)}))

    filled = {"amount": "5", "reason": ["a", "b"]}
    assert send(**filled, csrfmiddlewaretoken="one") == Answer(201, {"n": 0})
    assert send(**filled, csrfmiddlewaretoken="two") == Answer(201, {"n": 0}, replayed=True)
    for other in ({"amount": "6"}, {"reason": ["a"]}, {"note": ""}):
        with pytest.raises(FormSent):
            send(**{**filled, **other}, csrfmiddlewaretoken="one")


def test_rejection_is_not_stored(alice: Actor) -> None:
    def refuse() -> Answer:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_once(alice, "k", ASKED, refuse)
    assert run_once(alice, "k", ASKED, lambda: Answer(200, {})).status == 200


def test_a_colleague_does_not_get_the_answer_of_another(people: cast.Cast, alice: Actor) -> None:
    run_once(alice, "k", ASKED, lambda: Answer(201, {"secret": "s"}))
    with pytest.raises(KeyReused):
        run_once(cast.actor(people.bob, people.acme), "k", ASKED, lambda: Answer(201, {}))


def test_keys_are_apart_for_each_organisation(people: cast.Cast, alice: Actor) -> None:
    charlie = cast.actor(people.charlie, people.stranger)
    run_once(alice, "k", ASKED, lambda: Answer(201, {"of": "acme"}))
    assert run_once(charlie, "k", ASKED, lambda: Answer(201, {"of": "stranger"})).body == {
        "of": "stranger"
    }
    stored = b"".join(bytes(row.sealed) for row in IdempotentAnswer.objects.all())
    assert b"acme" not in stored


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "é"])
def test_invalid_keys(alice: Actor, key: str) -> None:
    with pytest.raises(KeyInvalid):
        run_once(alice, key, ASKED, lambda: Answer(201, {}))


def test_answers_live_for_a_day(alice: Actor) -> None:
    run_once(alice, "k", ASKED, lambda: Answer(201, {"n": 1}))
    IdempotentAnswer.objects.update(created_at=clock.now() - KEPT - dt.timedelta(seconds=1))
    assert run_once(alice, "k", ("POST", "/x", b""), lambda: Answer(201, {"n": 2})).body == {"n": 2}
    assert drop_old_answers() == 0
    IdempotentAnswer.objects.update(created_at=clock.now() - KEPT - dt.timedelta(seconds=1))
    assert drop_old_answers() == 1


@pytest.mark.django_db(transaction=True)
def test_fifty_parallel_requests_have_one_effect(people: cast.Cast) -> None:
    alice = cast.actor(people.alice, people.acme)
    gate, running = threading.Barrier(50), threading.Semaphore(8)
    answers: list[Any] = []

    def act() -> Answer:
        moved = post(opening_credit(people.acme.id, 7))
        return Answer(201, {"moved": moved})

    def ask() -> None:
        gate.wait()
        with running:
            try:
                answers.append(run_once(alice, "k", ASKED, act).body)
            except KeyInUse:
                answers.append(None)
            finally:
                connection.close()

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    inputs = [answer for answer in answers if answer is not None]
    assert inputs
    assert all(answer == {"moved": True} for answer in inputs)
    assert balance(people.acme).available_nano == 7
    assert run_once(alice, "k", ASKED, act) == Answer(201, {"moved": True}, replayed=True)


@pytest.mark.django_db(transaction=True)
def test_repetition_during_the_first_run_is_reported(people: cast.Cast) -> None:
    alice = cast.actor(people.alice, people.acme)
    inside, released = threading.Event(), threading.Event()

    def slow() -> Answer:
        inside.set()
        assert released.wait(10)
        return Answer(201, {"n": 1})

    def first() -> None:
        run_once(alice, "k", ASKED, slow)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    with pytest.raises(KeyInUse):
        run_once(alice, "k", ASKED, slow)
    released.set()
    thread.join()
    assert run_once(alice, "k", ASKED, slow).replayed


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", ""])
def test_over_http_a_key_is_of_one_method_path_and_body(alice: Actor, method: str) -> None:
    """P5: the answer of one request is not that of another one under the same key."""
    message = iter(range(9))

    def ask(method: str, path: str = "/x", body: bytes = b"{}", key: str | None = "k") -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        request = RequestFactory().generic(method, path, body, headers=headers)
        return answer_idempotently(request, alice, lambda: Answer(201, {"n": next(message)}))

    first, again = ask("POST"), ask("POST")
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert first.content == b'{"n": 0}'
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    for answer in (first, again):
        assert answer["Cache-Control"] == "private, no-store"
        assert answer["Content-Type"] == "application/json"
    for other in ((method,), ("POST", "/y"), ("POST", "/x", b"[]")):
        with pytest.raises(KeyReused):
            ask(*other)
    assert ask(method, key=None).content == b'{"n": 1}'
    assert ask(method, key=None).content == b'{"n": 2}'
