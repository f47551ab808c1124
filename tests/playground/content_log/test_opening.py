"""A kept request as a new chat of the playground: all of it, and nothing is sent."""

import base64
import json
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import AuditEvent, Role
from content.log.kept import Kept
from playground.content_log import opening
from playground.models import Attachment, Conversation, Message, Run
from tests.content.log.entries import keep
from tests.playground.content_log.test_conversation import READS, asked, page_of, reader
from tests.support.cast import Cast, actor, signed_in

pytestmark = pytest.mark.django_db

_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_CALL = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"a": 1}'}}
_ASKED: dict[str, Any] = {
    "model": "gpt-5",
    "temperature": 0.2,
    "max_tokens": 77,
    "tools": [
        {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}},
        {"type": "function", "function": {"name": "too_long_" * 9}},
    ],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Read a"},
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "empty"},
        {"role": "assistant", "content": "It is empty"},
        {
            "role": "user",
            "content": [
                {
                    "type": "image_url",
                    "image_url": {
                        "url": f"data:image/png;base64,{base64.b64encode(_PNG).decode()}"
                    },
                },
                {"type": "text", "text": "And <b>this</b>?"},
            ],
        },
    ],
}


def player(people: Cast) -> None:
    """Give bob a role that reads contents and uses the playground."""
    rights = [*READS, "playground.use", "playground.read", "keys.read"]
    role = custom_roles.create_role(people.acme, "Player", rights, actor=SYSTEM)
    members.set_member(people.acme, people.bob.email, Role.CUSTOM, custom_role=role, actor=SYSTEM)


def test_request_opens_as_a_temporary_chat_of_its_reader(people: Cast) -> None:
    player(people)
    record = asked(people)
    keep(record, Kept(json.dumps(_ASKED).encode()))
    browser = signed_in(people.bob)
    answer = browser.post(f"{page_of(record)}/conversation/open", {"reason": "a complaint"})
    chat = Conversation.objects.get()
    assert (chat.user, chat.model, chat.ends_at is not None) == (people.bob, "gpt-5", True)
    assert chat.settings["system"] == "Be brief."
    assert chat.settings["params"] == {"temperature": 0.2, "max_output": 77}
    assert [tool["name"] for tool in chat.settings["tools"]] == ["read"]
    messages = list(Message.objects.order_by("id"))
    assert [message.role for message in messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert messages[1].parts["calls"] == [{"id": "c1", "name": "read", "arguments": '{"a": 1}'}]
    assert messages[2].parts["results"][0]["content"] == "empty"
    assert messages[-1].content == "And <b>this</b>?"
    assert bytes(Attachment.objects.get().data) == _PNG
    assert not Run.objects.exists()
    # The last question is in the composer, and no text is in the address.
    assert answer.status_code in (302, 303)
    assert answer["Location"].endswith(f"?edit={messages[-1].text_id}")
    page = browser.get(answer["Location"]).content.decode()
    assert "And &lt;b&gt;this&lt;/b&gt;?" in page
    event = AuditEvent.objects.get(action="content.read")
    assert event.reason == "a complaint"


def test_a_crash_while_it_opens_keeps_nothing(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P31: a chat that is not temporary yet would keep the text for ever."""
    player(people)
    record = asked(people)
    keep(record, Kept(json.dumps(_ASKED).encode()))

    def end(chat: Conversation) -> None:
        raise SystemExit

    monkeypatch.setattr(opening, "visit_temporary", end)
    with pytest.raises(SystemExit):
        opening.open_in_playground(actor(people.bob, people.acme), record.request_id, "why")
    assert not Conversation.objects.exists()


def test_only_who_may_use_the_playground_opens_it(people: Cast) -> None:
    """P12"""
    reader(people)
    record = asked(people)
    keep(record, Kept(json.dumps(_ASKED).encode()))
    browser = signed_in(people.bob)
    shown = browser.post(f"{page_of(record)}/conversation", {"reason": "why"}).content.decode()
    assert "Open in playground" not in shown
    refused = browser.post(f"{page_of(record)}/conversation/open", {"reason": "why"})
    assert refused.status_code == 403
    player_page = signed_in(people.alice).post(
        f"{page_of(record)}/conversation/open", {"reason": "y"}
    )
    assert player_page.status_code == 403
    assert not Conversation.objects.exists()
    assert AuditEvent.objects.filter(action="content.read").count() == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"input": "a text", "model": "gpt-5"}',
        b'{"model": "gpt-5", "messages": []}',
        b"not JSON",
    ],
)
def test_what_is_no_chat_is_refused_with_a_sentence(people: Cast, body: bytes) -> None:
    player(people)
    record = asked(people)
    keep(record, Kept(body))
    answer = signed_in(people.bob).post(f"{page_of(record)}/conversation/open", {"reason": "why"})
    assert answer.status_code == 422
    assert "The playground cannot open this request" in answer.content.decode()
    assert not Conversation.objects.exists()


def test_nothing_opens_without_a_reason(people: Cast) -> None:
    player(people)
    record = asked(people)
    keep(record, Kept(json.dumps(_ASKED).encode()))
    answer = signed_in(people.bob).post(f"{page_of(record)}/conversation/open", {"reason": ""})
    assert answer.status_code == 422
    assert not Conversation.objects.exists()
    assert not AuditEvent.objects.filter(action="content.read").exists()
