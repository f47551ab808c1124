"""What is written of an answer while it is made, and once it has ended, without its database."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import translation

from dialects.chat.events import ReasoningDelta, TextDelta
from lib.ids import new_id
from playground.answers.events import AppendResult, PartialAnswer
from playground.answers.incoming_answer import IncomingAnswer
from playground.answers.progress import Progress
from playground.messages import page
from playground.models import Conversation, Message, Run, RunState
from playground.rendering.render import Frame
from playground.runs import frames
from playground.runs.frames import FrameWriter, StatusPainter
from tests.playground.asking import BOUND, chunks

FREE = BOUND._replace(price_version_id=None)
UNEXPECTED = BOUND._replace(expected_nano=None)


def words(html: str, target: str) -> str:
    """What one change writes to its target."""
    before, after = f'<hx-partial hx-target="#{target}-M" hx-swap="innerHTML">', "</hx-partial>"
    assert html.startswith(before), html
    assert html.count(after) == 1
    return html.removeprefix(before).removesuffix(after)


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "TTFT 410 ms · 650 tok/s · ≈ 1,301 out"),
        ({"milliseconds": 499}, "TTFT 410 ms · ≈ 1,301 out"),
        ({"milliseconds": 500, "tokens": 7}, "TTFT 410 ms · 14.0 tok/s · ≈ 7 out"),
        ({"cost_nano": 17_000_000}, "TTFT 410 ms · 650 tok/s · ≈ 1,301 out · ≈ $0.017"),
        ({"cost_nano": 0, "bound": FREE}, "TTFT 410 ms · 650 tok/s · ≈ 1,301 out · ≈ $0.00"),
        (
            {"ttft_ms": 61_000, "bound": BOUND},
            "TTFT 1 min 1 s · 650 tok/s · ≈ 1,301 out · expected $0.006 · ≤ $0.042 reserved",
        ),
        ({"bound": UNEXPECTED}, "TTFT 410 ms · 650 tok/s · ≈ 1,301 out · ≤ $0.042 reserved"),
    ],
)
def test_line_under_an_answer_in_progress(facts: dict[str, Any], line: str) -> None:
    usual: dict[str, Any] = {
        "ttft_ms": 410, "tokens": 1_301, "milliseconds": 2_000, "cost_nano": None,
    }  # fmt: skip
    assert words(page.stats_html("M", **usual | facts), "stats") == line


def test_lines_before_the_text_of_an_answer() -> None:
    waits = words(page.waiting_html("M", BOUND), "stats")
    assert waits == "Waiting for the first token · expected $0.006 · ≤ $0.042 reserved"
    assert words(page.waiting_html("M", FREE), "stats") == "Waiting for the first token"
    thinks = words(page.thinking_html("M", 3_999, 1_301), "think-head")
    assert thinks == "Thinking… 3 s · ≈ 1,301 tokens"
    thought = words(page.thought_html("M", 2_900, 1_301), "think-head")
    assert thought == "Thought for 2.90 s · ≈ 1,301 tokens"
    assert words(page.thought_html("M", 2_900, 0), "think-head") == "Thought for 2.90 s"
    note = words(page.head_html("M", ["top_k"], 2_003), "note")
    assert "top_k" in note
    assert "2,003" in note
    assert page.head_html("M", [], None) == ""


# When each of them comes ------------------------------------------------------------------------


class Noted:
    """Notes which line is asked for, and with what."""

    def __getattr__(self, name: str) -> Any:
        def line(*given: Any, **named: Any) -> str:
            of_run = [getattr(one, "model", one) for one in given]
            said = ", ".join(map(str, (*of_run[1:], *named.values())))
            return f"<{name.removesuffix('_html')} {said}>"

        return line


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> StatusPainter:
    monkeypatch.setattr(frames, "page", Noted())
    run = Run(model="m", assistant_message=Message(id=new_id()))
    incoming = SimpleNamespace(progress=Progress(100.0), head=None, has_begun=False)
    return StatusPainter(run, incoming)  # type: ignore[arg-type]


def test_silence_is_said_after_5_and_20_seconds(painter: StatusPainter) -> None:
    looks = [(104.9, ""), (105.0, "<slow 5>"), (119.9, ""), (121.0, "<slow 20>"), (199.0, "")]
    for now, line in looks:
        assert painter.paint(now) == line
    assert painter.next_at() is None


def test_no_silence_is_said_once_the_answer_has_begun(painter: StatusPainter) -> None:
    assert painter.next_at() == 105.0
    painter._incoming.has_begun = True  # type: ignore[misc]
    assert painter.next_at() is None
    painter.bound = BOUND
    assert painter.paint(130.0) == ""


def test_what_is_held_is_said_once_before_the_answer(painter: StatusPainter) -> None:
    assert painter.paint(100.0) == ""
    painter.bound = BOUND
    assert painter.paint(100.1) == f"<waiting {BOUND}>"
    assert painter.paint(100.2) == ""


def test_figures_are_said_every_half_second(painter: StatusPainter) -> None:
    progress = painter._incoming.progress
    painter.bound = BOUND
    costs = list[tuple[int, int]]()

    def cost_nano(text: int, thought: int) -> int:
        costs.append((text, thought))
        return 5

    painter.meter = SimpleNamespace(cost_nano=cost_nano)  # type: ignore[assignment]
    painter._incoming.has_begun = True  # type: ignore[misc]
    progress.note(ReasoningDelta(0, "x" * 40), 101.0)
    thought = progress.reasoning_tokens
    assert painter.paint(102.0) == (
        f"<stats 1000, {thought}, 1000, 5, {BOUND}><thinking 1000, {thought}>"
    )
    assert painter.paint(102.4) == ""
    progress.note(TextDelta(0, "y" * 400), 103.0)
    text = progress.text_tokens
    assert text > thought > 0
    assert painter.paint(103.0) == (
        f"<stats 1000, {text + thought}, 2000, 5, {BOUND}><thought 2000, {thought}>"
    )
    assert costs == [(0, thought), (text, thought)]
    assert painter.paint(103.1) == ""


def test_what_was_left_out_is_said_once(painter: StatusPainter) -> None:
    painter._incoming.head = SimpleNamespace(dropped=("top_k",), output_cap=7)  # type: ignore[assignment]
    assert painter.paint(100.0) == "<head ('top_k',), 7>"
    assert painter.paint(100.1) == ""


# What is stored ---------------------------------------------------------------------------------


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is appended and how it ends."""
    kept: list[Any] = []

    def append(run_id: Any, seq: int, new: Sequence[Frame]) -> AppendResult:
        kept.append([(seq + place, one) for place, one in enumerate(new)])
        return AppendResult(alive=True, stopping=False)

    def ended(run: Run, state: RunState, *rest: Any) -> str:
        return f"<ended {translation.get_language()}>"

    monkeypatch.setattr(frames, "append_frames", append)
    monkeypatch.setattr(frames, "end_run", lambda **facts: kept.append(facts))
    monkeypatch.setattr(frames, "save_media", lambda run, media: [str(one.kind) for one in media])
    monkeypatch.setattr(page, "ended_html", ended)
    return kept


def test_answer_is_stored_frame_by_frame_and_as_a_whole(stored: list[Any]) -> None:
    run = Run(
        id=new_id(), model="m", assistant_message=Message(id=new_id()), settings={},
        conversation=Conversation(columns=[]),
    )  # fmt: skip
    incoming = IncomingAnswer(100.0)
    with translation.override("de"):
        writer = FrameWriter(run, incoming)
    for piece in chunks(
        {"reasoning_content": "Hm"}, {"content": "Good "}, {"content": "day"},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]},
    ):  # fmt: skip
        incoming.take(piece, 101.5)
        writer.write(incoming.take_events(), incoming.take_wire(), 101.6)
    assert writer.write([], "", 101.7).alive
    numbers = [[seq for seq, _ in group] for group in stored]
    assert numbers == [[1], [2], [3], [4], []]
    texts = [(one.text, one.reasoning) for group in stored for _, one in group]
    assert texts == [("", "Hm"), ("Good ", ""), ("day", ""), ("", "")]
    assert all(one.wire.startswith("data: ") for group in stored for _, one in group)
    incoming.head = SimpleNamespace(  # type: ignore[assignment]
        output_cap=7, dropped=("top_k",), content_type="text/event-stream"
    )
    stored.clear()
    writer.write_end(RunState.DONE, {"status": 200})
    (end,) = stored
    (frame,) = end.pop("frames")
    assert frame.html.endswith("<ended de>")
    assert end == {
        "run_id": run.id,
        "state": RunState.DONE,
        "outcome": {
            "status": 200,
            "thought_ms": 0,
            "head": {
                "output_cap": 7, "dropped": ("top_k",), "content_type": "text/event-stream",
            },
        },
        "answer": PartialAnswer(4, "Good day", "Hm"),
        "parts": {"calls": [{"id": "c", "name": "f", "arguments": "{}"}]},
        "further_choices": [],
    }  # fmt: skip
