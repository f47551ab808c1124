"""Models whose end has come."""

from dialects.errors import RequestFault
from relay.snapshot import Snapshot


def retired(snapshot: Snapshot, name: str, param: str = "model") -> RequestFault:
    """The refusal of a model that has ended, with the one to use instead where it is named."""
    entry = snapshot.entries.get(name) or snapshot.entries.get(snapshot.served_name(name))
    replacement = "" if entry is None else entry.replacement
    what = f"; use {replacement} instead" if replacement else ""
    return RequestFault("model_retired", param, what, model=name)
