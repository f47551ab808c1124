"""The hub in a hurry, and with patience: for `Hub(application=…)`, where nothing is asked of its
own timing.

Its settlements wait for others 5 ms instead of 100: a test that asks alone has no others beside it,
and would sit out the wait before it sees its record. What the wait is good for is proved in
tests/relay/ledger/test_ledger_writer.py. Last uses are written as soon. But on a busy machine it
waits for its database: it would refuse what a test asks. Static files are served as they lie in the
source.
"""

from functools import partial

from relay import config
from relay.ledger import batching

vars(batching)["_WAIT_S"] = 0.005
vars(config)["RelayConfig"] = partial(config.RelayConfig, last_uses_s=0.1, database_wait_s=20.0)

from tests.support.from_source import application  # noqa: E402

__all__ = ["application"]
