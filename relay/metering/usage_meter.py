"""The usage and bill of an attempt. Its text is counted as it passes, for the high-water marks. The
bill uses the upstream's last count, else our own, and is priced once."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from billing.prices.conditions import tier_name
from billing.prices.lookup import Price
from billing.prices.meters import TOKEN_METERS
from billing.prices.pricing import PPM, PriceVersion, saved_by_cache, total_of, total_of_parts
from dialects.chat.cloud_names import bare_names
from dialects.chat.events import (
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArgumentsDelta,
    Usage,
)
from dialects.codec import Counting, Decoder, WholeAnswer
from dialects.media.passed_answer import PassedAnswer
from dialects.usage.cache_lifetime import UNREPORTED, with_lifetime
from dialects.usage.price_conditions import KINDS, TIER, condition_word
from dialects.usage.usage import Quantities, UsagePart, storable, without_nul
from dialects.usage.usage_members import READ_MAX, UNKNOWN_MAX
from gateway.providers.models import find_row
from relay.counting.estimates import input_tokens_min
from relay.counting.own_count import NO_USAGE, UsageEvidence, count_own, estimate_tokens_of_text
from relay.counting.vocabularies import Family, family_of
from relay.hold_sizes.estimate import add_request_meter
from relay.holds.admitted_attempt import AdmittedAttempt, OwnKeyHold
from relay.metering.output_cap import initial_count, next_count, tokens_allowed
from relay.operations.unary import Exchange, Passing

_MARK_PIECES: Final = 32
# The stored sample of an answer: the number of pieces per block, and of stored blocks.
_PIECES: Final = 64
_BLOCK_CHARACTERS: Final = 2 * 1024
_BLOCKS_MAX: Final = 64
_TEXTS: Final = frozenset({TextDelta, ToolArgumentsDelta, RefusalDelta})
_PLAIN_TIERS: Final = KINDS[TIER].plain
_NOTHING_ACCEPTED: Final[Mapping[str, frozenset[str]]] = {}


class PricedPart(msgspec.Struct, frozen=True):
    """The part of an answer's usage that one model produced, with the version of the price for its
    conditions. `model` and `price_version_id` are set for a model other than the requested one.
    """

    meters: Mapping[str, int]
    version: PriceVersion
    conditions: Mapping[str, str] = {}
    model: str = ""
    price_version_id: int | None = None

    def stored(self) -> dict[str, object]:
        """Return the part as stored in a record."""
        fields: dict[str, object] = {"meters": self.meters}
        if self.conditions:
            fields["conditions"] = self.conditions
        if self.model:
            # Store them here, even if nothing else was charged by this version, because versions
            # may change.
            fields |= {
                "model": self.model,
                "price_version_id": self.price_version_id,
                "rates": self.version.stored(),
            }
            if self.version.token_ppm != PPM:
                fields["token_ppm"] = self.version.token_ppm
        return fields


class Bill(msgspec.Struct, frozen=True):
    """The bill of an attempt: meters, charge (never above the hold, I13), the source of the count,
    and anomalies.

    `excess_nano` is what the installation pays: the provider's count above the hold, or another
    amount. With the basis `held` no charge can be determined, and the hold stays open until an
    operator decides (I14); with `none` nothing was sent.

    `cut_from` are the full meters if the limit of a charge rule reduces the charge; otherwise None.
    `parts` are the components that are priced separately; empty if the plain rates of one version
    apply. `unknown` are unclassified members (P28) in the table `wire`; `accepted` are free by an
    operator's decision. `told` are the conditions that the answer reports, `reported` the parts
    that it reports. `own_nano` is what the organisation pays its provider itself, None for the
    installation's keys; the charge is then the fee alone.
    """

    meters: Mapping[str, int]
    charge_nano: int
    basis: str
    flags: tuple[str, ...]
    raw_usage: str | None
    excess_nano: int = 0
    cut_from: Mapping[str, int] | None = None
    parts: tuple[PricedPart, ...] = ()
    unknown: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    wire: str = ""
    told: Mapping[str, str] = {}
    reported: tuple[UsagePart, ...] = ()
    own_nano: int | None = None

    def pricing_text(self, provider: str) -> str | None:
        """Return how the bill was priced, as text for its record; None if by its meters and version
        alone."""
        pricing: dict[str, object] = {}
        if self.parts:
            pricing["parts"] = [part.stored() for part in self.parts]
        if self.unknown:
            pricing |= {"unknown": self.unknown, "provider": provider, "wire": self.wire}
        if self.accepted:
            pricing["accepted"] = self.accepted
        # A condition is in the upstream's words.
        return without_nul(msgspec.json.encode(pricing)).decode() if pricing else None

    @property
    def saved_nano(self) -> int:
        """Return how much less the parts cost because their input was cached, in nano-USD."""
        return sum(saved_by_cache(part.meters, part.version) for part in self.parts)


class OtherPrices(msgspec.Struct, frozen=True):
    """Finds the prices of other models, for the parts of an answer that they produced."""

    charge: Callable[[str], Price | None]
    cost: Callable[[str], Price | None]


class TierPrices:
    """The price and cost of an attempt by the service tier that the upstream reports, which
    determines the charge.
    """

    __slots__ = ("_costs", "_prices", "_reported", "cost", "price")

    def __init__(self, price: Price | None, cost: Price | None) -> None:
        self._prices = self.price = price
        self._costs = self.cost = cost
        self._reported: str | None = None

    def set_reported_tier(self, tier: str) -> None:
        """Set the service tier that the upstream reports, "" for none."""
        if not tier:
            return
        self._reported = condition_word(tier)
        if self._prices is not None:
            self.price = self._prices.for_tier(tier_name(tier))
        if self._costs is not None:
            self.cost = self._costs.for_tier(tier_name(tier))

    def read_tier_header(self, headers: Mapping[str, str]) -> None:
        """Read the service tier from the response headers, where Google may report it."""
        if tier := headers.get("x-gemini-service-tier"):
            self.set_reported_tier(tier)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return the reported tier or the region if its price is unknown (P28)."""
        price = self._prices
        if price is None:
            return ()
        if price.unplaced:
            return ("region=unknown",)
        if not (price.tier or self._reported):
            return ()
        tier = price.tier if self._reported is None else self._reported
        if tier in _PLAIN_TIERS:
            return ()
        unpriced = tier == price.tier and price.listed and not price.has_tier(tier)
        if unpriced or not KINDS[TIER].is_classified(tier):
            return (f"{TIER}={tier[:40]}",)
        return ()


class Sample(msgspec.Struct):
    """A sample of a text that arrives in pieces: the whole text while it is short, then blocks
    spread over the text. Most streams report their usage and discard the sample, so pieces are only
    collected: `last` are those since the last `join`, the longest of `longest` characters. `pieces`
    is the number of all."""

    pieces: int = 0
    last: list[str] = []
    longest: int = 0
    _blocks: Sequence[str] = ()
    _seen: int = 0
    _stride: int = 1

    def text(self) -> str:
        """Return the sample's text."""
        return "".join((*self._blocks, *self.last))

    def join(self) -> None:
        """Keep of the last pieces what belongs to the sample."""
        joined = "".join(self.last)
        self.last = []
        self.longest = 0
        for at in range(0, len(joined), _BLOCK_CHARACTERS):
            if self._seen % self._stride == 0:
                self._blocks = (*self._blocks, joined[at : at + _BLOCK_CHARACTERS])
            self._seen += 1
            if len(self._blocks) > _BLOCKS_MAX:
                self._blocks = self._blocks[::2]
                self._stride *= 2


class UsageMeter:
    """Counts the usage of one attempt as it arrives."""

    __slots__ = (
        "_accepted",
        "_admitted",
        "_counted_bytes",
        "_input_min",
        "_marked",
        "_others",
        "_reasoning",
        "_text",
        "_tokens_allowed",
        "counted_at",
        "decoder",
        "finish_reason",
        "id",
        "on_mark_due",
        "passed",
        "prices",
        "refused",
    )

    def __init__(
        self,
        admitted: AdmittedAttempt,
        others: OtherPrices | None = None,
        accepted: Mapping[str, frozenset[str]] = _NOTHING_ACCEPTED,
    ) -> None:
        self._admitted = admitted
        # Members that operators count as free in its provider's usage, by table.
        self._accepted = accepted
        self._others = others
        self.id = admitted.hold.attempt_id
        self.prices = TierPrices(admitted.hold.price, admitted.hold.cost)
        # The stream's decoder; None before the stream begins, or if nothing decodes it.
        self.decoder: Decoder | None = None
        # A whole answer that is a failure, with the usage that its provider counted all the same.
        self.refused: WholeAnswer | None = None
        # Reads a streamed answer that is not a chat.
        self.passed: PassedAnswer | None = None
        # The last tier that the upstream named.
        self.finish_reason = ""
        # Called when a high-water mark of a stream is due.
        self.on_mark_due: Callable[[UsageMeter], None] | None = None
        # The bytes of the answer that the last usage covers.
        self._counted_bytes = 0
        # Counts of the passing answer: each piece has at least one token, and a sample of the
        # pieces shows how long the tokens are.
        self._text, self._reasoning = Sample(), Sample()
        # The number of pieces that the last mark covers.
        self._marked = 0
        # The minimum input tokens in any vocabulary; counted for the first mark.
        self._input_min: int | None = None
        # The maximum length of the answer by our count, and the number of bytes at which it is
        # counted next.
        self._tokens_allowed, self.counted_at = sys.maxsize, sys.maxsize
        if admitted.cut_above is not None and admitted.prepared.stream:
            self._tokens_allowed = tokens_allowed(admitted.cut_above, self._family())
            self.counted_at = initial_count(self._tokens_allowed)

    @property
    def complete(self) -> bool:
        """Whether a stream has everything except its usage."""
        return self.decoder is not None and self.decoder.complete

    @property
    def answer_text(self) -> str:
        """The collected text of the answer: all of it while it is short."""
        return self._text.text()

    @property
    def text_bytes(self) -> int:
        """Return how much text of a stream has arrived, in UTF-8 bytes."""
        return 0 if self.decoder is None else self.decoder.text_bytes + self.decoder.reasoning_bytes

    def is_above_cap(self) -> bool:
        """Return whether the answer exceeds its output cap (F18). Call this only once the answer
        has more bytes than `counted_at`."""
        allowed, decoder, family = self._tokens_allowed, self.decoder, self._family()
        if decoder is None or self.text_bytes <= self.counted_at:
            return False
        tokens = estimate_tokens_of_text(family, self._text.text(), decoder.text_bytes)
        if decoder.reasoning_bytes:
            tokens += estimate_tokens_of_text(
                family, self._reasoning.text(), decoder.reasoning_bytes
            )
        self.counted_at = next_count(allowed, tokens, self.text_bytes)
        return tokens > allowed

    def note(self, events: Sequence[Event]) -> None:
        """Record the content of an answer: how it finishes, a sample of its text, and how much of
        it the last usage covers. This runs for every chunk, so it adds to the samples itself."""
        text, reasoning = self._text, self._reasoning
        for event in events:
            kind = type(event)
            if kind is ReasoningDelta or kind in _TEXTS:
                sample = reasoning if kind is ReasoningDelta else text
                piece = event.text  # type: ignore[attr-defined]
                sample.last.append(piece)
                sample.pieces += 1
                if len(piece) > sample.longest:
                    sample.longest = len(piece)
            elif kind is Finish:
                self.finish_reason = event.reason  # type: ignore[attr-defined]
            elif kind is Usage and self.decoder is not None:
                text_bytes = self.decoder.text_bytes + self.decoder.reasoning_bytes
                since = events[events.index(event) + 1 :]
                self._counted_bytes = text_bytes - sum(map(_text_bytes, since))
        for sample in (text, reasoning):
            if len(sample.last) >= _PIECES or sample.longest > _BLOCK_CHARACTERS:
                sample.join()
        is_due = text.pieces + reasoning.pieces - self._marked >= _MARK_PIECES
        if is_due and self.on_mark_due is not None:
            self.on_mark_due(self)

    def leave_unmarked(self) -> None:
        """Disable high-water marks, so that nothing is charged if the process dies."""
        self._marked = sys.maxsize

    def mark(self) -> str | None:
        """Return the high-water mark of a stream as JSON: meters that the provider's count cannot
        be below. Return None if nothing has changed."""
        text, reasoning = self._text.pieces, self._reasoning.pieces
        if text + reasoning <= self._marked:
            return None
        self._marked = text + reasoning
        if self._input_min is None:
            self._input_min = input_tokens_min(self._admitted.facts.body.raw)
        least = {"in_text": self._input_min, "out_text": text}
        if reasoning:
            least["out_reasoning"] = reasoning
        if self.decoder is None or self.decoder.usage is None:
            return meters_text(least)
        reported = self._admitted.prepared.codec.quantities(self.decoder)
        if not reported.reliable or reported.unknown:
            return meters_text(least)
        del least["in_text"]
        return meters_text(
            {
                **reported.meters,
                **{name: max(least[name], reported.meters.get(name, 0)) for name in least},
            }
        )

    def bill_stream(self, measured: str) -> Bill:
        """Return the bill of what has arrived. `measured` is the basis if the upstream reported
        usage."""
        exchange = self._admitted.prepared.exchange
        if exchange is not None:
            if isinstance(exchange, Passing):
                return self._bill_passed(exchange, measured)
            return self.bill_exchange(exchange, measured)
        if self.decoder is None:
            return self._bill_without_answer(measured)
        return self.bill(self.decoder, measured)

    def bill(self, counting: Counting, measured: str) -> Bill:
        """Return the bill of an answer that was read."""
        text_bytes = counting.text_bytes + counting.reasoning_bytes
        cut = self.decoder is not None and counting is self.decoder and not self.decoder.complete
        uncounted = text_bytes - self._counted_bytes if cut else 0
        quantities = self._admitted.prepared.codec.quantities(counting)
        evidence = UsageEvidence(
            self._admitted.facts.text_bytes, quantities, counting.usage, counting.text_bytes,
            counting.reasoning_bytes, uncounted,
        )  # fmt: skip
        if uncounted or not quantities.reliable:
            evidence = self._with_words(evidence)
        return self._count(evidence, measured)

    def bill_exchange(
        self,
        exchange: Exchange,
        measured: str,
        *,
        reported: Quantities = NO_USAGE,
        usage: bytes | None = None,
        at_rates: Callable[[Mapping[str, int]], Quantities] | None = None,
    ) -> Bill:
        """Return the bill of a request that is not a chat."""
        rates = self._rates()
        if at_rates is not None:
            reported = at_rates(rates)
        here = partial(exchange.counted_here, rates, self._family())
        return self._count(
            UsageEvidence(self._admitted.facts.text_bytes, reported, usage, here=here), measured
        )

    def _bill_passed(self, passing: Passing, measured: str) -> Bill:
        """Return the bill of the part of a streamed answer that has arrived."""
        rates, answer = self._rates(), self.passed
        reported = NO_USAGE if answer is None else passing.provider_count(answer, rates)
        usage = None if answer is None else answer.usage
        here = partial(passing.own_count, answer, rates, self._family())
        return self._count(
            UsageEvidence(self._admitted.facts.text_bytes, reported, usage, here=here), measured
        )

    def _rates(self) -> Mapping[str, int]:
        price = self.prices.price
        return {} if price is None else price.version.rates

    def unknown_nano(self) -> int:
        """Estimate what an attempt that nobody pays has cost: its input, until the provider is
        asked (I15). The estimate goes by size, because words are counted only for charges."""
        evidence = UsageEvidence(self._admitted.facts.text_bytes, context_max=self._context_max())
        return self._count(evidence, "absorbed").charge_nano

    def owed(self) -> Bill | None:
        """Return what an attempt that failed before its content has used, by its provider's own
        count, which nobody is charged for (I15). None if it reported none that can be priced."""
        failed: Counting | None = self.refused or self.decoder
        if failed is None or failed.usage is None:
            return None
        reported = self._admitted.prepared.codec.quantities(failed)
        if not reported.reliable or reported.unknown:
            return None
        size = self._admitted.facts.text_bytes
        bill = self._count(UsageEvidence(size, reported, failed.usage), "absorbed")
        return None if bill.basis == "held" else bill

    def _bill_without_answer(self, measured: str) -> Bill:
        return self._count(
            self._with_words(UsageEvidence(self._admitted.facts.text_bytes)), measured
        )

    def _with_words(self, evidence: UsageEvidence) -> UsageEvidence:
        """Return the evidence with everything that our own count needs."""
        return msgspec.structs.replace(
            evidence,
            family=self._family(),
            answer_text=self._text.text(),
            thought=self._reasoning.text(),
            body=self._admitted.facts.body.raw,
            context_max=self._context_max(),
        )

    def _family(self) -> Family:
        admitted = self._admitted
        template = admitted.channel.provider.chat_template
        return family_of(admitted.upstream_model or admitted.facts.model, template)

    def _context_max(self) -> int | None:
        known = find_row(self._admitted.upstream_model) or find_row(self._admitted.facts.model)
        return None if known is None else known.context_max

    def _count(self, evidence: UsageEvidence, measured: str) -> Bill:
        admitted, prices = self._admitted, self.prices
        if UNREPORTED in evidence.reported.meters and admitted.prepared.request is None:
            # The re-encoded request for another dialect asks for no cache lifetime.
            reported = with_lifetime(evidence.reported, admitted.facts.body)
            evidence = msgspec.structs.replace(evidence, reported=reported)
        if evidence.reported.conditions:
            prices.set_reported_tier(evidence.reported.conditions.get(TIER, ""))
        accepted: tuple[str, ...] = ()
        if evidence.reported.unknown and (accepted := self._accepted_of(evidence.reported)):
            unknown = tuple(name for name in evidence.reported.unknown if name not in accepted)
            reported = msgspec.structs.replace(evidence.reported, unknown=unknown)
            evidence = msgspec.structs.replace(evidence, reported=reported)
        price = prices.price
        asked = price.asked if price is not None else {}
        if asked and admitted.prepared.request is not None:
            # The text was re-encoded for another dialect, which cannot express these members.
            asked = {}
        bill = count(
            evidence,
            price,
            admitted.hold.size.hold_nano,
            measured,
            asked=asked,
            unknown=prices.unknown,
            others=self._others,
            names=(admitted.upstream_model, admitted.facts.model),
        )
        if admitted.hold.own is not None:
            bill = _bill_own(bill, admitted.hold.own, admitted.hold.size.hold_nano)
        return msgspec.structs.replace(bill, accepted=accepted) if accepted else bill

    def _accepted_of(self, reported: Quantities) -> tuple[str, ...]:
        """Return the unknown members of a usage if an operator has accepted all of them, else
        nothing."""
        if not reported.unknown or len(reported.unknown) >= READ_MAX:
            return ()
        accepted = self._accepted.get(reported.wire, frozenset())
        return tuple(name for name in reported.unknown if name in accepted)

    def cost_nano(self, bill: Bill) -> int | None:
        """Return our cost for a bill, or None if no cost price covers it."""
        cost = self.prices.cost
        if cost is None:
            return None
        special: dict[str, str] = {}
        if bill.told:
            special = {kind: word for kind, word in bill.told.items() if kind != TIER}
            special = {
                kind: word for kind, word in special.items() if word not in KINDS[kind].plain
            }
        meters = bill.meters if bill.cut_from is None else bill.cut_from
        if not (special or bill.reported):
            return cost_of(meters, cost)
        total = 0
        own_names = (self._admitted.upstream_model, self._admitted.facts.model)
        for part in bill.reported or (UsagePart("", dict(meters)),):
            price: Price | None = cost
            if not _is_own(part.model, own_names):
                price = None if self._others is None else self._others.cost(part.model)
            version = None if price is None else price.version.under(special)
            if price is None or version is None:
                return None
            nano = cost_of(part.meters, dataclasses.replace(price, version=version))
            if nano is None:
                return None
            total += nano
        return total


_NO_CONDITIONS: Final[Mapping[str, str]] = {}


def count(
    evidence: UsageEvidence,
    price_in_force: Price | None,
    hold_nano: int,
    measured: str,
    *,
    asked: Mapping[str, str] = _NO_CONDITIONS,
    unknown: tuple[str, ...] = (),
    others: OtherPrices | None = None,
    names: tuple[str, ...] = (),
) -> Bill:
    """Compute the bill of an attempt that was answered, in whole or in part.

    `measured` is the basis if the upstream reported its usage: measured, or drained if it was read
    after the client had left. Without usage the count is ours and the basis `estimated` (F25).
    Impossible usage is treated alike: no more than our own count is charged, and the row is flagged
    for review (F27). Quantities without a rate have no charge until an operator decides: `held`
    (I14). The same holds for unclassified members (P28), of which `unknown` are the known ones.
    `asked` are the conditions of the request, `names` the names of its model.
    """
    reported = evidence.reported
    meters, basis = _meters(evidence, measured)
    raw = None if evidence.usage is None else storable(evidence.usage).decode(errors="replace")
    flags, doubted = reported.flags, reported.quarantined
    if price_in_force is None:
        return Bill(
            meters, 0, "free", (*flags, "unpriced"), raw,
            told=reported.conditions, reported=reported.parts,
        )  # fmt: skip
    version = price_in_force.version
    parts: tuple[PricedPart, ...] = ()
    if (
        asked
        or unknown
        or reported.unknown
        or reported.parts
        or (reported.conditions and _is_special(reported.conditions))
    ):
        pricing = _Pricing(price_in_force, asked, others, names)
        parts = pricing.parts(reported, meters, is_certain=basis != "estimated")
        unknowns = tuple(dict.fromkeys((*reported.unknown, *unknown, *pricing.unknown)))
        if unknowns:
            flags = (*flags, "unknown_member", "quarantine")
            return Bill(
                meters, 0, "held", flags, raw, unknown=unknowns[:UNKNOWN_MAX], wire=reported.wire,
                told=reported.conditions, reported=reported.parts,
            )  # fmt: skip
    meters = add_request_meter(meters, version)
    charge = (
        total_of_parts([(part.meters, part.version) for part in parts])
        if parts
        else (total_of(meters, version))
    )
    if not isinstance(charge, int) and charge.reason != "unpriced_meter":
        flags, doubted = (*flags, charge.reason), True
        meters, basis = add_request_meter(count_own(evidence), version), "estimated"
        parts = ()
        charge = total_of(meters, version)
    if not isinstance(charge, int):
        return Bill(
            meters, 0, "held", (*flags, charge.reason, "quarantine"), raw,
            told=reported.conditions, reported=reported.parts,
        )  # fmt: skip
    if charge > hold_nano:
        flags = (*flags, "above_hold")
    if doubted:
        flags = (*flags, "quarantine")
    return Bill(
        meters, min(charge, hold_nano), basis, flags, raw, max(charge - hold_nano, 0),
        parts=parts, told=reported.conditions, reported=reported.parts,
    )  # fmt: skip


def _bill_own(bill: Bill, own: OwnKeyHold, price_hold_nano: int) -> Bill:
    """Return the bill of an attempt with its organisation's own key: the fee, and separately the
    price, which the organisation pays its provider. The installation pays nothing, and an operator
    decides nothing; usage without a price counts as much as was held."""
    basis, own_nano, fee_nano = bill.basis, bill.charge_nano, 0
    if basis == "held":
        basis, own_nano = "estimated", price_hold_nano
    if basis in ("none", "absorbed"):
        own_nano = 0
    elif basis != "free":
        fee_nano = min(own.fee.nano_of(bill.meters), own.fee_nano)
    return msgspec.structs.replace(
        bill,
        charge_nano=fee_nano,
        basis=basis,
        flags=tuple(flag for flag in bill.flags if flag != "quarantine"),
        excess_nano=0,
        own_nano=own_nano,
    )


def _is_special(conditions: Mapping[str, str]) -> bool:
    """Return whether any of these conditions differs from the standard one."""
    return any(word not in KINDS[kind].plain for kind, word in conditions.items())


class _Pricing:
    """Finds the price versions for the parts of an answer, and the parts without a price."""

    def __init__(
        self,
        price: Price,
        asked: Mapping[str, str],
        others: OtherPrices | None,
        names: tuple[str, ...],
    ) -> None:
        self._price = price
        self._asked = asked
        self._others = others
        self._names = names
        self.unknown: list[str] = []

    def parts(
        self, reported: Quantities, meters: Mapping[str, int], *, is_certain: bool
    ) -> tuple[PricedPart, ...]:
        """Return the parts that are priced separately; none if the meters are priced at the plain
        rates."""
        granted = self._charged_conditions(reported.conditions)
        if not granted and not reported.parts:
            return ()
        rows: list[UsagePart] = list(reported.parts)
        if not rows or not is_certain:
            # Our own count, or a count in one piece.
            rows = [UsagePart("", dict(meters))]
        priced = [self._priced(part, granted) for part in rows]
        parts = [part for part in priced if part is not None]
        if parts:
            first = parts[0]
            counted = add_request_meter(first.meters, self._price.version)
            parts[0] = msgspec.structs.replace(first, meters=counted)
        if len(parts) == 1 and not parts[0].conditions and not parts[0].model:
            return ()
        return tuple(parts)

    def _charged_conditions(self, conditions: Mapping[str, str]) -> Mapping[str, str]:
        """Return the conditions that are charged: the requested ones, unless the answer reports
        others, and those that no request can ask for."""
        granted: dict[str, str] = {}
        for kind, value in self._asked.items():
            word = conditions.get(kind, value)
            if not KINDS[kind].is_classified(word):
                self.unknown.append(f"{kind}={word}")
            elif word not in KINDS[kind].plain:
                granted[kind] = word
        for kind, word in conditions.items():
            if not KINDS[kind].requested_by and word not in KINDS[kind].plain:
                granted[kind] = word
        return granted or _NO_CONDITIONS

    def _priced(self, part: UsagePart, granted: Mapping[str, str]) -> PricedPart | None:
        price: Price | None = self._price
        own = _is_own(part.model, self._names)
        if not own:
            price = None if self._others is None else self._others.charge(part.model)
            if price is None:
                self.unknown.append(f"model={part.model[:60]}")
                return None
        version = price.version if price is not None else None
        if price is None or version is None:
            return None
        held = {kind: word for kind, word in granted.items() if version.has_terms_for(kind, word)}
        if price.listed and len(held) < len(granted):
            self.unknown += [f"{kind}={granted[kind]}" for kind in granted.keys() - held.keys()]
            return None
        under = version.under(held)
        if under is None:
            self.unknown.append("+".join(f"{kind}={word}" for kind, word in held.items()))
            return None
        if own:
            return PricedPart(part.meters, under, held)
        return PricedPart(part.meters, under, held, part.model, price.id)


def _is_own(model: str, names: tuple[str, ...]) -> bool:
    """Return whether the requested model produced a part: whether the part names it, with or
    without a date."""
    return not model or any(
        part == name or part.startswith(f"{name}-20") or name.startswith(f"{part}-20")
        for part in bare_names(model)
        for named in names
        for name in bare_names(named)
        if name
    )


def cost_of(meters: Mapping[str, int], cost: Price | None) -> int | None:
    """Return our cost for these meters, in nano, or None if no cost price covers them."""
    if cost is None or not meters:
        return None
    version = cost.version
    if "requests" in meters and "requests" not in version.rates:
        # Only customers are charged per request.
        meters = {name: used for name, used in meters.items() if name != "requests"}
    total = total_of(add_request_meter(meters, version), version)
    return total if isinstance(total, int) else None


def meters_text(meters: Mapping[str, int]) -> str:
    """Return the meters as the JSON text of a record."""
    return msgspec.json.encode(meters).decode()


def tokens_of(meters: Mapping[str, int]) -> int:
    """Return how many language-model tokens the meters count towards a tokens-per-minute limit."""
    return sum(count for name, count in meters.items() if name in TOKEN_METERS)


def _meters(evidence: UsageEvidence, measured: str) -> tuple[Mapping[str, int], str]:
    """Choose the count to use, and return it with its basis."""
    reported = evidence.reported
    meters: Mapping[str, int] = reported.meters
    if not reported.reliable:
        return count_own(evidence), "estimated"
    if evidence.uncounted_bytes:
        # The usage was reported at the start and the end is missing, so the rest is counted here.
        more = estimate_tokens_of_text(
            evidence.family, evidence.answer_text, evidence.uncounted_bytes
        )
        return {**meters, "out_text": meters.get("out_text", 0) + more}, "estimated"
    return meters, measured


def _text_bytes(event: Event) -> int:
    if isinstance(event, TextDelta | ReasoningDelta | RefusalDelta | ToolArgumentsDelta):
        return len(event.text.encode(errors="replace"))
    return 0
