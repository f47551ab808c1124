"""A stored response of the responses dialect, with its items."""

from dialects.chat.kept import KeptResponse, decode_kept
from dialects.responses import state
from relay.answers.state_store import StateStore
from relay.credentials.keys import Principal


async def find_response(states: StateStore, principal: Principal, id: str) -> KeptResponse | None:
    """Return a response of the principal's key; None if none is stored. Raises DatabaseFailed."""
    stored = await states.find(principal, "response", [id])
    return decode_kept(stored[id]) if id in stored else None


async def forget_response(states: StateStore, principal: Principal, id: str) -> bool:
    """Delete a response with its items. Return False if none is stored. Raises DatabaseFailed."""
    stored = await find_response(states, principal, id)
    if stored is None:
        return False
    for item, _ in state.keep_items(bytes(stored.response), ""):
        await states.drop(principal, "item", item)
    await states.drop(principal, "response", id)
    return True
