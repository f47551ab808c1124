"""New API's and One API's channels for Bedrock and Vertex AI: what is exact is carried over, the
rest named."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from extensions.import_hubs.converted import Channel
from extensions.import_hubs.databases import Database
from extensions.import_hubs.new_api.channel_types import CHANNEL_TYPES, Peer, address_of
from extensions.import_hubs.new_api.channels import read_channels
from extensions.import_hubs.new_api.columns import COLUMNS
from extensions.import_hubs.reading import Reader
from extensions.import_hubs.report import Report
from gateway.providers import provider_named
from tests.fakes.google_keys import PROJECT, service_account_key

KEY = json.dumps(service_account_key())
FOREIGN = json.dumps({**service_account_key(), "project_id": "another"})
AWS, VERTEX = 33, 41


def row(type: int, key: str, models: str, **over: Any) -> dict[str, Any]:
    return {
        "id": 7, "type": type, "name": "cloud", "key": key, "models": models, "group": "default",
        "status": 1, "priority": 0, "weight": 1,
    } | over  # fmt: skip


def read(row: dict[str, Any], peer: Peer = "new-api") -> tuple[list[Channel], list[str]]:
    report = Report()
    reader = Reader(Database({"channels": [row]}, {}, {}), report, COLUMNS)
    channels = [each.channel for each in read_channels(reader, peer)]
    return channels, list(report.table("channels").skipped)


def only(row: dict[str, Any], peer: Peer = "new-api") -> Channel:
    channels, skipped = read(row, peer)
    assert not skipped
    (channel,) = channels
    provider_named(channel.provider).address(channel.base_url)
    return channel


def test_bedrock_by_access_keys() -> None:
    """The region moves from the keys into the address, and models get the names that were asked."""
    models = "claude-sonnet-4-5-20250929,claude-opus-4-6,nova-lite-v1:0,fast,meta.llama3-x"
    channel = only(
        row(AWS, "AK|SK|us-east-1\nAK2|SK2|us-east-1", models,
            model_mapping='{"fast": "claude-haiku-4-5-20251001"}')
    )  # fmt: skip
    assert channel.provider == "bedrock"
    assert channel.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert channel.keys == ("AK|SK", "AK2|SK2")
    assert channel.models == {
        "claude-sonnet-4-5-20250929": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "claude-opus-4-6": "us.anthropic.claude-opus-4-6-v1",
        "nova-lite-v1:0": "us.amazon.nova-lite-v1:0",
        "fast": "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "meta.llama3-x": "",
    }
    assert channel.closed == ()


@pytest.mark.parametrize(
    ("region", "named"),
    [
        ("ap-northeast-1", "apac.anthropic.claude-sonnet-4-6"),
        ("eu-west-1", "eu.anthropic.claude-sonnet-4-6"),
        ("ca-central-1", "anthropic.claude-sonnet-4-6"),
    ],
)
def test_bedrock_profiles_follow_the_region(region: str, named: str) -> None:
    channel = only(row(AWS, f"AK|SK|{region}", "claude-sonnet-4-6"))
    assert channel.models == {"claude-sonnet-4-6": named}


def test_bedrock_by_an_api_key() -> None:
    """The setting that names the kind of the key closes nothing; another setting still does."""
    settings = '{"aws_key_type": "api_key"}'
    channel = only(row(AWS, "ABSK-x|eu-west-1", "nova-pro-v1:0", settings=settings))
    assert (channel.keys, channel.closed) == (("ABSK-x",), ())
    more = '{"aws_key_type": "api_key", "allow_service_tier": true}'
    other = only(row(AWS, "ABSK-x|eu-west-1", "nova-pro-v1:0", settings=more))
    assert other.closed == ("channels.settings",)


@pytest.mark.parametrize("other", ["europe-west4", '{"default": "europe-west4"}'])
def test_vertex_by_key_files(other: str) -> None:
    channel = only(row(VERTEX, KEY, "claude-sonnet-4-5-20250929,gemini-2.5-pro", other=other))
    assert channel.provider == "vertex"
    host = "https://europe-west4-aiplatform.googleapis.com"
    assert channel.base_url == f"{host}/v1/projects/{PROJECT}/locations/europe-west4"
    assert [json.loads(key) for key in channel.keys] == [service_account_key()]
    assert channel.models == {
        "claude-sonnet-4-5-20250929": "claude-sonnet-4-5@20250929",
        "gemini-2.5-pro": "",
    }
    assert channel.closed == ()


def test_vertex_of_one_region_for_the_models_that_it_serves() -> None:
    other = '{"default": "us-central1", "gemini-2.5-pro": "global", "unserved": "eu"}'
    channel = only(row(VERTEX, f"[{KEY},{KEY}]", "gemini-2.5-pro", other=other))
    assert channel.base_url.endswith("/locations/global")
    assert len(channel.keys) == 1


def test_vertex_by_api_keys() -> None:
    settings = '{"vertex_key_type": "api_key"}'
    channel = only(row(VERTEX, "AIza-1\nAIza-2", "gemini-2.5-pro", settings=settings))
    assert channel.base_url == "https://aiplatform.googleapis.com/v1"
    assert channel.keys == ("AIza-1", "AIza-2")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (row(AWS, "AK|SK|us-east-1\nAK|SK|eu-west-1", "m"), "its keys are of several regions"),
        (row(AWS, "AK|SK", "m"), "a key is not of the form access|secret|region"),
        (row(AWS, "AK||us-east-1", "m"), "a key is not of the form access|secret|region"),
        (row(AWS, "AK|SK|no region", "m"), "'no region': the region must be"),
        (row(AWS, "", "m"), "it has no key"),
        (row(VERTEX, f"[{KEY},{FOREIGN}]", "m", other="eu"), "its keys are of several projects"),
        (row(VERTEX, KEY, "m,n", other='{"default": "eu", "n": "us"}'),
         "its models are served in several regions (eu, us)"),
        (row(VERTEX, KEY, "m", other='{"default": 1}'), "other: expected the names of regions"),
        (row(VERTEX, "no key file", "m", other="eu"), "'eu': the key names no project"),
        (row(VERTEX, '{"type": "service_account"}', "m", other="eu"), "a key cannot be used"),
    ],
)  # fmt: skip
def test_channels_without_a_single_equivalent_are_named(given: dict[str, Any], why: str) -> None:
    channels, skipped = read(given)
    assert channels == []
    (reason,) = skipped
    assert reason.startswith(why)
    assert "SK" not in reason
    assert "PRIVATE" not in reason


# ---- One API

OLD_VERTEX = 42


def test_bedrock_of_one_api() -> None:
    """The keys are in `config`; `key` repeats them with the region."""
    config = {"region": "us-east-1", "ak": "AK", "sk": "SK"}
    models = "claude-3-5-sonnet-latest,llama3-8b-8192,anthropic.claude-x"
    channel = only(row(AWS, "AK|SK|us-east-1", models, config=json.dumps(config)), "one-api")
    assert channel.provider == "bedrock"
    assert channel.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert channel.keys == ("AK|SK",)
    assert channel.models == {
        "claude-3-5-sonnet-latest": "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "llama3-8b-8192": "meta.llama3-8b-instruct-v1:0",
        "anthropic.claude-x": "",
    }
    assert channel.closed == ()


def test_vertex_of_one_api() -> None:
    config = {"region": "us-east5", "vertex_ai_project_id": "a-project", "vertex_ai_adc": KEY}
    written = row(OLD_VERTEX, "us-east5|a-project|x", "claude-3-5-haiku@20241022,gemini-1.5-pro",
                  config=json.dumps(config))  # fmt: skip
    channel = only(written, "one-api")
    assert channel.provider == "vertex"
    place = "https://us-east5-aiplatform.googleapis.com/v1/projects/a-project/locations/us-east5"
    assert channel.base_url == place
    assert channel.keys == (KEY,)
    assert channel.models == {"claude-3-5-haiku@20241022": "", "gemini-1.5-pro": ""}
    assert channel.closed == ()


@pytest.mark.parametrize(
    ("type", "config", "why"),
    [
        (AWS, {}, "config.ak is missing"),
        (AWS, {"ak": "AK", "sk": "SK"}, "config.region is missing"),
        (AWS, {"ak": "AK", "sk": "SK", "region": "nowhere!"}, "nowhere"),
        (OLD_VERTEX, {"region": "us-east5", "vertex_ai_project_id": "p"}, "adc is missing"),
        (OLD_VERTEX, {"region": "us-east5", "vertex_ai_project_id": "p", "vertex_ai_adc": "x"},
         "cannot be used"),
    ],
)  # fmt: skip
def test_unusable_one_api_channel_says_why(type: int, config: dict[str, str], why: str) -> None:
    channels, (skipped,) = read(row(type, "", "m", config=json.dumps(config)), "one-api")
    assert channels == []
    assert why in str(skipped)


@pytest.mark.parametrize("peer", CHANNEL_TYPES)
def test_each_type_leads_to_the_version_of_its_provider(peer: Peer) -> None:
    """Hosts differ by country; what follows the host is of the provider's API."""
    for kind in CHANNEL_TYPES[peer].values():
        if kind.host and kind.provider != "openai_compatible":
            provider, base_url = address_of(kind, "")
            assert provider == kind.provider
            own = provider_named(provider).base_url
            assert urlsplit(base_url).path == urlsplit(own).path, kind
