"""Requests of our own pages to the relay of their process: what each is opened with, without a
hub."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from accounts.key_uses.last_uses import PLAYGROUND
from content.policies.rules import Tried
from dialects.errors.errors import RequestFault
from lib.ids import new_id
from relay.endpoints.table import find_endpoint
from relay.errors import DatabaseAway
from relay.pages import in_process
from relay.pages.in_process import InProcessRelay
from relay.pages.page_operations import PAGE_PATHS
from relay.pages.sent_preview import MASK

KEY = new_id()
PRINCIPAL: Any = SimpleNamespace(key_id=KEY, digest=b"d")


class Run:
    """A run that answers with these pieces, or waits."""

    pieces: tuple[bytes, ...] = (b"a", b"b")
    waits = False
    left = 0

    def __init__(self, context: Any) -> None:
        self.context = context

    async def answer(self, body: bytes) -> Any:
        for piece in self.pieces:
            await self.context.sink.write(piece, last=False)
        if self.waits:
            await asyncio.Event().wait()
        return f"outcome of {body.decode()}"

    def leave(self) -> None:
        Run.left += 1


class Life:
    """The parts of a relay that pages use."""

    parts: Any = SimpleNamespace(states="states")
    available_nano = "available"

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.refresher = SimpleNamespace(snapshot=SimpleNamespace(now=lambda: 5.0))
        self.refused: Exception | None = None
        self.authenticator = SimpleNamespace(principal_of_key=self.principal_of_key)
        note = self.inside.append
        self.open_requests = SimpleNamespace(
            enter=lambda: note("open"), leave=lambda: note("not open")
        )
        self.running = SimpleNamespace(
            enter=lambda run, principal: note("runs"), leave=lambda run: note("runs no more")
        )

    async def principal_of_key(self, *asked: Any) -> Any:
        if self.refused is not None:
            raise self.refused
        return asked


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What requests are opened with."""
    contexts: list[Any] = []

    def context_of_task(*values: Any, **named: Any) -> Any:
        names = ("parts", "snapshot", "principal", "sink", "invocation")
        contexts.append(SimpleNamespace(**dict(zip(names, values, strict=True)), **named))
        return contexts[-1]

    monkeypatch.setattr(in_process, "context_of_task", context_of_task)
    monkeypatch.setattr(in_process, "Run", Run)
    monkeypatch.setattr(in_process, "LAST_USES", SimpleNamespace(note=lambda *_: None))
    return contexts


def relay() -> tuple[InProcessRelay, Life]:
    life = Life()
    return InProcessRelay(lambda: cast(Any, life)), life


async def test_answer_comes_piece_by_piece_and_its_outcome_last(
    made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    uses: list[Any] = []
    note = SimpleNamespace(note=lambda *values: uses.append(values))
    monkeypatch.setattr(in_process, "LAST_USES", note)
    one, life = relay()
    id, labels = new_id(), cast(Any, {"team": "core"})
    answer = one.chat(PRINCIPAL, b"body", source="playground", request_id=id, labels=labels)
    assert [item async for item in answer] == [b"a", b"b", cast(Any, "outcome of body")]
    assert life.inside == ["open", "runs", "runs no more", "not open"]
    assert uses == [(KEY, b"d", "", PLAYGROUND)]
    (context,) = made
    assert (context.request_id, context.source, context.principal) == (id, "playground", PRINCIPAL)
    assert (context.options.labels, context.options.client_app) == (labels, PLAYGROUND)
    assert context.snapshot is life.refresher.snapshot
    assert context.invocation.operation == "chat_completions"
    named = one.chat(PRINCIPAL, b"", source="api", operation="embeddings", client_app="mine")
    assert [item async for item in named][-1] == cast(Any, "outcome of ")
    assert (made[1].invocation.operation, made[1].options.client_app) == ("embeddings", "mine")
    assert not one._running


async def test_page_that_leaves_lets_its_run_know(
    made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "waits", True)
    monkeypatch.setattr(Run, "left", 0)
    one, life = relay()
    answer = one.chat(PRINCIPAL, b"", source="playground")
    assert await anext(answer) == b"a"
    await answer.aclose()
    assert Run.left == 1
    assert len(one._running) == 1
    # A process that stops cancels what does not end.
    await one.drain(0.0)
    assert not one._running
    assert life.inside[-2:] == ["runs no more", "not open"]


async def test_bound_is_read_with_what_the_page_asks_for(
    made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read_bound(context: Any, body: bytes, available: Any) -> Any:
        return body, available

    monkeypatch.setattr(in_process, "read_bound", read_bound)
    one, _ = relay()
    labels = cast(Any, {"team": "core"})
    bound: Any = await one.bound(
        PRINCIPAL, b"body", max_cost_nano=5, operation="speech", labels=labels
    )
    assert bound == (b"body", "available")
    (context,) = made
    assert (context.options.max_cost_nano, context.options.labels) == (5, labels)
    assert (context.source, context.invocation.operation) == ("playground", "speech")


async def test_route_is_previewed_by_the_headers_that_decide(
    made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def preview_route(context: Any, body: bytes, available: Any) -> Any:
        return body, available

    monkeypatch.setattr(in_process, "preview_route", preview_route)
    one, _ = relay()
    headers = [(b"x-weir-max-cost", b"0.5"), (b"x-weir-labels", b'{"project": "search"}'),
               (b"x-weir-data-policy", b'{"zero_retention": true}')]  # fmt: skip
    assert await one.preview_route(PRINCIPAL, "/v1/messages", b"b", headers) == cast(
        Any, (b"b", "available")
    )
    (context,) = made
    assert (context.principal, context.invocation.operation) == (PRINCIPAL, "messages")
    assert context.options.max_cost_nano == 500_000_000
    assert context.options.labels
    assert context.options.data_policy.zero_retention
    for path in ("/v1/models", "/v1/nothing", "/v1/messages/count_tokens"):
        with pytest.raises(RequestFault) as refused:
            await one.preview_route(PRINCIPAL, path, b"")
        assert refused.value.kind == "route_not_found"


async def test_what_a_channel_is_sent_is_previewed_without_its_key(
    made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []

    def build_single_channel(snapshot: Any, row: Any, key: str) -> Any:
        keys.append(key)
        return "the snapshot", "the channel"

    async def preview_sent(context: Any, channel: Any, body: bytes) -> Any:
        return channel, body

    monkeypatch.setattr(in_process, "build_single_channel", build_single_channel)
    monkeypatch.setattr(in_process, "preview_sent", preview_sent)
    monkeypatch.setattr(in_process, "replace", lambda one, **changes: (one, changes))
    one, _ = relay()
    for has_keys in (True, False):
        row: Any = SimpleNamespace(keys=["k"] if has_keys else [])
        sent = await one.preview_sent(row, "/v1/messages", [("X-A", "é")], b"b", ["acme"])
        assert sent == cast(Any, ("the channel", b"b"))
    assert keys == [MASK, ""]
    nobody = in_process._NOBODY
    assert made[0].snapshot == (
        "the snapshot", {"holder_ids": {"acme": nobody.organisation_id}},
    )  # fmt: skip
    assert made[0].principal is nobody
    assert made[0].invocation.headers == [(b"x-a", "é".encode())]
    with pytest.raises(RequestFault):
        await one.preview_sent(cast(Any, None), "/v1/models", [], b"")


@pytest.mark.parametrize("error", [RequestFault("authentication", None, "x"), DatabaseAway("y")])
async def test_guards_that_cannot_be_tried_say_why(made: list[Any], error: Exception) -> None:
    one, life = relay()
    life.refused = error
    tried = [Tried("request", text, "", ()) for text in "ab"]
    results = await one.try_guards(KEY, 7, (), tried)
    assert [(result.text, result.failure) for result in results] == [("", str(error))] * 2


async def test_guards_are_tried_with_the_key_of_the_person(
    made: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def try_calls(context: Any, rules: Any, one: Tried) -> Any:
        return context.principal, rules, one

    monkeypatch.setattr(in_process, "try_calls", try_calls)
    one, _ = relay()
    tried = [Tried("request", text, "", ()) for text in "ab"]
    who = (KEY, 5.0, 7)
    results = await one.try_guards(KEY, 7, cast(Any, "rules"), tried)
    assert results == [cast(Any, (who, "rules", text)) for text in tried]
    assert made[0].source == "playground"
    assert await one.principal_of_key(KEY, 7) == cast(Any, who)


async def test_file_of_a_service_that_is_not_there_is_missing() -> None:
    one, _ = relay()
    with pytest.raises(RequestFault) as missing:
        await one.service_file("nothing", PRINCIPAL, "t", 0)
    assert (missing.value.kind, missing.value.param) == ("task_not_found", "id")


def test_operation_of_a_page_is_the_row_of_its_path() -> None:
    for operation, path in PAGE_PATHS.items():
        endpoint = find_endpoint(path)
        assert endpoint is not None
        assert in_process._PAGE_INVOCATIONS[operation].operation == endpoint.operation == operation
