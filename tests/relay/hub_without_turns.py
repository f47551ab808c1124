"""The hub, in which every request begins as soon as it arrives: what turns cost is measured beside
it."""

from relay.auth import Principal
from relay.turns import Turns
from tests.from_source import application as application


async def begin(self: Turns, principal: Principal | None) -> None:
    """At once."""


Turns.begin = begin  # type: ignore[method-assign]
