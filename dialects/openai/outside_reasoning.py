"""Converts usage that counts reasoning outside of the completion (Grok). This is the only case in
which an answer of the same dialect is edited: `completion_tokens` is rewritten, and no other byte.
"""

from dialects.chat.events import Step, Usage
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.openai.usage import completion_with_reasoning
from dialects.streams.stream import StepDecoder


class InsideDecoder:
    """A decoder whose frames count reasoning inside the completion; its usage is unchanged."""

    def __init__(self, decoder: StepDecoder) -> None:
        self._decoder = decoder

    def feed(self, chunk: bytes) -> list[Step]:
        """Return the steps that this chunk completes."""
        return list(map(_rewrite, self._decoder.feed(chunk)))

    def end(self) -> list[Step]:
        """Finish after the upstream has closed the connection."""
        return list(map(_rewrite, self._decoder.end()))


def rewrite_usage(raw: bytes, usage: bytes | None) -> bytes:
    """Return `raw`, an answer or a piece of one, with its usage object `usage` replaced by the
    rewritten one."""
    inside = None if usage is None else _count_reasoning_inside(usage)
    if inside is None or usage is None:
        return raw
    before, match, after = raw.rpartition(usage)
    return before + inside + after if match else raw


def _rewrite(step: Step) -> Step:
    for event in step.events:
        if isinstance(event, Usage) and step.raw:
            return Step(rewrite_usage(step.raw, event.raw), step.events)
    return step


def _count_reasoning_inside(usage: bytes) -> bytes | None:
    """Return the usage object with all output counted in its completion; None if it is already."""
    completion = completion_with_reasoning(usage)
    if completion is None:
        return None
    try:
        return read_body(usage).splice({"completion_tokens": b"%d" % completion})
    except RequestFault:
        return None
