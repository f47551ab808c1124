"""A provider's balance on pages and in the API: shown with its time, unknown as unknown."""

import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from gateway.channels.channels import create_channel
from gateway.models import Channel
from gateway.provider_accounts.balances.balances import check_balance
from gateway.settings.installation import save_settings
from lib.ids import id_text
from tests.fakes.balances import FakeBalances
from tests.gateway.channel_setup.test_channel_edit import settings
from tests.support import cast
from tests.support.cast import Cast
from tests.support.reviewing import save_reviewed

pytestmark = pytest.mark.django_db

KEY = "sk-fake-key-with-a-balance-77aa"
G = 10**9


@pytest.fixture(scope="module")
def server() -> Iterator[FakeBalances]:
    with FakeBalances() as provider:
        yield provider


@pytest.fixture
def fake(server: FakeBalances) -> FakeBalances:
    server.reset()
    server.left[KEY] = Decimal("19.999")
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    return server


@pytest.fixture
def channel(fake: FakeBalances, people: Cast) -> Channel:
    return create_channel(
        SYSTEM,
        "paid",
        {
            "provider": "openai_compatible",
            "base_url": fake.url,
            "keys": [KEY],
            "models": {"m-1": ""},
            "balance_source": "openrouter",
            "balance_warn_below_nano": 5 * G,
            "balance_rest_below_nano": G,
        },
    )


@pytest.fixture
def dora(people: Cast) -> Client:
    return cast.signed_in(people.dora)


def text_of(client: Client, path: str) -> str:
    html = client.get(path).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_pages_show_the_balance_and_refresh_it(dora: Client, channel: Channel) -> None:
    path = reverse("channel", args=[id_text(channel.id)])
    shown = text_of(dora, path)
    assert "Balance at the provider" in shown
    assert "Unknown" in shown
    assert "Warns below 5.00" in shown
    assert "Rests below 1.00" in shown
    answer = dora.post(reverse("channel_balance", args=[id_text(channel.id)]), follow=True)
    assert "The balance was read." in answer.content.decode()
    # Rounded down: never more than there is.
    assert "19.99 USD" in text_of(dora, path)
    assert "19.99 USD" in text_of(dora, reverse("channels"))


def test_unknown_balance_shows_its_reason_and_the_last_one(
    dora: Client, channel: Channel, fake: FakeBalances
) -> None:
    check_balance(SYSTEM, channel)
    fake.fault = (403, b'{"error":{"message":"management keys only"}}')
    answer = dora.post(reverse("channel_balance", args=[id_text(channel.id)]), follow=True)
    assert "The balance could not be read." in answer.content.decode()
    shown = text_of(dora, reverse("channel", args=[id_text(channel.id)]))
    assert "19.99 USD" in shown
    assert "The provider rejected the key." in shown
    assert "read the limit of the key" in shown
    assert "management keys only" in shown


def test_resting_channel_states_its_reason_and_end(
    dora: Client, channel: Channel, fake: FakeBalances
) -> None:
    fake.spend(KEY, "19.5")
    check_balance(SYSTEM, channel)
    shown = text_of(dora, reverse("channel", args=[id_text(channel.id)]))
    assert "Its balance at the provider is low: 0.49 USD." in shown
    assert "It is turned on again when its balance is high enough." in shown
    assert "A test that passes turns it on again." not in shown


def test_channel_without_balance_reading_shows_none(dora: Client, channel: Channel) -> None:
    Channel.objects.update(balance_source="none")
    path = reverse("channel", args=[id_text(channel.id)])
    assert "Balance at the provider" not in text_of(dora, path)
    answer = dora.post(reverse("channel_balance", args=[id_text(channel.id)]), follow=True)
    assert "The balance could not be read." in answer.content.decode()


def test_balance_reporting_provider_is_named_where_unread(dora: Client, channel: Channel) -> None:
    path = reverse("channel", args=[id_text(channel.id)])
    Channel.objects.update(balance_source="none", provider="deepseek")
    assert "This provider reports what is left." in text_of(dora, path)


def test_the_settings_are_changed_on_the_form(dora: Client, channel: Channel) -> None:
    path = reverse("channel_edit", args=[id_text(channel.id)])
    assert "OpenRouter: credits of the account" in dora.get(path).content.decode()
    sent = settings(
        channel, first_content="60", balance_source="openrouter_key", balance_warn_below="$1,000.5",
        balance_rest_below="",
    )  # fmt: skip
    review = dora.post(path, sent).content.decode()
    assert "OpenRouter: limit of the key" in review
    assert "1000.50" in review
    assert save_reviewed(dora, path, sent).status_code == 303
    channel.refresh_from_db()
    assert channel.balance_source == "openrouter_key"
    assert channel.balance_warn_below_nano == 2001 * G // 2
    assert channel.balance_rest_below_nano is None
    assert dora.post(path, settings(channel, balance_warn_below="0")).status_code == 422


def test_api_sets_refreshes_and_shows_the_balance(
    dora: Client, channel: Channel, fake: FakeBalances
) -> None:
    path = f"/api/v1/channels/{id_text(channel.id)}"
    shown = dora.get(path).json()
    assert shown["balance_source"] == "openrouter"
    assert (shown["balance_warn_below"], shown["balance_rest_below"]) == ("5.00", "1.00")
    assert shown["keys"][0]["balance"] is None
    balance = dora.post(f"{path}/balance").json()["keys"][0]["balance"]
    assert balance["amounts"] == [{"currency": "USD", "amount": "19.999"}]
    assert (balance["low"], balance["unlimited"], balance["fault"]) == (False, False, None)
    assert balance["read_at"] == balance["checked_at"]
    fake.fault = (404, b"")
    balance = dora.post(f"{path}/balance").json()["keys"][0]["balance"]
    assert (balance["fault"], balance["amounts"][0]["amount"]) == ("no_balance", "19.999")
    assert balance["read_at"] < balance["checked_at"]
    body = {"balance_source": "none", "balance_rest_below": None}
    changed = dora.patch(path, body, content_type="application/json").json()
    assert (changed["balance_source"], changed["balance_rest_below"]) == ("none", None)
    assert dora.post(f"{path}/balance").status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"balance_source": "guess"},
        {"balance_source": None},
        {"balance_rest_below": "0"},
        {"balance_rest_below": "-1"},
        {"balance_warn_below": 5},
        {"balance_warn_below": "1e3"},
    ],
)
def test_invalid_amount_or_source_is_rejected(
    dora: Client, channel: Channel, body: dict[str, object]
) -> None:
    path = f"/api/v1/channels/{id_text(channel.id)}"
    answer = dora.patch(path, body, content_type="application/json")
    assert answer.status_code in (400, 422)
    assert next(iter(body)) in answer.json()["error"]["message"]
