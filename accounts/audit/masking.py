"""Mask texts that look like secrets. The visible start still identifies the secret."""

import re
from typing import Final

# Our own keys and those of providers, tokens of sign-in providers and webhooks, passwords in URLs,
# and the value after the name of a credential.
_SECRETS: Final = (
    re.compile(r"\b(sk-(?:weir-|ant-|proj-|or-)?m?)[A-Za-z0-9_-]{16,}"),
    re.compile(r"\b((?:sk|rk|pk)_(?:live|test)_)[A-Za-z0-9]{10,}"),
    re.compile(r"\b(whsec_)[A-Za-z0-9+/=]{10,}"),
    re.compile(r"\b(AIza)[A-Za-z0-9_-]{30,}"),
    re.compile(r"\b(gh[opsu]_|xox[abps]-|glpat-)[A-Za-z0-9-]{10,}"),
    re.compile(r"\b(eyJ)[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"),
    re.compile(r"\b((?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{16,}", re.IGNORECASE),
    re.compile(r"(://[^/\s:@]+:)[^/\s@]+(?=@)"),
    re.compile(
        r"([?&;\s](?:api[_-]?key|key|token|secret|password|access_token)=)[^&;\s]{8,}",
        re.IGNORECASE,
    ),
)


def mask(text: str) -> str:
    """Return the text with `***` in place of each secret; the start of a secret stays visible."""
    for secret in _SECRETS:
        text = secret.sub(r"\1***", text)
    return text
