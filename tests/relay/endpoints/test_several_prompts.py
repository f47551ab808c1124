"""A completion of several prompts, each a request of its own: what is left for the next one, and
how their answers become one, without a provider."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.downstream.downstream import Head
from relay.downstream.error_answers import INTERNAL
from relay.endpoints import several_prompts as module
from relay.endpoints.several_prompts import Prompts, _Joined

OUTCOMES = {
    "good": (None, 5, 0, True), "own": (None, 0, 3, True), "free": (None, 0, 0, False),
    "bad": ("upstream_error", 0, 0, False), "paid": ("upstream_error", 4, 0, True),
}  # fmt: skip


class Run:
    """The run of one prompt, whose body names its outcome."""

    made: list["Run"] = []

    def __init__(self, context: Any, *, masks: Any) -> None:
        self.context, self.model_name = context, "m"
        self.revoked: list[str] = []
        Run.made.append(self)

    def revoke(self, reason: str) -> None:
        self.revoked.append(reason)

    async def answer(self, body: bytes) -> Any:
        kind, charge, own, charged = OUTCOMES[body.decode()]
        return SimpleNamespace(kind=kind, charge_nano=charge, own_nano=own, is_charged=charged)


class Joined:
    def __init__(self) -> None:
        self.charge_nano = 0
        self.ends: list[Any] = []

    async def stop(self, place: int, *, charged: bool) -> None:
        self.ends.append((place, charged))

    async def end(self) -> None:
        self.ends.append("whole")


def several(max_cost_nano: int | None, *, left: bool = False, revoked: Any = None) -> Any:
    one: Any = object.__new__(Prompts)
    one._max_cost_nano, one._left, one._revoked = max_cost_nano, left, revoked
    one._run, one._model_name = None, ""
    one._masks = SimpleNamespace(of_prompt=lambda: "masks")
    one._context_of = lambda joined, place: (place, one._max_cost_nano)
    return one


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    monkeypatch.setattr(Run, "made", [])
    monkeypatch.setattr(module, "Run", Run)
    return Run.made


@pytest.mark.parametrize(
    ("bodies", "limits", "end", "charge"),
    [
        (["good", "own", "good"], [20, 15, 12], "whole", 10),
        (["good", "bad", "good"], [20, 15], (1, True), 5),
        (["free", "bad"], [20, 20], (1, False), 0),
        (["paid", "good"], [20], (0, True), 0),
    ],
)
async def test_each_prompt_may_cost_what_those_before_it_left(
    runs: list[Run], bodies: list[str], limits: list[int], end: Any, charge: int
) -> None:
    one, joined = several(20), Joined()
    one._context_of = lambda joined, place: (place, one._max_cost_nano)
    await one._answer_each(joined, [body.encode() for body in bodies])
    assert [cast(Any, run.context) for run in runs] == [*enumerate(limits)]
    assert (joined.ends, joined.charge_nano) == ([end], charge)
    assert (one._run, one._model_name) == (None, "m")


async def test_prompts_end_with_their_client_and_their_key(runs: list[Run]) -> None:
    left, joined = several(None, left=True), Joined()
    await left._answer_each(joined, [b"good", b"good"])
    assert (joined.ends, len(runs)) == ([(0, True)], 1)
    revoked, joined = several(None, revoked="session_ended"), Joined()
    await revoked._answer_each(joined, [b"good", b"bad"])
    assert [run.revoked for run in runs[1:]] == [["session_ended"]] * 2
    assert runs[1].context == (0, None)


# ---- the joined answer


class Client:
    """The client of the whole request."""

    def __init__(self, *, begun: bool = False, records: bool = False) -> None:
        self.happened: list[Any] = []
        self.begun = begun
        self.sink = SimpleNamespace(write=self.write, answer=self.answer)
        self.recorder = SimpleNamespace(keep_answer=self.keep) if records else None

    async def write(self, raw: bytes, *, last: bool) -> None:
        self.happened.append((raw, last))

    async def answer(self, head: Head, raw: bytes) -> None:
        self.happened.append((head, raw))

    async def keep(self, head: Head, raw: bytes) -> None:
        self.happened.append("kept")

    async def refuse(self, error: Any, *, charged: bool) -> None:
        self.happened.append((error.message, charged))


def joined_at(client: Client, *, include_cost: bool = False) -> Any:
    one: Any = object.__new__(_Joined)
    one._context = SimpleNamespace(
        downstream=client, options=SimpleNamespace(include_cost=include_cost)
    )
    one._plan, one._error, one.charge_nano, one.answers = "plan", None, 7, ["a", "b"]
    one._heads = [
        Head("json", 10, None, 1, headroom={"x": cast(Any, "first")}, attempts=2),
        Head("json", 20, None, 2, headroom={"x": cast(Any, "last")}, attempts=1),
    ]
    one.encoder = SimpleNamespace(end=lambda: b"[DONE]")
    return one


@pytest.mark.parametrize("include_cost", [False, True])
async def test_joined_answer_has_the_sums_of_its_parts(
    monkeypatch: pytest.MonkeyPatch, include_cost: bool
) -> None:
    encode = SimpleNamespace(encode=lambda answers, plan: f"{plan}: {answers}".encode())
    monkeypatch.setattr(module, "answer_encode", encode)
    monkeypatch.setattr(module, "with_cost", lambda raw, nano: raw + f" ${nano}".encode())
    client = Client(records=True)
    await joined_at(client, include_cost=include_cost).end()
    kept, (head, raw) = client.happened
    assert kept == "kept"
    assert (head.hold_nano, head.cost_nano, head.attempts) == (30, 7, 3)
    assert head.headroom == {"x": "last"}
    assert raw == b"plan: ['a', 'b']" + (b" $7" if include_cost else b"")
    streamed = Client(begun=True)
    await joined_at(streamed).end()
    assert streamed.happened == [(b"[DONE]", True)]


@pytest.mark.parametrize(
    ("begun", "fails", "place", "happened"),
    [
        (True, False, 1, [(b"", True)]), (False, False, 1, []),
        (False, True, 0, [(INTERNAL.message, True)]),
        (False, True, 2, [(f"{INTERNAL.message} (prompt[2] failed, those before it were answered "
                           "and charged)", True)]),
        (True, True, 1, [(f"{INTERNAL.message} (prompt[1] failed, those before it were answered "
                          "and charged)", True)]),
    ],
)  # fmt: skip
async def test_stopped_answer_says_which_prompt_failed(
    begun: bool, fails: bool, place: int, happened: Any
) -> None:
    client = Client(begun=begun)
    one = joined_at(client)
    if fails:
        await one.refuse(INTERNAL)
    await one.stop(place, charged=True)
    assert client.happened == happened


async def test_parts_of_a_joined_stream_are_written_without_an_end() -> None:
    client = Client(begun=True)
    one = joined_at(client)
    await one.write(b"a", last=True)
    await one.write(b"", last=True)
    assert client.happened == [(b"a", False)]
    await one.answer(one._heads[0], b"raw")
    assert len(one._heads) == 3
