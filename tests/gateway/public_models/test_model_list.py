"""The list of models as people filter it, and what a probe proves of a model."""

import datetime as dt
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from billing.models import Plan
from billing.price_plans.price_plans import remove_plan, save_plan
from gateway.aliases.aliases import save_alias
from gateway.channels.channel_tests.calls import ChannelCheck
from gateway.channels.channel_tests.variants import Variant
from gateway.channels.channels import create_channel
from gateway.listed_models.public_models import public_model
from gateway.model_entries.entries import save_entry
from gateway.models import Channel, ModelEntry
from gateway.public_models.forms import EntryForm
from gateway.public_models.probes import _keep, _verdict
from gateway.settings.installation import save_settings
from lib import clock
from tests.support.cast import Cast, signed_in
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def served(people: Cast) -> Channel:
    save_settings(SYSTEM, unpriced_models="free")
    return create_channel(
        SYSTEM, "main",
        {"provider": "openai_compatible", "base_url": "http://127.0.0.1:9",
         "models": {"brook": "", "gpt-4o": "", "river": ""}},
    )  # fmt: skip


def test_models_are_filtered_by_context_provider_and_alias(people: Cast, served: Channel) -> None:
    """A context of exactly the size is large enough."""
    save_entry(SYSTEM, "brook", context_max=200_000)
    save_entry(SYSTEM, "river", context_max=199_999)
    save_alias(SYSTEM, "swift", "river")
    bob = signed_in(people.bob)

    def names(query: str) -> list[str]:
        rows = file_of(bob, f"/models?{query}&export=csv&cols=name")
        return [row["name"] for row in rows]

    assert names("ctx=200000") == ["brook"]
    assert names("ctx=128000") == ["brook", "gpt-4o", "river", "swift"]
    assert names("q=SWIFT") == ["river", "swift"]
    assert names("provider=OpenAI") == ["gpt-4o"]
    assert names("cap=vision") == ["gpt-4o"]


def test_retirement_is_the_day_of_the_end(people: Cast, served: Channel) -> None:
    now = clock.now()
    ends = now + dt.timedelta(days=90)
    save_entry(SYSTEM, "brook", deprecated_at=now, sunset_at=ends)
    rows = file_of(signed_in(people.bob), "/models?export=csv&cols=name,ends")
    told = {row["name"]: [*row.values()][1] for row in rows}
    assert told["brook"].startswith(f"{ends:%Y-%m-%d}")
    assert told["river"] == ""


def test_four_models_are_compared_at_most(people: Cast, served: Channel) -> None:
    sent = {"id": ["a", "b", "c", "d", "e"]}
    answer = signed_in(people.bob).post("/o/acme/models/compare", sent)
    assert answer["Location"].partition("?")[2] == "m=a&m=b&m=c&m=d"


def test_form_of_a_model_keeps_a_plan_that_was_deleted(people: Cast) -> None:
    """Without it, the model would be shown to everybody."""
    for name in ("kept", "gone"):
        save_plan(SYSTEM, name, multiplier_ppm=1_000_000, models=[])
    save_entry(SYSTEM, "m", plans=["kept", "gone"])
    remove_plan(SYSTEM, Plan.objects.get(name="gone"))
    entry = ModelEntry.objects.get(name="m")
    form = EntryForm({"plans": entry.plans}, entry=entry)
    assert form.is_valid(), form.errors
    assert sorted(form.entry_fields()["plans"]) == ["gone", "kept"]
    assert not EntryForm({"plans": ["gone"]}, entry=None).is_valid()


@pytest.mark.parametrize(
    ("ok", "fault", "verdict"),
    [
        (True, None, True), (False, "no_usage", True), (False, "no_tool_call", False),
        (False, "not_seen", False), (False, "rejected", False), (False, "not_heard", None),
        (False, "timeout", None), (False, "key", None),
    ],
)  # fmt: skip
def test_probe_proves_only_what_the_model_did(ok: bool, fault: Any, verdict: bool | None) -> None:
    """An answer that was not counted was given; a key that is rejected proves nothing."""
    assert _verdict(ChannelCheck(ok=ok, fault=fault)) is verdict


@pytest.mark.parametrize(
    ("costs", "total"), [((5, 7), 12), ((5, None), None), ((None, None), None), ((0, 7), 7)]
)
def test_cost_of_a_probe_is_known_if_each_call_has_one(
    people: Cast, served: Channel, costs: tuple[int | None, ...], total: int | None
) -> None:
    model = public_model("brook")
    assert model is not None
    variants: tuple[Variant, ...] = ("streamed", "plain")
    results = [
        ChannelCheck(ok=False, fault="timeout", variant=variant, cost_nano=cost)
        for variant, cost in zip(variants, costs, strict=True)
    ]
    entry = _keep(SYSTEM, model, served, results)
    assert entry.probe is not None
    assert entry.probe["cost_nano"] == total
