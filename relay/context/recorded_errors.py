"""How much of an error's message, such as a provider's, the record of its request keeps."""

from typing import cast

from dialects.errors.errors import message_of
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import without_sentences
from relay.credentials.keys import Principal


def kept_message(principal: Principal, kind: str | None, message: str) -> str:
    """Return an error's message as a record keeps it, without quoted sentences: a provider may
    quote the request, which may not be stored, or whose content would outlive it (P31). If nothing
    of the request may be stored, return the general text for errors of its kind."""
    if not message or kind is None:
        return message
    if not principal.retention_hours:
        return message_of(cast(ErrorKind, kind))
    return without_sentences(message)
