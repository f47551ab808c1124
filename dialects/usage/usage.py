"""The usage of an answer, in two neutral forms.

    meters   disjoint: each token is in exactly one meter. Money is computed from these.
             in_text in_cache_read in_cache_write_5m _30m _1h _12h in_audio in_audio_cached
             in_image in_image_cached / out_text out_reasoning out_audio out_image / searches
             code_sessions
    Counts   inclusive: each part is included in its side's number. Usage objects are written from
             these.

A dialect reads its raw object by `usage.quantities(raw) -> Quantities` and writes one by
`usage.encode(Counts) -> dict`; `Counts.of(meters)` converts the first to the second.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dialects.json.not_json import NOT_JSON
from dialects.usage.impossible_counts import COUNT_MAX, QUARANTINE_FLAGS
from dialects.usage.price_conditions import KINDS, condition_word
from dialects.usage.usage_members import unknown_members

Meters = dict[str, int]

RAW_BYTES_MAX = 16 * 1024

# Most usage has no sound or pictures.
_OF_MEDIA = ("audio_tokens", "image_tokens")
_ESCAPED_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


_NO_CONDITIONS: Final[Mapping[str, str]] = {}
_NO_LIFETIMES: Final[Mapping[str, int]] = {}


class UsagePart(msgspec.Struct, frozen=True):
    """The usage of one model in an answer by several models or steps; `model` is "" for the
    requested one.
    """

    model: str
    meters: dict[str, int]


class Quantities(msgspec.Struct, frozen=True):
    """The quantities that an upstream reports.

    `meters`: in_text and out_text always, others if not 0; empty if nothing can be priced. `flags`:
    the defects of the count; sorted words, see QUARANTINE_FLAGS and usage_mismatch. `conditions`
    are those in the object, {kind: value}, including plain ones. `parts` are priced one by one, and
    add up to the meters; none if the whole is one. `unknown` names the unclassified values (P28):
    members by their path in the table `wire`, values as `speed=warp`.
    """

    meters: dict[str, int]
    flags: tuple[str, ...]
    conditions: Mapping[str, str] = _NO_CONDITIONS
    parts: tuple[UsagePart, ...] = ()
    unknown: tuple[str, ...] = ()
    wire: str = ""

    @property
    def missing(self) -> bool:
        """Whether the count is missing: the row is then estimated (F25)."""
        return "usage_missing" in self.flags

    @property
    def reliable(self) -> bool:
        """Whether there is a plausible count."""
        return not self.flags or not (self.missing or self.quarantined)

    @property
    def quarantined(self) -> bool:
        """Whether the count is implausible: the row is then charged min(local count, hold) and
        reviewed (F27)."""
        return not QUARANTINE_FLAGS.isdisjoint(self.flags)


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of an answer; every part is inside `input` or `output`. `searches` counts searches."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_write_30m: int = 0
    cache_write_12h: int = 0
    input_audio: int = 0
    input_image: int = 0
    output: int = 0
    reasoning: int = 0
    output_audio: int = 0
    output_image: int = 0
    searches: int = 0

    @property
    def total(self) -> int:
        """Input and output together."""
        return self.input + self.output

    @property
    def cache_write(self) -> int:
        """Return the tokens written to a cache, for any lifetime."""
        return (
            self.cache_write_5m + self.cache_write_1h + self.cache_write_30m + self.cache_write_12h
        )

    @property
    def input_text(self) -> int:
        """Return the input without sound and pictures, cached or not, at least 0."""
        return max(0, self.input - self.input_audio - self.input_image)

    @property
    def output_text(self) -> int:
        """Return the output without its named parts, at least 0."""
        return max(0, self.output - self.reasoning - self.output_audio - self.output_image)

    @classmethod
    def of(cls, meters: Mapping[str, int]) -> "Counts":
        """Convert disjoint meters to inclusive counts."""
        of = meters.get
        cached_audio, cached_image = of("in_audio_cached", 0), of("in_image_cached", 0)
        taken = given = 0
        for name, count in meters.items():
            if name.startswith("in_"):
                taken += count
            elif name.startswith("out_"):
                given += count
        return cls(
            input=taken,
            cache_read=of("in_cache_read", 0) + cached_audio + cached_image,
            cache_write_5m=of("in_cache_write_5m", 0),
            cache_write_1h=of("in_cache_write_1h", 0),
            cache_write_30m=of("in_cache_write_30m", 0),
            cache_write_12h=of("in_cache_write_12h", 0),
            input_audio=of("in_audio", 0) + cached_audio,
            input_image=of("in_image", 0) + cached_image,
            output=given,
            reasoning=of("out_reasoning", 0),
            output_audio=of("out_audio", 0),
            output_image=of("out_image", 0),
            searches=of("searches", 0),
        )


class UsageMembers(msgspec.Struct):
    """A usage object being read: every invalid value sets a flag and counts as absent."""

    members: dict[str, Any]
    wire: str = ""
    flags: set[str] = set()
    unknown: list[str] = []
    conditions: dict[str, str] = {}

    def add_condition(self, kind: str, value: Any) -> None:
        """Record a price condition of the object; None is ignored."""
        if value is None:
            return
        word = condition_word(value) if isinstance(value, str) else repr(value)
        if not KINDS[kind].is_classified(word):
            self.unknown.append(f"{kind}={word[:40]}")
        self.conditions[kind] = word

    def note_unknown(self, unknown: str) -> None:
        """Record members or values that the tables do not know, each once."""
        if unknown not in self.unknown:
            self.unknown.append(unknown)

    def nested(self, name: str) -> dict[str, Any]:
        """Return a nested object; {} for anything else."""
        value = self.members.get(name)
        return value if isinstance(value, dict) else {}

    def count(self, name: str, inside: dict[str, Any] | None = None) -> int | None:
        """Return a count of the object, or of one `inside`."""
        value = (self.members if inside is None else inside).get(name)
        if value is None or (type(value) is int and 0 <= value <= COUNT_MAX):
            return value
        if type(value) is not int:
            self.flags.add("usage_not_integer")
        else:
            self.flags.add("usage_negative" if value < 0 else "usage_huge")
        return None

    def input_meters(
        self,
        total: int,
        cached: int,
        written: int,
        side: dict[str, Any],
        lifetimes: Mapping[str, int] = _NO_LIFETIMES,
    ) -> Meters:
        """Return the meters of `total` input tokens. `side` has sound and pictures, and `lifetimes`
        how many of the `written` cache tokens are kept for how long, by meter. Cached tokens count
        against text first, then audio, then image.
        """
        audio, image = self._media(side)
        text = total - written - audio - image
        if cached > total:
            self.flags.add("usage_cached_above_input")
        elif text < 0 or cached > text + audio + image:
            self.flags.add("usage_parts_above_total")
        cached_text = min(cached, max(text, 0))
        cached_audio = min(cached - cached_text, audio)
        cached_image = cached - cached_text - cached_audio
        meters = {"in_text": text - cached_text}
        if not (cached or written or audio or image):
            return meters
        return meters | present(
            in_cache_read=cached_text,
            in_cache_write_5m=written - sum(lifetimes.values()),
            **lifetimes,
            in_audio=audio - cached_audio,
            in_audio_cached=cached_audio,
            in_image=image - cached_image,
            in_image_cached=cached_image,
        )

    def output_meters(self, total: int, reasoning: int, side: dict[str, Any]) -> Meters:
        """Return the meters of `total` output tokens; `side` has sound and pictures."""
        audio, image = self._media(side)
        text = total - reasoning - audio - image
        if text < 0:
            self.flags.add("usage_parts_above_total")
        if not (reasoning or audio or image):
            return {"out_text": text}
        return {"out_text": text} | present(
            out_reasoning=reasoning, out_audio=audio, out_image=image
        )

    def _media(self, side: dict[str, Any]) -> tuple[int, int]:
        """Return the sound and pictures of one side."""
        if side.keys().isdisjoint(_OF_MEDIA):
            return 0, 0
        return self.count("audio_tokens", side) or 0, self.count("image_tokens", side) or 0

    def missing(self) -> Quantities:
        """Return the quantities of an object without counts."""
        if self.flags or self.unknown:
            return self.result({})
        return Quantities({}, ("usage_missing",))

    def result(self, meters: Meters, parts: tuple[UsagePart, ...] = ()) -> Quantities:
        """Return the meters with the flags; without meters if the count is impossible (F27)."""
        if not (self.flags or self.unknown or self.conditions or parts):
            return Quantities(meters, ())
        lies = not QUARANTINE_FLAGS.isdisjoint(self.flags)
        return Quantities(
            {} if lies else meters,
            tuple(sorted(self.flags)),
            self.conditions or _NO_CONDITIONS,
            () if lies else parts,
            tuple(self.unknown),
            self.wire,
        )


def read_members(raw: bytes | None, wire: str) -> UsageMembers | Quantities:
    """Parse a raw usage object; anything else becomes Quantities with a flag. `wire` is the table
    of its members (dialects/usage/usage_members.py). Never raises."""
    if raw is None:
        return Quantities({}, ("usage_missing",))
    try:
        usage = msgspec.json.decode(raw)
    except NOT_JSON:
        return Quantities({}, ("usage_unreadable",))
    if usage is None or usage == {}:
        return Quantities({}, ("usage_missing",))
    if not isinstance(usage, dict):
        return Quantities({}, ("usage_unreadable",))
    return UsageMembers(usage, wire, unknown=unknown_members(wire, usage))


def present(**counts: int | None) -> Meters:
    """Return the counts that are neither absent nor 0."""
    return {name: count for name, count in counts.items() if count}


def storable(raw: bytes) -> bytes:
    """Return a raw object that a jsonb column accepts: an escaped NUL becomes U+FFFD, and an object
    larger than 16 KiB is replaced by one that holds only its size."""
    if len(raw) > RAW_BYTES_MAX:
        return b'{"dropped_bytes":%d}' % len(raw)
    return without_nul(raw)


def without_nul(raw: bytes) -> bytes:
    """Return JSON in which an escaped NUL became U+FFFD, because no jsonb column accepts it."""
    return _ESCAPED_NUL.sub(rb"\1\\ufffd", raw) if b"\\u0000" in raw else raw
