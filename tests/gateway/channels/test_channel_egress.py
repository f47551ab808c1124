"""How a channel's proxy, authorities and certificate are saved: secrets are written and never read
back, dropped when the address changes, and used by the test and the model list as by the relay."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Organisation
from gateway.channels.channel_tests.channel_test import check_channel, target_of
from gateway.channels.channels import change_channel, copy_channel, create_channel, version_of
from gateway.channels.egress import open_egress, outbound_of
from gateway.channels.model_lists import list_models
from gateway.channels.overrides.rules import FIELD_NAMES
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel
from gateway.settings.installation import save_settings
from tests.fakes.listeners import Authority
from tests.fakes.proxies import FakeProxy, Kind
from tests.fakes.upstream import FakeUpstream
from tests.gateway.channel_setup.test_channel_edit import path_of, settings
from tests.support import cast
from tests.support.cast import Cast
from tests.support.reviewing import digest_in, save_reviewed

pytestmark = pytest.mark.django_db

SECRET, LOGIN = "sk-fake-provider-key-of-egress-4f2a", "weir:pass-word-of-egress"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="egress", keys=(SECRET,), fsync=False) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("pems")
    authority = Authority(folder)
    both = authority.certificate(folder, "weir", expired=False, trusted=True).read_text()
    key, mark, rest = both.partition("-----BEGIN CERTIFICATE-----")
    return {"ca": authority.path.read_text(), "cert": mark + rest, "key": key}


@pytest.fixture
def channel(people: Cast, fake: FakeUpstream) -> Channel:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    return create_channel(
        SYSTEM,
        "main",
        {
            "provider": "openai_compatible",
            "base_url": fake.url,
            "keys": [SECRET],
            "models": {"fake": ""},
        },
    )


def whole(channel: Channel, pems: dict[str, str], proxy_url: str) -> None:
    change_channel(
        SYSTEM,
        channel,
        {
            "proxy_url": proxy_url,
            "proxy_login": LOGIN,
            "client_cert": pems["cert"],
            "client_key": pems["key"],
            "keys": [SECRET],
        },
    )
    channel.refresh_from_db()


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_channel_test_and_model_list_use_the_same_egress(
    channel: Channel, fake: FakeUpstream, kind: Kind
) -> None:
    with FakeProxy(kind, login=LOGIN) as proxy:
        change_channel(
            SYSTEM,
            channel,
            {"proxy_url": proxy.url, "proxy_login": LOGIN, "keys": [SECRET]},
        )
        channel.refresh_from_db()
        assert check_channel(SYSTEM, channel, "fake").ok
        assert "fake" in list_models(target_of(channel)).names
        assert proxy.asked == [("127.0.0.1", fake.port)] * 2
        change_channel(SYSTEM, channel, {"proxy_login": "weir:wrong"})
        channel.refresh_from_db()
        check = check_channel(SYSTEM, channel, "fake")
        assert (check.fault, check.stages[-1]["name"]) == ("refused", "connect")
        assert "wrong" not in json.dumps(check.detail)


MOVES: list[dict[str, Any]] = [
    {"base_url": "https://other.example/v1"},
    {"proxy_url": "http://other.example:1"},
    {"proxy_url": ""},
    {"ca_bundle": "ca"},
    {"provider": "vllm"},
]


@pytest.mark.parametrize("moved", MOVES, ids=lambda moved: "-".join(moved))
def test_no_secret_follows_to_another_address(
    channel: Channel, pems: dict[str, str], moved: dict[str, Any]
) -> None:
    """Neither the keys, nor the proxy's login, nor the certificate's key: who may edit a channel
    could otherwise lead them to an address, or to a listener in between, of their own."""
    whole(channel, pems, "http://proxy.example:8080")
    assert outbound_of(channel).key_pem
    change_channel(SYSTEM, channel, {name: pems.get(to, to) for name, to in moved.items()})  # type: ignore[arg-type]
    channel.refresh_from_db()
    assert (channel.proxy_login, channel.client_key, channel.client_cert) == (None, None, "")
    assert channel.keys.count() == 0


def test_omitted_secrets_stay_with_the_same_address(channel: Channel, pems: dict[str, str]) -> None:
    whole(channel, pems, "http://proxy.example:8080")
    change_channel(SYSTEM, channel, {"weight": 3})
    copy = copy_channel(SYSTEM, channel, "copy")
    for one in (channel, copy):
        one.refresh_from_db()
        assert open_egress(one, "proxy_login") == LOGIN
        assert open_egress(one, "client_key").startswith("-----BEGIN PRIVATE KEY-----")
    assert bytes(copy.proxy_login) != bytes(channel.proxy_login)
    change_channel(SYSTEM, channel, {"client_cert": ""})
    channel.refresh_from_db()
    assert channel.client_key is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"proxy_url": "https://proxy.example:1"},
        {"proxy_url": "http://0x7f.1:1"},
        {"proxy_url": "http://me:pw@proxy.example:1"},
        {"proxy_login": LOGIN},
        {"proxy_url": "http://proxy.example:1", "proxy_login": "nobody"},
        {"ca_bundle": "-----BEGIN"},
        {"client_cert": "x", "client_key": "y"},
        {"client_key": "y"},
    ],
)
def test_unusable_egress_settings_are_rejected(
    channel: Channel, pems: dict[str, str], wrong: dict[str, Any]
) -> None:
    with pytest.raises(ChannelRefused):
        change_channel(SYSTEM, channel, wrong)  # type: ignore[arg-type]
    with pytest.raises(ChannelRefused):
        change_channel(SYSTEM, channel, {"client_cert": pems["cert"]})


def test_no_secret_is_shown_or_logged(people: Cast, channel: Channel, pems: dict[str, str]) -> None:
    """By the page: neither on it, nor in the review, nor in the audit trail."""
    dora = cast.signed_in(people.dora)
    path, key_line = path_of(channel, "/edit"), pems["key"].splitlines()[1]
    inputs = settings(
        channel, proxy_url="http://proxy.example:8080", proxy_login=LOGIN, secret=SECRET,
        client_cert=pems["cert"].replace("\n", "\r\n"), client_key=pems["key"], ca_bundle="",
    )  # fmt: skip
    values = [dora.post(path, inputs), dora.post(path, inputs | {"rpm": "x"})]
    assert save_reviewed(dora, path, inputs).status_code == 303
    channel.refresh_from_db()
    assert open_egress(channel, "proxy_login") == LOGIN
    values += [dora.get(path), dora.get(path_of(channel))]
    texts = [page.content.decode() for page in values]
    texts += [json.dumps(event.detail) for event in AuditEvent.objects.all()]
    for text in texts:
        assert LOGIN not in text
        assert "pass-word-of-egress" not in text
        assert key_line not in text
        assert SECRET not in text
    again = settings(
        channel, proxy_url=channel.proxy_url, client_cert=channel.client_cert,
        version=version_of(channel),
    )  # fmt: skip
    assert "Nothing changes." in dora.post(path, again).content.decode()


def test_the_overrides_page_reviews_and_saves(people: Cast, channel: Channel) -> None:
    dora: Client = cast.signed_in(people.dora)
    path = path_of(channel, "/overrides")
    form = {
        "mode": "append", "system_prompt": "Be kind\r\n<b>", "headers": "X-A: {model}",
        "client_headers": "x-trace", "parameters_openai": "set temperature 0.2",
        "version": version_of(channel), "path": "/v1/chat/completions", "sent_headers": "",
        "body": "{}", **{f"field_{name}": "pass" for name in (
            "service_tier", "inference_geo", "metadata", "user", "safety_identifier",
            "prompt_cache_retention")}, "field_store": "refuse",
    }  # fmt: skip
    assert dora.get(path).status_code == 200
    review = dora.post(path, form).content.decode()
    assert "set temperature 0.2" in review
    for wrong in ({"parameters_openai": "set max_tokens 9"}, {"headers": "Authorization: x"},
                  {"parameters_openai": "oops"}, {"headers": "x-a: {no}"}):  # fmt: skip
        assert dora.post(path, form | wrong).status_code == 422
    unseen = form | {"headers": "X-A: {key}", "reviewed": digest_in(review), "save": "1"}
    assert dora.post(path, unseen).status_code == 409
    assert save_reviewed(dora, path, form).status_code == 303
    channel.refresh_from_db()
    assert channel.overrides == {
        "parameters": {"openai": {"set": {"temperature": 0.2}}},
        "system_prompt": {"text": "Be kind\n<b>", "mode": "append"},
        "headers": {"x-a": "{model}"},
        "client_headers": ["x-trace"],
        "fields": {"store": "refuse"},
    }
    page = dora.get(path_of(channel)).content.decode()
    assert "<code>temperature</code>" in page
    assert "&lt;b&gt;" in page
    assert dora.post(path, form | {"save": "1"}).status_code == 409
    # No relay runs in this process.
    assert dora.post(path, form | {"preview": "1"}).status_code == 422


def test_rules_with_conditions_are_reviewed_saved_and_audited(
    people: Cast, channel: Channel
) -> None:
    dora: Client = cast.signed_in(people.dora)
    path, slug = path_of(channel, "/overrides"), people.acme.slug
    rule = f"when model gpt-5* endpoint responses team {slug}\nheader x-tier: gold"
    form = {
        "mode": "append", "when": rule, "version": version_of(channel),
        **{f"field_{name}": "pass" for name in FIELD_NAMES},
    }  # fmt: skip
    assert "when model gpt-5*" in dora.post(path, form).content.decode()
    for wrong in ("header x-a: 1", "when team nobody\nheader x-a: 1", "when model m"):
        answer = dora.post(path, form | {"when": wrong, "save": "1"})
        assert (answer.status_code, "data-tone" in answer.content.decode()) == (422, True)
    assert save_reviewed(dora, path, form).status_code == 303
    channel.refresh_from_db()
    stored = {"models": ["gpt-5*"], "endpoints": ["responses"], "teams": [slug],
              "headers": {"x-tier": "gold"}}  # fmt: skip
    assert channel.overrides == {"when": [stored]}
    event = AuditEvent.objects.filter(action="channel.changed").latest("at")
    assert "x-tier" in str(event.detail)
    assert "<code>gpt-5*</code>" in dora.get(path_of(channel)).content.decode()
    assert rule in dora.get(path).content.decode()
    # A team that is removed later prevents no other change.
    Organisation.objects.filter(slug=slug).update(slug="renamed")
    change_channel(SYSTEM, channel, {"weight": 3})
