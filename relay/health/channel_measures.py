"""Recent measurements of channels over all processes, for the routing rules that use them. Finished
attempts come from the traffic counts, running ones from the open holds, plus those that this
process has begun since. Nothing is read unless a rule needs it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from billing.prices.name_patterns import matches
from gateway.channel_order.tie_breaking import MEASURED, NOTHING, Measured, Pick, figures_of
from relay.catalogue.snapshot import Snapshot
from relay.database.database import Row, Statement

RECENT_S: Final = 900
"""The period of finished attempts that count; a channel unused for longer is unknown."""
# How often finished attempts are read; running ones are read each time.
_REFRESH_S: Final = 10.0


class ChannelMeasures:
    """The current measurements. `begun_here` returns the running attempts of this process by
    channel."""

    def __init__(
        self, now: Callable[[], float], begun_here: Callable[[], Mapping[str, int]]
    ) -> None:
        self._now = now
        self._begun_here = begun_here
        self._measured: dict[str, dict[str, Measured]] = {}
        self._elsewhere: dict[str, int] = {}
        self._due = 0.0

    async def refresh(
        self, snapshot: Snapshot, ask: Callable[[Statement], Awaitable[Sequence[Row]]]
    ) -> None:
        """Read the measurements that the rules need and that are due. Raises DatabaseFailed."""
        picks = {rule.pick for rule in snapshot.rules}
        if "in_flight" in picks:
            here = dict(self._begun_here())
            counted = {str(row[0]): int(row[1] or 0) for row in await ask((_UNDER_WAY, {}))}
            self._elsewhere = {
                channel_id: n - here.get(channel_id, 0) for channel_id, n in counted.items()
            }
        if picks & (MEASURED - {"in_flight"}) and self._now() >= self._due:
            self._due = self._now() + _REFRESH_S
            self._take(await ask((_ENDED, {"recent": RECENT_S})))

    def _take(self, rows: Sequence[Row]) -> None:
        self._measured = {}
        for channel_id, label, *counts in rows:
            measured = Measured(*(int(count or 0) for count in counts))
            self._measured.setdefault(str(channel_id), {})[str(label)] = measured

    def figures(self, pick: Pick, snapshot: Snapshot, model: str) -> Mapping[str, float]:
        """Return the figures of a model's channels by id. The smaller figure is better."""
        channel_ids = {route.channel_id for route in snapshot.routes_of(model)}
        if pick == "in_flight":
            here = self._begun_here()
            return {
                channel_id: max(0, self._elsewhere.get(channel_id, 0) + here.get(channel_id, 0))
                for channel_id in channel_ids
            }
        measured = {channel_id: self._of(channel_id, model) for channel_id in channel_ids}
        rates: dict[str, Mapping[str, int]] = {}
        if pick == "price":
            for route in snapshot.routes_of(model):
                channel = snapshot.channels[route.channel_id]
                cost = snapshot.cost_of(model, channel, route.upstream_model or model)
                if cost is not None:
                    rates[route.channel_id] = cost.version.rates
        return figures_of(pick, measured, rates)

    def _of(self, channel_id: str, model: str) -> Measured:
        """Return the counts under the model's name, or else under the longest pattern that matches
        it, as `gateway/health/traffic.py` stores them."""
        by_label = self._measured.get(channel_id, {})
        if model in by_label:
            return by_label[model]
        labels = sorted(by_label, key=lambda label: (-len(label), label))
        return next((by_label[label] for label in labels if matches(label, model)), NOTHING)


_ENDED: Final = """
    SELECT channel_id::text, model, sum(answers)::text, sum(first_token_ms)::text,
           sum(answer_ms)::text, sum(output_tokens)::text, sum(writing_ms)::text,
           sum(input_tokens)::text, sum(cached_tokens)::text
    FROM gateway_trafficbucket
    WHERE bucket_at > now() - %(recent)s::int * interval '1 second' AND attempts > 0
    GROUP BY channel_id, model"""
_UNDER_WAY: Final = """
    SELECT attempt.channel_id::text, count(*)::text
    FROM billing_hold hold
    JOIN usage_attempt attempt
      ON attempt.organisation_id = hold.organisation_id AND attempt.id = hold.id
    WHERE hold.state = 'open' AND hold.own_nano IS NULL
    GROUP BY 1"""
