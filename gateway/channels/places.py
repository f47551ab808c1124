"""Where requests for a model are tried, for pages that show one place of it."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from billing.prices.name_patterns import match_order, matches
from gateway.models import Channel, Route


class Place(NamedTuple):
    """A channel, and its route for a model."""

    channel: Channel
    route: Route

    def upstream_name(self, model: str) -> str:
        """Return the model's name there."""
        upstream = self.route.upstream_model or model
        return model if "*" in upstream else upstream


class Places:
    """The routes of channels, by the models that they match."""

    def __init__(self, channels: Iterable[Channel]) -> None:
        """`channels` are in order of priority."""
        self._named: dict[str, list[Place]] = {}
        patterns = []
        for channel in channels:
            for route in channel.routes.all():
                place = Place(channel, route)
                if "*" in route.model:
                    patterns.append(place)
                else:
                    self._named.setdefault(route.model, []).append(place)
        self._patterns = sorted(patterns, key=lambda place: match_order(place.route.model))

    def of(self, model: str) -> Iterator[Place]:
        """Yield the places of a model in the order in which requests try them
        (`gateway/channel_order`), those of equal rank by the names of their channels."""
        yield from self._named.get(model, ())
        yield from (place for place in self._patterns if matches(place.route.model, model))


def enabled_channels() -> list[Channel]:
    """Return the enabled channels with their routes, in order of priority, then by name."""
    channels = Channel.objects.filter(enabled=True).prefetch_related("routes")
    return list(channels.order_by("priority", "name"))
