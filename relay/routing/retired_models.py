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
    entry = snapshot.entries.get(name) or snapshot.entries.get(snapshot.served_name(name))
    replacement = "" if entry is None else entry.replacement
    what = f"; use {replacement} instead" if replacement else ""
    return RequestFault("model_retired", param, what, model=name)
