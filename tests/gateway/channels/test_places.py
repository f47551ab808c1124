"""Pages show the place of a model that its requests try first."""

import pytest

from accounts.access.actors import SYSTEM
from gateway.channel_order.channel_order import Route, plan
from gateway.channels.channels import create_channel
from gateway.channels.places import Places, enabled_channels
from gateway.settings.installation import save_settings
from playground.models_offered.offered_models import capabilities_of_model
from tests.support.cast import Cast, signed_in
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db


def make_channel(name: str, priority: int, models: dict[str, str]) -> None:
    create_channel(
        SYSTEM, name,
        {"provider": "openai_compatible", "base_url": "http://127.0.0.1:9",
         "priority": priority, "models": models},
    )  # fmt: skip


def test_first_place_is_the_one_that_requests_try_first() -> None:
    make_channel("early", 0, {"g*": "one", "gpt-*": "two", "gpt-5*": "three"})
    make_channel("late", 1, {"gpt-5-mini": "four", "gpt-5*": "five", "*": "six"})
    channels = enabled_channels()
    places = Places(channels)
    routes = [
        Route(str(channel.id), route.model, route.upstream_model, channel.priority, channel.weight)
        for channel in channels
        for route in channel.routes.all()
    ]
    names = ("gpt-5-mini", "gpt-5", "gpt-4", "grok", "other")
    shown = {name: next(places.of(name)).upstream_name(name) for name in names}
    tried = {name: plan(name, routes, seed=1)[0].upstream_model for name in names}
    assert list(shown.values()) == ["four", "three", "two", "one", "six"]
    assert shown == tried
    assert list(Places([]).of("gpt-5")) == []


def test_pages_describe_the_model_that_answers_there(people: Cast) -> None:
    save_settings(SYSTEM, unpriced_models="free")
    make_channel("early", 0, {"brook*": "gpt-4o", "brook-1*": "deepseek-chat", "r*": "gpt-4o"})
    make_channel("late", 1, {"brook-12": "", "river": "deepseek-chat"})
    owners = {name: capabilities_of_model(name).owner for name in ("brook", "brook-1", "river")}
    assert owners == {"brook": "openai", "brook-1": "deepseek", "river": "deepseek"}
    rows = file_of(signed_in(people.bob), "/models?provider=DeepSeek&export=csv&cols=name")
    assert [row["name"] for row in rows] == ["river"]
