"""The pages of the playground: who sees what, what is sent, what is refused."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest
from django.test import AsyncClient, Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.guards.stream_access import CHECK_S, reader_of
from accounts.key_uses.last_uses import PLAYGROUND
from accounts.members import members
from accounts.models import CustomRole, Organisation, Role, User
from accounts.organisations import organisations
from billing.prices import prices
from dialects.chat.chat import ChatRequest
from dialects.chat.events import End, Event, Finish, TextDelta
from dialects.errors.errors import RequestFault
from dialects.openai.stream.encode import Encoder
from gateway.models import Channel, Route
from lib import clock
from lib.database.async_database import run_in_database
from lib.id_types import KeyId, OrganisationId, TeamId, UserId
from lib.ids import id_text, new_id
from playground.answers.events import PartialAnswer
from playground.answers.notifications import _POLL_S
from playground.conversations import title_rules
from playground.messages.page import ask_href, error_text
from playground.models import Conversation, Message, Run, RunState
from playground.payers.paying import default_payer
from playground.runs import runs
from playground.sending.stream import stream_events
from playground.turns import turns
from playground.turns.turns import Column, Turn, TurnForm, begin_turns, end_run
from relay.credentials.keys import Principal
from relay.downstream.downstream import Head
from relay.hold_sizes.bound import Bound
from relay.requests.labels import NO_LABELS, Labels
from relay.requests.outcome import Outcome
from tests.support import cast
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed

pytestmark = pytest.mark.django_db(transaction=True)


class ScriptedRelay:
    """Stands for the relay of the process: says what it is told, and remembers what was asked."""

    def __init__(self, *items: Event | Outcome) -> None:
        self.items: Sequence[Event | Outcome] = items
        self.dropped: tuple[str, ...] = ()
        self.bound_result = Bound(
            42_100_000, None, 3_412, 4_096, 7, 128_400_000_000, True, 6_200_000
        )
        self.bounds: list[tuple[Principal, bytes, Labels]] = []
        self.requests: list[tuple[Principal, bytes]] = []
        self.labels: list[Labels] = []

    async def principal_of_key(self, key_id: UUID, user_id: int | None = None) -> Principal:
        return Principal(
            key_id=KeyId(key_id),
            organisation_id=OrganisationId(new_id()),
            team_id=TeamId(new_id()),
            user_id=None if user_id is None else UserId(user_id),
            kind="playground",
            model_patterns=(),
            expires_at=None,
            disabled=False,
        )

    async def chat(
        self,
        principal: Principal,
        body: bytes,
        *,
        source: str,
        request_id: UUID | None = None,
        operation: str = "chat_completions",
        labels: Labels = NO_LABELS,
        client_app: str = PLAYGROUND,
    ) -> AsyncIterator[Head | bytes | Outcome]:
        self.requests.append((principal, body))
        self.labels.append(labels)
        encoder = Encoder(
            ChatRequest(dialect="openai", request_id="r", received_at=1, model="m", messages=())
        )
        events = [item for item in self.items if not isinstance(item, Outcome)]
        outcome = self.items[-1]
        if events:
            yield Head("text/event-stream", 9_000, None, None, self.dropped)
        for event in events:
            yield encoder.feed(event)
        assert isinstance(outcome, Outcome)
        if events and outcome.kind is None:
            yield encoder.feed(Finish(0, "stop")) + encoder.feed(End(marked=True)) + encoder.end()
        yield outcome

    async def bound(
        self,
        principal: Principal,
        body: bytes,
        *,
        operation: str = "chat_completions",
        labels: Labels = NO_LABELS,
    ) -> Bound:
        self.bounds.append((principal, body, labels))
        return self.bound_result


def outcome(status: int = 200, kind: str | None = None, **over: Any) -> Outcome:
    facts: dict[str, Any] = {
        "request_id": new_id(),
        "status": status,
        "kind": kind,
        "message": "",
        "finish_reason": "stop",
        "meters": {"in_text": 3, "out_text": 2},
        "charge_nano": 1_800,
        "basis": "measured",
        "hold_nano": 9_000,
        "ttft_ms": 120,
        "total_ms": 620,
    }
    return Outcome(**(facts | over))


class RelayClient(AsyncClient):
    """Puts a relay into the scope of each request, as config/asgi.py does."""

    def __init__(self, relay: ScriptedRelay) -> None:
        super().__init__()
        self._relay = relay

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._base_scope(**request)  # type: ignore[misc]
        return {**scope, "weir.relay": self._relay}


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> Cast:
    # No model is cheap enough to name chats but where that is tested.
    monkeypatch.setattr(title_rules, "CHEAP_MAX_NANO", -1)
    people = cast.assemble()
    channel = Channel.objects.create(name="c", provider="openai", base_url="https://x.example/v1")
    Route.objects.create(channel=channel, model="weir-1")
    Route.objects.create(channel=channel, model="weir-unpriced")
    prices.set_price(
        SYSTEM,
        "weir-1",
        valid_from=clock.now() - dt.timedelta(days=1),
        rates={"meters": {"in_text": 250_000_000, "out_text": 2_000_000_000}},
        source="test",
    )
    return people


def send(
    user: User, relay: ScriptedRelay, *, htmx: Any = True, patience_s: Any = 10.0, **form: Any
) -> Any:
    """Send as that person, and wait until the run has ended."""

    async def post() -> Any:
        client = RelayClient(relay)
        await client.aforce_login(user, backend="django.contrib.auth.backends.ModelBackend")
        headers = {"HX-Request": "true"} if htmx else {}
        response = await client.post(
            reverse("run_create", args=["acme"]),
            {"model": "weir-1", "token": id_text(new_id()), **form},
            headers=headers,
        )
        await runs.finish(patience_s)
        return response

    # Nobody watches the frames.
    with mock.patch.object(runs, "FRAME_S", 0.0):
        return async_to_sync(post)()


def page(user: User, url: str) -> Any:
    return signed_in(user).get(url)


def chat_of(user: User) -> str:
    conversation = Conversation.objects.get(user=user)
    return reverse("conversation", args=["acme", id_text(conversation.id)])


HELLO = ScriptedRelay(TextDelta(0, "Good "), TextDelta(0, "day"), outcome())


def test_the_empty_page_offers_priced_models_and_examples(people: Cast) -> None:
    html = squeezed(page(people.bob, "/o/acme/playground").content.decode())
    assert '<option value="weir-1" selected>' in html
    assert "weir-unpriced" not in html
    assert "$0.25 / 1M in · $2.00 / 1M out" in html
    assert html.count("data-fill=") == 4
    assert "Charged like an API request" not in html  # the line above the examples says it
    assert "Same prices as the API." in html
    assert "http-equiv" not in html


def test_sending_shows_the_turn_and_keeps_it(people: Cast) -> None:
    relay = ScriptedRelay(TextDelta(0, "Good **day**"), outcome())
    response = send(people.bob, relay, text="Hello <b>")
    html = squeezed(response.content.decode())
    assert response.status_code == 200
    assert response["HX-Push-Url"] == chat_of(people.bob)
    assert "Hello &lt;b&gt;" in html
    page_text = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert '<p dir="auto">Good<strong>day</strong></p>' in page_text
    assert "$0.0000018 (measured)" in page_text
    assert "3 in, 2 out" in page_text
    run = Run.objects.get()
    assert (run.state, run.assistant_message.content) == (RunState.DONE, "Good **day**")
    assert reverse("request", args=["acme", id_text(run.request_id)]) in page_text
    principal, body = relay.requests[0]
    assert principal.user_id == people.bob.id
    assert b'"role": "user", "content": "Hello <b>"' in body


def test_previous_path_goes_to_the_model(people: Cast) -> None:
    send(people.bob, HELLO, text="one")
    id = id_text(Conversation.objects.get().id)
    relay = ScriptedRelay(TextDelta(0, "x"), outcome())
    send(people.bob, relay, text="two", conversation=id)
    assert (
        b'"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": '
        b'"Good day"}, {"role": "user", "content": "two"}]'
    ) in relay.requests[0][1]
    assert Message.objects.count() == 4


def test_a_form_sent_twice_is_one_run(people: Cast) -> None:
    token = id_text(new_id())
    send(people.bob, HELLO, text="one", token=token)
    relay = ScriptedRelay(outcome())
    response = send(people.bob, relay, text="one", token=token)
    assert response.status_code == 200
    assert relay.requests == []
    assert Run.objects.count() == 1


def test_sending_redirects_and_refreshes_without_scripts(people: Cast) -> None:
    response = send(people.bob, HELLO, htmx=False, text="one")
    assert (response.status_code, response["Location"]) == (303, chat_of(people.bob))
    begin(people.bob, "two")
    conversation = Conversation.objects.get(title="two")
    url = reverse("conversation", args=["acme", id_text(conversation.id)])
    html = page(people.bob, url).content.decode()
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in html
    assert "data-running" in html


REFUSED = {"charge_nano": 0, "basis": "none", "meters": {}}


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, "context_length_exceeded", "The conversation is too long for this model."),
        (402, "insufficient_balance", "The balance is too low for this message."),
        (429, "rate_limited", "You have reached the rate limit. Try again shortly."),
    ],
)
def test_a_refused_prompt_stays_in_its_chat_with_the_reason(
    people: Cast, status: int, kind: str, reason: str
) -> None:
    relay = ScriptedRelay(outcome(status, kind, **REFUSED))
    response = send(people.bob, relay, text="dear question")
    assert (response.status_code, response["HX-Push-Url"]) == (200, chat_of(people.bob))
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert ">dear question</div>" in html
    assert f"<b>{reason}</b>You were not charged." in html
    assert "Edit and resend" in html
    assert Run.objects.get().state == RunState.REFUSED


def test_a_key_that_ends_while_a_prompt_is_sent_refuses_it(
    people: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    """No request is made, so that nothing is charged or pending."""
    relay = ScriptedRelay(outcome())
    fault = RequestFault("authentication", None, "revoked")
    with mock.patch.object(relay, "principal_of_key", side_effect=fault):
        send(people.bob, relay, text="dear question")
    assert relay.requests == []
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    reason = "The key that pays is no longer active. Choose another one."
    assert f"<b>{reason}</b>You were not charged." in html
    assert "Edit and resend" in html
    run = Run.objects.get()
    assert run.state == RunState.REFUSED
    assert run.outcome == {"kind": "authentication", "message": fault.message} | {
        "charge_nano": 0,
        "basis": "none",
    }
    assert caplog.records == []


def test_an_error_before_the_request_leaves_no_charge_pending(people: Cast) -> None:
    relay = ScriptedRelay(outcome())
    with mock.patch.object(relay, "principal_of_key", side_effect=RuntimeError):
        send(people.bob, relay, text="dear question")
    run = Run.objects.get()
    assert run.state == RunState.FAILED
    assert run.outcome is not None
    assert (run.outcome["charge_nano"], run.outcome["basis"]) == (0, "none")
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert "You were not charged." in html
    assert "charge pending" not in html


def test_answer_is_kept_and_charged_whatever_its_schema(people: Cast) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}
    relay = ScriptedRelay(TextDelta(0, '{"a": 1}'), outcome())
    send(people.bob, relay, text="Hi", schema=json.dumps(schema))
    run = Run.objects.get()
    assert (run.state, run.assistant_message.content) == (RunState.DONE, '{"a": 1}')
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert "the schema cannot be applied: it refers to itself without end" in html
    assert "$0.0000018 (measured)" in html


def test_rejected_prompt_is_no_history(people: Cast) -> None:
    refusing = ScriptedRelay(outcome(402, "insufficient_balance", **REFUSED))
    send(people.bob, HELLO, text="one")
    id = id_text(Conversation.objects.get().id)
    send(people.bob, refusing, text="refused", conversation=id)
    send(people.bob, refusing, text="refused too", conversation=id)
    relay = ScriptedRelay(TextDelta(0, "x"), outcome())
    send(people.bob, relay, text="two", conversation=id)
    body = json.loads(relay.requests[0][1])
    assert [one["content"] for one in body["messages"]] == ["one", "Good day", "two"]


def test_rejected_prompt_is_edited_and_resent_in_place(people: Cast) -> None:
    """Without scripts as well: its text is in the composer then."""
    send(people.bob, ScriptedRelay(outcome(400, "invalid_request", **REFUSED)), text="Hi")
    question = Message.objects.get(role="user")
    edit = reverse("message_edit", args=["acme", question.text_id])
    assert edit in page(people.bob, chat_of(people.bob)).content.decode()
    assert page(people.bob, edit)["Location"] == f"{chat_of(people.bob)}?edit={question.text_id}"
    html = page(people.bob, f"{chat_of(people.bob)}?edit={question.text_id}").content.decode()
    assert ">Hi</textarea>" in html
    assert f'name="instead" value="{question.text_id}"' in html
    again = {"conversation": id_text(question.conversation_id), "instead": question.text_id}
    relay = ScriptedRelay(TextDelta(0, "x"), outcome())
    send(people.bob, relay, text="Hello", **again)
    assert b'"messages": [{"role": "user", "content": "Hello"}]' in relay.requests[0][1]
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "Edit and resend" not in html
    assert "2/2" in squeezed(html)


def test_rejected_tool_results_still_answer_their_calls(people: Cast) -> None:
    turn = begin(people.bob, "weather?")
    call = {"id": "c", "name": "weather", "arguments": "{}"}
    end_run(turn.run.id, RunState.DONE, {}, PartialAnswer(1, "", ""), [], {"calls": [call]})
    answer = turn.assistant_message
    done = {"call_id": "c", "name": "weather", "content": "wet", "failed": False}
    results = Message.objects.create(
        conversation=turn.conversation, parent=answer, role="tool", parts={"results": [done]}
    )
    refused = Message.objects.create(
        conversation=turn.conversation, parent=results, role="assistant", state=RunState.REFUSED
    )
    Conversation.objects.update(leaf=refused)
    relay = ScriptedRelay(TextDelta(0, "x"), outcome())
    send(people.bob, relay, text="two", conversation=id_text(turn.conversation.id))
    body = json.loads(relay.requests[0][1])
    assert [one["role"] for one in body["messages"]] == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize("link", [". Request more: http://hub.example/b/12", ""])
@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (402, "insufficient_balance", "Insufficient Balance: key budget is used up (spent 1 USD)"),
        (429, "rate_limited", "Rate Limit Reached: team budget is used up, so one; retry in 1 s"),
    ],
)
def test_rejecting_budget_is_shown_with_the_way_to_more(
    people: Cast, status: int, kind: str, text: str, link: str
) -> None:
    """W54: from the error to the form, whatever its sentence says."""
    ended = outcome(status, kind, message=text + link, budget_id=12, **REFUSED)
    send(people.bob, ScriptedRelay(ended), text="dear question")
    html = squeezed(page(people.bob, chat_of(people.bob)).content.decode())
    assert f"<b>{text}.</b>You were not charged." in html
    assert '<a href="/b/12">Request more</a>' in html
    assert "hub.example" not in html


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (". Request more: http://hub.example/b/12", {"budget_id": 12}),
        (". Request more: http://hub.example/b/12", {}),
        (". Ask for more: http://hub.example:8000/b/12", {}),
        ("。申请更多额度：https://hub.example/b/12", {}),
    ],
)
def test_a_stored_refusal_keeps_its_way_to_more(words: str, facts: dict[str, int]) -> None:
    """One of an earlier version says it in other words, and does not name its budget."""
    text = "Insufficient Balance: key budget is used up (spent 1.50 USD of 1.50 USD)"
    stored = {"kind": "insufficient_balance", "message": text + words, **facts}
    assert (error_text(stored), ask_href(stored)) == (text, "/b/12")
    other = {"kind": "upstream_error", "message": "See http://a.example/b/12"}
    assert (error_text(other), ask_href(other)) == (other["message"], "")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"text": " \n"}, "Write a message first."),
        ({"text": "x", "model": "weir-unpriced"}, "Choose a model."),
        ({"text": "x", "model": "<script>"}, "Choose a model."),
        ({"text": "x" * 1_000_001}, "The message is too long."),
    ],
)
def test_invalid_turn(people: Cast, form: dict[str, Any], text: str) -> None:
    response = send(people.bob, HELLO, **form)
    assert response.status_code == 422
    assert text in response.content.decode()
    assert Run.objects.count() == 0


def test_one_answer_at_a_time(people: Cast) -> None:
    turn = begin(people.bob, "one")
    response = send(people.bob, HELLO, text="two", conversation=id_text(turn.conversation.id))
    assert response.status_code == 409
    assert "An answer is still being written." in response.content.decode()


def test_a_fault_is_told_in_its_place_with_its_charge(people: Cast) -> None:
    relay = ScriptedRelay(
        TextDelta(0, "Half an"), outcome(502, "upstream_truncated", basis="estimated")
    )
    send(people.bob, relay, text="one")
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "The answer was cut off. The text so far is kept." in html
    assert "You were charged $0.0000018 for the text received." in html
    assert '<p dir="auto">Half an</p>' in html
    assert "Retry" in html


def test_retry_answers_the_same_message_again(people: Cast) -> None:
    send(people.bob, ScriptedRelay(outcome(502, "upstream_error", message="no luck")), text="one")
    question = Message.objects.get(role="user")
    form: dict[str, Any] = {
        "conversation": id_text(question.conversation_id),
        "retry": id_text(question.id),
    }
    send(people.bob, HELLO, **form)
    assert [m.state for m in question.children.all()] == ["failed", "done"]
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "Good day" in html
    assert "no luck" not in html


def test_an_error_of_a_provider_is_text(people: Cast) -> None:
    failed = outcome(502, "upstream_error", message="<img src=x onerror=alert(1)>")
    send(people.bob, ScriptedRelay(TextDelta(0, "a"), failed), text="one")
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "<img src=x" not in html


# Siblings ---------------------------------------------------------------------------------------


def begin(user: User, text: str) -> Turn:
    """A turn whose run nobody carries."""
    organisation = user.memberships.get().organisation
    actor = cast.actor(user, organisation)
    form = TurnForm([Column("weir-1")], text, new_id(), default_payer(actor))
    return begin_turns(actor, form)[0]


@pytest.mark.parametrize(
    ("address", "expected_notice"),
    [("http://testserver{}?panel=1#end", True), ("http://testserver//[", False), ("[", False)],
)
def test_the_list_marks_the_chat_of_the_page_around_it(
    people: Cast, address: str, expected_notice: bool
) -> None:
    begin(people.bob, "hi")
    page_text = address.format(chat_of(people.bob))
    response = signed_in(people.bob).get(
        "/o/acme/playground/_f/chats", headers={"hx-request": "true", "hx-current-url": page_text}
    )
    assert ('aria-current="page"' in response.content.decode()) is expected_notice


def test_chat_belongs_to_its_author(people: Cast) -> None:
    turn = begin(people.bob, "bob's secret")
    addresses = [
        reverse("conversation", args=["acme", id_text(turn.conversation.id)]),
        reverse("run_events", args=["acme", turn.run.text_id]),
    ]
    for url in addresses:
        assert page(people.bob, url).status_code == 200
        assert page(people.alice, url).status_code == 404
        assert page(people.charlie, url).status_code == 404
        assert page(people.dora, url).status_code in (403, 404)
    assert "bob's secret" not in page(people.alice, "/o/acme/playground").content.decode()


def _without_playground(people: Cast) -> None:
    role = CustomRole.objects.create(
        organisation=people.acme, name="Books", permissions=["usage.read"]
    )
    people.bob.memberships.update(role=Role.CUSTOM, custom_role=role)


@pytest.mark.parametrize("page", ["playground", "playground/embeddings"])
def test_suspended_organisation_learns_why_and_whom_to_ask(people: Cast, page: str) -> None:
    organisations.suspend_organisation(people.acme, "Invoice 7 is unpaid.", actor=SYSTEM)
    text = squeezed(signed_in(people.bob).get(f"/o/acme/{page}").content.decode())
    assert "Acme is suspended." in text
    assert "Invoice 7 is unpaid. Contact the operator of this installation." in text
    assert "Your role can view chats" not in text
    assert 'id="composer"' not in text
    assert "Ask a model anything" not in text


SHUT_OUT: dict[str, Callable[[Cast, Client], object]] = {
    "removed": lambda people, _: members.remove_member(people.acme, people.bob.email, actor=SYSTEM),
    "switched off": lambda people, _: members.set_active(people.bob, False, actor=SYSTEM),
    "role lowered": lambda people, _: _without_playground(people),
    "organisation archived": lambda people, _: Organisation.objects.filter(
        id=people.acme.id
    ).update(archived_at=clock.now()),
    "signed out": lambda _, browser: browser.logout(),
    "session ended elsewhere": lambda _, browser: Session.objects.all().delete(),
    "password changed": lambda people, _: User.objects.filter(id=people.bob.id).update(
        password="another"
    ),
}


@pytest.mark.parametrize("cause", SHUT_OUT)
def test_page_stream_ends_when_access_ends(
    people: Cast, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """P11: the page is told so in plain words, and is kept from coming back."""
    assert CHECK_S + _POLL_S < 5
    monkeypatch.setattr("playground.sending.stream.CHECK_S", 0.1)
    turn, browser = begin(people.bob, "hi"), signed_in(people.bob)
    request = HttpRequest()
    request.session = browser.session
    may_still = reader_of(request, cast.actor(people.bob, people.acme), "playground.read")
    listens = asyncio.Event()

    async def may_read() -> bool:
        listens.set()
        return await may_still()

    async def watched() -> list[str]:
        async def read() -> list[str]:
            stream = stream_events([turn.run], [0], "acme", may_read=may_read)
            return [event async for event in stream]

        reading = asyncio.create_task(read())
        await asyncio.wait_for(listens.wait(), 5)
        assert not reading.done()
        await run_in_database(SHUT_OUT[cause], people, browser)
        return await asyncio.wait_for(reading, 5)

    end = asyncio.run(watched())[-1]
    assert "Your access has ended." in end
    assert f'hx-target="#foot-{turn.assistant_message.text_id}" hx-swap="delete"' in end


@pytest.mark.parametrize("bad", ["0", "x" * 26, "01JCX5T9ZZZZZZZZZZZZZZZZZZ"])
def test_unknown_chat_and_run_are_404(people: Cast, bad: str) -> None:
    for name in ("conversation", "run_events"):
        assert page(people.bob, reverse(name, args=["acme", bad])).status_code == 404
    url = reverse("run_stop", args=["acme", bad])
    assert signed_in(people.bob).post(url).status_code == 404


@pytest.mark.parametrize("compare", [{}, {"model": ["weir-1", "weir-1"], "compare": "1"}])
def test_answer_ending_while_its_page_renders_is_drawn_ended(
    people: Cast, monkeypatch: pytest.MonkeyPatch, compare: dict[str, Any]
) -> None:
    """6.2: a page goes on behind what it shows; an end that it has read will not come again."""
    send(people.bob, HELLO, text="Hi", **compare)
    Run.objects.update(state=RunState.RUNNING, ended_at=None)
    Message.objects.filter(role="assistant").update(state=RunState.RUNNING, content="")

    def ended_meanwhile(run_id: UUID) -> PartialAnswer:
        Run.objects.update(state=RunState.DONE, ended_at=clock.now())
        Message.objects.filter(role="assistant").update(state=RunState.DONE, content="Good day")
        return PartialAnswer(5, "Good day", "", [])

    monkeypatch.setattr(turns, "partial_answer", ended_meanwhile)
    html = page(people.bob, chat_of(people.bob)).content.decode()
    assert 'data-state="answering"' not in html
    assert "Good day" in html
    assert "/events?after=" not in html


def test_rejection_holds_no_connection(people: Cast) -> None:
    """The error page of an async view is drawn in a thread of its own."""

    def connections_in_use() -> int:
        connection.close()
        stats = connection.pool.get_stats()  # type: ignore[attr-defined]
        return int(stats["pool_size"] - stats["pool_available"])

    before = connections_in_use()
    assert send(people.charlie, HELLO, text="x").status_code == 404
    assert connections_in_use() == before


def test_stranger_can_neither_send_nor_stop(people: Cast) -> None:
    turn = begin(people.bob, "one")
    assert send(people.charlie, HELLO, text="x").status_code == 404
    stop = reverse("run_stop", args=["acme", turn.run.text_id])
    assert signed_in(people.charlie).post(stop).status_code == 404
    assert signed_in(people.alice).post(stop).status_code == 404
    assert Run.objects.get().stop_at is None
    assert send(people.alice, HELLO, text="x",
                conversation=id_text(turn.conversation.id)).status_code == 404  # fmt: skip


@pytest.mark.parametrize("role", [Role.VIEWER, Role.BILLING])
def test_read_only_person_cannot_send(people: Cast, role: Role) -> None:
    reader = cast.member(people.acme, "reader", role)
    html = page(reader, "/o/acme/playground").content.decode()
    assert "Your role can view chats but not send messages." in html
    assert "<textarea" not in html
    response = send(reader, HELLO, text="x")
    assert response.status_code == 403
    assert "role" in response.content.decode()
    assert Run.objects.count() == 0


def test_sending_and_stopping_need_the_csrf_token(people: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.bob, backend="django.contrib.auth.backends.ModelBackend")
    turn = begin(people.bob, "one")
    for url in (
        reverse("run_create", args=["acme"]),
        reverse("run_stop", args=["acme", turn.run.text_id]),
    ):
        assert client.post(url, {"text": "x"}).status_code == 403


def test_answer_elsewhere_blocks_no_other_chat(people: Cast) -> None:
    """Stop stands where an answer is written, and nowhere else."""
    send(people.bob, HELLO, text="Hi")
    Run.objects.update(state=RunState.RUNNING, ended_at=None)
    here = page(people.bob, chat_of(people.bob)).content.decode()
    elsewhere = page(people.bob, "/o/acme/playground").content.decode()
    assert "data-running" in here
    assert "data-stop" in here
    assert "data-running" not in elsewhere
    assert "data-stop" not in elsewhere
