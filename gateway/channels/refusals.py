"""Why a channel cannot be written as it is asked for."""

from lib.refusal import Refused


class ChannelRefused(Refused):
    """The channel cannot be so."""


class ChannelStale(ChannelRefused):
    """Somebody else changed the channel since it was read."""
