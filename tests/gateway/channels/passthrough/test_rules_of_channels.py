"""The pass-through rules of a channel: by page, by API and by file, and the prices that follow."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from billing.models import Price, PriceVersion
from gateway.channel_setup.edit_forms import SettingsForm
from gateway.channels.channels import (
    change_channel,
    copy_channel,
    create_channel,
    remove_channel,
)
from gateway.channels.passthrough.passthrough import parse_rules, rules_of, rules_text
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel
from lib.ids import id_text
from tests.config.applying import Installation
from tests.support.cast import Cast, signed_in
from tests.support.reviewing import save_reviewed

pytestmark = pytest.mark.django_db
LINES = """\
GET,POST /files/** 0.001
POST /search 0.10 /usage/credits 0.002 0.50 cost=0.05 unit_cost=0.001"""
STORED = [
    {"methods": ["GET", "POST"], "path": "/files/**", "price": "0.001", "pointer": "",
     "unit_price": "0.00", "max_charge": "0.00", "cost": "", "unit_cost": ""},
    {"methods": ["POST"], "path": "/search", "price": "0.10", "pointer": "/usage/credits",
     "unit_price": "0.002", "max_charge": "0.50", "cost": "0.05", "unit_cost": "0.001"},
]  # fmt: skip
FILE = """\
version: 1
channels:
  - name: east
    provider: openai
    pass_through:
      - {methods: [POST, GET], path: /files/**, price: "0.001"}
      - {methods: [POST], path: /search, price: "0.1", pointer: /usage/credits,
         unit_price: "0.002", max_charge: "0.5", cost: "0.05", unit_cost: "0.001"}
"""


@pytest.fixture
def channel() -> Channel:
    return create_channel(
        SYSTEM, "east", {"provider": "openai", "pass_through": parse_rules(LINES)}
    )


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


def prices(kind: str = "path") -> dict[str, Any]:
    open_versions = PriceVersion.objects.filter(price__kind=kind, valid_to=None)
    return {
        f"{one.price.channel} {one.price.model}": one.rates["meters"]
        for one in open_versions.select_related("price")
    }


EAST = {
    "east GET,POST /files/**": {"requests": 10**12},
    "east POST /search": {"requests": 10**14, "answer_micros": 2_000_000},
}


COSTS = {"east POST /search": {"requests": 5 * 10**13, "answer_micros": 1_000_000}}


def test_rules_are_stored_in_one_form_with_prices(channel: Channel) -> None:
    assert channel.pass_through == STORED
    assert rules_text(rules_of(channel)) == LINES
    assert prices() == EAST
    assert prices("path_cost") == COSTS


def test_cost_of_zero_is_known_and_a_missing_cost_is_not(channel: Channel) -> None:
    lines = "GET /a 1 cost=0\nGET /b 1\nGET /c 1 /n 0.1 5 unit_cost=0.2"
    change_channel(SYSTEM, channel, {"pass_through": parse_rules(lines)})
    channel.refresh_from_db()
    assert prices("path_cost") == {
        "east GET /a": {"requests": 0},
        "east GET /c": {"requests": 0, "answer_micros": 200_000_000},
    }
    assert rules_text(rules_of(channel)).splitlines() == [
        "GET /a 1.00 cost=0.00", "GET /b 1.00", "GET /c 1.00 /n 0.10 5.00 unit_cost=0.20",
    ]  # fmt: skip
    change_channel(SYSTEM, channel, {"pass_through": []})
    assert prices("path_cost") == {}


def test_only_a_changed_rule_gets_a_new_price(channel: Channel) -> None:
    before = set(PriceVersion.objects.values_list("id", flat=True))
    cheaper = LINES.replace("0.001", "0.0005")
    change_channel(SYSTEM, channel, {"pass_through": parse_rules(cheaper)})
    assert prices() == {**EAST, "east GET,POST /files/**": {"requests": 5 * 10**11}}
    assert PriceVersion.objects.filter(id__in=before, valid_to=None).count() == 1
    change_channel(SYSTEM, channel, {"pass_through": []})
    assert prices() == {}
    assert Price.objects.filter(kind="path").count() == 2


def test_copy_has_prices_and_removed_channel_has_none(channel: Channel) -> None:
    copy_channel(SYSTEM, channel, "west")
    assert len(prices()) == 4
    remove_channel(SYSTEM, channel)
    assert prices() == {name.replace("east", "west"): rates for name, rates in EAST.items()}


def test_change_is_in_the_audit_log(channel: Channel) -> None:
    change_channel(SYSTEM, channel, {"pass_through": parse_rules("GET /models 0")})
    event = AuditEvent.objects.filter(action="channel.changed").latest("id")
    assert event.detail["before"]["pass_through"] == STORED
    assert event.detail["after"]["pass_through"][0]["path"] == "/models"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("GET /a", "expected methods, a path and a price"),
        ("GET /a 1 /x", "expected methods, a path and a price"),
        ("TRACE /a 1", "Name each method once"),
        ("GET,GET /a 1", "Name each method once"),
        ("get /a 1", "Name each method once"),
        ("GET a 1", "a is not a path"),
        ("GET /../a 1", "/../a is not a path"),
        ("GET /a/%2e 1", "is not a path"),
        ("GET /** 1\nGET,POST /** 2", "Rule 2: /** already has a rule"),
        ("GET /a free", "free is not an amount"),
        ("GET /a -1", "An amount must be from 0"),
        ("GET /a 1001", "An amount must be from 0"),
        ("GET /a 1 total 1 5", "total is not a JSON pointer"),
        ("GET /a 1 /total 0 5", "a price per unit above 0"),
        ("GET /a 1 unit_cost=1", "An amount per unit and a maximum charge need a JSON pointer"),
        ("GET /a 1 cost=free", "free is not an amount"),
        ("GET /a 1 cost=-1", "An amount must be from 0"),
        ("GET /a 1 cost=1 cost=1", "expected methods, a path and a price"),
        ("GET /a cost=1", "expected methods, a path and a price"),
        ("GET /a 1 /total 1 1", "a maximum charge above the price per request"),
        ("GET /a 1 /total 1 0.5", "a maximum charge above the price per request"),
    ],
)
def test_invalid_rule_is_rejected(channel: Channel, lines: str, words: str) -> None:
    with pytest.raises(ChannelRefused, match=re.escape(words)) as caught:
        change_channel(SYSTEM, channel, {"pass_through": parse_rules(lines)})
    assert caught.value.field == "pass_through"
    channel.refresh_from_db()
    assert channel.pass_through == STORED
    assert prices() == EAST


def test_provider_that_signs_bodies_has_no_rules() -> None:
    with pytest.raises(ChannelRefused, match="signs each body"):
        create_channel(
            SYSTEM, "south", {"provider": "bedrock", "pass_through": parse_rules("GET /a 0")}
        )


def test_page_shows_and_changes_the_rules(dora: Client, channel: Channel) -> None:
    url = f"/admin/channels/{id_text(channel.id)}"
    shown = dora.get(url).content.decode()
    assert "GET,POST /files/**" in shown
    assert "/passthrough/east/" in shown
    form = SettingsForm(channel)
    sent = {name: form[name].value() for name in form.fields}
    sent = {name: value for name, value in sent.items() if value or value == 0}
    sent = {name: value for name, value in sent.items() if value is not False}
    assert sent["pass_through"] == LINES
    sent["pass_through"] = "GET /models 0.5"
    review = dora.post(f"{url}/edit", sent).content.decode()
    assert "GET /models 0.5" in review
    assert dora.post(f"{url}/edit", {**sent, "pass_through": "GET"}).status_code == 422
    version = dora.get(f"/api/v1/channels/{id_text(channel.id)}").json()["version"]
    saved = save_reviewed(dora, f"{url}/edit", {**sent, "version": version})
    assert saved.status_code == 303, saved.content.decode()
    assert prices() == {"east GET /models": {"requests": 5 * 10**14}}
    blank = SettingsForm(Channel.objects.get())
    again = SettingsForm(Channel.objects.get(), data={"pass_through": "GET /models 0.50\r\n"})  # type: ignore[arg-type]
    assert blank["pass_through"].value() == "GET /models 0.50"
    assert "pass_through" not in again.changed_data


def test_api_takes_and_shows_the_rules(dora: Client, channel: Channel) -> None:
    url = f"/api/v1/channels/{id_text(channel.id)}"
    assert dora.get(url).json()["pass_through"] == STORED
    rule = {"methods": ["DELETE", "GET"], "path": "/files/*", "price": "0.2"}
    patched = dora.patch(url, {"pass_through": [rule]}, content_type="application/json")
    assert patched.json()["pass_through"] == [
        {**STORED[0], "methods": ["GET", "DELETE"], "path": "/files/*", "price": "0.20"}
    ]
    wrong = {**rule, "path": "/a/../b"}
    refused = dora.patch(url, {"pass_through": [wrong]}, content_type="application/json")
    assert refused.status_code == 422
    assert "/a/../b is not a path" in refused.json()["error"]["message"]


def test_file_applies_and_exports_the_rules(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.apply(FILE)
    assert Channel.objects.get().pass_through == STORED
    assert prices() == EAST
    assert "nothing to change" in installation.apply(FILE)
    exported = installation.export()
    assert "path: /files/**" in exported
    assert "kind: path" not in exported
    assert "nothing to change" in installation.apply(exported, "--prune")
    assert prices() == EAST
    assert prices("path_cost") == COSTS
