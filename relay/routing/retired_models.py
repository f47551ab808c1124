"""Retired models: their replacement, or the error for clients."""

from dialects.errors.errors import RequestFault
from relay.catalogue.snapshot import Snapshot


def answering_model(snapshot: Snapshot, name: str, param: str) -> str:
    """Return the model that answers for a name. Raises RequestFault for a retired name."""
    served = snapshot.answering(name)
    if served is not None and (snapshot.routes_of(served) or snapshot.off_channels(served)):
        return served
    raise retired_fault(snapshot, name, param)


def retired_fault(snapshot: Snapshot, name: str, param: str = "model") -> RequestFault:
    """Return the error for a retired model, which names the replacement if the operator gave
    one."""
    # An alias may have an entry of its own, although its target is what has retired.
    entries = map(snapshot.entries.get, (name, snapshot.served_name(name)))
    retired = (one for one in entries if one is not None and one.ended(snapshot.now()))
    replacement = next((one.replacement for one in retired), "")
    what = f"; use {replacement} instead" if replacement else ""
    return RequestFault("model_retired", param, what, model=name)
