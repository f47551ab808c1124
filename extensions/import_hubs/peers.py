"""The hubs that can be imported from: ours, and those of other extensions."""

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from billing.prices.price_list import PriceListRead
from extensions.import_hubs.converted import Converted
from extensions.import_hubs.databases import Database
from extensions.import_hubs.litellm import litellm
from extensions.import_hubs.new_api import hubs as quota_hubs
from extensions.import_hubs.new_api.channel_types import Peer as QuotaPeer
from lib.extensions.installed import extend


class Settings(NamedTuple):
    """An operator's settings for an import: the key to LiteLLM's secrets and its price list, and
    the restrictions that may be dropped (`columns.py`)."""

    now: dt.datetime
    salt_key: str = ""
    price_map: PriceListRead = PriceListRead({}, {}, {})
    accepted: frozenset[str] = frozenset()


class Peer(NamedTuple):
    """A hub: the tables to read, and their conversion. Only a `litellm` peer seals secrets and has
    a price list."""

    tables: tuple[str, ...]
    convert: Callable[[Database, Settings], Converted]
    litellm: bool = False


def _quota_hub(peer: QuotaPeer, database: Database, settings: Settings) -> Converted:
    return quota_hubs.convert(peer, database, settings.accepted, settings.now)


def _litellm(database: Database, settings: Settings) -> Converted:
    return litellm.convert(
        database, settings.salt_key, settings.price_map, settings.accepted, settings.now
    )


PEERS: Final[dict[str, Peer]] = {
    "new-api": Peer(quota_hubs.TABLES, partial(_quota_hub, "new-api")),
    "one-api": Peer(quota_hubs.TABLES, partial(_quota_hub, "one-api")),
    "litellm": Peer(litellm.TABLES, _litellm, litellm=True),
}
extend(PEERS, "importers", Peer, dict)
