"""The subjects that a budget can have are found by what people know of them (W53)."""

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.access.actors import SYSTEM
from accounts.organisations import projects
from billing.limits.budget_rules import Period, anchors_of, default_anchor
from billing.prices.prices import set_price
from gateway.channels.channels import create_channel
from gateway.limits.budget_subjects import describe_subject
from gateway.limits.forms import BudgetForm
from gateway.limits.views import _first_model
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, actor, make_key, signed_in

pytestmark = pytest.mark.django_db


def found(client: Client, scope: str, text: str) -> list[str]:
    answer = client.get(
        reverse("budget_subject_choices", args=["acme"]), {"scope": scope, "q": text}
    )
    return [html.unescape(one) for one in re.findall(r'data-value="([^"]*)"', answer.text)]


def test_subjects_are_found_by_name_address_and_label(people: Cast) -> None:
    """A label does not have to have been used. An archived project gets no budget."""
    projects.create_project(people.core, "New Search", slug="search", actor=SYSTEM)
    old = projects.create_project(people.core, "Old Search", slug="old", actor=SYSTEM)
    projects.archive_project(old, actor=SYSTEM)
    alice = signed_in(people.alice)
    assert found(alice, "project", "Search") == ["search", "Search"]
    assert found(alice, "user", "bob@exam") == ["bob@example.org"]
    assert found(alice, "user", "Bob") == ["bob@example.org"]
    assert found(alice, "tag", "beta") == found(alice, "customer", "beta") == ["beta"]
    assert found(alice, "none", "beta") == []


def test_chosen_subjects_are_described_by_their_names(people: Cast) -> None:
    projects.create_project(people.core, "New Search", slug="search", actor=SYSTEM)
    key, _ = make_key(people.core, "nightly")
    alice = actor(people.alice, people.acme)
    for scope, value, name in (
        ("project", "search", "New Search"), ("project", "none", "none"),
        ("user", "bob@example.org", "Bob"), ("team", "core", people.core.name),
        ("key", key.id, "nightly"),
    ):  # fmt: skip
        text = value if isinstance(value, str) else id_text(value)
        assert [choice.label for choice in describe_subject(alice, scope, [text])] == [name]


@pytest.mark.parametrize(
    ("sent", "anchor"),
    [
        ({"period": "day", "anchor_day": "9", "anchor_month": "4"}, 9),
        ({"period": "month", "anchor_day": "9", "anchor_month": "4"}, 4),
        ({"period": "week", "anchor_week": "3"}, 3),
        ({"period": "hour", "anchor_hour": "20"}, 20),
        ({"period": "month"}, 1),
        ({"period": "day"}, 0),
    ],
)
def test_budget_resets_when_its_own_period_says(
    people: Cast, sent: dict[str, str], anchor: int
) -> None:
    form = BudgetForm(
        {"scope": "team", "subject": "core", "amount": "1", "timezone": "UTC", "action": "block",
         **sent},
        actor=actor(people.alice, people.acme),
    )  # fmt: skip
    assert form.is_valid(), form.errors
    assert form.cleaned_data["anchor"] == anchor


def test_each_period_offers_its_own_starts() -> None:
    periods: tuple[Period, ...] = ("hour", "day", "week", "month")
    for period in periods:
        field: Any = BudgetForm.base_fields[f"anchor_{period}"]
        assert [value for value, _ in field.choices] == [str(n) for n in anchors_of(period)]
        assert field.initial == str(default_anchor(period))


def test_link_to_a_new_budget_fills_in_its_subject(people: Cast) -> None:
    page = signed_in(people.alice).get("/o/acme/budgets/new?scope=tag&subject=beta").text
    assert re.search(r'<option value="tag"[^>]* selected', page)
    assert re.search(r'name="subject"[^>]*value="beta"|value="beta"[^>]*name="subject"', page)
    assert "selected" not in re.findall(
        r'<option value="tag"[^>]*>', signed_in(people.alice).get("/o/acme/budgets/new").text
    )[0]  # fmt: skip


def test_first_chat_of_a_key_uses_a_model_that_it_may_call(people: Cast) -> None:
    """The cheapest of them, and no other."""
    create_channel(
        SYSTEM, "one",
        {"provider": "openai_compatible", "base_url": "https://p.example/v1",
         "models": {"brook": "", "river-1": "", "river-2": ""}},
    )  # fmt: skip
    for model, nano in (("brook", 1), ("river-1", 9), ("river-2", 5)):
        rates = {"meters": {"in_text": nano * 10**6, "out_text": nano * 10**6}}
        set_price(SYSTEM, model, clock.now(), rates, source="test")
    alice = actor(people.alice, people.acme)
    narrow, _ = make_key(people.core, "narrow", model_patterns=["river-*"])
    none, _ = make_key(people.core, "none", model_patterns=["lake"])
    wide, _ = make_key(people.core, "wide")
    assert [_first_model(alice, key) for key in (narrow, none, wide)] == ["river-2", "", "brook"]
