"""How a connection begins: what its provider is credited with, and what its client hears."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from content.rules.rules import in_order
from lib.ids import new_id
from relay.content_log.recorded_answer import HEADER
from relay.realtime import open_connection
from relay.realtime.live.connection import LiveConnection
from relay.realtime.live.delegations import Delegated
from relay.requests.options import RequestOptions
from tests.relay.content_log.test_recorded_talk import EVERYTHING


async def test_live_session_that_started_credits_its_channel() -> None:
    """At once: it may run for hours, and its requests count as running elsewhere."""
    done: list[Any] = []

    class Started(LiveConnection):
        def __init__(self) -> None:
            self._started = b'{"type":"session.started","session":{"id":"s1","model":"up"}}'
            self._first: Any = SimpleNamespace(start=lambda id: done.append(("start", id)))
            self._probe: Any = SimpleNamespace(
                first_content=lambda: done.append("first"), good=lambda: done.append("good")
            )
            self._admitted: Any = SimpleNamespace(
                prepared=SimpleNamespace(traits=SimpleNamespace(requested_model="mine"))
            )
            self._delegations: Any = SimpleNamespace(delegate="", client_model="")

        async def _say(self, text: str) -> None:
            done.append(json.loads(text)["session"]["model"])

    await Started()._begin_connection()
    assert done == [("start", "s1"), "first", "good", "mine"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_text.delta", "item_id": "i", "delta": "a"},
        {"type": "response.reasoning_summary_text.delta", "item_id": "i", "delta": "a",
         "summary_index": 0},
        {"type": "response.refusal.delta", "item_id": "i", "delta": "a"},
        {"type": "response.function_call_arguments.delta", "item_id": "i", "delta": "{}"},
    ],
    ids=lambda event: event["type"],
)  # fmt: skip
def test_anything_said_begins_a_delegated_response(event: dict[str, Any]) -> None:
    """It is paid if it fails afterwards."""
    answer, at = Delegated(), {"output_index": 0, "content_index": 0}
    created = {"type": "response.created", "response": {"id": "r", "model": "m"}}
    kind = "function_call" if "function" in event["type"] else "message"
    item = {"type": kind, "id": "i", "call_id": "c", "name": "f", "arguments": "", "content": []}
    for one in (created, {"type": "response.output_item.added", "output_index": 0, "item": item}):
        answer.feed(json.dumps(one).encode())
        assert (answer.begun, answer.pieces) == (False, 0)
    for times in (1, 2):
        raw = json.dumps(event | at).encode()
        assert answer.feed(raw) == raw
        assert (answer.begun, answer.pieces) == (True, times)


@pytest.mark.parametrize(("stores", "kept"), [(True, b"kept"), (False, b"not-kept")])
async def test_handshake_says_whether_its_requests_may_be_kept(
    stores: bool, kept: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P31: as the client asked in the headers of the handshake."""
    recorded: list[bool] = []
    ran: list[Any] = []

    async def run(*values: Any) -> None:
        ran.append(values)

    monkeypatch.setattr(open_connection, "RealtimeSink", SimpleNamespace)
    monkeypatch.setattr(open_connection, "run_connection", run)
    monkeypatch.setattr(open_connection, "record_talk", lambda *_, stores: recorded.append(stores))
    monkeypatch.setattr(
        open_connection, "read_headers", lambda headers, size: SimpleNamespace(stores=stores)
    )
    monkeypatch.setattr(open_connection, "connection_invocation", lambda *_: "invocation")
    sink = SimpleNamespace(request_id=new_id(), listen=lambda _: None, notice=())
    request: Any = SimpleNamespace(
        sink=sink, scope={"headers": ()}, client_secret=None, invocation=None, receive=None,
        life=None, options_of=lambda _: RequestOptions(max_cost_nano=5),
        make_context=lambda invocation, options: (invocation, options),
        snapshot=SimpleNamespace(now=lambda: 1.0),
        principal=SimpleNamespace(log_rules=in_order([EVERYTHING])),
    )  # fmt: skip
    await open_connection.open_connection(request)
    assert sink.notice == ((HEADER.encode(), kept),)
    assert recorded == [stores]
    ((_, context, _, _, fixed),) = ran
    invocation, options = context
    assert (invocation, options.max_cost_nano, fixed) == ("invocation", 5, None)
    assert options.session is not None
