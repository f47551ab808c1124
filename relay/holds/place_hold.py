"""Place the hold of an attempt. If the balance is too low, a smaller hold is tried; if the
principal's budgets have changed, the principal is read again."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, NoReturn

import msgspec

from accounts.limits.end_users import END_USER_LENGTH
from billing.limits.channel_limits import ChannelLimits
from billing.prices.lookup import Price, requested_tier
from billing.prices.pricing import PPM
from billing.subscriptions.included_units import Allowance, applicable, beyond_nano, wanted_units
from dialects.errors.errors import RequestFault
from gateway.providers.suffixes import RequestedModel
from lib.id_types import AttemptId, CostVersionId, PriceVersionId
from lib.ids import new_id
from relay.catalogue.snapshot import Channel
from relay.context.context import RequestContext
from relay.counting.estimates import estimate_tokens
from relay.credentials.keys import Principal
from relay.downstream.downstream import NOTHING_LIMITED
from relay.downstream.limit_answers import (
    ChannelFull,
    LimitReached,
    UsedUp,
    read_headroom,
    session_ended,
)
from relay.errors import WindowMissing
from relay.hold_sizes.estimate import Size
from relay.holds.admitted_attempt import Chosen, OwnKeyHold, PlacedHold
from relay.ledger.admission import AdmissionRequest, Guarded, Verdict
from relay.ledger.settlement import Settlement
from relay.routing.routing import RoutedRequest
from usage.records.sql import AttemptOpened

# Other requests may use the same wallet before the smaller hold arrives, and budgets may change in
# the meantime.
_ADMISSION_TRIES: Final = 4
# With room for fewer holds than this, other processes may need the hold that has just ended.
_SCARCE: Final = 16
# The maximum number of skipped channels in a row.
_SKIPPED_MAX: Final = 16


class Taken(NamedTuple):
    """The included units that a request uses, and how much of the price these units pay."""

    units: tuple[tuple[Allowance, int], ...]
    nano: int

    @property
    def by_meter(self) -> Mapping[str, int]:
        """Return the number of units by meter."""
        return {allowance.meter: count for allowance, count in self.units}

    @property
    def rows(self) -> tuple[tuple[int, int], ...]:
        """Return the number of units by the id of their row."""
        return tuple((allowance.id, count) for allowance, count in self.units)


NOTHING_TAKEN: Final = Taken((), 0)
NO_UNITS: Final[Mapping[str, int]] = MappingProxyType({})


class HoldPlacer:
    """Places the holds of one request's attempts. `asked_model` is the requested name if it differs
    from the model's. The constructor raises RequestFault `max_cost_exceeded` if the smallest
    possible hold exceeds the client's maximum cost."""

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

    async def place(self, chosen: Chosen, number: int, replaces: Settlement | None) -> PlacedHold:
        """Place the hold of attempt `number`; `replaces` is the end of the failed attempt before.
        Raises RequestFault if the wallet or the key refuses, ChannelFull if the channel does,
        DatabaseFailed."""
        context, size = self._context, self._first_size
        channel = context.snapshot.channels[chosen.candidate.channel_id]
        upstream_model = chosen.candidate.upstream_model
        price, cost = self._routed.price, self.find_cost(channel, upstream_model)
        if price is not None and (price.regions or channel.overrides is not None):
            price = _price_on(price, channel, upstream_model)
        unary, total_s = (
            context.invocation.unary,
            channel.timeouts_of(self._routed.model.name).total,
        )
        if unary is not None:
            total_s = max(total_s, unary.lasts_s)
        ttl_s = int(total_s) + context.parts.config.hold_margin_s
        left: Mapping[str, int] = {}
        for _ in range(_ADMISSION_TRIES):
            own, taken = None, NOTHING_TAKEN
            if channel.own is not None:
                own = own_hold_of(channel, self._routed, size)
            elif self._principal.allowances:
                taken = take_units(self._principal, self._routed, size, left)
            guarded = self._make_guard(size, channel.limits, taken, own)
            opened = self._make_row(chosen, number, size, price, cost, own)
            request = AdmissionRequest(opened, ttl_s, replaces, self._principal.guards, guarded)
            verdict: Verdict = await context.parts.ledger.admit(request)
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
                    own=own,
                )
            if verdict.word == "stale":
                self._principal = await context.parts.renew(self._principal)
                continue
            if verdict.word == "no_units" and verdict.details is not None:
                left = _reduce_units(left, verdict.details["left"])
                continue
            smaller = self._find_smaller(verdict, taken.nano)
            if smaller is None or (own is not None and _lacks_fee(verdict)):
                break
            size = smaller
        self._refuse(verdict, size, own)

    async def place_cached(self, charge_nano: int) -> PlacedHold:
        """Place the hold of a request that a stored answer serves: its charge. It takes a request
        of the limits per minute, and no tokens. Raises RequestFault, DatabaseFailed."""
        context, size = self._context, Size(charge_nano, None)
        for _ in range(_ADMISSION_TRIES):
            guarded = self._make_guard(size, None, NOTHING_TAKEN, None)
            if guarded is not None:
                guarded = guarded._replace(tokens=0)
            opened = self._make_cached_row(size)
            ttl_s, guards = context.parts.config.hold_margin_s, self._principal.guards
            request = AdmissionRequest(opened, ttl_s, None, guards, guarded)
            verdict: Verdict = await context.parts.ledger.admit(request)
            if verdict.word == "admitted":
                return self._make_hold(
                    opened,
                    size,
                    verdict,
                    price=None,
                    cost=None,
                    channel=None,
                    taken=NOTHING_TAKEN,
                    own=None,
                )
            if verdict.word != "stale":
                break
            self._principal = await context.parts.renew(self._principal)
        self._find_smaller(verdict, 0)
        url, session = context.parts.config.public_url, context.session
        raise UsedUp(verdict.details, charge_nano, verdict.available_nano, url, session)

    def _find_smaller(self, verdict: Verdict, included_nano: int) -> Size | None:
        """Return a smaller hold that the balance covers. Raises RequestFault if the refusal is not
        for lack of money, WindowMissing if a budget has no window."""
        if verdict.word == "key_gone":
            raise RequestFault("authentication", None, "")
        if verdict.word == "session_ended":
            raise session_ended(self._context.session, self._context.parts.config.public_url)
        if verdict.word == "no_window":
            raise WindowMissing("a budget has no window, and none can be opened")
        if verdict.word == "limited" and verdict.details is not None:
            if verdict.details["scope"] == "channel":
                raise ChannelFull(verdict.details)
            raise LimitReached(verdict.details, self._context.parts.config.public_url)
        estimate = self._routed.estimate
        return None if estimate is None else estimate.within(verdict.available_nano + included_nano)

    def _refuse(self, verdict: Verdict, size: Size, own: OwnKeyHold | None) -> NoReturn:
        estimate, url = self._routed.estimate, self._context.parts.config.public_url
        needed_nano = size.hold_nano if estimate is None else estimate.least_nano
        if own is not None and _lacks_fee(verdict):
            needed_nano = own.fee_nano
        session = self._context.session
        raise UsedUp(verdict.details, needed_nano, verdict.available_nano, url, session)

    def _make_hold(
        self,
        opened: AttemptOpened,
        size: Size,
        verdict: Verdict,
        *,
        price: Price | None,
        cost: Price | None,
        channel: Channel | None,
        taken: Taken,
        own: OwnKeyHold | None,
    ) -> PlacedHold:
        principal, details = self._principal, verdict.details
        limited = principal.limited or (channel is not None and channel.limits is not None)
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
            wallet_nano=size.hold_nano if own is None else own.fee_nano,
            own=own,
        )

    def find_cost(self, channel: Channel, upstream_model: str) -> Price | None:
        """Return the provider's cost price for the conditions in the body."""
        snapshot, routed = self._context.snapshot, self._routed
        if not snapshot.costs or channel.own is not None:
            return None
        cost = snapshot.cost_of(routed.model.name, channel, upstream_model)
        if cost is None:
            return None
        tier = "" if _drops_tier(channel) else requested_tier(routed.facts.body)
        return cost.for_request(tier) if tier or cost.others else cost

    def _make_row(
        self,
        chosen: Chosen,
        number: int,
        size: Size,
        price: Price | None,
        cost: Price | None,
        own: OwnKeyHold | None,
    ) -> AttemptOpened:
        """Return the row of an attempt, with a new id."""
        context, routed, principal = self._context, self._routed, self._principal
        options, session, prompt = context.options, context.session, context.prompt
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
            hold_nano=size.hold_nano if own is None else own.fee_nano,
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
            end_user=options.end_user or routed.facts.user[:END_USER_LENGTH],
            session_id=None if session is None else session.id,
            session=None if session is None else session.details,
            own_fee=None if own is None else own.fee.stored(),
            prompt=None if prompt is None else prompt.name,
            prompt_version=None if prompt is None else prompt.version,
        )

    def _make_cached_row(self, size: Size) -> AttemptOpened:
        """Return the row of a request that a stored answer serves. It names no channel."""
        first = Chosen(self._routed.planned[0], "only", 0, ())
        return msgspec.structs.replace(
            self._make_row(first, 1, size, None, None, None),
            channel_id=None,
            channel_name="",
            upstream_model="",
            input_estimate=0,
            why="",
            channel_key="",
            channel_key_id=None,
        )

    def _make_guard(
        self, size: Size, limits: ChannelLimits | None, taken: Taken, own: OwnKeyHold | None
    ) -> Guarded | None:
        """Return the limits that the request must fit in addition to the wallet; None without
        any."""
        principal, facts, estimate = self._principal, self._routed.facts, self._routed.estimate
        budgets: tuple[int, ...] = ()
        if principal.budgets:
            budgets = budgets_of(self._context, principal, self._routed.model)
        units = taken.rows if taken.units else ()
        options = self._context.options
        cap_nano = options.session_cap_nano
        own_nano = None if own is None else size.hold_nano
        if not principal.limited and limits is None:
            if not budgets and not units and cap_nano is None and own is None:
                return None
            return Guarded(
                budgets,
                0,
                None,
                units,
                taken.nano,
                session_cap_nano=cap_nano,
                own_nano=own_nano,
                end_user=options.end_user,
            )
        tokens = facts.text_bytes
        if estimate is not None:
            cap = estimate.cap if size.output_cap is None else size.output_cap
            tokens = estimate.input_tokens + cap * facts.choices
        return Guarded(
            budgets,
            tokens,
            limits,
            units,
            taken.nano,
            session_cap_nano=cap_nano,
            own_nano=own_nano,
            end_user=options.end_user,
        )


def take_units(
    principal: Principal, routed: RoutedRequest, size: Size, left: Mapping[str, int]
) -> Taken:
    """Return the included units that a request uses: as many as it may need, so that only the rest
    is priced and held. If fewer are `left` (by row id), it uses those and the full price is
    held."""
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


def own_hold_of(channel: Channel, routed: RoutedRequest, size: Size) -> OwnKeyHold | None:
    """Return the fee to hold for an attempt with an organisation's own key; None for the
    installation's keys."""
    if channel.own is None:
        return None
    fee, estimate = channel.own.fee, routed.estimate
    # A free model charges nothing.
    ways = None if estimate is None else estimate.ways(size.output_cap)
    return OwnKeyHold(fee, 0 if ways is None else fee.nano_max(ways))


def _lacks_fee(verdict: Verdict) -> bool:
    """Return whether the wallet lacks money for the fee. A smaller answer would not help, because
    its fee is about the same."""
    return verdict.details is None or verdict.details.get("gate") == "wallet"


def _reduce_units(known: Mapping[str, int], remaining: Mapping[str, int]) -> dict[str, int]:
    """Limit each kind of unit to what is left. A kind that was refused twice is not tried again,
    and counts 0."""
    return {**known, **{row: 0 if row in known else count for row, count in remaining.items()}}


def _price_on(price: Price, channel: Channel, upstream_model: str) -> Price:
    """Return the price of a request as a channel sends it: in the region of the channel's provider,
    and without a service tier that the channel drops. The hold covers all of them."""
    if price.regions:
        price = price.served_in(channel.priced_in(upstream_model))
    return price.for_tier("").for_request("") if _drops_tier(channel) else price


def _drops_tier(channel: Channel) -> bool:
    return channel.overrides is not None and channel.overrides.drops_tier


def _skipped_text(chosen: Chosen, channels: Mapping[str, Channel]) -> str:
    """Return the skipped channels as text for the attempt's row."""
    skipped = [
        {"channel": channels[item.channel_id].name, "reason": item.reason}
        for item in chosen.skipped[:_SKIPPED_MAX]
    ]
    return msgspec.json.encode(skipped).decode()


def budgets_of(
    context: RequestContext, principal: Principal, model: RequestedModel
) -> tuple[int, ...]:
    """Return the budgets that apply to a request."""
    if not principal.budgets:
        return ()
    options = context.options
    return principal.budget_ids_for(model.name, options.labels, options.end_user)
