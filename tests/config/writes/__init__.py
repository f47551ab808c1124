"""The writes that are made for their events, in the file of the room whose they are."""

from typing import Final

from tests.config.writes import accounts, billing, content, gateway, notify, playground, usage
from tests.config.writes.world import Writes

# What a write needs to have happened before, which is no part of it.
BEFORE: Final[Writes] = {**accounts.BEFORE, **billing.BEFORE, **content.BEFORE, **gateway.BEFORE}
WRITES: Final[Writes] = {
    **accounts.WRITES,
    **notify.WRITES,
    **billing.WRITES,
    **content.WRITES,
    **usage.WRITES,
    **gateway.WRITES,
    **playground.WRITES,
}
