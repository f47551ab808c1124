"""What a record keeps of an error's message. A provider may quote what it was asked: text that may
not be kept, or that would outlive the content of the request (P31)."""

import re
from typing import Final, cast

from dialects.errors.errors import ErrorKind, message_of
from relay.credentials.keys import Principal

# A name or a number in quotes says what is wrong; a sentence is the client's own.
_QUOTED: Final = re.compile(r"""(["'`])(?=[^"'`]*\s|[^"'`]{41})[^"'`]+\1""")


def kept_message(principal: Principal, kind: str | None, message: str) -> str:
    """The message without sentences that it quotes; of a request of which nothing is kept, what is
    said of every error of its kind."""
    if not message or kind is None:
        return message
    if not principal.retention_hours:
        return message_of(cast(ErrorKind, kind))
    return _QUOTED.sub(r"\1…\1", message)
