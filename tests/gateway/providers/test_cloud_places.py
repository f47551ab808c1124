"""A region and a project as a base URL, and back."""

import json

import pytest

from gateway.providers import provider_named
from gateway.providers.cloud_places import AMAZON, GOOGLE, BadPlace, CloudPlace
from tests.fakes.google_keys import service_account_key

KEY = json.dumps(service_account_key())


@pytest.mark.parametrize(
    ("place", "region", "base_url"),
    [
        (GOOGLE, "europe-west1", "https://europe-west1-aiplatform.googleapis.com/v1/projects/{}"),
        (GOOGLE, "global", "https://aiplatform.googleapis.com/v1/projects/{}"),
        (GOOGLE, "us", "https://aiplatform.us.rep.googleapis.com/v1/projects/{}"),
        (GOOGLE, "eu", "https://aiplatform.eu.rep.googleapis.com/v1/projects/{}"),
        (AMAZON, "eu-west-3", "https://bedrock-runtime.eu-west-3.amazonaws.com"),
        (AMAZON, "us-gov-west-1", "https://bedrock-runtime.us-gov-west-1.amazonaws.com"),
        (AMAZON, "cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_a_region_and_its_address(place: CloudPlace, region: str, base_url: str) -> None:
    if place is GOOGLE:
        base_url += f"/locations/{region}"
    made = place.base_url(region, "my-project", "")
    assert made == base_url.format("my-project")
    assert place.read(made) == (region, "my-project" if place is GOOGLE else "")
    provider = provider_named("vertex" if place is GOOGLE else "bedrock")
    assert all(url.startswith("https://") for url in provider.address(made).urls.values())


def test_the_project_is_the_keys_unless_another_is_entered() -> None:
    assert "/projects/acme-1/" in GOOGLE.base_url("global", "", KEY)
    assert "/projects/other/" in GOOGLE.base_url("global", "other", KEY)


@pytest.mark.parametrize(
    ("region", "project", "secret", "field"),
    [
        ("", "p", KEY, "place_region"),
        ("US-EAST1", "p", KEY, "place_region"),
        ("us.evil.example/x", "p", KEY, "place_region"),
        ("global", "a/../b", KEY, "place_project"),
        ("global", "", "AIza-api-key", "place_project"),
        ("global", "", "{broken", "place_project"),
    ],
)
def test_texts_that_cannot_be_in_an_address(
    region: str, project: str, secret: str, field: str
) -> None:
    with pytest.raises(BadPlace) as error:
        GOOGLE.base_url(region, project, secret)
    assert error.value.field == field


def test_address_of_another_kind_names_no_region() -> None:
    assert GOOGLE.read("https://proxy.example/v1") == ("", "")
    assert AMAZON.read("https://vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com") == ("", "")


EAST = "https://bedrock-runtime.us-east-1.amazonaws.com"
GOV = "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com"
VPC = "https://vpce-0a1b.bedrock-runtime.eu-west-1.vpce.amazonaws.com"
ARN = "arn:aws:bedrock:eu-north-1:123456789012"


@pytest.mark.parametrize(
    ("base_url", "model", "regions"),
    [
        (EAST, "anthropic.claude-3-haiku-20240307-v1:0", ("us-east-1", "regional")),
        (EAST, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", ("us-east-1", "us", "regional")),
        (EAST, "global.anthropic.claude-sonnet-4-5-20250929-v1:0", ("global",)),
        (GOV, "us-gov.anthropic.claude-x", ("us-gov-west-1", "us-gov", "regional")),
        (VPC, "eu.amazon.nova-lite-v1:0", ("eu-west-1", "eu", "regional")),
        (VPC, "meta.llama3-1-8b-instruct-v1:0", ("eu-west-1", "regional")),
        (VPC, "zai.glm-4.7", ("eu-west-1", "regional")),
        (VPC, f"{ARN}:inference-profile/apac.amazon.nova-lite-v1:0",
         ("eu-north-1", "apac", "regional")),
        (VPC, f"{ARN}:inference-profile/global.amazon.nova-2-lite-v1:0", ("global",)),
        (VPC, f"{ARN}:application-inference-profile/a1b2c3", ()),
        ("http://proxy.internal", "jp.anthropic.claude-x", ("jp", "regional")),
        ("http://proxy.internal", "anthropic.claude-x", ()),
    ],
)  # fmt: skip
def test_amazon_prices_by_profile_and_source_region(
    base_url: str, model: str, regions: tuple[str, ...]
) -> None:
    assert AMAZON.priced_in(base_url, model) == regions


@pytest.mark.parametrize(
    ("base_url", "regions"),
    [
        (GOOGLE.base_url("global", "p", ""), ("global",)),
        (GOOGLE.base_url("eu", "p", ""), ("eu", "regional")),
        (GOOGLE.base_url("europe-west4", "p", ""), ("europe-west4", "regional")),
        ("https://aiplatform.googleapis.com/v1", ("global",)),
        ("https://us-east5-aiplatform.googleapis.com/v1", ("us-east5", "regional")),
        ("https://aiplatform.us.rep.googleapis.com", ("us", "regional")),
        ("http://proxy.internal/v1/projects/p/locations/asia-east1", ("asia-east1", "regional")),
        ("http://proxy.internal/v1", ()),
    ],
)
def test_google_prices_by_location(base_url: str, regions: tuple[str, ...]) -> None:
    assert GOOGLE.priced_in(base_url, "gemini-2.5-pro") == regions
