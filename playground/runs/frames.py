"""Renders the frames of a run in the sender's language, and stores them as events. Unless stated
otherwise, call this in a thread that may use the database."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from django.utils import translation

from dialects.chat.events import Event
from playground.answers.cost import Meter
from playground.answers.events import AppendResult, PartialAnswer, append_frames
from playground.answers.incoming_answer import IncomingAnswer
from playground.attachments.attachments import save_media
from playground.messages import page
from playground.models import Run, RunState
from playground.rendering.render import AnswerPainter, Frame
from playground.rendering.structured import is_structured
from playground.turns.turns import end_run
from relay.hold_sizes.bound import Bound

STATS_S: Final = 0.5
SLOW_S: Final = (5, 20)
"""After how many seconds without data the page says that the model is slow."""


class StatusPainter:
    """Renders what surrounds an answer's text: its figures, the heading of its reasoning, and
    notes. `meter` and `bound` are None until the request is sent, and in a blind comparison, where
    an amount would tell the model."""

    def __init__(self, run: Run, incoming: IncomingAnswer) -> None:
        self.meter: Meter | None = None
        self.bound: Bound | None = None
        self._run = run
        self._message = run.assistant_message.text_id
        self._incoming = incoming
        self._slow = list(SLOW_S)
        self._bound_shown = False
        self._stats_at = 0.0
        self._thought_shown = False
        self._head_shown = False

    def next_at(self) -> float | None:
        """Return when the next change is due even if no data arrives, or None."""
        if self._incoming.has_begun or not self._slow:
            return None
        return self._incoming.progress.began_at + self._slow[0]

    def paint(self, now: float) -> str:
        """Return the changes that are due."""
        return (
            self._bound() + self._waiting(now) + self._stats(now) + self._thought() + self._head()
        )

    def _bound(self) -> str:
        if self.bound is None or self._bound_shown or self._incoming.has_begun:
            return ""
        self._bound_shown = True
        return page.waiting_html(self._message, self.bound)

    def _waiting(self, now: float) -> str:
        due = self.next_at()
        if due is None or now < due:
            return ""
        return page.slow_html(self._run, self._slow.pop(0))

    def _stats(self, now: float) -> str:
        progress = self._incoming.progress
        if progress.first_at is None or now - self._stats_at < STATS_S:
            return ""
        self._stats_at = now
        text, thought = progress.text_tokens, progress.reasoning_tokens
        html = page.stats_html(
            self._message,
            ttft_ms=int((progress.first_at - progress.began_at) * 1000),
            tokens=text + thought,
            milliseconds=int((now - progress.first_at) * 1000),
            cost_nano=self.meter.cost_nano(text, thought) if self.meter else None,
            bound=self.bound,
        )
        if progress.thinks and progress.thinking_at is not None:
            milliseconds = int((now - progress.thinking_at) * 1000)
            html += page.thinking_html(self._message, milliseconds, thought)
        return html

    def _thought(self) -> str:
        progress = self._incoming.progress
        if progress.thought_ms is None or self._thought_shown:
            return ""
        self._thought_shown = True
        return page.thought_html(self._message, progress.thought_ms, progress.reasoning_tokens)

    def _head(self) -> str:
        head = self._incoming.head
        if head is None or self._head_shown:
            return ""
        self._head_shown = True
        return page.head_html(self._message, head.dropped, head.output_cap)


class FrameWriter:
    """Writes an answer frame by frame, and then its end."""

    def __init__(self, run: Run, incoming: IncomingAnswer) -> None:
        self.status = StatusPainter(run, incoming)
        self._run = run
        self._incoming = incoming
        self._language = translation.get_language() or "en"
        self._painter = AnswerPainter(
            run.assistant_message.text_id,
            page.answer_labels(),
            structured=is_structured(run.settings),
        )
        self._seq = 0
        self._text: list[str] = []
        self._reasoning: list[str] = []

    def write(self, events: Sequence[Event], wire: str, now: float) -> AppendResult:
        """Write another frame if there is anything to show or to store."""
        with translation.override(self._language):
            frame = self._painter.paint(events)
            frame = replace(frame, html=frame.html + self.status.paint(now), wire=wire)
        frames = [frame] if frame.html or frame.text or frame.reasoning or frame.wire else []
        appended = append_frames(self._run.id, self._seq + 1, frames)
        self._seq += len(frames)
        self._text += [frame.text for frame in frames]
        self._reasoning += [frame.reasoning for frame in frames if frame.reasoning]
        return appended

    def write_end(self, state: RunState, outcome: dict[str, Any]) -> None:
        """Write the last frame and the whole message."""
        answer = PartialAnswer(self._seq, "".join(self._text), "".join(self._reasoning))
        outcome |= _facts_of(self._incoming)
        collected = self._incoming.collected
        parts, further_choices = collected.parts(), collected.further_choices()
        media = save_media(self._run, collected.media())
        if media:
            parts["media"] = media
        with translation.override(self._language):
            html = self._painter.end().html
            html += page.ended_html(self._run, state, outcome, answer, parts, further_choices)
        frames = [Frame(html, wire=self._incoming.take_wire())]
        end_run(
            run_id=self._run.id,
            state=state,
            outcome=outcome,
            answer=answer,
            frames=frames,
            parts=parts,
            further_choices=further_choices,
        )


def _facts_of(incoming: IncomingAnswer) -> dict[str, Any]:
    """Return the facts of the response head and the reasoning for the outcome."""
    facts: dict[str, Any] = {}
    if incoming.progress.thought_ms is not None:
        facts["thought_ms"] = incoming.progress.thought_ms
    if incoming.head is not None:
        facts["head"] = {"output_cap": incoming.head.output_cap, "dropped": incoming.head.dropped,
                         "content_type": incoming.head.content_type}  # fmt: skip
    return facts
