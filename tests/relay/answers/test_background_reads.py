"""What is read of a response that ran in the background: its usage, its input, and its last event,
without a database."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from lib.id_types import RequestId
from lib.ids import new_id
from lib.vault import VaultError
from relay.answers import background
from relay.answers.background import StoredBackground, find_background, read_events, read_input
from relay.answers.idempotency import RunnerDied

ID = RequestId(new_id())
PRINCIPAL: Any = SimpleNamespace(organisation_id="o", key_id=new_id())


class Form:
    """A form whose frames are `number:text`, and whose last is `end`."""

    def fail(self, response: bytes, kind: str, message: str) -> bytes:
        return response + f" failed: {kind}".encode()

    def with_usage(self, response: bytes, counts: Any) -> bytes:
        return response + f" used {counts.output}".encode()

    def number_of(self, frame: Any) -> int | None:
        number = frame.data.partition(b":")[0]
        return int(number) if number.isdigit() else None

    def is_end(self, frame: Any) -> bool:
        return bool(frame.data.endswith(b"end"))

    def failed_event(self, response: bytes, number: int) -> bytes:
        return response + f" event {number}".encode()


FORM: Any = Form()


class States:
    """A database whose charged record has these meters."""

    def __init__(self, *rows: Any) -> None:
        self.rows = rows
        self.ran: list[Any] = []

    async def run(self, statements: Any) -> Any:
        self.ran += [name for name, _ in statements]
        return [list(self.rows) for _ in statements]


class Answer:
    """The stored answer of a response: its pieces, or what reading them fails with."""

    pieces: Any = ()

    def __init__(self, states: Any, principal: Any, id: str, request_id: Any) -> None:
        self.answer = self
        self.row = {"id": id}

    async def seal_head(self, raw: bytes) -> str:
        return raw.decode()

    async def stored_pieces(self, request_id: Any, first: int) -> bytes:
        if isinstance(self.pieces, Exception):
            raise self.pieces
        return b"".join(self.pieces)

    async def read_pieces(self, request_id: Any, wanted: Any, first: int) -> Any:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece, False


def stored(runs: bool = False, response: bytes = b"r") -> StoredBackground:
    return StoredBackground(ID, response, runs)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the store says of a response, each time it is asked."""
    results: list[Any] = []

    async def read(states: Any, principal: Any, id: str) -> Any:
        return results.pop(0) if len(results) > 1 else results[0]

    monkeypatch.setattr(background, "_read", read)
    monkeypatch.setattr(background, "BackgroundAnswer", Answer)
    monkeypatch.setattr(background, "lacks_usage", lambda response: response == b"lacks")
    monkeypatch.setattr(background, "has_failed", lambda response: response.startswith(b"bad"))
    return results


def found(one: StoredBackground, alive: bool = True) -> Any:
    return background._Read(one, alive)


async def test_response_is_ended_as_failed_once_its_process_has_died(reads: list[Any]) -> None:
    states = States()
    reads[:] = [None]
    assert await find_background(FORM, cast(Any, states), PRINCIPAL, "r") is None
    for one, alive in ((stored(runs=True), True), (stored(), False), (stored(), True)):
        reads[:] = [found(one, alive)]
        assert await find_background(FORM, cast(Any, states), PRINCIPAL, "r") == one
    assert states.ran == []
    dead, ended = stored(runs=True), stored(response=b"r failed: internal")
    reads[:] = [found(dead, alive=False), found(ended)]
    assert await find_background(FORM, cast(Any, states), PRINCIPAL, "r") == ended
    assert states.ran == [background._END_DEAD]
    reads[:] = [found(dead, alive=False), None]
    assert await find_background(FORM, cast(Any, states), PRINCIPAL, "r") is None


async def test_failed_response_has_the_usage_that_was_charged(reads: list[Any]) -> None:
    charged = States(('{"out_text":5}',))
    for one, wanted in (
        (stored(response=b"lacks"), b"lacks used 5"), (stored(response=b"has"), b"has"),
        (stored(runs=True, response=b"lacks"), b"lacks"),
    ):  # fmt: skip
        reads[:] = [found(one)]
        shown = await find_background(FORM, cast(Any, charged), PRINCIPAL, "r")
        assert shown is not None
        assert shown.response == wanted
    reads[:] = [found(stored(response=b"lacks"))]
    free = await find_background(FORM, cast(Any, States()), PRINCIPAL, "r")
    assert free == stored(response=b"lacks")


async def test_input_of_a_response_is_read_if_it_is_stored(
    reads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for pieces, wanted in (
        ((b'[{"a":1},', b'{"b":2}]'), [b'{"a":1}', b'{"b":2}']), ((), None),
        (VaultError("another KEK"), None),
    ):  # fmt: skip
        monkeypatch.setattr(Answer, "pieces", pieces)
        items = await read_input(cast(Any, None), PRINCIPAL, stored(), "r")
        assert (None if items is None else [bytes(item) for item in items]) == wanted
    assert isinstance(msgspec.Raw(b"1"), msgspec.Raw)


def frames(*texts: str) -> bytes:
    return "".join(f"data: {text}\n\n" for text in texts).encode()


@pytest.mark.parametrize(
    ("pieces", "after", "last", "wanted", "events"),
    [
        # Those above the number, and of others only what follows.
        ([frames("0:a", "1:b"), frames("2:c", "3:end")], 1, b"r", True, frames("2:c", "3:end")),
        ([frames("0:a", "x:b", "2:end")], 0, b"r", True, frames("x:b", "2:end")),
        ([frames("0:a"), RunnerDied()], -1, b"r", True, frames("0:a")),
        # Without an end, a failure is named, with the next number.
        ([frames("0:a", "1:b"), RunnerDied()], -1, b"bad", True,
         frames("0:a", "1:b") + b"bad event 2"),
        ([frames("0:a"), VaultError("x")], -1, b"bad", True, frames("0:a") + b"bad event 1"),
        ([RunnerDied()], -1, b"bad", True, b"bad event 0"),
        ([frames("0:a", "1:end")], -1, b"bad", True, frames("0:a", "1:end")),
        ([frames("0:a"), RunnerDied()], -1, b"bad", False, frames("0:a")),
    ],
)  # fmt: skip
async def test_events_are_read_from_a_number_on(
    reads: list[Any], monkeypatch: pytest.MonkeyPatch, pieces: Any, after: int, last: bytes,
    wanted: bool, events: bytes,
) -> None:  # fmt: skip
    monkeypatch.setattr(Answer, "pieces", pieces)
    reads[:] = [found(stored(runs=True)), found(stored(response=last))]
    states: Any = States()
    read = read_events(FORM, states, PRINCIPAL, "r", after, lambda: wanted)
    assert b"".join([raw async for raw in read]) == events


async def test_response_that_is_not_there_has_no_events(reads: list[Any]) -> None:
    reads[:] = [None]
    read = read_events(FORM, cast(Any, States()), PRINCIPAL, "r", -1, lambda: True)
    assert [raw async for raw in read] == []
