"""The limits of one channel."""

from typing import NamedTuple

from lib.id_types import ChannelId


class ChannelLimits(NamedTuple):
    """The limits of one channel per minute and for concurrent requests, for all organisations
    together. None means no limit."""

    channel_id: ChannelId
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
