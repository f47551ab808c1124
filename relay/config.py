"""The relay's configuration. config/asgi.py creates it; tests create their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from billing.limits.charge_rule import DRAIN_SECONDS
from relay.front.load_shedding import WAIT_S_MAX

MIB = 1024 * 1024
# Of a client's request, where one is read at all.
BODY_BYTES_MAX: Final = 72 * MIB
# The limit for all files that a request refers to by URL together. Each file is limited by
# `dialects.media.media.FILE_BYTES_MAX`; images have their own limit.
FETCH_S: Final = 30.0
PICTURE_BYTES_MAX: Final = 20 * MIB
# How long an upstream has, after the end of an answer's text, to report the usage of an abandoned
# request; and how long to wait for the bytes after an answer's end.
USAGE_AFTER_TEXT_S: Final = 2.0
REST_S: Final = 1.0

# Realtime sessions: the size of an event, the maximum duration of a session and of a silence of
# both ends, and how often either end is checked.
EVENT_BYTES_MAX: Final = 15 * MIB
SESSION_S: Final = 3600.0
SESSION_IDLE_S: Final = 900.0
HEARTBEAT_S: Final = 20.0

# Settings from the installation's environment.
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
    # The silence of a stream after which a keep-alive is sent.
    keep_alive_s: float = KEEP_ALIVE_S
    leave_drain_s: int = DRAIN_SECONDS
    hold_margin_s: int = 120
    # The output cap, per choice, of a request without one, if the model's largest output is unknown
    # or the model is free.
    output_tokens_assumed: int = 16_384
    # How long open streams may continue at shutdown, after the time in which requests are still
    # accepted but readiness is off.
    drain_s: float = DRAIN_S
    accept_while_draining_s: float = ACCEPT_WHILE_DRAINING_S
    # The event loop's delay above which a process refuses a share of new requests; 0 = never.
    wait_s_max: float = WAIT_S_MAX
    # Where endings that wait for the database are stored, and the limit per process; without a
    # folder, only in memory.
    spool_folder: Path | None = None
    spool_bytes_max: int = 8 * MIB
    # The address of the pages, for links in errors; without one there are no links.
    public_url: str = ""
    # Networks beside the public ones to which the hooks of tasks may go.
    hook_networks: tuple[str, ...] = ()
    # The migrations that the code was written for, as (app, name). A database with more of them
    # works with older code, because it is migrated first; one that lacks some does not.
    migrations: tuple[tuple[str, str], ...] = ()
