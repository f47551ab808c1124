"""What is masked in a text before it is shown, and how much of it is shown: the own words of a
client, or those of an upstream."""

import re
from typing import Any

WHAT_CHARACTERS_MAX = 500
_VALUE_CHARACTERS_MAX = 64
# Prefixes of providers' keys; the last characters alone would already identify one.
KEY_PREFIXES = (
    "sk", "pk", "rk", "gsk", "xai", "hf", "r8", "tgp", "nvapi", "pplx", "ak", "key", "api"
)  # fmt: skip
_KEY = re.compile(
    rf"(?:\b(?:{'|'.join(KEY_PREFIXES)})[-_](?=[\w-]*\d)[\w-]{{8,}}"
    r"|\b(?:sk-|ek_)[\w-]{8,}|\bAIza[\w-]{16,}|(?<=[Bb]earer )[\w.~+=-]{8,})"
)
# Matches only at the start of a word: trying every position would take seconds for a long word, and
# logs contain whatever clients send.
_ALREADY_MASKED = re.compile(r"(?:(?<![\w-])[\w-]++|)(?:\*{2,}|\u2026)[\w-]*")
_ACCOUNT = re.compile(r"\b(org|proj|acct|user|team|cus)[-_](?=[\w-]*\d)[\w-]{6,}")
_TAG = re.compile(r"<[^<>]{0,2000}>?")
# A quoted name or number helps; a quoted sentence is the client's own text.
_QUOTED = re.compile(r"""(["'`])(?=[^"'`]*\s|[^"'`]{41})[^"'`]+\1""")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\s]+")


def quote_value(value: str) -> str:
    """Return a client's value, safe for a message: one line, 64 characters, keys masked."""
    return mask_value(_CONTROL.sub(" ", value))[:_VALUE_CHARACTERS_MAX]


def mask_value(text: str) -> str:
    """Shorten key-like words of the client's own text to `sk-abc***wxyz`."""
    return _KEY.sub(lambda key: f"{key[0][:6]}***{key[0][-4:]}", text)


def mask_upstream(text: str) -> str:
    """Remove everything that would identify our account at a provider: keys, ends of keys, account
    ids.
    """
    text = _KEY.sub("***", text)
    text = _ALREADY_MASKED.sub("***", text)
    return _ACCOUNT.sub(r"\1-***", text)


def mask_members(value: Any) -> Any:
    """Return a decoded JSON value with every text in it masked by `mask_upstream`; member names are
    unchanged.
    """
    if isinstance(value, str):
        return mask_upstream(value)
    if isinstance(value, list):
        return [mask_members(item) for item in value]
    if isinstance(value, dict):
        return {name: mask_members(item) for name, item in value.items()}
    return value


def clean_upstream(text: str) -> str:
    """Return an upstream's message, safe to show: masked, one line, without markup, truncated."""
    text = _TAG.sub(" ", text[:8_000])
    return mask_upstream(_CONTROL.sub(" ", text)).strip()[:WHAT_CHARACTERS_MAX]


def without_sentences(text: str) -> str:
    """Return a message without the sentences that it quotes: a provider may quote the request."""
    return _QUOTED.sub(r"\1…\1", text)
