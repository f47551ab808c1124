"""What may be asked of one channel."""

from typing import NamedTuple

from lib.id_types import ChannelId


class ChannelLimits(NamedTuple):
    """What may be asked of one channel in any minute and at once, by all organisations together;
    None = no limit."""

    channel_id: ChannelId
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
