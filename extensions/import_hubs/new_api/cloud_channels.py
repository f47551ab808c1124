"""Channels of New API for Amazon Bedrock and Google Vertex AI.

There the region is a part of each key (Bedrock) or a column (Vertex AI), for all models or by
model; here it is in the channel's base URL. There models have short names, which are written in the
cloud's form for each request. A channel of several regions or projects cannot be one channel here:
it is not imported, and the reason says so. Sources: relay/channel/aws, relay/channel/vertex and
GetKeys of model/channel.go (2026-10).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from extensions.import_hubs import values
from extensions.import_hubs.reading import Skipped, field
from extensions.import_hubs.values import Row
from gateway.providers.cloud_credentials.credentials import BadKey
from gateway.providers.cloud_credentials.google import project_of
from gateway.providers.cloud_places import AMAZON, GOOGLE, BadPlace, CloudPlace

# The settings that say what kind a key is; all others change requests.
KEY_SETTINGS: Final = frozenset({"aws_key_type", "vertex_key_type"})

_API_KEY: Final = "api_key"
_EVERYWHERE: Final = ("us", "eu", "ap")
# The id on Bedrock by the name there, and where New API asks an inference profile of it.
_BEDROCK: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "claude-3-sonnet-20240229": ("anthropic.claude-3-sonnet-20240229-v1:0", _EVERYWHERE),
    "claude-3-opus-20240229": ("anthropic.claude-3-opus-20240229-v1:0", ("us",)),
    "claude-3-haiku-20240307": ("anthropic.claude-3-haiku-20240307-v1:0", _EVERYWHERE),
    "claude-3-5-sonnet-20240620": ("anthropic.claude-3-5-sonnet-20240620-v1:0", _EVERYWHERE),
    "claude-3-5-sonnet-20241022": ("anthropic.claude-3-5-sonnet-20241022-v2:0", ("us", "ap")),
    "claude-3-5-haiku-20241022": ("anthropic.claude-3-5-haiku-20241022-v1:0", ("us",)),
    "claude-3-7-sonnet-20250219": ("anthropic.claude-3-7-sonnet-20250219-v1:0", _EVERYWHERE),
    "claude-sonnet-4-20250514": ("anthropic.claude-sonnet-4-20250514-v1:0", _EVERYWHERE),
    "claude-opus-4-20250514": ("anthropic.claude-opus-4-20250514-v1:0", ("us",)),
    "claude-opus-4-1-20250805": ("anthropic.claude-opus-4-1-20250805-v1:0", ("us",)),
    "claude-sonnet-4-5-20250929": ("anthropic.claude-sonnet-4-5-20250929-v1:0", _EVERYWHERE),
    "claude-sonnet-4-6": ("anthropic.claude-sonnet-4-6", _EVERYWHERE),
    "claude-sonnet-5": ("anthropic.claude-sonnet-5", _EVERYWHERE),
    "claude-haiku-4-5-20251001": ("anthropic.claude-haiku-4-5-20251001-v1:0", _EVERYWHERE),
    "claude-opus-4-5-20251101": ("anthropic.claude-opus-4-5-20251101-v1:0", _EVERYWHERE),
    "claude-opus-4-6": ("anthropic.claude-opus-4-6-v1", _EVERYWHERE),
    "claude-opus-4-7": ("anthropic.claude-opus-4-7", _EVERYWHERE),
    "nova-micro-v1:0": ("amazon.nova-micro-v1:0", ("us", "eu")),
    "nova-lite-v1:0": ("amazon.nova-lite-v1:0", ("us", "eu")),
    "nova-pro-v1:0": ("amazon.nova-pro-v1:0", ("us", "eu")),
    "nova-premier-v1:0": ("amazon.nova-premier-v1:0", ("us",)),
}
_BEDROCK_PROFILES: Final = {"us": "us", "eu": "eu", "ap": "apac"}
_VERTEX: Final[Mapping[str, str]] = {
    "claude-3-sonnet-20240229": "claude-3-sonnet@20240229",
    "claude-3-opus-20240229": "claude-3-opus@20240229",
    "claude-3-haiku-20240307": "claude-3-haiku@20240307",
    "claude-3-5-sonnet-20240620": "claude-3-5-sonnet@20240620",
    "claude-3-5-sonnet-20241022": "claude-3-5-sonnet-v2@20241022",
    "claude-3-7-sonnet-20250219": "claude-3-7-sonnet@20250219",
    "claude-sonnet-4-20250514": "claude-sonnet-4@20250514",
    "claude-opus-4-20250514": "claude-opus-4@20250514",
    "claude-opus-4-1-20250805": "claude-opus-4-1@20250805",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5@20250929",
    "claude-haiku-4-5-20251001": "claude-haiku-4-5@20251001",
    "claude-opus-4-5-20251101": "claude-opus-4-5@20251101",
}


class CloudChannel(NamedTuple):
    """The parts of a channel that follow from its cloud. `models` are the upstream names by the
    public name, "" for the same."""

    base_url: str
    keys: tuple[str, ...]
    models: dict[str, str]


def split_keys(written: str) -> list[str]:
    """Return the keys of a pool: one a line, or the members of a JSON array."""
    if written.strip().startswith("["):
        try:
            members = json.loads(written)
        except ValueError:
            members = None
        if isinstance(members, list):
            return [one if isinstance(one, str) else json.dumps(one) for one in members]
    try:
        # A key file may have several lines.
        if isinstance(json.loads(written), dict):
            return [written.strip()]
    except ValueError:
        pass
    return [key.strip() for key in written.strip("\n").split("\n")]


def read_bedrock(row: Row, keys: tuple[str, ...], models: Mapping[str, str]) -> CloudChannel:
    """Return the parts of a channel for Bedrock. Its keys are `access|secret|region`, or
    `API key|region`. Raises Skipped."""
    parts = 2 if _settings(row).get("aws_key_type") == _API_KEY else 3
    regions, secrets = set(), []
    for key in keys:
        *secret, region = map(str.strip, key.split("|"))
        if len(secret) + 1 != parts or not all((*secret, region)):
            form = "API key|region" if parts == 2 else "access|secret|region"
            raise Skipped(f"a key is not of the form {form}")
        regions.add(region)
        secrets.append("|".join(secret))
    region = _only(regions, "its keys are of several regions")
    area = region.partition("-")[0]

    def named(name: str) -> str:
        id, areas = _BEDROCK.get(name, (name, ()))
        return f"{_BEDROCK_PROFILES[area]}.{id}" if area in areas else id

    upstream = name_models(models, named)
    return CloudChannel(cloud_address(AMAZON, region, ""), tuple(secrets), upstream)


def read_vertex(row: Row, keys: tuple[str, ...], models: Mapping[str, str]) -> CloudChannel:
    """Return the parts of a channel for Vertex AI. Its keys are key files of one project, or API
    keys. Raises Skipped."""
    by_model = _regions(field(row, "other", values.text).strip())
    default = by_model.get("default") or "global"
    regions = {by_model.get(model) or default for model in models} or {default}
    region = _only(regions, "its models are served in several regions")
    named = name_models(models, lambda name: _VERTEX.get(name, name))
    if _settings(row).get("vertex_key_type") == _API_KEY:
        host = "" if region == "global" else f"{region}-"
        return CloudChannel(f"https://{host}aiplatform.googleapis.com/v1", keys, named)
    try:
        projects = {project_of(key) for key in keys}
    except BadKey as error:
        raise Skipped(f"a key cannot be used: {error}") from error
    project = _only(projects, "its keys are of several projects")
    return CloudChannel(cloud_address(GOOGLE, region, project), keys, named)


def _settings(row: Row) -> dict[str, Any]:
    return field(row, "settings", values.mapping)


def _regions(written: str) -> dict[str, str]:
    """Return the regions by model; `default` is that of all others."""
    if not written.startswith("{"):
        return {"default": written}
    try:
        regions = json.loads(written)
    except ValueError as error:
        raise Skipped("other: expected a region, or JSON with one for each model") from error
    if not all(isinstance(region, str) for region in regions.values()):
        raise Skipped("other: expected the names of regions")
    return {str(model): region for model, region in regions.items()}


def _only(words: set[str], why: str) -> str:
    if len(words) == 1:
        return words.pop()
    if not words:
        raise Skipped("it has no key")
    raise Skipped(f"{why} ({', '.join(sorted(words))}): add a channel of each")


def cloud_address(place: CloudPlace, region: str, project: str) -> str:
    """Return the base URL of a region and a project. Raises Skipped."""
    try:
        return place.base_url(region, project, "")
    except BadPlace as error:
        raise Skipped(f"{region!r}: {error}") from error


def name_models(models: Mapping[str, str], named: Callable[[str], str]) -> dict[str, str]:
    """Return the upstream names of a cloud by the public name, "" for the same."""
    upstream = {model: named(name or model) for model, name in models.items()}
    return {model: "" if name == model else name for model, name in upstream.items()}
