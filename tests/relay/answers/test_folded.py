"""A stream that is collected for a client which wants a whole answer: how it ends."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from dialects.chat.events import Broken, End, Event, Finish, TextDelta
from relay.answers.whole_answer import WholeRelay
from relay.upstream.failures import UpstreamFailed

TEXT = TextDelta(0, "a")


class Folding(WholeRelay):
    """What is answered, from chunks of such events."""

    def __init__(self, chunks: Sequence[Sequence[Event]], cap: int) -> None:
        self.answered: list[Any] = []
        self.noted: list[Event] = []
        self.chunks = iter(chunks)
        decoder = SimpleNamespace(report_tier=lambda _: None, text_bytes=0, reasoning_bytes=0)
        reader = SimpleNamespace(feed=lambda _: [SimpleNamespace(events=next(self.chunks))])
        self._admitted: Any = SimpleNamespace(
            prepared=SimpleNamespace(
                translating_decoder=lambda _: decoder, untagging=lambda *_: reader
            ),
            facts=SimpleNamespace(choices=1), timeouts=SimpleNamespace(idle=5),
        )  # fmt: skip
        self._usage_meter: Any = SimpleNamespace(
            decoder=None, prices=SimpleNamespace(set_reported_tier=None), note=self.noted.extend,
            is_above_cap=lambda: len(self.noted) > cap,
        )  # fmt: skip
        self._gathering: Any = SimpleNamespace(whole=lambda: None)
        self._context: Any = SimpleNamespace(
            downstream=SimpleNamespace(client_gone=False),
            deadline=SimpleNamespace(allow=lambda *_: None),
        )

    async def _answer(self, counting: Any, events: Any, raw: bytes, fault: str = "") -> Any:
        self.answered.append((list(events), fault))


async def next_bytes() -> bytes:
    return b"chunk"


ANSWER: Any = SimpleNamespace(next_bytes=next_bytes)


@pytest.mark.parametrize(
    ("chunks", "cap", "events", "fault"),
    [
        (
            [[TEXT], [TEXT, Finish(0, "stop"), End(marked=True)]],
            9,
            [TEXT, TEXT, Finish(0, "stop")],
            "",
        ),
        # Above its cap, it is cut here, and says so.
        ([[TEXT], [TEXT], [TEXT]], 1, [TEXT, TEXT, Finish(0, "length")], "F18"),
        ([[TEXT, TEXT, End(marked=True)]], 1, [TEXT, TEXT], ""),
    ],
)
async def test_collected_stream_ends_with_its_reason(
    chunks: Any, cap: int, events: list[Event], fault: str
) -> None:
    folding = Folding(chunks, cap)
    await folding._relay_folded(ANSWER, None)  # type: ignore[arg-type]
    assert folding.answered == [(events, fault)]
    assert [one for one in folding.noted if type(one) is Finish] == [
        one for one in events if type(one) is Finish
    ]


async def test_collected_stream_that_breaks_is_no_answer() -> None:
    folding = Folding([[TEXT], [Broken("F15")]], 9)
    with pytest.raises(UpstreamFailed) as failed:
        await folding._relay_folded(ANSWER, None)  # type: ignore[arg-type]
    assert failed.value.fault == "F15"
    assert folding.answered == []
