"""What an attempt comes to: the upstream's last count, else our own, priced once."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from billing.rules.meters import TOKEN_METERS
from billing.rules.pricing import CostLines, price, total_of
from gateway.codecs.usage import Quantities, storable
from gateway.relay.price_list import Price
from gateway.relay.sizing import with_request
from gateway.relay.vocabulary import Vocabulary, count_tokens
from gateway.rules.bound import estimate_tokens

_BODY_BYTES_MAX: Final = 256 * 1024


class Seen(NamedTuple):
    """What was sent and received: the last usage (F26), raw and as its dialect reads it, and sizes
    in UTF-8 bytes. `uncounted_bytes` of the answer came after that usage was told.
    `here` is our own count of what is counted by other things than its text. `said` is the answer's
    beginning and `body` the request, for who counts in the `vocabulary`; `context_max` is what the
    model can read at most, None = not known."""

    input_bytes: int
    told: Quantities = Quantities({}, ("usage_missing",))
    usage: bytes | None = None
    text_bytes: int = 0
    reasoning_bytes: int = 0
    uncounted_bytes: int = 0
    here: Mapping[str, int] | None = None
    vocabulary: Vocabulary | None = None
    said: Sequence[str] = ()
    body: bytes = b""
    context_max: int | None = None


class Bill(NamedTuple):
    """Meters, charge (never above the hold, I13), where the count is from, and what was odd.
    `excess_nano` is what the provider counts above the hold, which is ours to bear. With the basis
    `held` no charge can be named: the hold is kept for an operator to decide (I14)."""

    meters: Mapping[str, int]
    charge_nano: int
    basis: str
    flags: tuple[str, ...]
    raw_usage: str | None
    excess_nano: int = 0


def count(seen: Seen, price_in_force: Price | None, hold_nano: int, measured: str) -> Bill:
    """The bill of an attempt that was answered, in whole or in part.

    `measured` is the basis when the upstream told its usage: measured, or drained when it was read
    on after the client had gone. Without usage the count is ours and the basis `estimated` (F25);
    so is it when the usage lies: then no more is charged than our own count, and the row is flagged
    for review (F27). What has no rate has no charge until an operator says so: `held` (I14).
    """
    told = seen.told
    raw = None if seen.usage is None else storable(seen.usage).decode(errors="replace")
    meters: Mapping[str, int] = told.meters
    basis, flags, doubted = measured, told.flags, told.quarantined
    if told.missing or doubted:
        meters, basis = _local(seen).meters, "estimated"
    elif seen.uncounted_bytes:
        # Told at the beginning, and the end never came: what was said since is counted here.
        more = _tokens_said(seen, seen.uncounted_bytes)
        meters, basis = {**meters, "out_text": meters.get("out_text", 0) + more}, "estimated"
    if price_in_force is None:
        return Bill(meters, 0, "free", (*flags, "unpriced"), raw)
    version = price_in_force.version
    cost = price(with_request(meters, version), version)
    if not isinstance(cost, CostLines) and cost.reason != "unpriced_meter":
        flags, doubted = (*flags, cost.reason), True
        meters, basis = _local(seen).meters, "estimated"
        cost = price(with_request(meters, version), version)
    if not isinstance(cost, CostLines):
        flags = (*flags, cost.reason, "quarantine")
        return Bill(with_request(meters, version), 0, "held", flags, raw)
    charge = cost.total_nano
    if charge > hold_nano:
        flags = (*flags, "above_hold")
    if doubted:
        flags = (*flags, "quarantine")
    return Bill(
        with_request(meters, version),
        min(charge, hold_nano),
        basis,
        flags,
        raw,
        max(charge - hold_nano, 0),
    )


def cost_of(meters: Mapping[str, int], cost: Price | None) -> int | None:
    """What these meters cost us, in nano; None where no price of the kind cost covers them."""
    if cost is None or not meters:
        return None
    version = cost.version
    if "requests" in meters and "requests" not in version.rates:
        # A charge per request is ours alone.
        meters = {name: used for name, used in meters.items() if name != "requests"}
    total = total_of(with_request(meters, version), version)
    return total if isinstance(total, int) else None


def meters_text(meters: Mapping[str, int]) -> str:
    """The meters as the JSON text of a record."""
    return msgspec.json.encode(meters).decode()


def tokens_of(meters: Mapping[str, int]) -> int:
    """What the meters take of a limit of tokens per minute: all language-model tokens."""
    return sum(count for name, count in meters.items() if name in TOKEN_METERS)


def _local(seen: Seen) -> Quantities:
    if seen.here is not None:
        return Quantities(dict(seen.here), ())
    meters = {
        "in_text": _tokens_sent(seen),
        "out_text": _tokens_said(seen, seen.text_bytes),
    }
    if seen.reasoning_bytes:
        meters["out_reasoning"] = _tokens_said(seen, seen.reasoning_bytes)
    return Quantities(meters, ())


def _tokens_said(seen: Seen, size: int) -> int:
    """Tokens of so many bytes of the answer: as many to a byte as its beginning has."""
    sample = "".join(seen.said)
    if seen.vocabulary is None or not sample:
        return estimate_tokens(size)
    tokens, sample_bytes = (
        count_tokens(sample, seen.vocabulary),
        len(sample.encode("utf-8", "replace")),
    )
    return -(-size * tokens // sample_bytes)


def _tokens_sent(seen: Seen) -> int:
    """Tokens of the request: its JSON, written plainly, in whose place a provider puts its own
    marks. What is not all text, or long, is estimated, as no more than a model can read."""
    raw = seen.body
    if seen.vocabulary is None or len(raw) != seen.input_bytes or len(raw) > _BODY_BYTES_MAX:
        estimated = estimate_tokens(seen.input_bytes)
        return estimated if seen.context_max is None else min(estimated, seen.context_max)
    plain = msgspec.json.encode(msgspec.json.decode(raw))
    return count_tokens(plain.decode(), seen.vocabulary)
