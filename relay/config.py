"""The relay's configuration. config/asgi.py creates it; tests create their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from billing.limits.charge_rule import DRAIN_SECONDS

MIB = 1024 * 1024

# Settings from the installation's environment.
KEEP_ALIVE_S: Final = 15.0
WAIT_S_MAX: Final = 0.035
DRAIN_S: Final = 600.0
ACCEPT_WHILE_DRAINING_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """Sizes in bytes, times in seconds. The defaults are those in docs/promises.md, "Numbers"."""

    dsn: str
    # Opens the channels' secrets.
    kek: str
    # Makes the digests of keys.
    pepper: str
    # The time limit of a transaction on the hot path.
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
    # How long open streams may continue at shutdown. Before that, requests are still accepted while
    # the readiness check already fails.
    drain_s: float = DRAIN_S
    accept_while_draining_s: float = ACCEPT_WHILE_DRAINING_S
    # The event loop's delay above which a process refuses some new requests; 0 = never.
    wait_s_max: float = WAIT_S_MAX
    # Where pending settlements are stored while the database is away, and the limit per process;
    # without a folder, only in memory.
    spool_folder: Path | None = None
    spool_bytes_max: int = 8 * MIB
    # The address of the object store for the texts of the content log; empty stores them in the
    # database.
    content_store: str = ""
    # The address of the pages, for links in errors; empty for no links.
    public_url: str = ""
    # Networks besides the public ones to which task hooks may be sent.
    hook_networks: tuple[str, ...] = ()
    # The files that a channel's key may name as holding a token for its credentials.
    token_files: tuple[str, ...] = ()
    # The migrations that the code expects, as (app, name). The code works with a database that has
    # more, because the database is migrated first, but not with one that lacks some.
    migrations: tuple[tuple[str, str], ...] = ()
