"""W53: what each email and each message to a chat or webhook says, with its figures and links.

`letters.txt` beside this has the texts in English. The Chinese ones have the same figures and
links.
"""

import datetime as dt
import re
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pytest
from django.core import mail
from django.test import Client
from django.utils import translation

from accounts.access.actors import SYSTEM
from accounts.members import invitation_letters, invitations
from accounts.members.invitations import Offer
from accounts.models import Role
from accounts.sign_up.sign_up import save_sign_up
from billing.trials.trials import save_trial_setting
from lib import clock
from lib.ids import new_id
from notify.deliveries import sending
from notify.endpoints.chat_services import chat_request
from notify.events.kinds import KINDS
from outbox.models import Fact
from tests.notify.chats import ADDRESSES, SECRETS, SERVICES
from tests.notify.deliveries.letter_facts import every_variant
from tests.notify.deliveries.test_languages import is_wholly
from tests.support import cast
from tests.support.golden_texts import GoldenTexts

pytestmark = pytest.mark.django_db

TEXTS: Final = GoldenTexts(Path(__file__).with_name("letters.txt"))
_SENDING: Final = {f"chat {service}" for service in SERVICES} | {"webhook", "accounts"}
# The date of an email in English, and in Chinese.
_DAY: Final = re.compile(r"(\d+ [A-Z][a-z]{2} 20\d\d),|(20\d\d)年(\d+)月(\d+)日")
# What no language changes: an address, a figure, a value of the fact.
_FIXED: Final = re.compile(r"https?://[!-~]+|‹[^›]+›|\d[\d.,:-]*\d|\d")
# The tokens of links, and the day until which an invitation lasts.
_SECRET: Final = re.compile(
    r"(?<=/)[\w:.~-]{20,}|(?<=/set/)\S+|\d+ [A-Z]\w\w 20\d\d, [\d:]+|20\d\d年\d+月\d+日 [\d:]+"
)
OF_ACCOUNTS: Final = (
    "reset", "reset of nobody", "sign-up of a member", "sign-up", "sign-up with a trial",
    "invitation",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _address(settings: Any) -> None:
    settings.PUBLIC_URL = "https://weir.example"


@pytest.mark.parametrize("kind", KINDS)
def test_letter_has_its_words_figures_and_links(people: cast.Cast, kind: str) -> None:
    texts: dict[str, str] = {}
    for difference, body in every_variant(kind):
        fact = Fact(id=new_id(), kind=kind, organisation_id=people.acme.id, body=body)
        text = "\n\n".join(sending._words(fact))
        if text not in texts.values():
            texts[", ".join(filter(None, (kind, difference)))] = text
            with translation.override("zh-hans"):
                chinese = sending._words(fact)
            assert fixed("\n\n".join(chinese)) == fixed(text), difference
            assert all(is_wholly(part, "zh-hans") for part in chinese), difference
    if kind == "webhook.tested":
        texts[f"{kind}, of operators"] = "\n\n".join(sending._words(Fact(kind=kind, body={})))
    TEXTS.check(kind, texts)


def fixed(text: str) -> list[str]:
    """The addresses, figures and values of a text, whatever its language and their order."""
    return sorted(_FIXED.findall(_DAY.sub(_iso, text)))


def _iso(match: re.Match[str]) -> str:
    if match[1]:
        return f"{dt.datetime.strptime(match[1], '%d %b %Y'):%Y-%m-%d}"  # noqa: DTZ007
    _, *numbers = match.groups()
    return "-".join(number.zfill(2) for number in numbers)


def test_every_group_of_texts_is_written() -> None:
    assert TEXTS.groups() == KINDS.keys() | _SENDING


@pytest.mark.parametrize("service", SERVICES)
def test_message_to_a_chat_has_the_form_of_its_service(service: str) -> None:
    text = 'Key ci & <at user_id="all">: 8.00 USD\n\nhttps://weir.example/b/1\n'
    url = f"https://chat.example{ADDRESSES[service]}"
    request = chat_request(service, url, SECRETS[service], text, 1_700_000_000_123)
    TEXTS.check(f"chat {service}", {f"chat {service}": f"{request.url}\n{request.body.decode()}"})


def test_body_of_a_webhook_has_every_member(people: cast.Cast) -> None:
    at = clock.now().replace(2026, 12, 1, 2, 3, 4, 567_000)
    fact = Fact(id=UUID(int=7), kind="topup.paid", organisation_id=UUID(int=8), created_at=at,
                body={"amount": "25.00", "currency": "USD"})  # fmt: skip
    of_operators = Fact(id=UUID(int=9), kind="jobs.stopped", created_at=at, body={"jobs": []})
    bodies = (sending.event_body(one).decode() for one in (fact, of_operators))
    TEXTS.check("webhook", {"webhook": "\n".join(bodies)})


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_emails_of_accounts_have_their_words_and_links(
    people: cast.Cast, settings: Any, language: str
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.LANGUAGE_CODE = language
    save_sign_up(SYSTEM, mode="open", captcha=False)
    browser = Client(headers={"accept-language": language})
    for email in ("bob@example.org", "zoe@example.org"):
        browser.post("/password/reset", {"email": email})
    for email in ("bob@example.org", "eve@example.org"):
        browser.post("/signup", {"email": email, "password1": cast.PASSWORD})
    save_trial_setting(SYSTEM, amount="5", days=1)
    browser.post("/signup", {"email": "ann@example.org", "password1": cast.PASSWORD})
    offer = Offer(Role.DEVELOPER, message="Welcome!")
    alice = cast.actor(people.alice, people.acme)
    invitation_letters.send_letters(
        invitations.invite(people.acme, ["ivy@example.org"], offer, actor=alice)
    )
    texts = {}
    for title, letter in zip(OF_ACCOUNTS, mail.outbox, strict=True):
        (reader,) = letter.to
        text = f"{reader}: {letter.subject}\n\n{letter.body}"
        texts[f"accounts, {title}"] = _SECRET.sub("§", text)
    if language == "en":
        TEXTS.check("accounts", texts)
    else:
        assert {title: fixed(text) for title, text in texts.items()} == {
            title: fixed(text) for title, text in TEXTS.read("accounts").items()
        }
