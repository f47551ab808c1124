"""Channels of One API for Claude and Llama on Amazon Bedrock, and for Google's Vertex AI.

There the region, and the credentials, are in the column `config`; `key` is made of them and not
read. Models of Bedrock have short names, which are written in its form for each request. Sources:
relay/adaptor/aws, relay/adaptor/vertexai and ChannelConfig of model/channel.go (One API 0.6.11).
"""

from collections.abc import Mapping
from typing import Any, Final

from extensions.import_hubs import values
from extensions.import_hubs.new_api.cloud_channels import CloudChannel, cloud_address, name_models
from extensions.import_hubs.reading import Skipped, field
from extensions.import_hubs.values import Row
from gateway.providers.cloud_credentials.credentials import BadKey
from gateway.providers.cloud_credentials.google import read_google_key
from gateway.providers.cloud_places import AMAZON, GOOGLE

_BEDROCK: Final[Mapping[str, str]] = {
    "claude-instant-1.2": "anthropic.claude-instant-v1",
    "claude-2.0": "anthropic.claude-v2",
    "claude-2.1": "anthropic.claude-v2:1",
    "claude-3-haiku-20240307": "anthropic.claude-3-haiku-20240307-v1:0",
    "claude-3-sonnet-20240229": "anthropic.claude-3-sonnet-20240229-v1:0",
    "claude-3-opus-20240229": "anthropic.claude-3-opus-20240229-v1:0",
    "claude-3-5-sonnet-20240620": "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "claude-3-5-sonnet-20241022": "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "claude-3-5-sonnet-latest": "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "claude-3-5-haiku-20241022": "anthropic.claude-3-5-haiku-20241022-v1:0",
    "llama3-8b-8192": "meta.llama3-8b-instruct-v1:0",
    "llama3-70b-8192": "meta.llama3-70b-instruct-v1:0",
}


def read_bedrock(row: Row, keys: tuple[str, ...], models: Mapping[str, str]) -> CloudChannel:
    """Return the parts of a channel for Bedrock. Raises Skipped."""
    config = _config(row)
    secret = f"{_text(config, 'ak')}|{_text(config, 'sk')}"
    named = name_models(models, lambda name: _BEDROCK.get(name, name))
    return CloudChannel(cloud_address(AMAZON, _text(config, "region"), ""), (secret,), named)


def read_vertex(row: Row, keys: tuple[str, ...], models: Mapping[str, str]) -> CloudChannel:
    """Return the parts of a channel for Vertex AI. Raises Skipped."""
    config = _config(row)
    region, project = _text(config, "region"), _text(config, "vertex_ai_project_id")
    key = _text(config, "vertex_ai_adc")
    try:
        source = read_google_key(key)
    except BadKey as error:
        raise Skipped(f"config.vertex_ai_adc cannot be used: {error}") from error
    if source is None:
        raise Skipped("config.vertex_ai_adc cannot be used: it is not the JSON of a key")
    named = name_models(models, lambda name: name)
    return CloudChannel(cloud_address(GOOGLE, region, project), (key,), named)


def _config(row: Row) -> Mapping[str, Any]:
    return field(row, "config", values.mapping)


def _text(config: Mapping[str, Any], name: str) -> str:
    value = config.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Skipped(f"config.{name} is missing")
    return value.strip()
