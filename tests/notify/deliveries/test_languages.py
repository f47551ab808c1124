"""W53, P29: each email and each message in a chat is wholly in its reader's language, whichever
language the process that sends it has.

Each value that a template compares with, and each that is there or not, is tried. `letters.txt` has
the words.
"""

import re
from itertools import product
from typing import Final

import pytest
from django.conf import LazySettings
from django.core import mail
from django.utils import translation

from accounts.access.actors import SYSTEM
from accounts.members import invitation_letters, invitations
from accounts.members.invitations import Offer
from accounts.models import Role
from lib.ids import new_id
from notify.deliveries import sending
from notify.deliveries.sending import Outcome
from notify.endpoints import endpoints
from notify.endpoints.chat_services import ChatRequest
from notify.events.kinds import KINDS
from outbox.models import Fact
from tests.notify.chats import ADDRESSES
from tests.notify.deliveries.letter_facts import variants
from tests.support import cast

pytestmark = pytest.mark.django_db

LANGUAGES: Final = ("en", "zh-hans")
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
# So many English words in a row are a sentence.
_ENGLISH: Final = re.compile(r"(?:\b[A-Za-z']+,? ){3,}[A-Za-z']+")


def is_wholly(text: str, language: str) -> bool:
    if language == "en":
        return not _CHINESE.search(text)
    return bool(_CHINESE.search(text)) and not _ENGLISH.search(text)


@pytest.mark.parametrize("default", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_email_and_chat_are_in_the_readers_language(
    people: cast.Cast,
    kind: str,
    default: str,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`default` is that of the installation, for those who chose none."""
    settings.LANGUAGE_CODE = default
    chats: list[str] = []

    def request_of(service: str, url: str, secret: str, text: str, ms: int) -> ChatRequest:
        chats.append(text)
        return ChatRequest(url, b"")

    monkeypatch.setattr(sending, "chat_request", request_of)
    monkeypatch.setattr(sending, "_post_body", lambda *_: Outcome(200, ""))
    address = "https://hooks.slack.com" + ADDRESSES["slack"]
    chat, _ = endpoints.create_endpoint(SYSTEM, people.acme, address, service="slack")
    wrong = []
    for body in variants(kind):
        fact = Fact(id=new_id(), kind=kind, organisation_id=people.acme.id, body=body)
        for chosen in (*LANGUAGES, ""):
            written = set()
            for working in LANGUAGES:
                people.alice.language = chat.language = chosen
                with translation.override(working):
                    assert sending._write(people.alice, fact) == Outcome(None, "")
                    sending._send_to_chat(chat, fact)
                letter = mail.outbox[-1]
                written |= {(str(letter.subject), str(letter.body), chats[-1])}
            (texts, *others) = written
            right = all(is_wholly(text, chosen or default) for text in texts)
            if others or not right:
                wrong.append((chosen, body, texts))
    assert wrong == []


def test_invitation_is_in_the_language_of_the_invited(
    people: cast.Cast, settings: LazySettings
) -> None:
    """Else in the inviter's, else in that of the installation."""
    nina = cast.person("nina")
    actor, emails = cast.actor(people.alice, people.acme), [nina.email, "new@example.org"]
    to_known, to_new = invitations.invite(people.acme, emails, Offer(Role.DEVELOPER), actor=actor)
    chosen = (*LANGUAGES, "")
    for known, inviters, default in product((*chosen, None), chosen, LANGUAGES):
        settings.LANGUAGE_CODE = default
        if nina.language != (known or ""):
            nina.language = known or ""
            nina.save(update_fields=["language"])
        sendable = to_new if known is None else to_known
        inviter = sendable.invitation.invited_by
        assert inviter == people.alice
        inviter.language = inviters
        for working in LANGUAGES:
            with translation.override(working):
                subject, text = invitation_letters._compose_letter(sendable)
            assert is_wholly(subject, known or inviters or default), subject
            assert is_wholly(text, known or inviters or default), text
