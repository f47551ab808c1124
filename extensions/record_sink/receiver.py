"""Who gets the batches: an object store, or an HTTP receiver.

The operator chooses the address, so any network is permitted."""

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from django.conf import settings

from lib import clock
from lib.ids import id_text
from lib.network import egress, guarded_pool
from lib.network.object_store import open_store
from notify.endpoints.signing import signature_headers
from usage.sinks.usage_sink import SinkError

# mypy knows only the settings of config/settings.py.
_SETTINGS: Final[Any] = settings
_ANYWHERE: Final = egress.EgressPolicy(("0.0.0.0/0", "::/0"))
_READ_S: Final = 30.0
_ANSWER_MAX: Final = 65_536


class Batch(NamedTuple):
    """JSON Lines. The id is the same whenever the batch is sent again. `name` is its object's,
    without the id."""

    id: UUID
    name: str
    lines: bytes


class Receiver(Protocol):
    """Takes batches of at most `records_max` records, or of as many entries of the content log,
    whose texts have together `content_bytes_max` bytes, or are those of one entry."""

    records_max: int
    content_bytes_max: int

    def put(self, batch: Batch) -> None:
        """Deliver a batch. Raises SinkError unless it was acknowledged."""


@contextmanager
def open_receiver(deliver_s: float) -> Iterator[Receiver]:
    """Yield the installation's receiver for the next `deliver_s` seconds. Raises SinkError."""
    url, secret = _SETTINGS.RECORD_SINK_URL, _SETTINGS.RECORD_SINK_SECRET
    if not url.startswith("http"):
        yield _ObjectReceiver(url)
        return
    if not secret:
        raise SinkError("RECORD_SINK_SECRET is not set")
    with guarded_pool.guarded_pool(_ANYWHERE, until=time.monotonic() + deliver_s) as pool:
        yield _HttpReceiver(url, secret, pool)


class _HttpReceiver:
    """Gets each batch as the body of a POST, signed as Weir's webhooks are."""

    # Half a megabyte: many servers accept no larger bodies than one.
    records_max = 500
    content_bytes_max = 512 * 1024

    def __init__(self, url: str, secret: str, pool: guarded_pool.Pool) -> None:
        self._url = url
        self._secret = secret
        self._pool = pool

    def put(self, batch: Batch) -> None:
        stamp = int(clock.now().timestamp())
        headers = signature_headers([self._secret], id_text(batch.id), stamp, batch.lines)
        headers["content-type"] = "application/x-ndjson"
        try:
            answer = guarded_pool.exchanged_briefly(
                self._pool, "POST", self._url, headers, batch.lines,
                schemes=("http", "https"), read_s=_READ_S, bytes_max=_ANSWER_MAX,
            )  # fmt: skip
        except egress.EgressError as error:
            raise SinkError(f"it cannot be reached: {error}") from error
        if not 200 <= answer.status < 300:
            raise SinkError(f"it answered {answer.status}")


class _ObjectReceiver:
    """Keeps each batch as an object, compressed."""

    records_max = 10_000
    content_bytes_max = 8 * 1024 * 1024

    def __init__(self, url: str) -> None:
        self._url = url

    def put(self, batch: Batch) -> None:
        # Without a time, so that the same batch is the same object.
        body = gzip.compress(batch.lines, mtime=0)
        path = f"{batch.name}-{id_text(batch.id)}.jsonl.gz"
        objects, errors = import_module("obstore"), import_module("obstore.exceptions")
        try:
            store = open_store(self._url)
            objects.put(store, path, body, use_multipart=False)
            size = objects.head(store, path)["size"]
        except (errors.BaseError, OSError, ValueError) as error:
            # Only the type: the text may repeat the login.
            raise SinkError(f"it cannot be written: {type(error).__name__}") from error
        if size != len(body):
            raise SinkError(f"it has {size} of {len(body)} bytes of an object")
