"""What operators can choose on the list and the page of channels, as the channel is now."""

import datetime as dt
import re
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from accounts.access.actors import SYSTEM
from gateway.channel_overview.forms import CheckForm, SwitchForm
from gateway.channels.channels import archive_channel, change_channel, create_channel
from gateway.channels.fields import ChannelFields
from gateway.models import Channel, ModelListing
from gateway.provider_accounts.balances.balances import _in_turn
from gateway.provider_accounts.balances.rows import balance_limits, offers_balance
from gateway.provider_accounts.balances.rules import Amount
from gateway.provider_accounts.balances.words import amount_text
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, signed_in
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db

FIELDS: ChannelFields = {
    "provider": "openai_compatible",
    "base_url": "https://api.example.com",
    "keys": ["sk-first-0123456789", "sk-second-012345678"],
    "models": {"brook": "", "river": ""},
}


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


def test_list_is_filtered_by_state_and_words(dora: Client) -> None:
    """Of the archive, only that is shown, and nothing of it elsewhere."""
    for name, over in (
        ("east", {"labels": ["blue"]}), ("west", {"enabled": False}), ("old", {}),
    ):  # fmt: skip
        create_channel(SYSTEM, name, {**FIELDS, **over})  # type: ignore[typeddict-item]
    archive_channel(SYSTEM, Channel.objects.get(name="old"))

    def names(query: str) -> list[str]:
        rows = file_of(dora, f"/admin/channels?{query}&export=csv&cols=name")
        return [row["name"] for row in rows]

    assert names("") == ["east", "west"]
    assert (names("state=on"), names("state=off")) == (["east"], ["west"])
    assert names("state=archived") == ["old"]
    assert (names("q=WES"), names("state=archived&q=west")) == (["west"], [])
    assert (names("q=BLUE"), names("q=river"), names("q=example.com&state=off")) == (
        ["east"], ["east", "west"], ["west"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("enabled", "archived", "offered"),
    [(True, False, ["0"]), (False, False, ["1"]), (False, True, [])],
)
def test_page_offers_what_its_channel_is_not(
    people: Cast, dora: Client, enabled: bool, archived: bool, offered: list[str]
) -> None:
    channel = create_channel(SYSTEM, "east", {**FIELDS, "enabled": enabled})
    if archived:
        archive_channel(SYSTEM, channel)
    html = dora.get(f"/admin/channels/{id_text(channel.id)}").text
    buttons = re.findall(r"<button[^>]*>", html)
    values = [re.findall(r'value="(\d)"', one)[0] for one in buttons if 'name="on"' in one]
    assert values == offered
    assert any('name="restore"' in one for one in buttons) is archived
    assert ("/edit" in html) is not archived


def test_test_form_begins_as_the_last_test_and_tests_streams_by_default(
    people: Cast, dora: Client
) -> None:
    channel = create_channel(SYSTEM, "east", FIELDS)
    last: dict[str, Any] = {"ok": True, "fault": None, "model": "river", "upstream_model": "river",
            "variant": "tools", "at": clock.rfc3339(clock.now()), "stages": [], "status": 200,
            "detail": "", "body": "", "total_ms": 5, "meters": {}, "cost_nano": None}  # fmt: skip
    Channel.objects.filter(id=channel.id).update(last_test=last)
    now = clock.now()
    listed = ["brook", "river", "lake", "sea"]
    ModelListing.objects.create(
        channel=channel, listed=listed, known=["brook", "river"], complete=True, checked_at=now,
        listed_at=now,
    )  # fmt: skip
    html = dora.get(f"/admin/channels/{id_text(channel.id)}").text
    form = html.partition('id="test"')[2].partition("</form>")[0]
    assert re.findall(r'value="(\w+)"[^>]* selected', form) == ["river", "tools"]
    assert re.search(r"\b2 (?:new )?changes\b", re.sub(r"\s+", " ", html))
    sent = CheckForm(["brook"], {"model": "brook"})
    assert sent.is_valid()
    assert sent.cleaned_data["variant"] == "streamed"


@pytest.mark.parametrize(("state", "on"), [("off", False), ("on", True), ("unsaid", None)])
def test_switch_turns_off_on_or_follows_the_catalogue(state: str, on: bool | None) -> None:
    data = QueryDict(f"model=brook&capability=tools&state={state}")
    form = SwitchForm(["brook"], data)
    assert form.is_valid(), form.errors
    assert form.on is on


def test_key_whose_balance_was_read_longest_ago_is_read_first(people: Cast) -> None:
    """One that was never read comes before it; a disabled one is not asked."""
    keys = [f"sk-key-{n}-0123456789" for n in range(4)]
    channel = create_channel(
        SYSTEM, "paid", {**FIELDS, "keys": keys, "balance_source": "openrouter"}
    )
    stored = list(channel.keys.all())
    now = clock.now()
    for key, minutes in zip(stored, (5, 50, None, 90), strict=True):
        if minutes is not None:
            at = clock.rfc3339(now - dt.timedelta(minutes=minutes))
            key.balance = {"checked_at": at, "read_at": at, "amounts": [["USD", 1]]}
            key.save()
    stored[3].disabled_at = now
    stored[3].save()
    assert [key.position for key in _in_turn(channel)] == [2, 1, 0]


def test_limits_of_a_balance_are_named_and_reading_is_offered_where_it_is_possible(
    people: Cast,
) -> None:
    channel = create_channel(
        SYSTEM, "paid",
        {**FIELDS, "balance_source": "openrouter", "balance_warn_below_nano": 5 * 10**9,
         "balance_rest_below_nano": 10**9},
    )  # fmt: skip
    assert [text for _, text in balance_limits(channel)] == ["5.00", "1.00"]
    change_channel(SYSTEM, channel, {"balance_warn_below_nano": None})
    assert [text for _, text in balance_limits(Channel.objects.get())] == ["1.00"]
    offers = {
        (provider, source): offers_balance(Channel(provider=provider, balance_source=source))
        for provider in ("openrouter", "openai")
        for source in ("none", "openrouter")
    }
    assert [pair for pair, offered in offers.items() if offered] == [("openrouter", "none")]


@pytest.mark.parametrize(
    ("nano", "text"),
    [(19_999_999_999, "19.99 USD"), (5_000_000, "<0.01 USD"), (0, "0.00 USD"),
     (-1_999_999_999, "-2.00 USD")],
)  # fmt: skip
def test_balance_is_never_overstated(nano: int, text: str) -> None:
    assert amount_text(Amount("USD", nano)).replace("−", "-") == text
