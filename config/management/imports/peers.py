"""The hubs that can be imported from, by the names that the command has for them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from config.management.imports import litellm, quota_hubs
from config.management.imports.converted import Converted
from config.management.imports.databases import Database
from config.management.imports.quota_channel_types import Peer as QuotaPeer
from config.management.imports.quota_hubs import WrongPeer

__all__ = ["PEERS", "Peer", "WrongPeer"]


class Peer(NamedTuple):
    """The tables that are read, and what converts them with the key to their secrets; only one
    that `seals` its secrets has such a key."""

    tables: tuple[str, ...]
    convert: Callable[[Database, str], Converted]
    seals: bool = False


def _quota_hub(peer: QuotaPeer, database: Database, salt_key: str) -> Converted:
    return quota_hubs.convert(peer, database)


PEERS: Final[Mapping[str, Peer]] = {
    "new-api": Peer(quota_hubs.TABLES, partial(_quota_hub, "new-api")),
    "one-api": Peer(quota_hubs.TABLES, partial(_quota_hub, "one-api")),
    "litellm": Peer(litellm.TABLES, litellm.convert, seals=True),
}
