"""Place the hold of an attempt: ask for a smaller one where the money does not reach, and read the
principal again where its budgets have changed."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, NoReturn

import msgspec

from billing.limits.channel_limits import ChannelLimits
from billing.prices.pricing import PPM
from billing.subscriptions.included_units import Allowance, applicable, beyond_nano, wanted_units
from dialects.errors.errors import RequestFault
from gateway.prices.lookup import Price, requested_tier
from gateway.providers.suffixes import RequestedModel
from lib.id_types import AttemptId, CostVersionId, PriceVersionId
from lib.ids import new_id
from relay.attempts.admission import AdmissionRequest, Guarded, Verdict
from relay.attempts.admitted_attempt import Chosen, PlacedHold
from relay.attempts.settlement import Resolved
from relay.credentials.keys import Principal
from relay.front.downstream import NOTHING_LIMITED
from relay.front.limit_answers import ChannelFull, LimitReached, UsedUp, read_headroom
from relay.holds.estimate import Size
from relay.holds.rules import estimate_tokens
from relay.requests.context import RequestContext
from relay.routing.routing import RoutedRequest
from relay.routing.snapshot import Channel
from usage.records.sql import END_USER_LENGTH, AttemptOpened

# A wallet that others draw on may have less again when the smaller hold arrives, and budgets may
# have changed meanwhile.
_ADMISSION_TRIES: Final = 4
# Where less than so many holds are left, another process may miss the one that has just ended.
_SCARCE: Final = 16
# Of the channels that were passed over, a row names so many.
_SKIPPED_MAX: Final = 16


class Taken(NamedTuple):
    """Included units that a request takes, and what of its price they pay."""

    units: tuple[tuple[Allowance, int], ...]
    nano: int

    @property
    def by_meter(self) -> Mapping[str, int]:
        """How many it takes of each meter."""
        return {allowance.meter: count for allowance, count in self.units}

    @property
    def rows(self) -> tuple[tuple[int, int], ...]:
        """How many it takes of each row, by its id."""
        return tuple((allowance.id, count) for allowance, count in self.units)


NOTHING_TAKEN: Final = Taken((), 0)
NO_UNITS: Final[Mapping[str, int]] = MappingProxyType({})


class HoldPlacer:
    """Places the holds of one request's attempts. `asked_model` is the name that it asks for, where
    it is another one than the model's. Raises RequestFault `max_cost_exceeded` when it is made for
    a request whose least hold is above what its client would pay."""

    __slots__ = ("_asked_model", "_context", "_first_size", "_principal", "_routed")

    def __init__(
        self, context: RequestContext, routed: RoutedRequest, asked_model: str = ""
    ) -> None:
        estimate = routed.estimate
        self._asked_model = asked_model
        self._context = context
        self._routed = routed
        self._first_size = Size(0, None) if estimate is None else estimate.first()
        self._principal = context.principal

    async def place(self, chosen: Chosen, number: int, replaces: Resolved | None) -> PlacedHold:
        """Place the hold of the attempt of this number; `replaces` is the end of the failed one
        before it. Raises RequestFault when the wallet or the key says no, ChannelFull when the
        channel does, DatabaseFailed."""
        context, size = self._context, self._first_size
        channel = context.snapshot.channels[chosen.candidate.channel_id]
        price, cost = _price_on(self._routed, channel), self._find_cost(channel)
        unary, total_s = (
            context.invocation.unary,
            channel.timeouts_of(self._routed.model.name).total,
        )
        if unary is not None:
            total_s = max(total_s, unary.lasts_s)
        ttl_s = int(total_s) + context.parts.config.hold_margin_s
        left: Mapping[str, int] = {}
        for _ in range(_ADMISSION_TRIES):
            taken = take_units(self._principal, self._routed, size, left)
            guarded = self._make_guard(size, channel.limits, taken)
            opened = self._make_row(chosen, number, size, price, cost)
            request = AdmissionRequest(opened, ttl_s, replaces, self._principal.guards, guarded)
            verdict = await context.parts.ledger.admit(request)
            replaces = None
            if verdict.word == "admitted":
                return self._make_hold(
                    opened,
                    size,
                    verdict,
                    price=price,
                    cost=cost,
                    channel=channel,
                    taken=taken,
                )
            if verdict.word == "stale":
                self._principal = await context.parts.renew(self._principal)
                continue
            if verdict.word == "no_units" and verdict.details is not None:
                left = _reduce_units(left, verdict.details["left"])
                continue
            smaller = self._find_smaller(verdict, taken.nano)
            if smaller is None:
                break
            size = smaller
        self._refuse(verdict, size)

    def _find_smaller(self, verdict: Verdict, included_nano: int) -> Size | None:
        """What could be held instead. Raises RequestFault where it is not the money that lacks."""
        if verdict.word == "key_gone":
            raise RequestFault("authentication", None, "")
        if verdict.word == "limited" and verdict.details is not None:
            if verdict.details["scope"] == "channel":
                raise ChannelFull(verdict.details)
            raise LimitReached(verdict.details, self._context.parts.config.public_url)
        estimate = self._routed.estimate
        return None if estimate is None else estimate.within(verdict.available_nano + included_nano)

    def _refuse(self, verdict: Verdict, size: Size) -> NoReturn:
        estimate, url = self._routed.estimate, self._context.parts.config.public_url
        needed_nano = size.hold_nano if estimate is None else estimate.least_nano
        raise UsedUp(verdict.details, needed_nano, verdict.available_nano, url)

    def _make_hold(
        self,
        opened: AttemptOpened,
        size: Size,
        verdict: Verdict,
        *,
        price: Price | None,
        cost: Price | None,
        channel: Channel,
        taken: Taken,
    ) -> PlacedHold:
        principal, details = self._principal, verdict.details
        limited = principal.limited or channel.limits is not None
        return PlacedHold(
            attempt_id=opened.id,
            size=size,
            principal=principal,
            headroom=NOTHING_LIMITED if details is None else read_headroom(details),
            settles_at_once=limited
            or bool(taken.units)
            or verdict.available_nano < _SCARCE * size.hold_nano,
            price=price,
            cost=cost,
            units=taken.by_meter if taken.units else NO_UNITS,
        )

    def _find_cost(self, channel: Channel) -> Price | None:
        """What the provider is owed by, asked as the body asks."""
        snapshot, routed = self._context.snapshot, self._routed
        if not snapshot.costs:
            return None
        cost = snapshot.cost_of(routed.model.name, channel.name)
        if cost is None:
            return None
        tier = "" if _drops_tier(channel) else requested_tier(routed.facts.body)
        return cost.for_request(tier) if tier or cost.others else cost

    def _make_row(
        self, chosen: Chosen, number: int, size: Size, price: Price | None, cost: Price | None
    ) -> AttemptOpened:
        """The row of an attempt, with an id of its own."""
        context, routed, principal = self._context, self._routed, self._principal
        options = context.options
        channels, candidate = context.snapshot.channels, chosen.candidate
        channel = channels[candidate.channel_id]
        labels = principal.attribution(options.labels, options.client_app)
        return AttemptOpened(
            organisation_id=principal.organisation_id,
            id=AttemptId(new_id()),
            request_id=context.request_id,
            n=number,
            team_id=principal.team_id,
            key_id=principal.key_id,
            user_id=principal.user_id,
            model=routed.model.name,
            channel_id=channel.uuid,
            channel_name=channel.name,
            upstream_model=candidate.upstream_model,
            dialect=context.invocation.codec.name,
            operation=context.invocation.operation,
            stream=routed.facts.stream,
            source=context.source,
            price_version_id=None if price is None else PriceVersionId(price.id),
            hold_nano=size.hold_nano,
            multiplier_ppm=PPM if price is None else price.version.multiplier_ppm,
            cost_version_id=None if cost is None else CostVersionId(cost.id),
            input_estimate=estimate_tokens(routed.facts.text_bytes),
            skipped=_skipped_text(chosen, channels) if chosen.skipped else None,
            why=chosen.why,
            channel_key=channel.key_endings[chosen.key] if channel.key_endings else "",
            channel_key_id=channel.key_ids[chosen.key] if channel.key_ids else None,
            asked_model=self._asked_model,
            project=labels.project,
            tags=labels.tags,
            customer=labels.customer,
            client_app=labels.client_app,
            end_user=routed.facts.user[:END_USER_LENGTH],
            session_id=options.session_id,
        )

    def _make_guard(self, size: Size, limits: ChannelLimits | None, taken: Taken) -> Guarded | None:
        """What the request must fit beside the wallet; None when nothing is limited."""
        principal, facts, estimate = self._principal, self._routed.facts, self._routed.estimate
        budgets = budgets_of(self._context, principal, self._routed.model)
        units = taken.rows if taken.units else ()
        if not principal.limited and limits is None:
            if not budgets and not units:
                return None
            return Guarded(budgets, 0, None, units, taken.nano)
        tokens = facts.text_bytes
        if estimate is not None:
            cap = estimate.cap if size.output_cap is None else size.output_cap
            tokens = estimate.input_tokens + cap * facts.choices
        return Guarded(budgets, tokens, limits, units, taken.nano)


def take_units(
    principal: Principal, routed: RoutedRequest, size: Size, left: Mapping[str, int]
) -> Taken:
    """The included units that a request takes: all that it may need, so that only the price of the
    rest is held. Where fewer are `left`, by the ids of their rows, it takes those and holds the
    full price."""
    allowances, estimate = principal.allowances, routed.estimate
    if not allowances or estimate is None:
        return NOTHING_TAKEN
    usable = applicable(allowances, routed.model.name)
    ways = estimate.ways(size.output_cap)
    wanted = wanted_units(ways, usable)
    if not wanted:
        return NOTHING_TAKEN
    if left:
        some = [
            (usable[name], min(n, left.get(str(usable[name].id), n))) for name, n in wanted.items()
        ]
        return Taken(tuple((one, count) for one, count in some if count), 0)
    beyond = beyond_nano(ways, wanted, estimate.version) + estimate.steps_nano(size.output_cap)
    units = tuple((usable[name], count) for name, count in wanted.items())
    return Taken(units, max(size.hold_nano - beyond, 0))


def _reduce_units(known: Mapping[str, int], remaining: Mapping[str, int]) -> dict[str, int]:
    """Cap each unit at what is left; a unit refused twice is not asked for again."""
    return {**known, **{row: 0 if row in known else count for row, count in remaining.items()}}


def _price_on(routed: RoutedRequest, channel: Channel) -> Price | None:
    """The price of a request as a channel sends it: without the service tier that it drops. The
    hold covers both."""
    if routed.price is None or not _drops_tier(channel):
        return routed.price
    return routed.price.for_tier("").for_request("")


def _drops_tier(channel: Channel) -> bool:
    return channel.overrides is not None and channel.overrides.drops_tier


def _skipped_text(chosen: Chosen, channels: Mapping[str, Channel]) -> str:
    """As the attempt's row has them."""
    skipped = [
        {"channel": channels[item.channel_id].name, "reason": item.reason}
        for item in chosen.skipped[:_SKIPPED_MAX]
    ]
    return msgspec.json.encode(skipped).decode()


def budgets_of(
    context: RequestContext, principal: Principal, model: RequestedModel
) -> tuple[int, ...]:
    """The budgets that a request falls under."""
    if not principal.budgets:
        return ()
    return principal.budget_ids_for(model.name, context.options.labels)
