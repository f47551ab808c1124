"""Why a channel cannot be written."""

from lib.refusal import Refused


class ChannelRefused(Refused):
    """The channel or the change is invalid."""


class ChannelStale(ChannelRefused):
    """Another operator has changed the channel since it was read."""
