"""What the relay of this process has found out about channels."""

from typing import Protocol
from uuid import UUID

from django.http import HttpRequest

from gateway.models import Channel
from gateway.rules.channel_status import ChannelStatus, KeyStatus


class _Relay(Protocol):
    """What pages ask of the relay of this process, which config/asgi.py puts in the scope."""

    def channel_status(self, channel_id: UUID) -> ChannelStatus: ...

    def key_statuses(self, channel_id: UUID) -> tuple[KeyStatus, ...]: ...


def known_trouble(request: HttpRequest, channel: Channel) -> ChannelStatus | None:
    """What the relay of this process has found out; None when there is nothing to tell."""
    relay: _Relay | None = getattr(request, "scope", {}).get("weir.relay")
    status = None if relay is None or not channel.enabled else relay.channel_status(channel.id)
    return None if status is None or status.condition == "good" else status


def known_key_statuses(request: HttpRequest, channel: Channel) -> tuple[KeyStatus, ...]:
    """What it has found out about the keys that are in use, in their order; () where nothing."""
    relay: _Relay | None = getattr(request, "scope", {}).get("weir.relay")
    return () if relay is None or not channel.enabled else relay.key_statuses(channel.id)
