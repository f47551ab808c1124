"""The summary that a compaction item of ours carries. `encrypted_content` is `summary:` and the
text in base64: it is not encrypted, because it says no more than the client's own conversation. In
a later request the item stands for a user message with the summary, for every model.
"""

from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from typing import Any, Final

from dialects.chat.chat import JsonObject

MARK: Final = "summary:"
_HEADING: Final = "Summary of the conversation so far:\n\n"


def write_summary(text: str) -> str:
    """Return the `encrypted_content` with a summary."""
    return MARK + b64encode(text.encode(errors="replace")).decode()


def read_summary(encrypted_content: Any) -> str | None:
    """Return the text that stands for a compacted conversation, None if only its provider can read
    it.
    """
    if not isinstance(encrypted_content, str) or not encrypted_content.startswith(MARK):
        return None
    try:
        raw = b64decode(encrypted_content.removeprefix(MARK), validate=True)
    except (BinasciiError, ValueError):
        return None
    return _HEADING + raw.decode(errors="replace")


def summary_message(encrypted_content: Any) -> JsonObject | None:
    """Return the input item that stands for a compacted conversation; None as in `read_summary`."""
    summary = read_summary(encrypted_content)
    if summary is None:
        return None
    part = {"type": "input_text", "text": summary}
    return {"type": "message", "role": "user", "content": [part]}
