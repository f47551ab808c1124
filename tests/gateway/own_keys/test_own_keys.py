"""Own provider keys on pages and in the API: who adds them, what is shown, and what is never shown
again (P12, P14)."""

import json
from typing import Any

import pytest
from django.http import Http404

from accounts.access.actors import SYSTEM
from accounts.members import team_members
from accounts.models import AuditEvent
from accounts.organisations import teams
from accounts.secrets.sealing import open_sealed
from billing.prices.own_key_fee import FEE_MAX_NANO, OwnKeyFee
from gateway.channels.channels import change_channel, create_channel, remove_channel
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel, OwnKey
from gateway.own_keys import offers, own_keys
from gateway.own_keys.access import access_channel_offer
from gateway.own_keys.offers import OfferRefused, set_offer, state_of
from lib import clock
from lib.ids import id_text
from tests.billing.credits.test_operator_api import api_of, post
from tests.fakes.google_keys import service_account_key
from tests.support import cast
from tests.support.cast import Cast
from tests.usage.rows import price_version

pytestmark = pytest.mark.django_db

SECRET = "sk-own-key-of-acme-0001"


@pytest.fixture
def channel() -> Channel:
    fields: Any = {"provider": "openai", "models": {"gpt-5": "", "free-*": ""}}
    return create_channel(SYSTEM, "our-secret-channel", fields)


def offer(channel: Channel, people: Cast, fee: OwnKeyFee | None = None) -> str:
    set_offer(
        SYSTEM, channel, title="OpenAI", everyone=False, organisations=[people.acme],
        fee=fee or OwnKeyFee(),
    )  # fmt: skip
    return id_text(channel.id)


def add(people: Cast, channel: Channel, **over: Any) -> OwnKey:
    offer(channel, people)
    row = offers.offers_to(people.acme).get()
    given = {"name": "", "secret": SECRET, **over}
    return own_keys.add_own_key(
        cast.actor(people.alice, people.acme), people.acme, given.pop("team", None), row, **given
    )


def test_key_goes_in_and_never_out(people: Cast, channel: Channel) -> None:
    """P14: sealed for its row, and in no answer, page or audit event."""
    api, page = api_of(people, "alice"), cast.signed_in(people.alice)
    answer = post(api, "/provider-keys", {"offer": offer(channel, people), "secret": SECRET})
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["provider"], body["last4"], body["state"]) == ("OpenAI", "0001", "active")
    assert body["fall_back"] is False
    key = OwnKey.objects.get()
    assert SECRET.encode() not in bytes(key.sealed)
    assert open_sealed(key.sealed, f"gateway_ownkey|{key.id}|sealed") == SECRET
    shown = [
        answer.content,
        api.get("/api/v1/provider-keys").content,
        page.get("/o/acme/provider-keys").content,
        page.get(f"/o/acme/provider-keys/{body['id']}/edit").content,
        repr(list(AuditEvent.objects.values_list("detail", flat=True))).encode(),
    ]
    assert all(SECRET.encode() not in text for text in shown)
    # Nor does it tell what the operator calls the channel.
    assert all(b"our-secret-channel" not in text for text in shown[:4])


def test_only_chosen_organisations_may_add_a_key(people: Cast, channel: Channel) -> None:
    alice, charlie = api_of(people, "alice"), api_of(people, "charlie")
    body = {"offer": id_text(channel.id), "secret": SECRET}
    assert post(alice, "/provider-keys", body).status_code == 404
    offer(channel, people)
    assert post(charlie, "/provider-keys", body).status_code == 404
    assert charlie.get("/api/v1/provider-key-offers").json()["items"] == []
    assert [one["title"] for one in alice.get("/api/v1/provider-key-offers").json()["items"]] == [
        "OpenAI"
    ]
    assert post(alice, "/provider-keys", body).status_code == 201
    # One for each holder and channel.
    assert post(alice, "/provider-keys", body).status_code == 409
    assert post(api_of(people, "bob"), "/provider-keys", body).status_code == 403


def test_lead_adds_keys_for_their_team_alone(people: Cast, channel: Channel) -> None:
    edge = teams.create_team(people.acme, "edge", actor=SYSTEM)
    alice = cast.actor(people.alice, people.acme)
    team_members.set_lead(alice, people.core, people.bob.memberships.get(), True)
    api, id = api_of(people, "bob"), offer(channel, people)
    body = {"offer": id, "secret": SECRET}
    assert post(api, "/provider-keys", body).status_code == 403
    assert post(api, "/provider-keys", {**body, "team": edge.slug}).status_code in (403, 404)
    assert post(api, "/provider-keys", {**body, "team": "core"}).status_code == 201
    whole = own_keys.add_own_key(
        SYSTEM, people.acme, None, offers.offers_to(people.acme).get(), name="w", secret=SECRET
    )
    assert [one["team"] for one in api.get("/api/v1/provider-keys").json()["items"]] == ["core"]
    assert api.get(f"/api/v1/provider-keys/{id_text(whole.id)}").status_code == 404


def test_fall_back_shows_its_cost_before_it_applies(people: Cast, channel: Channel) -> None:
    price_version("gpt-5")
    key = add(people, channel)
    page = cast.signed_in(people.alice)
    url = f"/o/acme/provider-keys/{id_text(key.id)}/edit"
    text = page.get(url).content.decode()
    assert "gpt-5" in text
    prices = api_of(people, "alice").get(
        f"/api/v1/provider-keys/{id_text(key.id)}/fallback-prices"
    ).json()["items"]  # fmt: skip
    assert [one["model"] for one in prices] == ["gpt-5"]
    assert prices[0]["input"] in text
    page.post(url, {"name": key.name, "enabled": "on", "fall_back": "on"})
    key.refresh_from_db()
    assert (key.enabled, key.fall_back) == (True, True)
    (event,) = AuditEvent.objects.filter(action="own_key.changed")
    assert event.detail["after"] == {"fall_back": True}


def test_replacing_a_rejected_key_clears_the_mark(people: Cast, channel: Channel) -> None:
    key = add(people, channel)
    OwnKey.objects.update(refused_at=key.created_at, refusal="key_refused")
    key.refresh_from_db()
    assert state_of(key) == "rejected"
    api = api_of(people, "alice")
    url = f"/provider-keys/{id_text(key.id)}/rotate"
    assert post(api, url, {"secret": SECRET}).status_code == 422
    assert post(api, url, {"secret": "sk-own-key-of-acme-0002"}).json()["state"] == "active"


def test_moved_channel_drops_the_keys_of_organisations(people: Cast, channel: Channel) -> None:
    """No key is sent to an address that it was not given for; it stays, and is not used."""
    key = add(people, channel)
    change_channel(SYSTEM, channel, {"base_url": "https://elsewhere.example.com/v1"})
    key.refresh_from_db()
    assert (key.sealed, state_of(key)) == (None, "incomplete")
    with pytest.raises(ChannelRefused):
        remove_channel(SYSTEM, channel)


def test_ended_offer_keeps_keys_that_are_not_used(people: Cast, channel: Channel) -> None:
    key = add(people, channel)
    dora = cast.signed_in(people.dora)
    dora.post(f"/admin/channels/{id_text(channel.id)}/own-keys/end")
    assert state_of(OwnKey.objects.get(id=key.id)) == "not_offered"
    offer(channel, people)
    assert state_of(OwnKey.objects.get(id=key.id)) == "active"


def test_operator_offers_a_channel_with_a_fee(people: Cast, channel: Channel) -> None:
    dora = cast.signed_in(people.dora)
    url = f"/admin/channels/{id_text(channel.id)}"
    form = {"title": "OpenAI", "who": "chosen", "organisations": "acme", "request": "0.001"}
    assert dora.post(f"{url}/own-keys", {**form, "million": "1"}).status_code == 422
    assert dora.post(f"{url}/own-keys", {**form, "organisations": "nobody"}).status_code == 422
    assert dora.post(f"{url}/own-keys", form).status_code == 303
    text = dora.get(url).content.decode()
    assert "$0.001 per request" in text
    row = offers.offers_to(people.acme).get()
    assert offers.fee_of(row) == OwnKeyFee(request_nano=1_000_000)
    assert not offers.offers_to(people.stranger).exists()


@pytest.mark.parametrize(
    ("fee", "field"),
    [
        (OwnKeyFee(1, 1), "fee_per_million_tokens"),
        (OwnKeyFee(FEE_MAX_NANO + 1, 0), "fee_per_request"),
        (OwnKeyFee(0, FEE_MAX_NANO + 1), "fee_per_million_tokens"),
        (OwnKeyFee(-1, 0), "fee_per_request"),
        (OwnKeyFee(FEE_MAX_NANO, 0), None),
    ],
)
def test_rejected_fee_has_the_apis_field_name(
    people: Cast, channel: Channel, fee: OwnKeyFee, field: str | None
) -> None:
    if field is None:
        offer(channel, people, fee)
        return
    with pytest.raises(OfferRefused) as refused:
        offer(channel, people, fee)
    assert refused.value.field == field


METADATA = '{"type": "instance_metadata"}'


@pytest.mark.parametrize(
    ("provider", "secret", "complete"),
    [
        ("bedrock", "AKIA1|secret", True),
        ("bedrock", "AKIA1|secret|session", True),
        ("bedrock", "bedrock-api-key-1", True),
        ("vertex", "AIza-key-of-a-project", True),
        ("bedrock", METADATA, False),
        ("vertex", METADATA, False),
        ("vertex", json.dumps(service_account_key()), True),
        # Its token would be asked from any address that a customer writes into it.
        ("vertex", json.dumps(service_account_key("https://sts.example.com/token")), False),
    ],
)
def test_key_for_a_cloud_is_complete(
    people: Cast, provider: str, secret: str, *, complete: bool
) -> None:
    """P12: a customer's text must not choose which of this installation's credentials are used."""
    channel = Channel(
        name="cloud", provider=provider, base_url="https://x.example.com/v1", region="eu"
    )
    channel.save()
    offered = set_offer(SYSTEM, channel, title="Cloud", everyone=True, fee=OwnKeyFee())
    if complete:
        key = own_keys.add_own_key(SYSTEM, people.acme, None, offered, name="", secret=secret)
        assert offers.state_of(key) == "active"
        with pytest.raises(own_keys.OwnKeyRefused, match="only names a source"):
            own_keys.rotate_own_key(SYSTEM, key, METADATA)
        return
    with pytest.raises(own_keys.OwnKeyRefused, match="only names a source") as refused:
        own_keys.add_own_key(SYSTEM, people.acme, None, offered, name="", secret=secret)
    assert refused.value.field == "secret"


@pytest.mark.parametrize(
    ("region", "project", "why"),
    [("", "acme-1", "the region of the channel is unknown"), ("eu", "", "the key names no project"),
     ("eu", "a/locations/global", "the key names no project")],
)  # fmt: skip
def test_service_account_needs_its_location(
    people: Cast, region: str, project: str, why: str
) -> None:
    """Google bills the project in the address: it is that of the key, and nothing else."""
    channel = Channel(
        name="cloud", provider="vertex", base_url="https://x.example.com/v1", region=region
    )
    channel.save()
    offered = set_offer(SYSTEM, channel, title="Cloud", everyone=True, fee=OwnKeyFee())
    secret = json.dumps(service_account_key() | {"project_id": project})
    with pytest.raises(own_keys.OwnKeyRefused, match=why):
        own_keys.add_own_key(SYSTEM, people.acme, None, offered, name="", secret=secret)


def test_address_with_a_project_cannot_be_offered(people: Cast) -> None:
    """Google bills the project in the address, whoever signs."""
    root = "https://aiplatform.googleapis.com/v1/projects/ours/locations/global"
    channel = Channel(name="cloud", provider="vertex", base_url=root)
    channel.save()
    with pytest.raises(OfferRefused, match="The address names a project"):
        set_offer(SYSTEM, channel, title="Cloud", everyone=True, fee=OwnKeyFee())


def test_title_belongs_to_one_channel(people: Cast, channel: Channel) -> None:
    """Without one, the provider's name is it."""
    row = set_offer(SYSTEM, channel, title="", everyone=True, fee=OwnKeyFee())
    assert row.title == "OpenAI"
    assert set_offer(SYSTEM, channel, title="Ours", everyone=True, fee=OwnKeyFee()).title == "Ours"
    other = create_channel(SYSTEM, "second", {"provider": "openai"})
    assert set_offer(SYSTEM, other, title="", everyone=True, fee=OwnKeyFee()).title == "OpenAI"
    third = create_channel(SYSTEM, "third", {"provider": "openai"})
    assert set_offer(SYSTEM, third, title="", everyone=False, fee=OwnKeyFee()).title == "OpenAI 2"
    ended = offers.offer_for(other)
    assert ended is not None
    offers.end_offer(SYSTEM, ended)
    with pytest.raises(OfferRefused) as refused:
        set_offer(SYSTEM, other, title="Ours", everyone=True, fee=OwnKeyFee())
    assert (refused.value.field, refused.value.already_exists) == ("title", True)
    assert [one.title for one in offers.offers_to(people.acme)] == ["Ours"]
    with pytest.raises(Http404):
        access_channel_offer(cast.actor(people.dora), id_text(other.id))


def test_offer_keeps_its_own_title_and_counts_its_keys(people: Cast, channel: Channel) -> None:
    """Saved again without one, it is not numbered after itself. Who may use it is chosen once."""
    for chosen in (True, False):
        row = set_offer(
            SYSTEM, channel, title="", everyone=not chosen, organisations=[people.acme],
            fee=OwnKeyFee(),
        )  # fmt: skip
        assert row.title == "OpenAI"
        assert list(row.organisations.all()) == ([people.acme] if chosen else [])
    for organisation in (people.acme, people.stranger):
        (offered,) = offers.offers_to(organisation)
        own_keys.add_own_key(SYSTEM, organisation, None, offered, name="", secret=SECRET)
    api = api_of(people, "dora")
    url = f"/api/v1/channels/{id_text(channel.id)}/own-key-offer"
    told = api.get(url).json()
    assert (told["keys"], told["organisations"]) == (2, [])
    Channel.objects.filter(id=channel.id).update(archived_at=clock.now(), enabled=False)
    assert not offers.offers_to(people.acme).exists()


def test_only_changes_of_an_offer_are_audited(people: Cast, channel: Channel) -> None:
    offer(channel, people)
    offer(channel, people)
    set_offer(SYSTEM, channel, title="OpenAI", everyone=True, fee=OwnKeyFee(request_nano=10**6))
    events = AuditEvent.objects.filter(action__startswith="own_key_offer").order_by("id")
    created, changed = [(event.action, event.detail) for event in events]
    assert created[0] == "own_key_offer.created"
    assert created[1]["after"] == {
        "title": "OpenAI", "everyone": False, "organisations": ["acme"],
        "fee_per_request": "0.00", "fee_per_million_tokens": "0.00",
    }  # fmt: skip
    assert changed[0] == "own_key_offer.changed"
    assert (changed[1]["before"], changed[1]["after"]) == (
        {"everyone": False, "organisations": ["acme"], "fee_per_request": "0.00"},
        {"everyone": True, "organisations": [], "fee_per_request": "0.001"},
    )


def test_a_key_has_one_state(people: Cast, channel: Channel) -> None:
    key = add(people, channel)
    assert state_of(key) == "active"
    key.refused_at, key.refusal = key.created_at, "no_credit"
    assert state_of(key) == "out_of_credit"
    key.refusal = "key_refused"
    assert state_of(key) == "rejected"
    key.sealed = None
    assert state_of(key) == "incomplete"
    set_offer(
        SYSTEM, channel, title="O", everyone=False, organisations=[people.stranger], fee=OwnKeyFee()
    )
    assert state_of(OwnKey.objects.get(id=key.id)) == "not_offered"
    key.enabled = False
    assert state_of(key) == "disabled"


@pytest.mark.parametrize(
    ("secret", "shown"), [("k-345678901", ""), ("k-3456789012", "9012"), ("k" * 40, "kkkk")]
)
def test_the_end_of_a_long_key_is_shown(
    people: Cast, channel: Channel, secret: str, shown: str
) -> None:
    assert add(people, channel, secret=secret).last4 == shown


def test_only_given_key_fields_change(people: Cast, channel: Channel) -> None:
    key, alice = add(people, channel, name="first"), cast.actor(people.alice, people.acme)
    changed = own_keys.change_own_key(alice, key, fall_back=True)
    assert (changed.name, changed.enabled, changed.fall_back) == ("first", True, True)
    changed = own_keys.change_own_key(alice, key, enabled=False)
    assert (changed.name, changed.enabled, changed.fall_back) == ("first", False, True)
    changed = own_keys.change_own_key(alice, key, name="second")
    assert (changed.name, changed.enabled, changed.fall_back) == ("second", False, True)
    own_keys.change_own_key(alice, key, name="second", enabled=False, fall_back=True)
    own_keys.change_own_key(alice, key)
    assert AuditEvent.objects.filter(action="own_key.changed").count() == 3


def test_pages_name_missing_fields(people: Cast) -> None:
    page = cast.signed_in(people.alice)
    text = page.get("/o/acme/provider-keys").content.decode()
    assert "The operator offers no provider for own keys" in text
    assert cast.signed_in(people.bob).get("/o/acme/provider-keys").status_code == 403
