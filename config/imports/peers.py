"""The hubs that can be imported, by their names in the command."""

import datetime as dt
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from billing.prices.price_list import PriceListRead
from config.imports.converted import Converted
from config.imports.databases import Database
from config.imports.litellm import litellm
from config.imports.new_api import hubs as quota_hubs
from config.imports.new_api.channel_types import Peer as QuotaPeer
from config.imports.new_api.hubs import WrongPeer

__all__ = ["PEERS", "Peer", "Settings", "WrongPeer"]


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


PEERS: Final[Mapping[str, Peer]] = {
    "new-api": Peer(quota_hubs.TABLES, partial(_quota_hub, "new-api")),
    "one-api": Peer(quota_hubs.TABLES, partial(_quota_hub, "one-api")),
    "litellm": Peer(litellm.TABLES, _litellm, litellm=True),
}
