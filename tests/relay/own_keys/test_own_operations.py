"""An organisation's own key serves every request that becomes an attempt, save those that
docs/guides/own-keys.md names."""

from gateway.own_keys.routes import OPERATIONS
from relay.endpoints.generation import generate, remix_video
from relay.endpoints.table import listed_rows


def test_every_request_that_ends_with_an_answer_or_a_task() -> None:
    made = {
        row.operation for row in listed_rows().values() if row.handler in (generate, remix_video)
    }
    assert made <= OPERATIONS
    assert not OPERATIONS & {"realtime", "bidi_generate_content", "live_sessions", "passthrough"}
