"""Which requests a channel is for, and how it handles data: by page, by API and by file."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from billing.models import Plan
from billing.price_plans.price_plans import remove_plan, save_plan
from gateway.channel_setup.edit_forms import SettingsForm
from gateway.channels.channels import create_channel
from gateway.models import Channel
from lib.ids import id_text
from tests.config.applying import Installation
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed
from tests.support.reviewing import save_reviewed

pytestmark = pytest.mark.django_db
CONDITIONS = {
    "plans": ["pro"],
    "teams": ["acme", "acme/core"],
    "tags": ["a, b", "beta"],
    "prompt_max": 8000,
    "requires": ["image"],
    "excludes": ["stream"],
}
FILE = """\
version: 1
channels:
  - name: east
    provider: openai
    zero_retention: true
    region: eu-west-1
    conditions: {tags: [beta, alpha], prompt_min: 0, excludes: [tools],
                 plans: [pro], teams: [acme/core]}
plans: [{name: pro}]
organisations:
  - name: Acme
    zero_retention: true
    data_regions: [us, eu]
    teams:
      - name: core
        keys: [{name: ci, secret: a-key-of-twenty-letters-or-more, data_regions: [eu]}]
"""


@pytest.fixture
def dora(people: Cast) -> Client:
    save_plan(SYSTEM, "pro")
    return signed_in(people.dora)


@pytest.fixture
def channel() -> Channel:
    return create_channel(SYSTEM, "east", {"provider": "openai", "models": {"gpt": ""}})


def patch(api: Client, channel: Channel, fields: dict[str, Any]) -> Any:
    url = f"/api/v1/channels/{id_text(channel.id)}"
    return api.patch(url, fields, content_type="application/json")


def test_conditions_are_set_on_the_page(dora: Client, channel: Channel) -> None:
    url = f"/admin/channels/{id_text(channel.id)}/edit"
    form = SettingsForm(channel)
    sent = {name: form[name].value() for name in form.fields}
    unset = [name for name, value in sent.items() if value is None or value in ([], "")]
    off = [name for name, value in sent.items() if value is False]
    sent = {name: value for name, value in sent.items() if name not in {*unset, *off}}
    sent |= {
        "plans": "pro",
        "teams": "acme/core, acme",
        "tags": 'beta, "a, b"',
        "prompt_max": "8000",
        "requires": ["image"],
        "excludes": ["stream"],
        "zero_retention": "on",
        "region": "eu",
    }
    review = dora.post(url, sent).content.decode()
    assert "Zero data retention" in review
    saved = save_reviewed(dora, url, sent)
    assert saved.status_code in (303, 409), saved.content.decode()
    version = dora.get(f"/api/v1/channels/{id_text(channel.id)}").json()["version"]
    saved = save_reviewed(dora, url, sent | {"version": version})
    assert saved.status_code == 303, saved.content.decode()
    channel.refresh_from_db()
    assert channel.conditions == CONDITIONS
    assert (channel.zero_retention, channel.region) == (True, "eu")
    page = squeezed(dora.get(f"/admin/channels/{id_text(channel.id)}").content.decode())
    for words in ("<dt>Longest prompt</dt><dd>8,000 tokens</dd>", "<dd>Images</dd>", "acme/core"):
        assert words in page
    # Sent as it is shown, nothing changes.
    blank = SettingsForm(channel)
    again = SettingsForm(channel, data={name: blank[name].value() for name in blank.fields})  # type: ignore[arg-type]
    assert again.is_valid()
    assert not {*CONDITIONS} & {*again.changed_data}


@pytest.mark.parametrize(
    ("conditions", "param"),
    [
        ({"plans": ["lite"]}, "conditions.plans"),
        ({"teams": ["acme/nobody"]}, "conditions.teams"),
        ({"teams": ["nobody"]}, "conditions.teams"),
        ({"tags": [" x"]}, "conditions.tags"),
        ({"customers": ["c\u200b"]}, "conditions.customers"),
        ({"prompt_min": 10, "prompt_max": 9}, "conditions.prompt_max"),
        ({"requires": ["image"], "excludes": ["image"]}, "conditions.excludes"),
        ({"requires": ["smell"]}, "requires"),
        ({"weather": ["sunny"]}, "weather"),
        ({"prompt_min": -1}, "prompt_min"),
    ],
)
def test_unsatisfiable_conditions_are_rejected(
    dora: Client, channel: Channel, conditions: dict[str, Any], param: str
) -> None:
    answer = patch(dora, channel, {"conditions": conditions})
    assert answer.status_code in (400, 422), answer.content
    assert param in answer.json()["error"]["param"]
    channel.refresh_from_db()
    assert channel.conditions == {}


def test_conditions_by_the_api(dora: Client, channel: Channel) -> None:
    body = patch(dora, channel, {"conditions": CONDITIONS, "region": "us-east-1"}).json()
    assert (body["conditions"], body["region"]) == (CONDITIONS, "us-east-1")
    assert patch(dora, channel, {"region": "US East"}).status_code == 422
    assert patch(dora, channel, {"conditions": {}}).json()["conditions"] == {}
    url = f"/api/v1/channels/{id_text(channel.id)}/copy"
    patch(dora, channel, {"conditions": CONDITIONS})
    copy = dora.post(url, {"name": "west"}, content_type="application/json").json()
    assert (copy["conditions"], copy["region"]) == (CONDITIONS, "us-east-1")


def test_removed_condition_targets_do_not_block_other_changes(
    dora: Client, channel: Channel
) -> None:
    patch(dora, channel, {"conditions": {"plans": ["pro"]}})
    remove_plan(SYSTEM, Plan.objects.get())
    assert patch(dora, channel, {"weight": 7}).status_code == 200
    assert patch(dora, channel, {"conditions": {"plans": ["pro"]}}).status_code == 422


def test_file_and_export_round_trip(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    installation.apply(FILE)
    east = Channel.objects.get()
    assert east.conditions == {
        "plans": ["pro"],
        "teams": ["acme/core"],
        "tags": ["alpha", "beta"],
        "prompt_min": 0,
        "excludes": ["tools"],
    }
    assert "nothing to change" in installation.apply(FILE)
    exported = installation.export()
    for text in ("region: eu-west-1", "zero_retention: true", "excludes:", "data_regions:"):
        assert text in exported
    assert "nothing to change" in installation.apply(exported, "--prune")


def test_organisation_and_key_require_a_data_policy(people: Cast) -> None:
    olga = signed_in(people.alice)
    answer = olga.patch(
        "/api/v1/organisation",
        {"zero_retention": True, "data_regions": ["us", "eu"]},
        content_type="application/json",
    )
    document = answer.json()
    assert (document["zero_retention"], document["data_regions"]) == (True, ["eu", "us"])
    page = olga.get("/o/acme/settings").content.decode()
    assert 'value="eu us"' in page
    sent = {
        "name": "Acme",
        "retention_hours": "24",
        "client_address_days": "0",
        "data_regions": "eu west",
    }
    assert olga.post("/o/acme/settings", sent | {"data_regions": "EU!"}).status_code == 422
    assert olga.post("/o/acme/settings", sent).status_code == 303
    document = olga.get("/api/v1/organisation").json()
    assert (document["zero_retention"], document["data_regions"]) == (False, ["eu", "west"])
    body = olga.post(
        "/api/v1/keys",
        {"name": "eu", "team": "core", "zero_retention": True, "data_regions": ["eu"]},
        content_type="application/json",
    ).json()
    assert (body["zero_retention"], body["data_regions"]) == (True, ["eu"])
