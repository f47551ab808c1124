"""A streamed answer from chunk to chunk: what its client gets, and how each of its ends is settled,
without a provider."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialects.chat.events import Broken, End, Event, Step, TextDelta, UpstreamError
from dialects.translation import StreamTranslator
from relay.answers import stream
from relay.answers.abandoned import USAGE_AFTER_TEXT_S
from relay.answers.stream import Forwarding, StreamChunks, StreamRelay
from relay.downstream.error_answers import KEY_ENDED, STOPPING
from relay.guarding.guarded_answer import Asking, refused
from relay.guarding.refusals import GuardFailed
from relay.requests.outcome import Outcome
from relay.upstream.failures import UpstreamFailed, upstream_failure

BILL = SimpleNamespace(meters={}, charge_nano=5)
ENDED = Step(b"!", [End(marked=True)])
FAULT = UpstreamError("upstream_error", "the provider's words", None)
GUARD = GuardFailed(cast(Any, SimpleNamespace(guard="hook")), "deadline")


def said(text: str) -> Step:
    return Step(text.encode(), [TextDelta(0, text)])


class World:
    """One attempt. `happened` is what happens, in order."""

    def __init__(
        self,
        *chunks: Sequence[Step],
        translates: bool = False,
        cap: int = 1_000,
        slow: bool = False,
        complete: bool = False,
        keep_alive: bool = False,
        include_cost: bool = False,
        client_gone: bool = False,
    ) -> None:
        self.happened: list[Any] = []
        self.chunks = [*chunks]
        self.slow = slow
        self.now = 100.0
        progress = SimpleNamespace(text_bytes=0, reasoning_bytes=0)
        decoder = SimpleNamespace(waits_for_usage=False, complete=complete, progress=progress)
        happened = self.happened.append
        self.downstream = SimpleNamespace(
            sink=SimpleNamespace(write_now=self.write_now, write=self.write_first),
            keep_alive=SimpleNamespace(heard_at=0.0) if keep_alive else None,
            client_gone=client_gone, recorder=None, begin=self.begin, write=self.write,
            refuse=self.refuse,
        )  # fmt: skip
        self.deadline = SimpleNamespace(
            allow=lambda *values: happened(("allow", *values)),
            limit=lambda *values: happened(("limit", *values)),
            interrupt=lambda why: happened(("interrupt", why)),
            stop=lambda: happened("the limits stop"), since=0.0,
        )  # fmt: skip
        self.context = SimpleNamespace(
            began=1.0, time=lambda: self.now, deadline=self.deadline, downstream=self.downstream,
            options=SimpleNamespace(include_cost=include_cost), await_client=lambda: None,
            elapsed_ms=lambda: 40,
            parts=SimpleNamespace(ledger=SimpleNamespace(marks=SimpleNamespace(mark="mark"))),
        )  # fmt: skip
        self.meter: Any = SimpleNamespace(
            text_bytes=0, counted_at=cap, on_mark_due=None, finish_reason="", note=self.note,
            is_above_cap=lambda: self.meter.text_bytes > cap, complete=complete,
        )  # fmt: skip
        self.end = SimpleNamespace(
            ttft_ms=None, unheard=None, bill_so_far=lambda: BILL, settle=self.settle,
            is_drained_out=lambda size: size > 3,
        )  # fmt: skip
        self.progress, self.decoder = progress, decoder
        self.relay = self.build(translates=translates)

    def build(self, *, translates: bool) -> StreamRelay:
        relay, happened = object.__new__(StreamRelay), self.happened.append

        class Reader(StreamTranslator if translates else object):  # type: ignore[misc]
            def __init__(self) -> None: ...

            feed = staticmethod(self.feed)

            def end(self) -> list[Step]:
                return [Step(b"(end)", [])]

            def cut(self) -> bytes:
                return b"(cut)"

            def fail(self, kind: str, message: str, code: str | None = None) -> bytes:
                return f"({kind})".encode()

            def write(self, events: Sequence[Event]) -> bytes:
                return b"".join(b"passed" for _ in events)

        admitted: Any = SimpleNamespace(
            timeouts=SimpleNamespace(idle=7.0, total=70.0), head=lambda context, cost: "head",
            prepared=SimpleNamespace(traits=SimpleNamespace(requested_model="")),
        )  # fmt: skip
        relay._context, relay._admitted = cast(Any, self.context), admitted
        relay._usage_meter, relay._end = cast(Any, self.meter), cast(Any, self.end)
        relay._probe = cast(Any, SimpleNamespace(
            good=lambda: happened("good"), first_content=lambda: happened("first content"),
            failed=lambda failure: happened(("bad", failure.fault)),
        ))  # fmt: skip
        relay._gathering = cast(Any, SimpleNamespace(
            size=0, more=self.more, whole=lambda: happened("whole")
        ))  # fmt: skip
        relay._state, relay._guarded = None, None
        relay._reader = cast(Any, Reader())
        relay._chunks = StreamChunks(
            cast(Any, self.context), admitted, cast(Any, self.meter), None,
            cast(Any, self.decoder), cast(Any, self.end),
        )  # fmt: skip
        return relay

    def more(self, size: int) -> bool:
        self.happened.append(("gathered", size))
        return size < 9

    def feed(self, chunk: bytes) -> Sequence[Step]:
        steps = self.chunks.pop(0)
        self.progress.text_bytes += sum(
            len(event.text) for one in steps for event in one.events if isinstance(event, TextDelta)
        )
        self.meter.text_bytes = self.progress.text_bytes
        return steps

    async def hand_to(self, take: Any) -> None:
        """The provider's next chunks, until the relay must decide something."""
        self.now += 1
        while self.chunks and not take(b"chunk"):
            self.now += 1

    def note(self, events: Sequence[Event]) -> None:
        texts = [event.text for event in events if isinstance(event, TextDelta)]
        if texts:
            self.happened.append(("noted", *texts))

    def settle(self, error: Any, bill: Any, fault: str = "") -> Any:
        assert bill is BILL
        self.happened.append(("settled", None if error is None else error.kind, fault))
        return SimpleNamespace(is_charged=True)

    def write_now(self, raw: bytes) -> Any:
        self.happened.append(raw)
        return asyncio.sleep(0) if self.slow else None

    async def write_first(self, raw: bytes, *, last: bool) -> None:
        assert not last
        self.happened.append(raw)

    async def begin(self, head: str) -> None:
        self.happened.append(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        self.happened.append((raw, "last") if last else raw)

    async def refuse(self, error: Any, *, charged: bool) -> None:
        self.happened.append(("refused", error.kind, charged))

    async def run(self) -> Outcome:
        return await self.relay.relay(cast(Any, self))

    def without_limits(self) -> list[Any]:
        return [one for one in self.happened if one[0] not in ("allow", "limit")]


COMMITTED = ["first content", "head", ("noted", "a"), b"a"]


async def test_answer_goes_on_from_its_first_content_to_its_end() -> None:
    """Nothing of it is sent before its first content, and nothing is kept behind its end."""
    world = World([Step(b"*", [])], [said("a")], [said("b")], [Step(b":", [])], [said("c"), ENDED])
    await world.run()
    assert world.happened == [
        "first content", "head", ("noted", "a"), b"*a", ("allow", "idle", 7.0, 102.0),
        ("noted", "b"), b"b", b":", ("noted", "c"), ("settled", None, ""), "good",
        (b"c!", "last"),
    ]  # fmt: skip
    assert (world.end.ttft_ms, world.meter.on_mark_due) == (40, "mark")
    # A comment is no progress.
    assert (world.deadline.since, world.relay._chunks._heard_at) == (103.0, 103.0)


async def test_client_that_reads_slowly_is_waited_for() -> None:
    world = World([said("a")], [said("b")], [ENDED], slow=True)
    await world.run()
    allowed = [one for one in world.happened if one[0] == "allow"]
    assert allowed == [("allow", "idle", 7.0, 101.0), ("allow", "idle", 7.0, 102.0)]
    assert world.happened[-3:] == [("settled", None, ""), "good", (b"!", "last")]


async def test_client_that_has_left_gets_nothing_more() -> None:
    world = World([said("a")], [said("bcd")], [said("e")], [ENDED], client_gone=True)
    await world.run()
    assert world.without_limits() == [
        "first content", ("noted", "a"), ("noted", "bcd"), ("interrupt", "drain"), ("noted", "e"),
        ("interrupt", "drain"), ("settled", None, ""), "good",
    ]  # fmt: skip


async def test_silence_is_counted_from_what_the_client_got_last() -> None:
    world = World(
        [said("a")], [Step(b"", [TextDelta(0, "b")])], [said("c")], [ENDED], keep_alive=True
    )
    heard = list[float]()

    def write_now(raw: bytes) -> None:
        heard.append(world.downstream.keep_alive.heard_at)

    world.downstream.sink.write_now = write_now
    await world.run()
    # At the first content, and not at what is held back.
    assert heard == [103.0]
    held = World([said("a")], [Step(b"", [TextDelta(0, "b")])], [ENDED], keep_alive=True)
    await held.run()
    assert held.downstream.keep_alive.heard_at == 101.0


async def test_last_bytes_wait_for_the_charge_that_they_name() -> None:
    named = World([said("a")], [Step(b"u", [])], [ENDED], complete=True, include_cost=True)
    await named.run()
    assert not [one for one in named.happened if isinstance(one, bytes)]
    plain = World([said("a")], [Step(b"u", [])], [ENDED], complete=True)
    await plain.run()
    assert [one for one in plain.happened if isinstance(one, bytes)] == [b"a", b"u"]
    early = World([said("a")], [ENDED], include_cost=True)
    await early.run()
    assert b"a" in early.happened


async def test_event_that_is_too_large_is_a_fault() -> None:
    world = World([said("a")], [], [])
    cast(Any, world.relay._gathering).more = lambda size: len(world.chunks) > 0
    with pytest.raises(UpstreamFailed) as failed:
        await world.run()
    assert failed.value.fault == "F17"
    whole = World([said("a")], [], [said("b")], [ENDED])
    whole.relay._gathering.size = 5
    await whole.run()
    assert ("gathered", 5) in whole.happened
    assert whole.happened.count("whole") == 3


async def test_answer_that_waits_for_its_usage_waits_less_long() -> None:
    world = World([said("a")], [ENDED])
    world.decoder.waits_for_usage = True
    await world.run()
    assert ("limit", "idle", USAGE_AFTER_TEXT_S) in world.happened


# ---- faults


@pytest.mark.parametrize(("event", "fault"), [(FAULT, "F23"), (Broken("F15"), "F15")])
async def test_fault_before_the_first_content_leaves_it_to_another_channel(
    event: Event, fault: str
) -> None:
    world = World([Step(b"*", [])], [Step(b"x", [event])])
    with pytest.raises(UpstreamFailed) as failed:
        await world.run()
    assert (failed.value.fault, world.happened, world.relay.committed) == (fault, [], False)


@pytest.mark.parametrize(("raw", "rest"), [(b"", b"b(upstream_error)"), (b"x", b"bx")])
async def test_fault_in_the_stream_is_sent_in_its_words_or_in_ours(raw: bytes, rest: bytes) -> None:
    world = World([said("a")], [said("b"), Step(raw, [FAULT])])
    await world.run()
    assert world.without_limits() == [
        *COMMITTED, ("noted", "b"), ("settled", "upstream_error", "F23"), ("bad", "F23"),
        (rest, "last"),
    ]  # fmt: skip


async def test_what_came_before_a_break_is_sent() -> None:
    world = World([said("a")], [said("b"), Step(b"", [Broken("F15")])])
    with pytest.raises(UpstreamFailed):
        await world.run()
    assert world.happened[-1] == b"b"


async def test_answer_above_its_cap_ends_as_if_it_had_reached_its_length() -> None:
    world = World([said("a")], [said("bcd")], [said("never")], cap=3)
    await world.run()
    assert world.without_limits() == [
        *COMMITTED, ("noted", "bcd"), ("settled", None, "F18"), "good", (b"bcd(cut)", "last"),
    ]  # fmt: skip
    assert world.meter.finish_reason == "length"


FAILURE = upstream_failure("F14")


@pytest.mark.parametrize("complete", [False, True])
async def test_break_and_stop_are_settled_for_what_was_delivered(complete: bool) -> None:
    """Once every choice has finished, what fails then does not damage the answer."""
    whole: list[Any] = ["the limits stop", ("settled", None, ""), "good", (b"(end)", "last")]
    broken = World(complete=complete)
    await broken.relay.break_off(FAILURE)
    kind = FAILURE.kind
    assert broken.happened == (
        whole
        if complete
        else [("settled", kind, "F14"), ("bad", "F14"), (f"({kind})".encode(), "last")]
    )
    stopped = World(complete=complete)
    await stopped.relay.stop(STOPPING)
    kind = STOPPING.kind
    assert stopped.happened == (
        whole if complete else [("settled", kind, ""), (f"({kind})".encode(), "last")]
    )


async def test_dismissed_client_gets_its_error_and_the_rest_is_read() -> None:
    world = World([said("b")], [ENDED])
    world.relay._chunks.committed = True
    world.relay._chunks.pieces.append(b"a")
    await world.relay.dismiss(KEY_ENDED)
    assert world.happened == [(b"(authentication)", "last")]
    assert (world.end.unheard, world.downstream.client_gone) == (KEY_ENDED, True)
    await world.run()
    assert world.happened[-2:] == [("settled", None, ""), "good"]
    gone = World(client_gone=True)
    await gone.relay.stop(STOPPING)
    assert gone.happened == [("settled", STOPPING.kind, "")]


async def test_end_is_kept_before_it_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = World([said("a"), ENDED])

    async def keep(what: Any) -> None:
        kept.happened.append(("kept", what))

    kept.relay._state = cast(Any, SimpleNamespace(keep=keep, note=lambda events: None))
    kept.downstream.recorder = SimpleNamespace(keep_end=keep)
    monkeypatch.setattr(StreamRelay, "_response", lambda self: b"response")
    await kept.run()
    assert kept.without_limits()[-5:] == [
        ("kept", b"response"), ("kept", b"a!"), ("settled", None, ""), "good", (b"a!", "last"),
    ]  # fmt: skip
    # A store that does not answer does not keep an early end from its client.
    early = World(complete=True)

    async def hang(_: bytes) -> None:
        await asyncio.Event().wait()

    early.downstream.recorder = SimpleNamespace(keep_end=hang)
    monkeypatch.setattr(stream, "_LAST_WORDS_S", 0.001)
    await early.relay.break_off(FAILURE)
    assert early.happened == ["the limits stop", ("settled", None, ""), "good", (b"(end)", "last")]


async def test_client_that_does_not_take_the_last_bytes_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()

    async def hang(raw: bytes, *, last: bool) -> None:
        await asyncio.Event().wait()

    world.downstream.write = hang
    monkeypatch.setattr(stream, "_LAST_WORDS_S", 0.001)
    await world.relay.stop(STOPPING)
    assert world.happened == [("settled", STOPPING.kind, "")]


# ---- guards


@pytest.mark.parametrize("gone", [False, True])
async def test_answer_that_a_guard_refuses_is_charged(gone: bool) -> None:
    refusing = Step(b"", [refused(GUARD)])
    kind: str = GUARD.kind
    before = World([refusing], translates=True, client_gone=gone)
    await before.run()
    wanted = [("settled", kind, ""), "good"]
    assert before.happened == wanted + ([] if gone else [("refused", kind, True)])
    if not gone:
        behind = World([said("a")], [said("b"), refusing], translates=True)
        await behind.run()
        assert behind.without_limits() == [
            *COMMITTED, ("noted", "b"), *wanted, (f"b({kind})".encode(), "last"),
        ]  # fmt: skip


@pytest.mark.parametrize("refuses", [False, True])
async def test_guards_are_asked_about_what_they_hold_back(refuses: bool) -> None:
    async def answer() -> list[Event]:
        world.happened.append("asked")
        if refuses:
            raise GUARD
        return [TextDelta(0, "b")]

    world = World([said("a")], [Step(b"", [Asking()])], [ENDED], translates=True)
    world.relay._guarded = cast(Any, SimpleNamespace(answer=answer, close=lambda: None))
    await world.run()
    asked = [*COMMITTED, "asked"]
    if refuses:
        end: list[Any] = [("settled", GUARD.kind, ""), "good", (f"({GUARD.kind})".encode(), "last")]
        assert world.without_limits() == [*asked, *end]
    else:
        end = [("settled", None, ""), "good", (b"!", "last")]
        assert world.without_limits() == [*asked, b"passed", *end]
        assert ("allow", "idle", 70.0) in world.happened


@pytest.mark.parametrize("refuses", [False, True])
async def test_guards_are_asked_about_the_rest_of_what_is_cut(refuses: bool) -> None:
    async def answer() -> list[Event]:
        if refuses:
            raise GUARD
        return [TextDelta(0, "b")]

    world = World([said("a")], [said("bcd")], translates=True, cap=3)
    world.relay._guarded = cast(
        Any, SimpleNamespace(answer=answer, close=lambda: world.happened.append("closed"))
    )
    await world.run()
    assert "closed" in world.happened
    last = f"bcd({GUARD.kind})" if refuses else "bcdpassed(cut)"
    assert world.happened[-1] == (last.encode(), "last")
    assert ("settled", *((GUARD.kind, "") if refuses else (None, "F18"))) in world.happened


# ---- what is stored of it


@pytest.mark.parametrize("translates", [False, True])
@pytest.mark.parametrize("model", ["", "their-name"])
async def test_stored_response_names_the_requested_model(
    monkeypatch: pytest.MonkeyPatch, translates: bool, model: str
) -> None:
    world = World(translates=translates)
    monkeypatch.setattr(stream, "name_answer", lambda raw, how, name: raw + f" {name}".encode())
    reader = world.relay._reader
    if translates:
        reader.encoder = cast(Any, "encoder")  # type: ignore[union-attr]
    else:
        reader.response = lambda: b"encoder"  # type: ignore[union-attr, method-assign]
    cast(Any, world.context).invocation = SimpleNamespace(
        codec=SimpleNamespace(
            response_of=lambda encoder: encoder and str(encoder).encode(), model_in_answer="m"
        )
    )
    cast(Any, world.relay._admitted.prepared.traits).requested_model = model
    assert world.relay._response() == b"encoder" + (f" {model}".encode() if model else b"")


def test_frames_that_we_add_have_the_clients_name_of_the_model() -> None:
    forwarding = object.__new__(Forwarding)
    forwarding._naming = cast(Any, SimpleNamespace(rename=lambda raw: raw + b" renamed"))
    forwarding._codec = cast(Any, SimpleNamespace(
        cut=lambda decoder: b"cut", fail=lambda *values: " ".join(values).encode(),
        response_of=lambda decoder: b"response",
    ))  # fmt: skip
    forwarding.decoder, forwarding._request_id = cast(Any, "decoder"), "request"
    assert forwarding.cut() == b"cut renamed"
    assert forwarding.fail("timeout", "message") == b"decoder timeout message request renamed"
    assert forwarding.response() == b"response"
    forwarding._naming = None
    assert forwarding.cut() == b"cut"
