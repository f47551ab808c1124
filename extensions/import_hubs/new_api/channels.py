"""Channels of New API and One API."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from extensions.import_hubs import values
from extensions.import_hubs.converted import Channel, Origin
from extensions.import_hubs.new_api import one_api_clouds
from extensions.import_hubs.new_api.channel_types import (
    CHANNEL_TYPES,
    ChannelType,
    Peer,
    address_of,
)
from extensions.import_hubs.new_api.cloud_channels import (
    KEY_SETTINGS,
    CloudChannel,
    read_bedrock,
    read_vertex,
    split_keys,
)
from extensions.import_hubs.reading import Reader, Skipped, distinguish_names, field, is_model_name
from extensions.import_hubs.values import Row

_TABLE: Final = "channels"
_ENABLED: Final = 1
# These columns change requests, unless they contain the version of Azure's API.
_OF_AZURE: Final = ("config", "other")
# Before this day New API removed dots from the names of Azure's deployments; One API still does.
_DOTS_STAY_SINCE: Final = dt.datetime(2025, 5, 10, tzinfo=dt.UTC)
_CHAIN_MAX: Final = 20


class _Cloud(NamedTuple):
    """How a hub's channels of a cloud are read, and the column that says more of their keys."""

    read: Callable[[Row, tuple[str, ...], Mapping[str, str]], CloudChannel]
    column: str = ""


_CLOUDS: Final[Mapping[tuple[Peer, str], _Cloud]] = {
    ("new-api", "bedrock"): _Cloud(read_bedrock),
    # The region is where Azure's version is.
    ("new-api", "vertex"): _Cloud(read_vertex, "other"),
    ("one-api", "bedrock"): _Cloud(one_api_clouds.read_bedrock, "config"),
    ("one-api", "vertex"): _Cloud(one_api_clouds.read_vertex, "config"),
}


class GroupedChannel(NamedTuple):
    """A channel, and the groups of the other hub that it serves."""

    channel: Channel
    groups: tuple[str, ...]


def read_channels(reader: Reader, peer: Peer) -> list[GroupedChannel]:
    rows = reader.database.rows.get(_TABLE, ())
    names = distinguish_names({values.text(row.get("id")): _name(row) for row in rows})

    def convert(row: Row, closed: tuple[str, ...]) -> GroupedChannel:
        groups = tuple(_split_list(field(row, "group", values.text)))
        if not groups:
            closed += reader.without_accepted([f"{_TABLE}.group (none)"])
        channel = _channel(reader, peer, row, names[values.text(row.get("id"))], closed)
        return GroupedChannel(channel, groups)

    return reader.each(_TABLE, convert)


def _name(row: Row) -> str:
    return values.text(row.get("name")).strip() or f"channel {values.text(row.get('id'))}"


def _channel(reader: Reader, peer: Peer, row: Row, name: str, closed: tuple[str, ...]) -> Channel:
    number = field(row, "type", values.integer)
    kind = CHANNEL_TYPES[peer].get(number)
    if kind is None:
        raise Skipped(f"type {number} is not known here")
    if not kind.provider:
        raise Skipped(f"Weir has no provider for {kind.name} (type {number})")
    provider, base_url = address_of(kind, field(row, "base_url", values.text))
    keys, models = _keys(reader, row, name), _models(peer, row, kind)
    cloud = _CLOUDS.get((peer, kind.provider))
    if cloud is not None:
        base_url, keys, models = cloud.read(row, keys, models)
        closed = _without_key_kind(row, closed)
    if kind.name == "Azure" and (version := _azure_version(row)):
        base_url = f"{base_url}?api-version={version}"
    if kind.name != "Azure":
        of_azure = [column for column in _OF_AZURE if cloud is None or column != cloud.column]
        azure_columns = [column for column in of_azure if not values.is_nothing(row.get(column))]
        closed += reader.without_accepted(f"{_TABLE}.{column}" for column in azure_columns)
    id = field(row, "id", values.text)
    weight = field(row, "weight", values.integer)
    return Channel(
        Origin(_TABLE, id),
        name,
        provider,
        base_url,
        keys,
        models,
        enabled=field(row, "status", values.integer) == _ENABLED,
        closed=closed,
        # In New API the highest priority is used first; here the lowest is.
        priority=-field(row, "priority", values.integer),
        # In New API a weight of 0 also gets a share.
        weight=weight or 1,
    )


def _without_key_kind(row: Row, closed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the restrictions without settings that only name the kind of a key."""
    settings = field(row, "settings", values.mapping)
    if settings and KEY_SETTINGS.issuperset(settings):
        return tuple(name for name in closed if name != f"{_TABLE}.settings")
    return closed


def _azure_version(row: Row) -> str:
    config = field(row, "config", values.mapping)
    return field(row, "other", values.text).strip() or str(config.get("api_version") or "")


def _keys(reader: Reader, row: Row, name: str) -> tuple[str, ...]:
    """Return the enabled keys of a pool."""
    written = field(row, "key", values.text)
    keys = split_keys(written)
    states = field(row, "channel_info", values.mapping).get("multi_key_status_list") or {}
    off = {
        keys[int(place)]
        for place, state in states.items()
        if str(place).isdigit() and int(place) < len(keys) and state != _ENABLED
    }
    if off:
        reader.report.note(
            _TABLE, field(row, "id", values.text), name, f"{len(off)} keys that were turned off"
        )
    return tuple(dict.fromkeys(key for key in keys if key and key not in off))


def _models(peer: Peer, row: Row, kind: ChannelType) -> dict[str, str]:
    mapping = field(row, "model_mapping", values.mapping)
    if any(not isinstance(name, str) for name in mapping.values()):
        raise Skipped("model_mapping: expected names of models")
    created = field(row, "created_time", values.instant)
    dots = kind.name != "Azure" or (
        peer == "new-api" and created is not None and created >= _DOTS_STAY_SINCE
    )
    served = {}
    for model in _split_list(field(row, "models", values.text)):
        upstream = _map_model(model, mapping, chains=peer == "new-api")
        upstream = upstream if dots else upstream.replace(".", "")
        if not is_model_name(model) or not is_model_name(upstream):
            raise Skipped(f"models: {model[:60]!r} is not the name of a model")
        served[model] = "" if upstream == model else upstream
    return served


def _map_model(model: str, mapping: dict[str, str], *, chains: bool) -> str:
    """Return the upstream name. New API follows a chain of names; a cycle is refused."""
    for _ in range(_CHAIN_MAX):
        following = mapping.get(model, "")
        if following in ("", model):
            return model
        model = following
        if not chains:
            return model
    raise Skipped("model_mapping leads round in a circle")


def _split_list(written: str) -> list[str]:
    return [part for part in map(str.strip, written.split(",")) if part]
