"""Models that have ended: their replacement, or the refusal for clients."""

from dialects.errors.errors import RequestFault
from relay.routing.snapshot import Snapshot


def answering_model(snapshot: Snapshot, name: str, param: str) -> str:
    """The model that answers for a name. Raises RequestFault for one that has ended."""
    served = snapshot.answering(name)
    if served is not None and snapshot.routes_of(served):
        return served
    raise retired_fault(snapshot, name, param)


def retired_fault(snapshot: Snapshot, name: str, param: str = "model") -> RequestFault:
    """The refusal of a model that has ended, with the one to use instead where it is named."""
    entry = snapshot.entries.get(name) or snapshot.entries.get(snapshot.served_name(name))
    replacement = "" if entry is None else entry.replacement
    what = f"; use {replacement} instead" if replacement else ""
    return RequestFault("model_retired", param, what, model=name)
