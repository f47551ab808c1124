"""An answer of sound, events or JSON while it arrives: what its client gets, and how it ends."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dialects.chat.events import Broken, UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.codec import EVENT_STREAM, JSON, Target
from lib.ids import new_id
from relay.answers import media_relay
from relay.answers.media_relay import MediaRelay
from relay.downstream.downstream import Head
from relay.downstream.error_answers import KEY_ENDED, STOPPING
from relay.upstream.failures import UpstreamFailed, upstream_failure

SOUND = "audio/mpeg"
BILL = SimpleNamespace(charge_nano=5)
FAILURE = upstream_failure("F14")


class World:
    """One attempt. `happened` is what happens, in order; JSON is held back
    until its end, as its reader does."""

    def __init__(
        self,
        content_type: str = SOUND,
        *,
        stream: bool = False,
        model: str = "",
        gone: bool = False,
        include_cost: bool = False,
        records: bool = False,
    ) -> None:
        self.happened: list[Any] = []
        happened, self.held = self.happened.append, b""
        self.is_json = content_type.startswith(JSON)
        self.headers = {"content-type": content_type}
        self.pieces: list[bytes] = []
        self.fault: Any = None
        recorder = SimpleNamespace(
            keep_end=self.noted("kept end"), keep_answer=self.noted("kept answer")
        )
        self.downstream = SimpleNamespace(
            client_gone=gone, recorder=recorder if records else None, begin=self.begin,
            write=self.write, cut=self.noted("cut"),
            sink=SimpleNamespace(answer=self.answer),
        )  # fmt: skip
        codec = SimpleNamespace(
            model_in_answer="m", error_frame=lambda kind, *_: f"({kind})".encode()
        )
        context = SimpleNamespace(
            downstream=self.downstream, await_client=lambda: None, elapsed_ms=lambda: 40,
            deadline=SimpleNamespace(
                allow=lambda *values: happened(("allow", *values)),
                stop=lambda: happened("limits stop"),
            ),
            options=SimpleNamespace(include_cost=include_cost), request_id=new_id(),
            invocation=SimpleNamespace(codec=codec, target=Target()),
        )  # fmt: skip
        admitted = SimpleNamespace(
            timeouts=SimpleNamespace(idle=7.0), facts=SimpleNamespace(stream=stream),
            prepared=SimpleNamespace(traits=SimpleNamespace(requested_model=model)),
            head=lambda context, cost: Head("", 1, None, cost),
        )  # fmt: skip
        self.end = SimpleNamespace(
            ttft_ms=None, unheard=None, bill_so_far=lambda: BILL, settle=self.settle
        )
        probe = SimpleNamespace(
            good=lambda: happened("good"), first_content=lambda: happened("first content"),
            failed=lambda failure: happened(("bad", failure.fault)),
        )  # fmt: skip
        self.meter = SimpleNamespace(passed=None)
        parts = SimpleNamespace(
            context=context, admitted=admitted, usage_meter=self.meter, probe=probe, end=self.end
        )
        passing = SimpleNamespace(open=lambda: self, content_type=SOUND)
        self.relay = MediaRelay(cast(Any, parts), cast(Any, passing))

    # As the reader of the answer.

    def feed(self, chunk: bytes) -> bytes:
        if self.fault is not None:
            raise AnswerFault(self.fault)
        self.held += chunk if self.is_json else b""
        return b"" if self.is_json else chunk

    def end_reading(self) -> bytes:
        return self.held

    # As the provider.

    async def next_bytes(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    # As the client and the books.

    def noted(self, name: str) -> Any:
        async def note(*values: Any) -> None:
            self.happened.append((name, *[one for one in values if not isinstance(one, Head)]))

        return note

    def settle(self, error: Any, bill: Any, fault: str = "") -> Any:
        assert bill is BILL
        self.happened.append(("settled", None if error is None else error.kind, fault))
        return "outcome"

    async def begin(self, head: Head) -> None:
        self.happened.append(("begun", head.content_type, head.cost_nano))

    async def write(self, raw: bytes, *, last: bool) -> None:
        self.happened.append((raw, "last") if last else raw)

    async def answer(self, head: Head, raw: bytes) -> None:
        self.happened.append((head.content_type, head.cost_nano, raw))

    async def run(self, *pieces: bytes) -> list[Any]:
        self.pieces = [*pieces]
        reader: Any = SimpleNamespace(feed=self.feed, end=self.end_reading)
        self.relay._passed = reader
        assert await self.relay.relay(cast(Any, self)) == cast(Any, "outcome")
        return [one for one in self.happened if one[:1] != ("allow",)]


async def test_sound_goes_on_while_it_arrives() -> None:
    world = World()
    assert await world.run(b"a", b"b") == [
        "first content", ("begun", SOUND, None), b"a", b"b", ("settled", None, ""), "good",
        (b"", "last"),
    ]  # fmt: skip
    assert (world.end.ttft_ms, world.relay.committed) == (40, True)
    assert world.meter.passed is world
    assert world.happened.count(("allow", "idle", 7.0)) == 2


async def test_end_of_a_stream_is_kept_before_it_is_settled() -> None:
    happened = await World(records=True).run(b"a")
    assert happened[-4:] == [("kept end", b""), ("settled", None, ""), "good", (b"", "last")]
    nothing = await World(EVENT_STREAM, stream=True).run()
    assert nothing == [
        "first content", ("begun", EVENT_STREAM, None), b"", ("settled", None, ""), "good",
        (b"", "last"),
    ]  # fmt: skip


async def test_whole_answer_is_sent_with_its_cost_once_it_is_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(media_relay, "name_answer", lambda raw, how, name: raw + name.encode())
    monkeypatch.setattr(media_relay, "with_cost", lambda raw, nano: raw + f"${nano}".encode())
    kind = "application/json; charset=utf-8"
    world = World(kind, model="-mine", include_cost=True, records=True)
    assert await world.run(b"{", b"}") == [
        "limits stop", ("kept answer", b"{}-mine$5"), ("settled", None, ""), "good",
        (kind, 5, b"{}-mine$5"),
    ]  # fmt: skip
    assert (world.end.ttft_ms, world.relay.committed) == (40, False)
    plain = await World(kind).run(b"{}")
    assert plain[-1] == (kind, 5, b"{}")
    # Only JSON has a place for a name and a cost.
    empty = await World(model="-mine", include_cost=True).run()
    assert empty[-1] == (SOUND, 5, b"")


async def test_client_that_has_left_gets_nothing() -> None:
    assert await World(gone=True).run(b"a") == ["first content", ("settled", None, ""), "good"]
    whole = await World(JSON, gone=True).run(b"{}")
    assert whole == ["limits stop", ("settled", None, ""), "good"]


@pytest.mark.parametrize(
    ("named", "stream", "shown"),
    [
        ("audio/wav", False, "audio/wav"), ("", False, SOUND),
        ("Application/Octet-Stream; x=1", False, SOUND),
        ("text/plain; charset=utf-8", False, "text/plain; charset=utf-8"),
        ("text/plain", True, EVENT_STREAM),
    ],
)  # fmt: skip
async def test_type_is_the_providers_unless_it_says_nothing(
    named: str, stream: bool, shown: str
) -> None:
    begun = await World(named, stream=stream).run(b"a")
    assert begun[1] == ("begun", shown, None)


@pytest.mark.parametrize(
    ("fault", "row", "kind"),
    [
        (Broken("F15"), "F15", upstream_failure("F15").kind),
        (UpstreamError("upstream_rate_limited", "slow", None), "F23", "upstream_rate_limited"),
    ],
)
async def test_fault_of_an_answer_is_that_of_its_channel(fault: Any, row: str, kind: str) -> None:
    world = World()
    world.fault = fault
    with pytest.raises(UpstreamFailed) as failed:
        await world.run(b"a")
    assert (failed.value.fault, failed.value.kind) == (row, kind)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("gone", [False, True])
async def test_broken_answer_is_settled_and_its_client_can_tell(stream: bool, gone: bool) -> None:
    """A file cannot name an error: it lacks its end."""

    def last(kind: str) -> list[Any]:
        end: Any = (f"({kind})".encode(), "last") if stream else ("cut",)
        return [] if gone else [end]

    for work, kind, settled in (
        ("break_off", FAILURE.kind, [("settled", FAILURE.kind, "F14"), ("bad", "F14")]),
        ("stop", STOPPING.kind, [("settled", STOPPING.kind, "")]),
        ("dismiss", KEY_ENDED.kind, []),
    ):
        world = World(gone=gone)
        world.relay._type = EVENT_STREAM if stream else SOUND
        error = {"break_off": FAILURE, "stop": STOPPING, "dismiss": KEY_ENDED}[work]
        await getattr(world.relay, work)(error)
        assert world.happened == [*settled, *last(kind)]
        if work == "dismiss":
            assert (world.end.unheard, world.downstream.client_gone) == (KEY_ENDED, True)


async def test_client_that_takes_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    async def hang() -> None:
        await asyncio.Event().wait()

    world.downstream.cut = hang
    monkeypatch.setattr(media_relay, "_LAST_WORDS_S", 0.001)
    await world.relay.stop(STOPPING)
    assert world.happened == [("settled", STOPPING.kind, "")]
