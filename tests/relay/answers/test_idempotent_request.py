"""A request with an Idempotency-Key: what its repetition gets, and what is stored of the answer, in
which order, without a database."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialects.errors.errors import RequestFault
from lib.id_types import RequestId
from lib.ids import new_id
from lib.vault import VaultError
from relay.answers import idempotency
from relay.answers.idempotency import (
    AnswerKeeper,
    IdempotentRequest,
    KeptHead,
    KeyUse,
    RunnerDied,
    one_write,
)
from relay.downstream.downstream import Head
from relay.downstream.error_answers import INTERNAL
from relay.errors import DatabaseAway

HEAD = Head("text/plain", 1, None, 5)
ID = RequestId(new_id())


def use(**over: Any) -> KeyUse:
    known: dict[str, Any] = {
        "request_id": ID, "same_body": True, "state": "ended", "head": "head", "alive": False,
    }  # fmt: skip
    return KeyUse(**known | over)


class Request(IdempotentRequest):
    """A request. Its claims end as `claims` say; `stored` are the pieces of the earlier answer, or
    what reading them fails with."""

    def __init__(
        self, *claims: Any, streams: bool = True, keeps: bool = True, kept_stream: bool = True,
        stored: Any = ((b"a", False), (b"b", True)),
    ) -> None:  # fmt: skip
        self.happened: list[Any] = []
        self.claims, self.stored, self.kept_stream = [*claims], stored, kept_stream
        note = self.noted
        self._requests = cast(Any, SimpleNamespace(
            enter=lambda answer: self.happened.append("entered"),
            leave=lambda answer: self.happened.append("left"),
        ))  # fmt: skip
        self.client = SimpleNamespace(
            replay=lambda id: self.happened.append(("replayed", id)), begin=note("begin"),
            write=self.write_to_client, answer=note("answer"), refuse=note("refuse"),
            cut=note("cut"), write_now=self.client_takes,
            without_client=lambda: SimpleNamespace(write=note("no client")),
        )  # fmt: skip
        self._client = self._sink = cast(Any, self.client)
        self._answer = cast(Any, SimpleNamespace(
            claim=self.next_claim, read_head=self.read_head, read_pieces=self.read_pieces
        ))  # fmt: skip
        self._keeper = cast(Any, SimpleNamespace(
            begin=note("kept begin"), end=note("kept end"), spoil=note("spoilt"),
            release=note("released"), whole=note("kept whole"), close=note("closed"),
            piece=self.kept_piece,
        ))  # fmt: skip
        self._streams, self._keeps = streams, keeps
        self._claimed = self.gone = False
        self._stall_s = 60.0
        self.room: Any = None
        self.slow: Any = None

    def noted(self, name: str) -> Any:
        async def note(*values: Any) -> None:
            self.happened.append((name, *values))

        return note

    async def write_to_client(self, raw: bytes, *, last: bool) -> None:
        self.happened.append((raw, last))

    def client_takes(self, raw: bytes) -> Any:
        self.happened.append(("now", raw))
        return self.slow

    def kept_piece(self, raw: bytes) -> Any:
        self.happened.append(("kept", raw))
        return self.room

    async def next_claim(self) -> Any:
        claim = self.claims.pop(0)
        return claim if isinstance(claim, tuple) and len(claim) == 2 else (False, claim)

    async def read_head(self, one: KeyUse) -> KeptHead:
        if isinstance(self.stored, VaultError):
            raise self.stored
        return KeptHead(HEAD, self.kept_stream)

    async def read_pieces(self, id: RequestId, wanted: Any) -> Any:
        if isinstance(self.stored, Exception):
            raise self.stored
        for piece in self.stored:
            if wanted():
                yield piece


@pytest.fixture(autouse=True)
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "LOOK_S", 0.0)


async def test_first_request_runs_and_its_claim_ends_with_it() -> None:
    first = Request((True, None))
    assert await first.claim()
    await first.close()
    assert first.happened == ["entered", ("closed",), "left"]
    repeated = Request(use())
    assert not await repeated.claim()
    await repeated.close()
    assert repeated.happened == [("replayed", ID), ("begin", HEAD), (b"a", False), (b"b", True)]
    whole = Request(use(), kept_stream=False)
    assert not await whole.claim()
    assert whole.happened == [("replayed", ID), ("answer", HEAD, b"ab")]


@pytest.mark.parametrize(
    ("one", "options", "kind"),
    [
        (use(same_body=False), {}, "idempotency_mismatch"),
        (use(same_body=False, state="running"), {}, "idempotency_mismatch"),
        (use(state="not_kept"), {}, "unsupported_capability"),
        (use(head=None), {}, "unsupported_capability"),
        (use(head=None, state="running"), {}, "unsupported_capability"),
        (use(state="running", alive=True), {"streams": False}, "conflict"),
        (use(state="running", alive=True), {"keeps": False}, "conflict"),
        (use(state="running", alive=True, head=None), {"streams": False}, "conflict"),
    ],
)
async def test_repetition_that_has_no_answer_says_why(one: KeyUse, options: Any, kind: str) -> None:
    with pytest.raises(RequestFault) as refused:
        await Request(one, **options).claim()
    assert (refused.value.kind, refused.value.param) == (kind, "idempotency-key")


async def test_repetition_waits_for_a_stream_that_begins() -> None:
    waiting = use(state="running", alive=True, head=None)
    request = Request(waiting, None, use(state="running", alive=True))
    assert not await request.claim()
    assert request.happened[0] == ("replayed", ID)
    later = Request(waiting, (True, None))
    assert await later.claim()
    gone = Request(waiting)
    gone.gone = True
    assert not await gone.claim()
    assert gone.happened == []


@pytest.mark.parametrize("error", [RunnerDied(), VaultError("another KEK")])
async def test_answer_that_cannot_be_read_to_its_end_is_an_error(error: Exception) -> None:
    request = Request(use(), stored=error)
    assert not await request.claim()
    (name, answer) = request.happened[-1]
    assert (name, answer.kind, answer.status) == ("refuse", "internal", 500)


async def test_repetition_that_is_not_read_ends() -> None:
    async def hang(raw: bytes, *, last: bool) -> None:
        await asyncio.Event().wait()

    request = Request(use())
    request.client.write, request._stall_s = hang, 0.001
    assert not await request.claim()
    assert request.gone


async def test_answer_is_stored_and_then_sent() -> None:
    request = Request()
    await request.begin(HEAD)
    await request.write(b"a", last=False)
    await request.write(b"b", last=True)
    await request.cut()
    await request.refuse(INTERNAL)
    await request.answer(HEAD, b"whole")
    await request.keep_answer(HEAD, b"whole")
    await request.keep_end(b"end")
    await request.use_up()
    assert request.happened == [
        ("kept begin", HEAD), ("begin", HEAD), ("kept", b"a"), (b"a", False), ("kept end", b"b"),
        (b"b", True), ("spoilt",), ("cut",), ("released",), ("refuse", INTERNAL),
        ("answer", HEAD, b"whole"), ("kept whole", HEAD, b"whole"), ("kept end", b"end"),
        ("spoilt",),
    ]  # fmt: skip


async def test_client_that_leaves_gets_nothing_more_and_its_answer_is_stored() -> None:
    request = Request()
    request.leave()
    assert request.gone
    cast(Any, request._sink).write = lambda raw, *, last: request.noted("no client")(raw)
    await request.write(b"a", last=False)
    assert request.happened == [("kept", b"a"), ("no client", b"a")]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("full", [False, True])
async def test_provider_waits_for_the_client_and_for_the_store(slow: bool, full: bool) -> None:
    request, waited = Request(), list[str]()

    async def wait(name: str) -> None:
        waited.append(name)

    request.slow = wait("client") if slow else None
    request.room = wait("store") if full else None
    waiting = request.write_now(b"a")
    assert request.happened == [("kept", b"a"), ("now", b"a")]
    assert (waiting is None) is (not slow and not full)
    if waiting is not None:
        await waiting
    assert waited == ["client"] * slow + ["store"] * full


# ---- what is written


class Answer:
    """A stored answer. `fails` is how often the database does not take what is written."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails
        self.written: list[Any] = []

    async def head(self, head: Head, *, stream: bool) -> Any:
        return "head", {"head": "stream" if stream else "whole"}

    async def pieces(self, raw: bytes, n: int) -> list[Any]:
        return [("piece", {"n": n, "sealed": raw.decode()})] if raw else []

    def end(self, *, kept: bool) -> Any:
        return "end", {"sealed": str(kept)}

    def release(self) -> list[Any]:
        return [("release", {})]

    async def write(self, statements: Any) -> bool:
        if self.fails:
            self.fails -= 1
            return False
        self.written += [(name, *row.values()) for name, row in statements]
        return True


def keeper(answer: Answer, *, content: bool = True) -> AnswerKeeper:
    return AnswerKeeper(cast(Any, answer), content=content)


async def test_stream_is_stored_in_numbered_pieces_once() -> None:
    answer = Answer()
    one = keeper(answer)
    await one.begin(HEAD)
    assert one.piece(b"a") is None
    gathering = one._gathering
    assert one.piece(b"b") is None
    # One timer gathers both.
    assert one._gathering is gathering is not None
    await one._flush()
    one.piece(b"c")
    await one.end(b"d")
    await one.end(b"e")
    await one.close()
    assert answer.written == [
        ("head", "stream"), ("piece", 0, "ab"), ("piece", 1, "cd"), ("end", "True"),
    ]  # fmt: skip


async def test_what_the_database_did_not_take_is_written_with_the_end() -> None:
    answer = Answer(fails=2)
    one = keeper(answer)
    await one.begin(HEAD)
    one.piece(b"a")
    await one._flush()
    await one.end(b"b")
    await one.close()
    assert [name for name, *_ in answer.written] == ["head", "piece", "end"]
    assert answer.written[1] == ("piece", 0, "ab")


async def test_whole_answer_has_its_head_last() -> None:
    answer = Answer()
    one = keeper(answer)
    await one.whole(HEAD, b"a")
    await one.close()
    assert answer.written == [("piece", 0, "a"), ("head", "whole"), ("end", "True")]


async def test_without_content_only_the_use_of_the_key_is_stored() -> None:
    answer = Answer()
    one = keeper(answer, content=False)
    await one.begin(HEAD)
    assert one.piece(b"a") is None
    await one.end(b"b")
    assert answer.written == [("end", "False")]
    whole = Answer()
    await keeper(whole, content=False).whole(HEAD, b"a")
    assert whole.written == [("end", "False")]


async def test_key_is_released_where_nothing_was_spent() -> None:
    for begins, spoils, written in (
        (False, False, [("release",)]), (True, False, [("head", "stream"), ("end", "True")]),
        (False, True, [("end", "False")]), (True, True, [("head", "stream"), ("end", "False")]),
    ):  # fmt: skip
        answer = Answer()
        one = keeper(answer)
        if begins:
            await one.begin(HEAD)
        if spoils:
            await one.spoil()
            await one.release()
        await one.close()
        assert answer.written == written


async def test_too_much_that_waits_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(idempotency, "_WAITING_BYTES_MAX", 8)
    monkeypatch.setattr(idempotency, "_WAIT_BYTES", 3)
    answer = Answer(fails=9)
    one = keeper(answer)
    assert one.piece(b"abc") is None
    # The provider waits each time that so much more is there.
    first = one.piece(b"d")
    assert first is not None
    assert one.piece(b"ef") is None
    second = one.piece(b"g")
    assert second is not None
    assert one.piece(b"h") is None
    assert caplog.messages == []
    assert one.piece(b"i") is None
    assert caplog.messages == ["an answer is not kept: too much of it waits for the database"]
    await asyncio.gather(first, second)
    answer.fails = 0
    await one.end(b"")
    assert answer.written == [("end", "False")]


def test_one_transaction_is_limited_by_number_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_WRITE_STATEMENTS_MAX", 3)
    monkeypatch.setattr(idempotency, "_WRITE_BYTES_MAX", 5)
    small: Any = [("x", {"sealed": "12"})] * 4
    assert len(one_write(small)) == 3
    large: Any = [("x", {"head": "1" * size}) for size in (6, 4, 1)]
    assert len(one_write(large)) == 2
    assert len(one_write(large[:1] * 2)) == 1
    huge: Any = [("x", {"sealed": "1" * 99}), ("x", {"sealed": "1"})]
    assert len(one_write(huge)) == 1


class Claim:
    def __init__(self, name: str) -> None:
        self.name = name

    def renewal(self) -> str:
        return self.name


async def test_claims_are_renewed_while_requests_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All at once, and sooner after a failure."""
    renewed: list[Any] = []
    slept: list[float] = []
    turn, rest = asyncio.Semaphore(0), asyncio.sleep

    async def run(statements: Any) -> None:
        renewed.append(statements)
        if len(renewed) == 1:
            raise DatabaseAway("away")

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await turn.acquire()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    requests = idempotency.IdempotentRequests(cast(Any, SimpleNamespace(run=run)))
    a, b = cast(Any, Claim("a")), cast(Any, Claim("b"))
    requests.enter(a)
    renewing = requests._renewing
    requests.enter(b)
    assert requests._renewing is renewing is not None
    for _ in range(2):
        turn.release()
    requests.leave(b)
    turn.release()
    for _ in range(9):
        await rest(0)
    assert [sorted(names) for names in renewed] == [["a"]] * 3
    assert slept == [
        idempotency._RENEW_S, idempotency._RENEW_AGAIN_S, idempotency._RENEW_S,
        idempotency._RENEW_S,
    ]  # fmt: skip
    assert caplog.messages == ["claims of idempotency keys are not renewed: away"]
    requests.leave(a)
    turn.release()
    await renewing
    assert requests._renewing is None
    requests.enter(b)
    assert requests._renewing is not None
    requests._renewing.cancel()
