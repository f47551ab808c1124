"""Every kind of object that an address names, in the file of the room whose it is. How one is made
is said there too."""

from typing import Final

from tests.isolation.kinds import accounts, billing, content, gateway, notify, playground, usage
from tests.isolation.world import Kind

_ROOMS: Final = (accounts, notify, billing, content, usage, gateway, playground)
KINDS: Final = [
    value for room in _ROOMS for value in vars(room).values() if isinstance(value, Kind)
]
