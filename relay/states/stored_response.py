"""A stored response with its items, or a stored interaction."""

from dialects.chat.kept import KeptResponse, decode_kept
from dialects.responses import state
from relay.credentials.keys import Principal
from relay.states.state_store import StateKind, StateStore


async def find_response(
    states: StateStore, principal: Principal, id: str, kind: StateKind = "response"
) -> KeptResponse | None:
    """Return a response of the principal's key; None if none is stored. Raises DatabaseFailed."""
    stored = await states.find(principal, kind, [id])
    return decode_kept(stored[id]) if id in stored else None


async def forget_response(
    states: StateStore, principal: Principal, id: str, kind: StateKind = "response"
) -> bool:
    """Delete a response with its items. Return False if none is stored. Raises DatabaseFailed."""
    stored = await find_response(states, principal, id, kind)
    if stored is None:
        return False
    if kind == "response":
        for item, _ in state.keep_items(bytes(stored.response), ""):
            await states.drop(principal, "item", item)
    await states.drop(principal, kind, id)
    return True
