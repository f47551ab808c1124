"""The page of the catalogue update: what kind of change each row is, and which are decided."""

import json
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from gateway.catalogue.list_proposals import accept_proposals
from gateway.catalogue.model_changes import _keep, changes_of
from gateway.catalogue.updates import Choice, add_ignore_rule, change_ignore_rule, update_catalogue
from gateway.catalogue.views import _total, _update_row
from gateway.channels.channels import create_channel
from gateway.channels.model_lists import ModelList
from gateway.model_entries.entries import save_entry
from gateway.models import CatalogueUpdate, ModelEntry, ModelListing, ModelProposal
from lib import clock
from lib.ids import id_text
from outbox.models import Fact
from tests.support.cast import Cast, signed_in
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db

PAGE = "/admin/models/catalogue"


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


@pytest.fixture
def proposed(db: None) -> dict[str, str]:
    """A fact that is new, one that changes, and one that a list has no more; their ids."""
    rows = {
        "new": ModelProposal(model="a", field="tools", before=None, after=True, source="list one"),
        "changed": ModelProposal(
            model="b", field="context_max", before=9000, after=8000, source="list two"
        ),
        "gone": ModelProposal(
            model="c", field="output_max", before=700, after=None, source="list two"
        ),
    }
    ModelProposal.objects.bulk_create(rows.values())
    return {name: id_text(row.id) for name, row in rows.items()}


def test_each_proposal_says_what_changes_from_what(
    people: Cast, dora: Client, proposed: dict[str, str]
) -> None:
    rows = file_of(dora, f"{PAGE}?export=csv&cols=model,what,difference")
    told = {row["model"]: [*row.values()][1:] for row in rows}
    assert [what for what, _ in told.values()] == ["New", "Changed", "No longer listed"]
    assert [text.split(" → ")[0] for _, text in told.values()] == ["not known", "9,000", "700"]
    assert [text.split(" → ")[1] for _, text in told.values()] == ["On", "8,000", "not known"]


def test_an_accepted_capability_is_added_to_the_others(proposed: dict[str, str]) -> None:
    save_entry(SYSTEM, "a", can={"vision": True, "reasoning": False})
    accept_proposals(SYSTEM, [ModelProposal.objects.get(model="a").id])
    can = ModelEntry.objects.get(name="a").can
    assert can == {"vision": True, "reasoning": False, "tools": True}


@pytest.mark.parametrize(
    ("query", "models"),
    [
        ("what=removed", ["c"]), ("q=TWO", ["b", "c"]), ("q=two&what=changed", ["b"]),
    ],
)  # fmt: skip
def test_all_that_match_the_filter_are_decided_and_no_others(
    people: Cast, dora: Client, proposed: dict[str, str], query: str, models: list[str]
) -> None:
    rows = file_of(dora, f"{PAGE}?{query}&export=csv&cols=model")
    assert [row["model"] for row in rows] == models
    dora.post(f"{PAGE}/decide", {"everything": query, "act": "dismiss"})
    decided = ModelProposal.objects.filter(state="dismissed").order_by("model")
    assert [row.model for row in decided] == models


def test_ticked_proposals_are_dismissed_and_the_others_stay(
    people: Cast, dora: Client, proposed: dict[str, str]
) -> None:
    dora.post(f"{PAGE}/decide", {"id": [proposed["new"]], "act": "dismiss"})
    assert [row.model for row in ModelProposal.objects.filter(state="open")] == ["b", "c"]
    event = AuditEvent.objects.get(action="model.proposal_dismissed")
    assert (event.detail["before"], event.detail["after"]) == (None, True)


def test_comparison_counts_prices_and_facts_together() -> None:
    result = {
        "prices": {"added": 1, "changed": 20, "removed": 300},
        "facts": {"added": 4, "changed": 50, "removed": 600},
        "unknown": {}, "skipped": {}, "skipped_count": 0,
    }  # fmt: skip
    update = CatalogueUpdate(source="x", result=result)
    row = _update_row(update)
    assert (row["added"], row["changed"], row["removed"]) == (5, 70, 900)
    assert _total(update) == 975


@pytest.mark.parametrize(
    ("choice", "included"),
    [
        (Choice(), {"gpt-1", "gpt-2", "o3", "pattern-x"}),
        (Choice(only=["gpt-*"]), {"gpt-1", "gpt-2"}),
        (Choice(ignored=["gpt-*"]), {"o3", "pattern-x"}),
        (Choice(only=["gpt-*"], ignored=["gpt-2"]), {"gpt-1"}),
        (Choice(served=True), {"gpt-1", "pattern-x"}),
        (Choice(only=["gpt-2"], served=True), set()),
    ],
)
def test_chosen_models_are_compared(choice: Choice, included: set[str]) -> None:
    served = {"gpt-1", "pattern-*"}
    models = ("gpt-1", "gpt-2", "o3", "pattern-x")
    assert {name for name in models if choice.includes(name, served)} == included


def test_ignored_field_is_not_proposed_and_its_change_is_audited(people: Cast) -> None:
    """A rule for one field leaves the others; one without a field ignores all."""
    create_channel(
        SYSTEM, "main",
        {"provider": "openai_compatible", "base_url": "http://127.0.0.1:9",
         "models": {"one": "", "two": ""}},
    )  # fmt: skip
    rule = add_ignore_rule(SYSTEM, "one", "vision")
    facts: dict[str, Any] = {
        "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06,
        "supports_vision": True, "max_input_tokens": 900,
    }  # fmt: skip
    text = json.dumps({"one": facts, "two": facts}).encode()

    def fields(model: str) -> set[str]:
        update_catalogue(SYSTEM, text, "list x")
        return set(ModelProposal.objects.filter(model=model).values_list("field", flat=True))

    assert (fields("one"), fields("two")) == ({"context_max"}, {"context_max", "vision"})
    change_ignore_rule(SYSTEM, rule, field="")
    assert (fields("one"), fields("two")) == (set(), {"context_max", "vision"})
    event = AuditEvent.objects.filter(action="catalogue.ignored").latest("id")
    assert event.detail["before"] == {"model": "one", "field": "vision"}
    assert event.detail["after"] == {"model": "one", "field": ""}


def test_email_of_new_models_names_twenty_and_counts_all(people: Cast) -> None:
    channel = create_channel(
        SYSTEM, "main",
        {"provider": "openai_compatible", "base_url": "http://127.0.0.1:9", "models": {"m": ""}},
    )  # fmt: skip
    names = ["m", *(f"new-{n:02}" for n in range(25))]
    now = clock.now()
    ModelListing.objects.create(
        channel=channel, listed=["m"], known=["m"], complete=True, checked_at=now, listed_at=now
    )
    _keep(SYSTEM, channel, ModelList(ok=True, names=names, complete=True))
    assert len(changes_of(channel)) == 25
    body = Fact.objects.get(kind="channel.models_changed").body
    assert (body["added_count"], len(body["added"]), body["gone_count"]) == (25, 20, 0)
    # A reading that fails keeps what is known, and says why.
    _keep(SYSTEM, channel, ModelList(fault="timeout"))
    listing = ModelListing.objects.get()
    assert (listing.fault, listing.listed) == ("timeout", names)
