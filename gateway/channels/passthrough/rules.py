"""The paths of a provider that clients may call through a channel, each with its price.

    /passthrough/{channel}{path}   goes to   {base URL of the channel}{path}

A path is compared as the provider will read it, whichever server that is. Servers differ in how
often they decode, what they do with `..`, `//`, `\\` and `;`, and which characters they fold. So a
path that any two of them could read differently is refused, never repaired. What is left has one
reading: after any number of decodings, and with dot segments resolved (RFC 3986, section 5.2.4),
it has the same segments.

A pattern is a path in which `*` stands for one segment, and `**` at its end for one or more. The
first rule with a fitting path and method applies.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import msgspec

from billing.currency.money import format_usd, parse_usd

ROOT: Final = "/passthrough/"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
RULES_MAX: Final = 100
PATH_MAX: Final = 160
POINTER_MAX: Final = 200
AMOUNT_NANO_MAX: Final = 1_000 * 10**9
"""The maximum of each amount of a rule: its rates must fit 64 bits."""
AMOUNTS: Final = ("price", "unit_price", "max_charge")
COSTS: Final = ("cost", "unit_cost")
MICROS: Final = 1_000_000
"""A value in an answer is counted in millionths."""
VALUE_METER: Final = "answer_micros"
PRICE_KIND: Final = "path"
COST_KIND: Final = "path_cost"

_SEGMENTS_MAX: Final = 60
# The characters allowed in a path segment (RFC 3986, section 3.3), except `;`, which begins
# parameters for some servers, and `*`, which belongs to patterns.
_RAW: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()+,=:@]|%[0-9A-Fa-f]{2})+")
_LITERAL: Final = re.compile(r"[A-Za-z0-9\-._~!$&'()+,=:@]+")
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# A decoded segment with one of these could be read as more or less than one segment.
_AMBIGUOUS: Final = frozenset("/\\%;?#")
_POINTER: Final = re.compile(r"(?:/(?:[^~/\s\x00-\x1f\x7f]|~[01])*)+")


class BadPath(ValueError):
    """A path could be read in more than one way; the text says why, for its client."""


class PassThroughRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule as it is stored and written. Amounts are decimal strings of USD.

    `price` is charged for each answered request. With a `pointer` (RFC 6901), the number at that
    place in a JSON answer is charged at `unit_price`; both together are at most `max_charge`, which
    is held for each request. `cost` and `unit_cost` are what the provider charges us; if both are
    empty, that is unknown.
    """

    methods: tuple[str, ...]
    path: str
    price: str = "0.00"
    pointer: str = ""
    unit_price: str = "0.00"
    max_charge: str = "0.00"
    cost: str = ""
    unit_cost: str = ""

    @property
    def label(self) -> str:
        """Return the rule's methods and path, which are its name in prices and records."""
        return f"{','.join(self.methods)} {self.path}"

    @property
    def value_micros_max(self) -> int | None:
        """Return the largest value that `max_charge` covers, in millionths; None without a
        pointer.
        """
        if not self.pointer:
            return None
        left_nano = parse_usd(self.max_charge) - parse_usd(self.price)
        return left_nano * MICROS // parse_usd(self.unit_price)

    def rates(self) -> dict[str, Any]:
        """Return the rates of the rule's price, as billing/prices/pricing.py stores them."""
        meters = {"requests": parse_usd(self.price) * MICROS}
        if self.pointer:
            meters[VALUE_METER] = parse_usd(self.unit_price)
        return {"meters": meters}

    def cost_rates(self) -> dict[str, Any] | None:
        """Return the rates of the rule's cost, like `rates`; None if the cost is unknown."""
        if not self.cost and not self.unit_cost:
            return None
        meters = {"requests": parse_usd(self.cost or "0") * MICROS}
        if self.pointer:
            meters[VALUE_METER] = parse_usd(self.unit_cost or "0")
        return {"meters": meters}


class RuleMatch(NamedTuple):
    """The rule for a path and method, or None; and the methods that the path has."""

    rule: PassThroughRule | None
    methods: Sequence[str] = ()


def canonical(rule: PassThroughRule) -> PassThroughRule:
    """Return a rule as it is stored: with its methods in order and its amounts in canonical form.
    Raises MoneyInvalid."""
    methods = tuple(name for name in METHODS if name in rule.methods)
    amounts = {
        name: format_usd(parse_usd(text))
        for name in (*AMOUNTS, *COSTS)
        if (text := getattr(rule, name))
    }
    stored: PassThroughRule = msgspec.structs.replace(rule, methods=methods, **amounts)
    return stored


def stored_rules(rules: Iterable[PassThroughRule]) -> list[dict[str, Any]]:
    """Return rules in the stored form."""
    return [{**msgspec.structs.asdict(rule), "methods": [*rule.methods]} for rule in rules]


def path_of(channel: str, path: str = "/") -> str:
    """Return the path here of a normalised path at the channel with this name."""
    return f"{ROOT}{quote(channel, safe='')}{path}"


def read_rules(stored: Iterable[Mapping[str, Any]]) -> tuple[PassThroughRule, ...]:
    """Return the rules of a channel. Raises msgspec.ValidationError."""
    return msgspec.convert(list(stored), tuple[PassThroughRule, ...])


def find_rule(rules: Iterable[PassThroughRule], method: str, path: str) -> RuleMatch:
    """Return the first rule for a method and a normalised path."""
    methods: list[str] = []
    for rule in rules:
        if matches_path(rule.path, path):
            if method in rule.methods:
                return RuleMatch(rule)
            methods += rule.methods
    return RuleMatch(None, [name for name in METHODS if name in methods])


def matches_path(pattern: str, path: str) -> bool:
    """Return whether a normalised path matches a pattern."""
    wanted, segments = pattern.split("/")[1:], path.split("/")[1:]
    if wanted[-1] == "**":
        fixed = len(wanted) - 1
        if len(segments) <= fixed or not segments[fixed]:
            return False
        wanted, segments = wanted[:-1], segments[:fixed]
    if len(wanted) != len(segments):
        return False
    return all(
        bool(segment) if part == "*" else segment == part
        for part, segment in zip(wanted, segments, strict=True)
    )


def is_pattern(pattern: str) -> bool:
    """Return whether a text is a pattern that some path can fit."""
    if len(pattern) > PATH_MAX or not pattern.startswith("/"):
        return False
    *inner, last = pattern.split("/")[1:]
    if not all(part == "*" or _is_literal(part) for part in inner):
        return False
    return last in ("", "*", "**") or _is_literal(last)


def is_pointer(pointer: str) -> bool:
    """Return whether a text is a JSON pointer (RFC 6901) to a member, without white space."""
    return len(pointer) <= POINTER_MAX and _POINTER.fullmatch(pointer) is not None


def normalise_path(raw: str) -> str:
    """Return the one form of a path as it came: the encodings that need none are decoded, the
    others have capital digits. Raises BadPath for a path that could be read in two ways.
    """
    if not raw.startswith("/"):
        raise BadPath("the path must begin with a slash")
    *inner, last = raw.split("/")[1:]
    if len(inner) >= _SEGMENTS_MAX:
        raise BadPath(f"the path must have at most {_SEGMENTS_MAX} segments")
    segments = [_normalise_segment(segment) for segment in inner]
    # Only the last segment may be empty.
    segments.append(_normalise_segment(last) if last else "")
    return "/" + "/".join(segments)


def _normalise_segment(raw: str) -> str:
    if not raw:
        raise BadPath("the path must not contain two slashes in a row")
    if not _RAW.fullmatch(raw):
        raise BadPath(
            "a segment of the path contains a character that must be encoded, a broken encoding, "
            "or a semicolon"
        )
    try:
        decoded = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadPath("a segment of the path is not UTF-8") from None
    if any(char in _AMBIGUOUS or ord(char) < 0x20 or ord(char) == 0x7F for char in decoded):
        raise BadPath(
            "a segment of the path contains an encoded slash, backslash, percent sign, semicolon, "
            "question mark, number sign or control character"
        )
    if not decoded.strip(". "):
        raise BadPath("a segment of the path consists of dots or spaces")
    if not decoded.isascii() and not _has_one_form(decoded):
        raise BadPath("a segment of the path contains characters that have another form")
    return _ENCODED.sub(_decode_unreserved, raw)


def _has_one_form(text: str) -> bool:
    """Return whether no server folds a text into another: some read a fraction slash as a slash."""
    letters = all(char.isascii() or unicodedata.category(char)[0] in "LMN" for char in text)
    return letters and unicodedata.normalize("NFKC", text) == text


def _decode_unreserved(match: re.Match[str]) -> str:
    char = chr(int(match[0][1:], 16))
    return char if char in _UNRESERVED else match[0].upper()


def _is_literal(part: str) -> bool:
    return _LITERAL.fullmatch(part) is not None and bool(part.strip("."))
