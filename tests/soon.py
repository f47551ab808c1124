"""The hub, whose endings wait for others 5 ms instead of 100: for `Hub(application=…)`.

A test that asks alone has no others beside it, and would sit out the wait before it sees its
record. What the wait is good for is proved in tests/relay/test_ledger_writer.py. Static files are
served as they lie in the source.
"""

from relay import ledger_queue

vars(ledger_queue)["_WAIT_S"] = 0.005

from tests.from_source import application  # noqa: E402

__all__ = ["application"]
