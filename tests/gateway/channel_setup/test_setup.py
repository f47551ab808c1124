"""Adding a channel from a page: each step, what is proposed, and where it fails (W71)."""

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from billing.models import PriceVersion
from billing.prices.prices import set_price
from gateway.channel_setup.new_forms import ConnectionForm
from gateway.channels import bounds
from gateway.channels.channels import create_channel
from gateway.channels.sealed_keys import open_secret
from gateway.models import Channel
from gateway.settings.installation import save_settings
from lib.ids import id_text
from tests.fakes.google_keys import KEY_ID, PRIVATE, service_account_key
from tests.fakes.listeners import refused_port
from tests.fakes.upstream import FakeUpstream
from tests.fakes.vertex import FakeVertex
from tests.support import cast
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db

SECRET = "sk-fake-provider-key-of-a-new-channel-4f2a"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NEW = "/admin/channels/new"
HTMX = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    names = ("fake", "fake-64", "owner/fake")
    with FakeUpstream(name="new", keys=(SECRET,), models=names, fsync=False) as upstream:
        yield upstream


@pytest.fixture
def dora(people: Cast) -> Client:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    return cast.signed_in(people.dora)


def sent(fake: FakeUpstream, **over: Any) -> dict[str, Any]:
    return {
        "provider": "openai_compatible",
        "name": "main",
        "base_url": fake.url,
        "secret": SECRET,
    } | over


def models(*public: str, ticked: tuple[str, ...]) -> dict[str, Any]:
    return {"listed": ["fake", "fake-64", "owner/fake"], "public": list(public), "id": ticked}


def fields_of(html: str, model: str) -> list[str]:
    """What stands in the fields for a model's prices: input, cached input, output."""
    named = rf'name="(?:in_text|in_cache_read|out_text) {re.escape(model)}"\s+value="([^"]*)"'
    return re.findall(named, html)


def priced(model: str, *texts: str) -> dict[str, str]:
    meters = ("in_text", "in_cache_read", "out_text")
    return {f"{meter} {model}": text for meter, text in zip(meters, texts, strict=True)}


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_a_provider_proposes_its_address_and_a_free_name(dora: Client) -> None:
    page = dora.get(f"{NEW}?provider=anthropic").content.decode()
    assert 'value="https://api.anthropic.com/v1"' in page
    assert 'value="anthropic"' in page
    typed = dora.get(f"{NEW}?provider=gemini&name=My+way").content.decode()
    assert 'value="My way"' in typed
    assert "local" not in re.findall(r'<option value="([^"]*)"', page)


def test_the_models_of_a_key_are_proposed_with_prices(dora: Client, fake: FakeUpstream) -> None:
    """One that has a price as it is, one that costs what its model does, one without."""
    rates = {"meters": {"in_text": 150_000_000, "out_text": 600_000_000}}
    set_price(SYSTEM, "fake", START, rates, source="genai-prices 1")
    answer = dora.post(f"{NEW}/models", sent(fake), headers=HTMX)
    html = answer.content.decode()
    assert answer.status_code == 200
    rows = {
        name: text_of(row)
        for row in re.findall(r"<tr>.*?</tr>", html, re.S)
        for name in re.findall(r'name="listed" value="([^"]*)"', row)
    }
    assert list(rows) == ["fake", "fake-64", "owner/fake"]
    assert "$0.15" in rows["fake"]
    assert fields_of(html, "fake") == []
    assert fields_of(html, "owner/fake") == ["0.15", "", "0.6"]
    assert fields_of(html, "fake-64") == ["", "", ""]
    assert SECRET not in html
    assert "Connection failed" not in html


@pytest.mark.parametrize(
    ("over", "stage", "words"),
    [
        ({"secret": "sk-wrong"}, "Key accepted", "The provider rejected the key."),
        ({"base_url": "http://127.0.0.1/v2"}, "Connected", "The connection was refused."),
        ({"base_url": "ftp://127.0.0.1"}, "Address resolved", "configuration is incomplete"),
        ({"provider": "nobody"}, "Address resolved", "configuration is incomplete"),
        ({"provider": "jina"}, "Address resolved", "no list of models"),
    ],
)
def test_each_failure_is_told_at_its_stage(
    dora: Client, fake: FakeUpstream, over: dict[str, str], stage: str, words: str
) -> None:
    with refused_port() as port:
        over = {
            name: value.replace("127.0.0.1/", f"127.0.0.1:{port}/") for name, value in over.items()
        }
        html = dora.post(f"{NEW}/models", sent(fake, **over), headers=HTMX).content.decode()
    text = text_of(html)
    assert words in text
    assert re.search(rf"{stage}[^.]*? Failed", text)
    assert SECRET not in html


def test_internal_address_is_not_reached(dora: Client, fake: FakeUpstream) -> None:
    save_settings(SYSTEM, egress_allow=[])
    seen = len(fake.books())
    for step in ("models", "test"):
        inputs = sent(fake) | models("fake", "fake-64", "x", ticked=("fake",))
        html = dora.post(f"{NEW}/{step}", inputs, headers=HTMX).content.decode()
        assert "private address" in text_of(html)
        assert html.count("Not reached") > 2
    assert len(fake.books()) == seen


def test_a_model_is_tested_before_anything_is_stored(dora: Client, fake: FakeUpstream) -> None:
    inputs = sent(fake) | models("fake", "fake-64", "owner/fake", ticked=("fake-64",))
    html = dora.post(f"{NEW}/test", inputs, headers=HTMX).content.decode()
    assert html.count("Passed") == 7
    assert "fake-64" in html
    wrong = dora.post(f"{NEW}/test", inputs | {"secret": "sk-wrong"}, headers=HTMX).content.decode()
    assert "The provider rejected the key." in wrong
    assert SECRET not in html + wrong
    assert not Channel.objects.exists()


def test_the_channel_is_saved_with_names_and_proposed_prices(
    dora: Client, fake: FakeUpstream
) -> None:
    rates = {"meters": {"in_text": 150_000_000, "out_text": 600_000_000}}
    set_price(SYSTEM, "fake", START, rates, source="genai-prices 1")
    inputs = sent(fake) | models("cheap", "fake-64", "x", ticked=("fake", "fake-64"))
    answer = dora.post(NEW, inputs | {"by_hand": "fake-*\nlong = fake-1000"})
    channel = Channel.objects.get()
    assert (answer.status_code, answer["Location"]) == (
        303, f"/admin/channels/{id_text(channel.id)}",
    )  # fmt: skip
    assert {route.model: route.upstream_model for route in channel.routes.all()} == {
        "cheap": "fake",
        "fake-64": "",
        "fake-*": "",
        "long": "fake-1000",
    }
    assert open_secret(channel.keys.get()) == SECRET
    assert PriceVersion.objects.get(price__model="cheap").rates == rates
    assert not PriceVersion.objects.filter(price__model__in=("fake-64", "x")).exists()
    assert channel.enabled


def test_typed_prices_are_set_with_the_channel(dora: Client, fake: FakeUpstream) -> None:
    """What was proposed keeps its tiers and other meters; what has a price is not changed."""
    tier = {"input_over": 200_000, "mode": "whole", "meters": {"in_text": 300_000_000}}
    rates = {"meters": {"in_text": 150_000_000, "out_audio": 11 * 10**9}, "tiers": [tier]}
    set_price(SYSTEM, "fake", START, rates, source="genai-prices 1")
    inputs = sent(fake) | models("fake", "new", "b", ticked=("fake", "fake-64", "owner/fake"))
    inputs |= priced("fake-64", "1.25", "", "10") | priced("owner/fake", "0.2", "0.02", "")
    answer = dora.post(NEW, inputs)
    assert answer.status_code == 303, text_of(answer.content.decode())
    assert rates_of("new") == {"meters": {"in_text": 1_250_000_000, "out_text": 10 * 10**9}}
    meters = {"in_text": 200_000_000, "in_cache_read": 20_000_000, "out_audio": 11 * 10**9}
    assert rates_of("b") == {"meters": meters, "tiers": [tier]}
    assert rates_of("fake") == rates
    page = text_of(dora.get(answer["Location"]).content.decode())
    assert "no price" not in page


def rates_of(model: str) -> dict[str, Any]:
    rates: dict[str, Any] = PriceVersion.objects.get(price__model=model, valid_to=None).rates
    return rates


def test_rejected_typed_price_stays_typed(dora: Client, fake: FakeUpstream) -> None:
    """Nor does the wizard change the price that customers of other channels pay."""
    rates = {"meters": {"in_text": 150_000_000}}
    set_price(SYSTEM, "known", START, rates, source="file")
    wrong = models("new", "x", "y", ticked=("fake",)) | priced("fake", "a lot", "", "1.5")
    answer = dora.post(NEW, sent(fake) | wrong)
    assert answer.status_code == 422
    assert "The price of new must be 0 or more" in text_of(answer.content.decode())
    assert fields_of(answer.content.decode(), "fake") == ["a lot", "", "1.5"]
    taken = models("known", "x", "y", ticked=("fake",)) | priced("fake", "9", "", "")
    answer = dora.post(NEW, sent(fake) | taken)
    assert answer.status_code == 422
    assert "known already has a price" in text_of(answer.content.decode())
    assert (Channel.objects.exists(), rates_of("known")) == (False, rates)


def test_a_channel_says_which_models_lack_a_price_until_set(dora: Client) -> None:
    """By name or pattern; the page that sets them proposes what the price list has."""
    set_price(SYSTEM, "fake", START, {"meters": {"in_text": 150_000_000}}, source="genai-prices 1")
    channel = create_channel(
        SYSTEM, "main", {"provider": "openai_compatible", "base_url": "https://api.example.com",
                         "models": {"fake": "", "again": "owner/fake", "new-*": ""}},
    )  # fmt: skip
    page = f"/admin/channels/{id_text(channel.id)}"
    setting = f"{page}/prices/set"
    html = dora.get(page).content.decode()
    assert "2 models have no price." in text_of(html)
    assert f'href="{setting}"' in html
    form = dora.get(setting).content.decode()
    assert fields_of(form, "again") == ["0.15", "", ""]
    assert fields_of(form, "fake") == []
    names = {"model": ["again", "new-*"]}
    refused = dora.post(
        setting, names | priced("again", "-1", "", "") | priced("new-*", "", "", "")
    )
    assert refused.status_code == 422
    assert fields_of(refused.content.decode(), "again") == ["-1", "", ""]
    dora.post(setting, names | priced("again", "0.15", "", "2") | priced("new-*", "", "", ""))
    assert rates_of("again") == {"meters": {"in_text": 150_000_000, "out_text": 2 * 10**9}}
    assert "1 model has no price." in text_of(dora.get(page).content.decode())
    again = dora.post(setting, names | priced("again", "7", "", "") | priced("new-*", "1", "", "1"))
    assert "again already has a price" in text_of(again.content.decode())
    dora.post(setting, {"model": ["new-*"]} | priced("new-*", "1", "", "1"))
    assert "no price" not in text_of(dora.get(page).content.decode())
    assert "Every model has a price" in text_of(dora.get(setting).content.decode())


def test_a_provider_may_list_hundreds_of_models(dora: Client, fake: FakeUpstream) -> None:
    names = [f"owner/model-{n}" for n in range(400)]
    inputs = sent(fake) | {"listed": names, "public": names, "id": names}
    assert dora.post(NEW, inputs).status_code == 303
    channel = Channel.objects.get()
    assert channel.routes.count() == 400
    page = dora.get(f"/admin/channels/{id_text(channel.id)}/models")
    assert page.status_code == 200


def test_rejected_proposed_price_is_reported(dora: Client, fake: FakeUpstream) -> None:
    """Nothing is stored then."""
    rates = {"meters": {"in_text": 150_000_000}}
    set_price(SYSTEM, "fake", START, rates, source="genai-prices 1")
    set_price(SYSTEM, "planned", dt.datetime(2999, 1, 1, tzinfo=dt.UTC), rates, source="file")
    inputs = sent(fake) | models("planned", "fake-64", "x", ticked=("fake",))
    answer = dora.post(NEW, inputs)
    assert (answer.status_code, Channel.objects.count()) == (422, 0)
    assert 'role="alert"' in answer.content.decode()


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"name": ""}, "Name"),
        ({"base_url": ""}, "Enter the base URL"),
        ({"base_url": "http://2130706433/v1"}, "neither a host name"),
        ({"secret": "with space"}, "visible ASCII"),
        ({"id": []}, "Choose at least one model"),
        ({"by_hand": "fake"}, "Two models have the name fake"),
        ({"by_hand": "two words"}, "is not a model name"),
    ],
)
def test_unsaveable_input_is_named_and_stays_typed(
    dora: Client, fake: FakeUpstream, over: dict[str, Any], text: str
) -> None:
    inputs = sent(fake) | models("fake", "named-so", "x", ticked=("fake",)) | over
    answer = dora.post(NEW, inputs)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert text in text_of(html)
    assert 'value="named-so"' in html
    assert SECRET not in html
    assert not Channel.objects.exists()


def test_setup_is_for_operators(people: Cast, fake: FakeUpstream) -> None:
    alice = cast.signed_in(people.alice)
    for path in (NEW, f"{NEW}/models", f"{NEW}/test"):
        assert alice.post(path, sent(fake)).status_code == 404
    assert alice.get(NEW).status_code == 404
    assert not Channel.objects.exists()


@pytest.fixture
def vertex(fake: FakeUpstream) -> Iterator[FakeVertex]:
    with FakeVertex(fake) as vertex:
        yield vertex


@pytest.mark.parametrize(
    ("provider", "shown"),
    [
        ("vertex", {"place_region", "place_project"}),
        ("bedrock", {"place_region", "key_access", "key_secret", "key_session"}),
        ("kling", {"key_access", "key_secret"}),
        ("openai", set()),
    ],
)
def test_a_cloud_is_told_by_region_and_credentials(
    dora: Client, provider: str, shown: set[str]
) -> None:
    page = dora.get(f"{NEW}?provider={provider}").content.decode()
    names = set(re.findall(r'name="((?:place|key)_[a-z]+)"', page))
    assert names == shown
    needed = re.search(r'name="base_url"[^>]*required', page) is not None
    assert needed is ("place_region" not in shown)


def test_a_region_and_a_key_make_a_channel(dora: Client, fake: FakeUpstream) -> None:
    """The project is the key's; of the parts of a key only one text is stored."""
    named = {"models": [], "by_hand": "gemini-2.5-flash", "base_url": ""}
    key = json.dumps(service_account_key(), indent=2)
    made = dora.post(
        NEW, sent(fake, provider="vertex", place_region="eu", secret=key, name="v") | named
    )
    assert made.status_code == 303, made.content.decode()
    channel = Channel.objects.get(name="v")
    assert channel.base_url == (
        "https://aiplatform.eu.rep.googleapis.com/v1/projects/acme-1/locations/eu"
    )
    stored = channel.keys.get()
    assert (json.loads(open_secret(stored)), stored.last4) == (json.loads(key), KEY_ID[-4:])
    parts = {"key_access": "AKIA1", "key_secret": "se/cret", "secret": ""}
    made = dora.post(
        NEW, sent(fake, provider="bedrock", place_region="eu-west-3", name="b") | parts | named
    )
    assert made.status_code == 303, made.content.decode()
    channel = Channel.objects.get(name="b")
    assert channel.base_url == "https://bedrock-runtime.eu-west-3.amazonaws.com"
    assert open_secret(channel.keys.get()) == "AKIA1|se/cret"


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"place_region": ""}, "Enter a region such as eu or us-east-1."),
        ({"place_region": "eu", "secret": "AIza-key"}, "The key names no project. Enter its id."),
        ({"place_region": "eu", "secret": '{"type": "service_account"}', "place_project": "p"},
         "The key cannot be used: the key needs client_email."),
    ],
)  # fmt: skip
def test_missing_cloud_settings_are_reported(
    dora: Client, fake: FakeUpstream, over: dict[str, str], words: str
) -> None:
    named = {"by_hand": "gemini-2.5-flash", "base_url": "", "provider": "vertex"}
    refused = dora.post(NEW, sent(fake) | named | over)
    assert refused.status_code == 422
    assert words in text_of(refused.content.decode())
    assert not Channel.objects.exists()


def test_vertex_is_asked_with_a_fetched_token(dora: Client, vertex: FakeVertex) -> None:
    """The list of models and a test, before anything is stored; nothing of the key is shown."""
    fields = {"provider": "vertex", "name": "v", "base_url": vertex.url, "secret": vertex.key}
    html = dora.post(f"{NEW}/models", fields, headers=HTMX).content.decode()
    assert re.findall(r'name="listed" value="([^"]*)"', html) == [
        "claude-sonnet-4-5@20250929", "gemini-2.5-flash", "imagen-4",
        "meta/llama-3.3-70b-instruct-maas",
    ]  # fmt: skip
    for named in ("claude-sonnet-4-5@20250929", "gemini-2.5-flash"):
        answer = dora.post(f"{NEW}/test", fields | {"by_hand": named}, headers=HTMX)
        assert "Usage reported" in text_of(answer.content.decode())
        assert "failed" not in text_of(answer.content.decode())
    vertex.fault = "refuse"
    html = dora.post(f"{NEW}/models", fields, headers=HTMX).content.decode()
    assert "The provider rejected the key." in text_of(html)
    assert "invalid_grant: Account not found" in text_of(html)
    assert "ya29" not in html
    assert PRIVATE.splitlines()[1] not in html


def test_session_token_may_be_as_long_as_any_key() -> None:
    """Those of Amazon are longer than its secret keys."""
    field: Any = ConnectionForm.base_fields["key_session"]
    assert field.max_length == bounds.SECRET_MAX
