"""Find the service tier that an upstream reports, in its own bytes.

Only the dialect's own position of the tier is read, never a similar text elsewhere: answers repeat
what a client writes into its metadata or prompt.

    openai      service_tier                 of the answer, or of a chunk
    responses   service_tier                 of the response, whole or inside an event
    anthropic   usage.service_tier           of the message, whole or inside message_start
    interactions service_tier                of the interaction, whole or inside an event

A value that is not a text is returned as JSON, and is an unknown tier (P28).
"""

from collections.abc import Callable

import msgspec

from dialects.json.not_json import NOT_JSON

_NOTHING = msgspec.Raw()


class _Place(msgspec.Struct):
    service_tier: msgspec.Raw = _NOTHING
    usage: msgspec.Raw = _NOTHING
    response: msgspec.Raw = _NOTHING
    message: msgspec.Raw = _NOTHING
    interaction: msgspec.Raw = _NOTHING


_decoder = msgspec.json.Decoder(_Place)
_NOWHERE = _Place()
NAME = b'"service_tier"'
"""The name in JSON's quotes, which never appears inside a JSON text."""
_DATA = b"data:"
_WORD_MAX = 40


def tier_of_answer(raw: bytes) -> str:
    """Return the tier of a whole answer, "" for none. Never raises."""
    if NAME not in raw:
        return ""
    answer = _decode_place(raw)
    inner = (answer.response, answer.message, answer.interaction)
    return _tier_at(answer) or next(
        filter(None, (_tier_at(_decode_place(raw)) for raw in inner)), ""
    )


def tier_of_frames(raw: bytes) -> str:
    """Return the last tier in these frames of a stream."""
    if NAME not in raw:
        return ""
    lines = (line for line in reversed(raw.splitlines()) if line.startswith(_DATA))
    tiers = (tier_of_answer(line[len(_DATA) :]) for line in lines)
    return next(filter(None, tiers), "")


def _tier_at(place: _Place) -> str:
    return _word(place.service_tier) or _word(_decode_place(place.usage).service_tier)


def _decode_place(raw: bytes | msgspec.Raw) -> _Place:
    try:
        return _decoder.decode(raw) if raw else _NOWHERE
    except NOT_JSON:
        return _NOWHERE


def _word(raw: msgspec.Raw) -> str:
    text = bytes(raw)
    if text in (b"", b"null"):
        return ""
    try:
        return msgspec.json.decode(text, type=str)
    except NOT_JSON:
        return text[:_WORD_MAX].decode(errors="replace")


class TierReader:
    """Reports the tier that the frames of a stream name."""

    __slots__ = ("_known", "_on_tier")

    def __init__(self, on_tier: Callable[[str], None]) -> None:
        self._on_tier = on_tier
        # The last tier member. Chunks repeat it, and are not parsed again for the same one.
        self._known = b""

    def read(self, raw: bytes) -> None:
        """Read the next frames."""
        if NAME not in raw or (self._known and raw.count(NAME) == raw.count(self._known)):
            return
        tier = tier_of_frames(raw)
        if tier:
            self._known = b'%b:"%b"' % (NAME, tier.encode(errors="replace"))
            self._on_tier(tier)
