"""Models as the choices of a field."""

import datetime as dt
import re
from html import unescape
from time import process_time

import pytest
from django.forms import ValidationError
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import Role
from billing.price_plans.price_plans import assign_plan, save_plan
from billing.prices.prices import set_price
from gateway.listed_models.model_choices import ModelNames, offered_names
from gateway.listed_models.model_fields import ModelsField
from gateway.listed_models.shown_models import models_for
from gateway.models import Channel, ModelAlias, ModelEntry, Route
from gateway.settings.installation import save_settings
from lib import clock
from tests.support.cast import Cast, actor, member, signed_in
from tests.support.hostile import EVERYTHING

NAMES = ModelNames(
    {"gpt-5": "OpenAI", "gpt-5-mini": "OpenAI", "o3": "OpenAI", "claude-opus-5": "Anthropic"},
    ["local/*"],
)
URL = "/o/acme/_f/choices/models"


@pytest.fixture
def served(people: Cast) -> Cast:
    channel = Channel.objects.create(name="east", provider="openai", base_url="https://a.example")
    for name in ("gpt-5", "gpt-5-mini", "o3"):
        Route.objects.create(channel=channel, model=name)
        rates = {"meters": {"in_text": 10**9, "out_text": 2 * 10**9}}
        set_price(SYSTEM, name, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), rates, source="file")
    return people


def listed(client: Client, text: str, url: str = URL) -> list[str]:
    answer = client.get(url, {"q": text})
    assert answer.status_code == 200
    return [unescape(value) for value in re.findall(r'data-value="([^"]*)"', answer.text)]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", ["claude-opus-5", "gpt-5", "gpt-5-mini", "o3"]),
        ("O3", ["o3"]),
        ("mini", ["gpt-5-mini"]),
        # What begins with the text comes first, the pattern of all that do comes last.
        ("gpt-5", ["gpt-5", "gpt-5-mini", "gpt-5*"]),
        ("gpt-5*", ["gpt-5*", "gpt-5", "gpt-5-mini"]),
        ("gpt-5-mni", ["gpt-5-mini", "gpt-5"]),
        ("local/phi", ["local/phi"]),
        ("o3, gpt-5 nothing\nclaude*", ["o3", "gpt-5", "claude*"]),
        ("nothing", []),
    ],
)
def test_models_are_searched(text: str, values: list[str]) -> None:
    assert [choice.value for choice in NAMES.search(text)] == values


def test_a_pattern_says_what_it_matches() -> None:
    notes = {choice.value: choice for choice in NAMES.describe(["gpt-5*", "o3*", "grok*", "o3"])}
    assert [choice.mark for choice in notes.values()] == [
        "2 models", "1 model", "Matches no model now", "",
    ]  # fmt: skip
    assert notes["grok*"].tone == "warn"


@pytest.mark.parametrize(
    ("text", "names"),
    [("", []), (" ", []), ("gpt-*, o3\n\nclaude-*  o3,", ["gpt-*", "o3", "claude-*"])],
)
def test_models_are_read_from_lines_commas_and_spaces(text: str, names: list[str]) -> None:
    field = ModelsField(required=False)
    field.offer(NAMES, URL)
    assert field.clean(text) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpt-5-mni", "There is no model named gpt-5-mni. Did you mean gpt-5-mini?"),
        ("gpt-5 nothing", "There is no model named nothing."),
        ("m" * 201, "One of the names or patterns is too long."),
        (" ".join(f"m{n}*" for n in range(101)), "You can list up to 100 models or patterns."),
    ],
)
def test_a_typo_in_a_model_name_is_refused(text: str, message: str) -> None:
    field = ModelsField()
    field.offer(NAMES, URL)
    with pytest.raises(ValidationError) as refused:
        field.clean(text)
    assert refused.value.messages == [message]
    field.kept = text.split()[:100]
    if len(text.split()) <= 2 and len(text) < 200:
        assert field.clean(text) == text.split()


@pytest.mark.django_db
def test_members_see_the_models_of_their_plan_only(served: Cast) -> None:
    bob = signed_in(served.bob)
    assert listed(bob, "") == ["gpt-5", "gpt-5-mini", "o3"]
    save_plan(actor(served.dora), "small", models=["o3"])
    assign_plan(actor(served.dora), served.acme, "small")
    assert listed(bob, "") == ["o3"]
    assert listed(bob, "gpt-5") == []
    assert "There is no model named gpt-5." in bob.get(URL, {"q": "gpt-5"}).text
    operator = "/admin/_f/choices/models"
    assert listed(signed_in(served.dora), "mini", operator) == ["gpt-5-mini"]
    assert bob.get(operator).status_code == 404


def names_for(people: Cast) -> list[str]:
    return [model.name for model in models_for(actor(people.bob, people.acme))]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("unpriced", "wildcards"), [("reject", []), ("free", ["local/*"]), ("alert", ["local/*"])]
)
def test_patterns_are_offered_where_models_need_no_price(
    served: Cast, unpriced: str, wildcards: list[str]
) -> None:
    Route.objects.create(channel=Channel.objects.get(), model="local/*")
    save_settings(SYSTEM, unpriced_models=unpriced)
    assert list(offered_names(actor(served.bob, served.acme)).wildcards) == wildcards


def test_alias_is_listed_where_it_and_its_model_are(served: Cast) -> None:
    """Not if the alias itself has ended, is hidden, or is not in the organisation's plan."""
    ModelAlias.objects.create(name="best", target="gpt-5")
    whole = ["best", "gpt-5", "gpt-5-mini", "o3"]
    assert names_for(served) == whole
    entry = ModelEntry.objects.create(name="best", sunset_at=clock.now())
    assert names_for(served) == whole[1:]
    ModelEntry.objects.filter(pk=entry.pk).update(name="gpt-5")
    assert names_for(served) == whole[2:]
    ModelEntry.objects.all().delete()
    save_plan(actor(served.dora), "small", models=["gpt-*"])
    assign_plan(actor(served.dora), served.acme, "small")
    assert names_for(served) == whole[1:3]


@pytest.mark.django_db
def test_models_of_a_disabled_channel_and_ended_ones_are_not_listed(served: Cast) -> None:
    """With a price or without."""
    channel = Channel.objects.get()
    save_settings(SYSTEM, unpriced_models="free")
    for name in ("free", "over"):
        Route.objects.create(channel=channel, model=name)
    ModelEntry.objects.create(name="over", sunset_at=clock.now())
    assert names_for(served) == ["free", "gpt-5", "gpt-5-mini", "o3"]
    Channel.objects.update(enabled=False)
    assert names_for(served) == []


@pytest.mark.django_db
def test_listed_model_is_what_its_exact_name_leads_to(served: Cast) -> None:
    """As for requests, whatever a pattern of the channel says."""
    channel = Channel.objects.get()
    Route.objects.create(channel=channel, model="gpt-*", upstream_model="deepseek-chat")
    Route.objects.filter(model="gpt-5-mini").delete()
    owners = {model.name: model.owner for model in models_for(actor(served.bob, served.acme))}
    assert (owners["gpt-5"], owners["gpt-5-mini"]) == ("OpenAI", "DeepSeek")


@pytest.mark.django_db
def test_hostile_text_is_shown_as_text(served: Cast) -> None:
    viewer = signed_in(member(served.acme, "vera", Role.VIEWER))
    for text in (EVERYTHING, "<script>alert(1)</script>", '"><img src=x>', "a\x00b", "é" * 500):
        answer = viewer.get(URL, {"q": text})
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "<img" not in answer.text


def test_ten_thousand_names_are_searched_immediately() -> None:
    names = ModelNames({f"model-{n}": "" for n in range(10_000)}, [])
    begin = process_time()
    assert len(names.search("model-99")) == 50
    assert process_time() - begin < 0.1
