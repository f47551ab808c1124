"""What the relay is told from outside; config/asgi.py makes it, tests make their own."""

from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """Sizes in bytes, times in seconds. The defaults are those of docs/promises.md, "Numbers".

    `kek` opens the channels' secrets, `pepper` makes the digests of keys. `database_wait_s` bounds
    one transaction of the hot path. `output_tokens_assumed` stands for the output cap, per choice,
    of a request that names none. A stream that is silent for `keep_alive_s` gets a sign of life.
    `drain_s` is how long open streams get at shutdown, after `accept_while_draining_s` in which new
    requests are still taken but readiness is off. `spool_folder` is where endings are kept that
    wait for the database, up to `spool_bytes_max` for each process; without one, in memory alone.
    `migrations` are those that the code was written for, as (app, name); a database that has more
    of them serves an older code as well (it is migrated first), one that lacks some does not.
    `public_url` is where people find the pages, for links in errors; empty = none are given.
    """

    dsn: str
    kek: str
    pepper: str
    database_wait_s: float = 2.0
    epoch_poll_s: float = 1.0
    body_bytes_max: int = 72 * MIB
    answer_bytes_max: int = 32 * MIB
    large_events_bytes_max: int = 32 * MIB
    body_wait_s: float = 60.0
    body_rate_min: int = 1024
    write_stall_s: float = 30.0
    keep_alive_s: float = 15.0
    leave_drain_s: float = 120.0
    hold_margin_s: int = 120
    output_tokens_assumed: int = 16_384
    drain_s: float = 600.0
    accept_while_draining_s: float = 5.0
    spool_folder: Path | None = None
    spool_bytes_max: int = 8 * MIB
    public_url: str = ""
    migrations: tuple[tuple[str, str], ...] = ()
