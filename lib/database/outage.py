"""Errors of the database that say nothing about the statement."""

from django.db import InterfaceError, OperationalError

# A statement that takes more than it may, such as of `temp_file_limit`.
_LIMIT_EXCEEDED = "53400"


def is_away(error: BaseException | None) -> bool:
    """Return whether a Django error means that the database cannot be reached, is shutting down, or
    has no room, not that it refuses a statement."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = _state_of(error)
    if state is None or state[:3] == "57P":
        return True
    return state[:2] in ("08", "53") and state != _LIMIT_EXCEEDED


def is_transient(error: BaseException | None) -> bool:
    """Return whether the same transaction may succeed later: the database is away, or a deadlock
    ended it."""
    if is_away(error):
        return True
    state = _state_of(error) if isinstance(error, OperationalError) else None
    return state is not None and state[:2] == "40"


def _state_of(error: BaseException) -> str | None:
    state: str | None = getattr(error.__cause__, "sqlstate", None)
    return state
