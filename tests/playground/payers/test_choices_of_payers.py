"""What the menus of the playground offer: payers, projects, models, presets and prompts."""

import datetime as dt
import re
from unittest import mock

import pytest

from accounts.access.actors import SYSTEM
from accounts.keys import service_accounts
from billing.prices import prices
from content.prompts import prompts
from content.prompts.settings import Settings
from gateway.models import Channel, ModelEntry, Route
from lib import clock
from playground.chats import model_picker
from playground.chats.desk import first_model
from playground.chats.model_picker import picker_groups
from playground.conversations import title_rules, titles
from playground.models import PayerRule
from playground.models_offered.offered_models import (
    call_prices,
    capabilities_of_model,
    offered_models,
)
from playground.panel.panel import form_of, panel_context
from playground.panel.presets import save_preset
from playground.payers.payer_rules import paying_keys
from playground.payers.paying import payers_context
from playground.preferences import preferences
from tests.playground.messages.test_answer_facts import chat_of
from tests.support.cast import Cast, actor, make_key, signed_in
from tests.support.lists import file_of
from usage.limits.budget_simulation import create_budget

pytestmark = pytest.mark.django_db
TEXT = {"in_text": 250_000_000, "out_text": 2_000_000_000}


@pytest.fixture
def models(people: Cast) -> Cast:
    """Three models that chat, and one whose channel is off."""
    on = Channel.objects.create(name="on", provider="openai", base_url="https://x.example/v1")
    off = Channel.objects.create(
        name="off", provider="openai", base_url="https://y.example/v1", enabled=False
    )
    for name, channel in (("beta", on), ("alpha", on), ("gamma", on), ("delta", off)):
        Route.objects.create(channel=channel, model=name)
        prices.set_price(
            SYSTEM, name, valid_from=clock.now() - dt.timedelta(days=1), rates={"meters": TEXT},
            source="test",
        )  # fmt: skip
    return people


def test_only_keys_of_people_pay_where_the_rule_says_so(people: Cast) -> None:
    by = actor(people.alice, people.acme)
    account = service_accounts.create_service_account(people.core, "robot", actor=SYSTEM)
    make_key(people.core, "robots", service_account=account)
    make_key(people.core, "nobodys")
    make_key(people.core, "mine", user=people.alice)
    names = {
        rule: sorted(key.name for key in paying_keys(by, rule))
        for rule in (PayerRule.ANY, PayerRule.PEOPLE, PayerRule.OWN, PayerRule.PLAYGROUND)
    }
    assert names == {
        PayerRule.ANY: ["mine", "nobodys", "robots"],
        PayerRule.PEOPLE: ["mine", "nobodys"],
        PayerRule.OWN: ["mine"],
        PayerRule.PLAYGROUND: [],
    }


def test_projects_on_offer_have_a_budget_in_force(people: Cast) -> None:
    by = actor(people.alice, people.acme)
    made = {
        name: create_budget(
            by, people.acme, scope="project", subject=name, amount_nano=10**9, period="month"
        )
        for name in ("search", "apollo", "off")
    }
    made["off"].enabled = False
    made["off"].save()
    assert list(payers_context(by, {}, None)["projects"]) == ["apollo", "search"]
    assert list(payers_context(actor(people.bob, people.acme), {}, None)["projects"]) == []


def test_picker_shows_favourites_then_the_last_used_once(models: Cast) -> None:
    by = actor(models.bob, models.acme)
    preferences.toggle_favourite(by, "gamma")
    preferences.choose_default_model(by, "alpha")
    for age, name in ((2, "gamma"), (1, "beta"), (3, "alpha")):
        chat_of(models, model=name, updated_at=clock.now() - dt.timedelta(hours=age))
    groups = [
        (name, [(row.model.name, row.default) for row in rows]) for name, rows in picker_groups(by)
    ]
    assert groups == [
        ("Favourites", [("gamma", False)]),
        ("Last used", [("beta", False), ("alpha", True)]),
    ]
    with mock.patch.object(model_picker, "LAST_USED_MAX", 1):
        assert [name for name, _ in picker_groups(by)] == ["Favourites", "Last used", "All models"]


def test_new_chat_begins_with_the_persons_model_then_the_last_used(models: Cast) -> None:
    by, names = actor(models.bob, models.acme), ["alpha", "beta", "gamma"]
    assert first_model(by, names) == "alpha"
    preferences.choose_organisation_model(actor(models.alice, models.acme), "beta")
    assert first_model(by, names) == "beta"
    chat_of(models, model="gamma")
    assert first_model(by, names) == "gamma"
    preferences.choose_default_model(by, "alpha")
    assert first_model(by, names) == "alpha"
    assert first_model(by, ["beta"]) == "beta"


def test_model_whose_channel_is_off_is_not_offered(models: Cast) -> None:
    by = actor(models.bob, models.acme)
    assert [model.name for model in offered_models(by)] == ["alpha", "beta", "gamma"]
    Channel.objects.filter(name="on").update(enabled=False)
    Route.objects.filter(model="delta").update(upstream_model="gpt-5")
    assert not offered_models(by)
    assert capabilities_of_model("delta").owner == ""


def test_model_that_has_ended_or_is_hidden_is_not_offered(
    models: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the instant of its end on."""
    end = clock.now() + dt.timedelta(hours=1)
    ModelEntry.objects.create(name="alpha", sunset_at=end)
    ModelEntry.objects.create(name="beta", roles=["owner"])
    by, owner = (actor(user, models.acme) for user in (models.bob, models.alice))
    for at, gone in ((end - dt.timedelta(microseconds=1), set[str]()), (end, {"alpha"})):
        monkeypatch.setattr(clock, "now", lambda at=at: at)
        for who, names in ((by, {"alpha", "gamma"}), (owner, {"alpha", "beta", "gamma"})):
            assert {model.name for model in offered_models(who)} == names - gone


def test_exact_name_of_a_model_counts_before_a_pattern(models: Cast) -> None:
    """As for requests: what it can do is what its own place can."""
    on = Channel.objects.get(name="on")
    Route.objects.create(channel=on, model="al*", upstream_model="deepseek-chat")
    Route.objects.filter(model="alpha").update(upstream_model="gpt-5")
    owners = [capabilities_of_model(name).owner for name in ("alpha", "alto")]
    assert owners == ["openai", "deepseek"]


def test_cheapest_model_names_chats_while_it_is_cheap(
    models: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that the paying key may call; the demonstration names nothing."""
    by = actor(models.bob, models.acme)
    key, _ = make_key(models.core, "k", model_patterns=["beta", "gamma"])
    # 750 tokens at 250, 40 at 2,000.
    for most, name in ((267_500, "beta"), (267_499, "")):
        monkeypatch.setattr(title_rules, "CHEAP_MAX_NANO", most)
        assert titles.title_model(by, title_rules.CHEAPEST, key) == name
    chosen = [titles.title_model(by, name, key) for name in ("gamma", "alpha")]
    assert chosen == ["gamma", ""]
    Channel.objects.filter(name="on").update(provider="local")
    assert titles.title_model(by, "gamma", key) == ""


def test_price_of_a_call_is_in_nano(models: Cast) -> None:
    Route.objects.create(channel=Channel.objects.get(name="on"), model="dall-e-3")
    prices.set_price(
        SYSTEM, "dall-e-3", valid_from=clock.now() - dt.timedelta(days=1), source="test",
        rates={"meters": {"requests": 40_000_000 * 10**6}},
    )  # fmt: skip
    by = actor(models.bob, models.acme)
    rates = {model.name: model.call_rate for model in offered_models(by)}
    assert (rates["dall-e-3"], rates["alpha"]) == (40_000_000, None)
    assert call_prices(by, "image") == {"dall-e-3": 40_000_000}


def test_presets_of_others_are_shown_without_being_ones_own(people: Cast) -> None:
    alice, bob = actor(people.alice, people.acme), actor(people.bob, people.acme)
    save_preset(alice, "common", Settings(), shared=True)
    save_preset(alice, "private", Settings(), shared=False)
    save_preset(bob, "mine", Settings(), shared=False)
    shown = [(one["name"], one["own"]) for one in panel_context(bob, "m", {})["presets"]]
    assert shown == [("common", False), ("mine", True)]


def test_each_setting_opens_in_the_form_as_it_was_stored() -> None:
    tool = {"name": "look", "parameters": {"type": "object"}}
    settings = Settings(
        params={"temperature": 0.5, "stop": ["a", "b"]}, system="Hi {{who}}",
        variables={"who": "you"}, tools=[tool], tool_choice="required", serial=True,
        schema={"type": "object"}, strict=True, raw={"user": "x"}, max_cost="0.05", trim=True,
    )  # fmt: skip
    form = form_of(settings)
    texts = {name: value for name, value in form.items() if name not in ("tools", "schema", "raw")}
    assert texts == {
        "p.temperature": "0.5", "p.stop": "a\nb", "system": "Hi {{who}}", "var.who": "you",
        "tool_choice": "required", "serial": "on", "strict": "on", "max_cost": "0.05",
        "trim": "oldest",
    }  # fmt: skip
    assert form.keys() - texts.keys() == {"tools", "schema", "raw"}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["Common", "Private"]),
        ("visible=own", ["Private"]),
        ("visible=all", ["Common"]),
        ("q=COMM", ["Common"]),
        ("q=painter", ["Private"]),
    ],
)
def test_prompts_are_found_by_each_filter(people: Cast, query: str, found: list[str]) -> None:
    by = actor(people.bob, people.acme)
    prompts.save_prompt(by, "Common", "weir-1", Settings(system="x"), note="", shared=True)
    prompts.save_prompt(by, "Private", "painter-1", Settings(system="x"), note="", shared=False)
    rows = file_of(signed_in(people.bob), f"/o/acme/prompts?{query}&export=csv")
    assert [row["name"] for row in rows] == found


def test_version_of_a_prompt_is_compared_with_the_one_before(people: Cast) -> None:
    by = actor(people.bob, people.acme)
    for system in ("one", "two", "three"):
        prompts.save_prompt(by, "Bot", "weir-1", Settings(system=system), note="", shared=True)
    bob = signed_in(people.bob)
    for query, gone in (("v=3", "two"), ("v=3&against=1", "one"), ("v=2", "one")):
        page = bob.get(f"/o/acme/prompts/bot?{query}").content.decode()
        assert re.findall(r"<del>(\w+)", re.sub(r"<span.*?</span>|\s+", "", page)) == [gone]
