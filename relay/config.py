"""What the relay is configured with; config/asgi.py makes it, tests make their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from billing.limits.charge_rule import DRAIN_SECONDS
from relay.front.load_shedding import WAIT_S_MAX

MIB = 1024 * 1024
# Of a client's request, where one is read at all.
BODY_BYTES_MAX: Final = 72 * MIB
# Of the files that a request names by address, all together; any file is bounded by
# `dialects.media.media.FILE_BYTES_MAX`, a picture has a bound of its own.
FETCH_S: Final = 30.0
PICTURE_BYTES_MAX: Final = 20 * MIB
# How long an upstream has, after the last of an answer's text, to tell the usage of a request that
# nobody waits for any more; and how long the bytes behind an answer's end are waited for.
USAGE_AFTER_TEXT_S: Final = 2.0
REST_S: Final = 1.0

# Of realtime sessions: how large an event may be, how long a session and a silence of both ends may
# last, and how often either end is asked whether it is there.
EVENT_BYTES_MAX: Final = 15 * MIB
SESSION_S: Final = 3600.0
SESSION_IDLE_S: Final = 900.0
HEARTBEAT_S: Final = 20.0

# Those that an installation sets by its environment.
KEEP_ALIVE_S: Final = 15.0
DRAIN_S: Final = 600.0
ACCEPT_WHILE_DRAINING_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """Sizes in bytes, times in seconds. The defaults are those of docs/promises.md, "Numbers"."""

    dsn: str
    # Opens the channels' secrets.
    kek: str
    # Makes the digests of keys.
    pepper: str
    # Bounds one transaction of the hot path.
    database_wait_s: float = 2.0
    epoch_poll_s: float = 1.0
    # How often the last uses of keys are written.
    last_uses_s: float = 5.0
    answer_bytes_max: int = 32 * MIB
    large_events_bytes_max: int = 32 * MIB
    body_wait_s: float = 60.0
    body_rate_min: int = 1024
    write_stall_s: float = 30.0
    # A stream on which nothing was said for so long gets a sign of life.
    keep_alive_s: float = KEEP_ALIVE_S
    leave_drain_s: int = DRAIN_SECONDS
    hold_margin_s: int = 120
    # Stands for the output cap, per choice, of a request that names none, where the largest output
    # of its model is not known, or the model is free.
    output_tokens_assumed: int = 16_384
    # How long open streams get at shutdown, after the time in which new requests are still taken
    # but readiness is off.
    drain_s: float = DRAIN_S
    accept_while_draining_s: float = ACCEPT_WHILE_DRAINING_S
    # A process whose event loop lets what is due wait for longer refuses a part of the new
    # requests; 0 = never.
    wait_s_max: float = WAIT_S_MAX
    # Where endings are kept that wait for the database, and how much of them each process keeps;
    # without a folder they are in memory alone.
    spool_folder: Path | None = None
    spool_bytes_max: int = 8 * MIB
    # Where people find the pages, for links in errors; empty = none are given.
    public_url: str = ""
    # Networks beside the public ones to which the hooks of tasks may go.
    hook_networks: tuple[str, ...] = ()
    # Those that the code was written for, as (app, name). A database that has more of them serves
    # an older code as well, for it is migrated first; one that lacks some does not.
    migrations: tuple[tuple[str, str], ...] = ()
