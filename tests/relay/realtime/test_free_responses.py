"""F23: a response that its provider ends as failed is free only if nothing says that it has cost
anything: neither a usage nor content; in sessions and in what they delegate."""

from itertools import product
from types import SimpleNamespace
from typing import Any, Final

import pytest

from dialects.realtime.realtime import SpokenResponse
from relay.downstream.downstream import ErrorAnswer
from relay.metering.usage_meter import Bill
from relay.realtime.live.delegations import Delegated, Delegations
from relay.realtime.response import NOT_USED, MeteredRequest, MeteredResponse

COUNTED: Final = Bill({"out_text": 3}, 3, "measured", (), None)
USAGE: Final = b'{"output_tokens":3}'
FAILED: Final = ("upstream_error", 502, "F23")


class End:
    """The end of an attempt, which notes the bill by which it is settled."""

    def __init__(self) -> None:
        self.bill: Bill | None = None
        self.error: tuple[str, int, str] | None = None
        self.outcome = self.ttft_ms = None

    def bill_so_far(self) -> Bill:
        return COUNTED

    def settle(self, error: ErrorAnswer | None, bill: Bill, fault: str = "") -> Any:
        self.bill = bill
        self.error = None if error is None else (error.kind, error.status, fault)
        return SimpleNamespace(basis=bill.basis, meters=bill.meters)


def running(kind: Any, end: End, **meter: Any) -> Any:
    context = SimpleNamespace(downstream=SimpleNamespace(sink=None))
    return kind(context, None, SimpleNamespace(**meter), end, None)


def spoken(*, usage: bool, content: bool, failed: bool) -> Bill | None:
    """The bill of a response of a session."""
    answer, end = SpokenResponse(), End()
    answer.begun = content
    done: Any = SimpleNamespace(
        raw_usage=USAGE if usage else None, finish_reason="", failure="why" if failed else ""
    )
    running(MeteredResponse, end, response=answer).finish(done)
    assert end.error == (FAILED if failed else None)
    return end.bill


def delegated(*, usage: bool, content: bool, failed: bool) -> Bill | None:
    """The bill of a response of the model to which a session delegates."""
    answer, end = Delegated(), End()
    answer.begun, answer.usage = content, USAGE if usage else None
    connection: Any = SimpleNamespace(_input=SimpleNamespace(end=lambda _: None))
    Delegations._finish(connection, running(MeteredRequest, end, answer=answer), failed=failed)
    assert end.error == (FAILED if failed else None)
    return end.bill


def broken_off(*, usage: bool, content: bool, failed: bool) -> Bill | None:
    """The bill of a response that has an id, and whose connection ended."""
    answer, end = SpokenResponse(), End()
    answer.begun, answer.usage = content, USAGE if usage else None
    response = running(MeteredResponse, end, response=answer)
    response.id = "resp_1"
    response.break_off(None)
    return end.bill


@pytest.mark.parametrize("way", [spoken, delegated, broken_off], ids=lambda way: way.__name__)
def test_only_a_failure_without_usage_and_content_is_free(way: Any) -> None:
    free = {
        (usage, content, failed)
        for usage, content, failed in product((False, True), repeat=3)
        if way(usage=usage, content=content, failed=failed) == NOT_USED
    }
    assert free == (set() if way is broken_off else {(False, False, True)})


def test_what_has_not_begun_is_free() -> None:
    end = End()
    running(MeteredResponse, end, response=SpokenResponse()).break_off(None)
    assert end.bill == NOT_USED
