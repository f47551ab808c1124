"""The page shows the actual cost of an answer, also of one that ended before the books had it."""

import datetime as dt
import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils.html import strip_tags

from lib import clock
from lib.ids import first_id_at, id_text
from lib.numbers.formatting import MISSING
from playground.answers.late_charges import late_charges
from playground.chats.export_import import markdown_of
from playground.chats.sharing import share_branch
from playground.compare_page.compare import last_batch, summary_context
from playground.models import Conversation, Message, Run, RunState
from playground.payers.paying import default_payer
from tests.playground.panel.test_panel import compare
from tests.playground.sending.test_views import HELLO, chat_of, page, people, send
from tests.support.cast import Cast, actor, signed_in
from tests.usage.rows import admit, credit, end
from usage.models import Attempt, DetachedMonth

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

PENDING = "charge pending"


def shown(people: Cast) -> str:
    html = page(people.bob, chat_of(people.bob)).content.decode()
    return " ".join(strip_tags(html).split())


def lose_charge(run: Run, state: RunState, outcome: dict[str, Any]) -> None:
    """As if the books had not had the charge when the run ended."""
    Run.objects.filter(id=run.id).update(state=state, outcome=outcome)
    Message.objects.filter(id=run.assistant_message_id).update(state=state)


def request(people: Cast, run: Run) -> Attempt:
    """Send the request of a run, which the books then have as running."""
    key = default_payer(actor(people.bob, people.acme)).key
    credit(key)
    return admit(key, request_id=run.request_id)


def book(attempt: Attempt, **over: Any) -> None:
    """Settle a request for $0.345."""
    end(attempt, charge_nano=345_000_000, **over)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (RunState.STOPPED, {}),
        (RunState.INTERRUPTED, {"kind": "interrupted"}),
        (RunState.FAILED, {"kind": "internal", "status": 500, "expected_nano": 5}),
    ],
)
def test_charge_appears_once_the_books_have_it(
    people: Cast, state: RunState, outcome: dict[str, Any]
) -> None:
    send(people.bob, HELLO, text="one")
    run = Run.objects.get()
    lose_charge(run, state, outcome)
    attempt = request(people, run)
    text = shown(people)
    assert PENDING in text
    assert "You were not charged." not in text
    book(attempt, basis="drained", meters={"in_text": 7, "out_text": 41})
    text = shown(people)
    assert PENDING not in text
    assert "$0.345 (measured after disconnect)" in text
    assert "7 in, 41 out" in text
    assert ("You were charged $0.345" in text) is (state == RunState.FAILED)
    debug = signed_in(people.bob).get(reverse("run_debug", args=["acme", run.text_id]))
    assert "$0.345" in debug.content.decode()
    assert "7 in, 41 out, $0.345" in markdown_of(run.conversation)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (RunState.INTERRUPTED, {"kind": "interrupted"}),
        (RunState.FAILED, {"kind": "internal", "status": 500}),
    ],
)
def test_run_that_was_killed_before_its_request_waits_for_no_charge(
    people: Cast, state: RunState, outcome: dict[str, Any]
) -> None:
    """If the request was sent after all, its charge appears."""
    send(people.bob, HELLO, text="one")
    run = Run.objects.get()
    lose_charge(run, state, outcome)
    text = shown(people)
    assert PENDING not in text
    assert ("You were not charged." in text) is (state == RunState.FAILED)
    book(request(people, run))
    assert "$0.345" in shown(people)


def test_run_of_a_month_in_a_file_is_not_taken_for_free(people: Cast) -> None:
    send(people.bob, HELLO, text="one")
    run = Run.objects.get()
    lose_charge(run, RunState.INTERRUPTED, {"kind": "interrupted"})
    now = clock.now()
    DetachedMonth.objects.create(
        month=now.date().replace(day=1), from_at=now - dt.timedelta(days=31), to_at=now,
        first_id=first_id_at(now - dt.timedelta(days=31)),
        end_id=first_id_at(now + dt.timedelta(days=1)), price_version_ids=[],
    )  # fmt: skip
    assert PENDING in shown(people)


def test_answer_with_its_charge_asks_the_books_nothing(
    people: Cast, django_assert_num_queries: Any
) -> None:
    send(people.bob, HELLO, text="one")
    run = Run.objects.get()
    with django_assert_num_queries(0):
        assert late_charges(people.acme.id, [run]) == {}


def test_sum_of_a_comparison_leaves_no_charge_out(people: Cast) -> None:
    """Afterwards, the page shows the sum of the actual costs."""
    compare(people.bob)
    run = Run.objects.get(column=1)
    lose_charge(run, RunState.STOPPED, {})
    attempt = request(people, run)
    chat = Conversation.objects.get()
    summary = summary_context(chat, last_batch(chat), "acme")
    assert [row.charge_nano for row in summary["results"]] == [1_800, None, 1_800]
    assert summary["total_nano"] is None
    assert f"All columns {MISSING} " in shown(people)
    book(attempt)
    assert summary_context(chat, last_batch(chat), "acme")["total_nano"] == 345_003_600
    text = shown(people)
    assert PENDING not in text
    assert "Stopped $0.345" in text
    assert "charged $0.345" in text
    assert "All columns $0.345 " in text


def test_shared_chat_has_a_late_charge(people: Cast) -> None:
    send(people.bob, HELLO, text="one")
    run = Run.objects.get()
    lose_charge(run, RunState.STOPPED, {})
    book(request(people, run))
    link, _ = share_branch(
        actor(people.bob, people.acme), run.conversation, days=None, members_only=True,
        system_shown=True, cost_shown=True,
    )  # fmt: skip
    assert [turn.get("charge_nano") for turn in link.snapshot["turns"]] == [None, 345_000_000]


def test_imported_answer_without_a_charge_waits_for_none(people: Cast) -> None:
    send(people.bob, HELLO, text="one")
    client, chat = signed_in(people.bob), Conversation.objects.get()
    url = reverse("chat_export", args=["acme", id_text(chat.id), "json"])
    document = json.loads(client.get(url).content)
    for message in document["messages"]:
        message.pop("outcome", None)
    chat.delete()
    file = SimpleUploadedFile("chat.json", json.dumps(document).encode())
    client.post(reverse("chat_import", args=["acme"]), {"chat": file})
    text = shown(people)
    assert "Good day" in text
    assert PENDING not in text
