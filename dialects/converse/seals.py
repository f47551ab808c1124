"""The proofs of reasoning in the converse dialect: `signature` of a `reasoningText`, and
`redactedContent`, which is base64. Those of other providers than Claude's carry their mark.
"""

from base64 import b64decode, b64encode
from binascii import Error as BinasciiError

from dialects.chat.chat import JsonObject
from dialects.chat.events import Seal
from dialects.chat.turns import mark_seal, read_seal


def write_redacted(seal: Seal) -> str:
    """Return redacted reasoning as bytes in base64."""
    return b64encode(mark_seal(seal, "anthropic").encode()).decode()


def read_redacted(data: str) -> Seal | None:
    """Return the seal of redacted reasoning; None if it is not one."""
    try:
        text = b64decode(data, validate=True).decode()
    except (BinasciiError, ValueError):
        return None
    seal = read_seal(text, "anthropic")
    return Seal(seal.owner, seal.value, redacted=True, id=seal.id)


def is_foreign(block: JsonObject) -> bool:
    """Return whether a block is reasoning that another provider has proved."""
    reasoning = block.get("reasoningContent")
    if not isinstance(reasoning, dict):
        return False
    text = reasoning.get("reasoningText")
    signature = text.get("signature") if isinstance(text, dict) else None
    if isinstance(signature, str):
        return read_seal(signature, "anthropic").owner != "anthropic"
    redacted = reasoning.get("redactedContent")
    seal = read_redacted(redacted) if isinstance(redacted, str) else None
    return seal is not None and seal.owner != "anthropic"
