"""GET /v1/models: the names that a key may ask for."""

from typing import Any

import msgspec

from gateway.relay.auth import Principal
from gateway.relay.snapshot import Snapshot


def render(snapshot: Snapshot, principal: Principal) -> bytes:
    """The list in the openai dialect, sorted by id: models with an enabled channel that the key's
    own list lets it use. A pattern shows the priced names that it meets."""
    data: list[dict[str, Any]] = [
        {
            "id": name,
            "object": "model",
            "created": snapshot.created,
            "owned_by": "weir",
        }
        for name in snapshot.listed_models()
        if principal.may_use(name)
    ]
    return msgspec.json.encode({"object": "list", "data": data})
