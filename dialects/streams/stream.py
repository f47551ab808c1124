"""Decode a stream of server-sent events: the parts that all dialects share. A dialect interprets
one frame (`_read`); this module decides when a stream has ended and what was cut.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple, Protocol

import msgspec

from dialects.chat.events import Broken, BrokenFault, End, Event, Step, TextDelta, Usage
from dialects.errors.masking import mask_members
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import size
from dialects.streams.json_repair import repair_frame
from dialects.streams.service_tier import TierReader
from dialects.streams.splice import Splice, WrittenStep
from dialects.streams.sse import Frame, FrameSplitter
from dialects.upstream_errors.upstream_errors import UpstreamFault

# Matches the characters of a JSON text; UTF-8 and surrogate pairs are checked elsewhere.
_TEXT: Final = re.compile(
    rb'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u' + 4 * rb"[0-9A-Fa-f]" + rb")++"
)
_MISSES_MAX: Final = 4
_encode: Final = msgspec.json.Encoder().encode


class Reader(Protocol):
    """Converts the members of an answer to events, and counts them."""

    text_bytes: int

    @property
    def seen(self) -> int: ...
    @property
    def reasoning_bytes(self) -> int: ...


class ChoiceProgress:
    """Tracks which choices of an answer have started and ended, and their size."""

    def __init__(self) -> None:
        self._finished: set[int] = set()
        self._seen: set[int] = set()
        self.text_bytes = 0
        self.reasoning_bytes = 0

    @property
    def seen(self) -> int:
        """Return how many choices have started."""
        return len(self._seen)

    def unfinished(self, choices: int = 0) -> list[int]:
        """Return the choices that have started, and the first `choices`, without those that have a
        finish reason."""
        return sorted({*range(choices), *self._seen} - self._finished)

    def all_finished(self, choices: int) -> bool:
        """Return whether every requested choice, and every one received, has a finish reason."""
        return len(self._finished) >= max(choices, len(self._seen))


class StepDecoder(Protocol):
    """Reads the bytes of a stream, or wraps a decoder that does."""

    def feed(self, chunk: bytes) -> list[Step]: ...
    def end(self) -> list[Step]: ...


class Splitter(Protocol):
    """Splits the bytes of a stream into frames."""

    @property
    def too_large(self) -> bool: ...
    def begins(self, chunk: bytes) -> bool: ...
    def feed(self, chunk: bytes) -> list[Frame]: ...
    def end(self) -> Frame | None: ...


class FrameDecoder(ABC):
    """Reads one streamed answer.

    After each call `complete` tells whether a break would not be a fault; `usage` is the last raw
    usage object (F26) or None. `waits_for_usage` tells whether the end marker came before any
    usage, which may follow. `skims`: a frame that differs from the one before in its text alone is
    not parsed, because reading it changes nothing but the count of text. `end_marker` is the frame
    that ends every stream of the dialect, for an upstream that omits it (F14a).
    """

    end_marker: ClassVar[bytes] = b""
    _reader: Reader

    def __init__(self, frame_bytes_max: int, *, skims: bool = False) -> None:
        self._splitter: Splitter = FrameSplitter(frame_bytes_max)
        self._bytes_max = frame_bytes_max
        self._closed = False
        # While set, the splitter stands at the beginning of a frame.
        self._template: Template | None = None
        self._misses = 0 if skims else _MISSES_MAX
        # Whether `splice` can write anything.
        self.splices = skims
        # Writes texts for the client, while set.
        self._splice: Splice | None = None
        # Rewrites frames for the client, if set.
        self._rewriter: Callable[[bytes], bytes] | None = None
        # Reads the tier that the frames name, if set.
        self._tiers: TierReader | None = None
        self.usage: bytes | None = None
        self.complete = False
        self.waits_for_usage = False

    @property
    def text_bytes(self) -> int:
        """Return the UTF-8 bytes of text, refusals and tool calls so far."""
        return self._reader.text_bytes

    @property
    def reasoning_bytes(self) -> int:
        """Return the UTF-8 bytes of reasoning so far."""
        return self._reader.reasoning_bytes

    @property
    def progress(self) -> Reader:
        """Return what has been read so far: its counts are plain attributes."""
        return self._reader

    def report_tier(self, on_tier: Callable[[str], None]) -> None:
        """Call `on_tier` with each tier that a later frame names."""
        self._tiers = TierReader(on_tier)

    def show(self, rewrite: Callable[[bytes], bytes]) -> None:
        """Pass every later frame through `rewrite` before it goes to the client. `rewrite` must not
        change the frame's texts."""
        self._rewriter = rewrite

    def splice(self, splice: Splice) -> None:
        """Write the texts at the beginning of the next chunks, in WrittenSteps, up to the first
        frame that differs in more or has to be read as an event."""
        self._splice = splice

    def feed(self, chunk: bytes) -> list[Step]:
        """Return the steps that this chunk completes. The last step of an answer holds End,
        UpstreamError or Broken."""
        if self._closed:
            return []
        steps: list[Step] = []
        if self._template is not None and len(chunk) <= self._bytes_max:
            # Nearly every chunk of a long answer ends here.
            at = self._skip_alike(self._template, chunk, 0, steps)
            if at == len(chunk):
                return steps
            chunk = chunk[at:]
        self._splice = None
        if self._misses < _MISSES_MAX and self._splitter.begins(chunk):
            chunk = self._feed_alike(chunk, steps)
        if not chunk or self._closed:
            return steps
        self._template = None
        for frame in self._splitter.feed(chunk):
            steps.append(self._rewrite(self._read(frame)))
            if self._closed:
                return steps
        if self._splitter.too_large:
            steps.append(self._break("F17"))
        return steps

    def _rewrite(self, step: Step) -> Step:
        """Report the tier of a step, and return it as it goes to the client. A frame that differs
        from this one in its text alone names the same tier."""
        if self._tiers is not None:
            self._tiers.read(step.raw)
        if self._rewriter is None or not step.raw:
            return step
        return Step(self._rewriter(step.raw), step.events)

    def _feed_alike(self, chunk: bytes, steps: list[Step]) -> bytes:
        """Read the complete frames of a chunk, most of which differ from the previous one only in
        their text; return the rest of the chunk."""
        at = 0
        while True:
            if self._template is not None:
                at = self._skip_alike(self._template, chunk, at, steps)
                if at == len(chunk):
                    return b""
            end = chunk.find(b"\n\n", at) + 2
            if end == 1:
                return chunk[at:]
            (frame,) = self._splitter.feed(chunk[at:end])
            step = self._read(frame)
            rewritten = self._rewrite(step)
            steps.append(rewritten)
            at = end
            if self._closed:
                return b""
            self._template = _template(frame, step, rewritten.raw)
            self._misses += self._template is not None

    def _skip_alike(self, template: "Template", chunk: bytes, at: int, steps: list[Step]) -> int:
        """Return the position of the first frame from `at` on that differs in more than its
        text."""
        choice, before, after, shown_before, shown_after = template
        splice = self._splice
        if splice is not None:
            own, shown_before, shown_after, pass_words, pass_text = splice
            if own != choice:
                return at
        events: list[Event] = []
        rewritten: list[bytes] = []
        begin, text_bytes = at, 0
        before_bytes, after_bytes = len(before), len(after)
        while chunk.startswith(before, at):
            match = _TEXT.match(chunk, at + before_bytes)
            if match is None or not chunk.startswith(after, match.end()):
                break
            raw = match[0]
            try:
                if b"\\" in raw:
                    text = msgspec.json.decode(b'"%b"' % raw)
                    text_bytes += size(text)
                else:
                    text = raw.decode()
                    text_bytes += len(raw)
            except NOT_JSON:
                break
            if splice is not None:
                shown = pass_words(text)
                if shown is None:
                    shown = pass_text(text)
                if shown is None:
                    # It is counted when it is read.
                    text_bytes -= size(text)
                    break
                if shown:
                    rewritten += (shown_before, _encode(shown), shown_after)
            elif self._rewriter is not None:
                rewritten += (shown_before, raw, shown_after)
            events.append(TextDelta(choice, text))
            at = match.end() + after_bytes
        if events:
            self._misses = 0
            self._reader.text_bytes += text_bytes
            if splice is not None:
                steps.append(WrittenStep(b"".join(rewritten), events))
            else:
                steps.append(Step(b"".join(rewritten) or chunk[begin:at], events))
        return at

    def end(self) -> list[Step]:
        """Handle the end of the connection: return the rest, then End or Broken unless the stream
        has ended.
        """
        if self._closed:
            return []
        steps: list[Step] = []
        frame = self._splitter.end()
        # A frame cut right after `data:` is empty, and no client could read it.
        if frame is not None and frame.data:
            steps += self._read_leftover(frame)
        steps = [self._rewrite(step) for step in steps]
        if not self._closed:
            steps.append(self._stop())
        return steps

    @abstractmethod
    def _read(self, frame: Frame) -> Step:
        """Return the step of a complete frame."""

    @property
    def _seen(self) -> bool:
        return bool(self._reader.seen)

    def _read_leftover(self, frame: Frame) -> list[Step]:
        """Read a last frame without its empty line: it counts only if it is complete."""
        step = self._read(frame)
        last = step.events[-1] if step.events else None
        if isinstance(last, Broken) or (isinstance(last, End) and not last.marked):
            self._closed = False
            return []
        ending = b"" if not step.raw else b"\n" if step.raw.endswith((b"\n", b"\r")) else b"\n\n"
        return [Step(step.raw + ending, step.events)]

    def _stop(self) -> Step:
        """Return the step for an upstream that closes here."""
        return self._break(self._cut())

    def _cut(self) -> BrokenFault:
        return "F14" if self._seen else "F24"

    def _repair(self, frame: Frame, *, marks: bool = False) -> Step:
        """Return the step of a frame whose JSON is invalid (F15, F15a, F27)."""
        repaired = repair_frame(frame, marks=marks)
        return self._break("F15") if repaired is None else self._read(repaired)

    def _end(self, *, marked: bool, raw: bytes = b"") -> Step:
        self._closed = self.complete = True
        self.waits_for_usage = False
        return Step(raw, [End(marked)])

    def _break(self, fault: BrokenFault) -> Step:
        """Return the step for an unreadable frame. After a complete answer it is ignored."""
        if self.complete:
            return self._end(marked=False, raw=self.end_marker)
        self._closed = True
        return Step(b"", [Broken(fault)])

    def _fail(self, raw: bytes, fault: UpstreamFault) -> Step:
        self._closed = True
        return Step(raw, [fault.event])

    def _with_usage(self, step: Step, usage: bytes | None) -> Step:
        """Return the step of a failure, which reports the usage of what came before it."""
        if usage is None:
            return step
        self.usage = usage
        return Step(step.raw, [Usage(usage), *step.events])


class Template(NamedTuple):
    """The bytes around the text of a frame, as received and as rewritten."""

    choice: int
    before: bytes
    after: bytes
    shown_before: bytes
    shown_after: bytes


def _template(frame: Frame, step: Step, rewritten: bytes) -> Template | None:
    """Return the template of the next frame, if this frame holds a text delta and nothing else.

    Such a frame and one that differs in this text alone are read the same. If the text appears once
    and no other text is escaped, its position is certain.
    """
    events, raw = step.events, step.raw
    if len(events) != 1 or type(events[0]) is not TextDelta or raw is not frame.raw:
        return None
    if b"\r" in raw:
        return None
    # The text in two spellings: with required escapes only, and with all optional ones.
    forms = {msgspec.json.encode(events[0].text), json.dumps(events[0].text).encode()}
    matches = [form for form in forms if form in raw]
    if len(matches) != 1:
        return None
    text = matches[0]
    if raw.count(text) != 1 or rewritten.count(text) != 1 or raw.count(b"\\") != text.count(b"\\"):
        return None
    around = shown_around = _split_around(raw, text)
    if rewritten is not raw:
        shown_around = _split_around(rewritten, text)
    return Template(events[0].choice, *around, *shown_around)


def _split_around(raw: bytes, text: bytes) -> tuple[bytes, bytes]:
    """Return the bytes before and after a quoted text."""
    at = raw.index(text)
    return raw[: at + 1], raw[at + len(text) - 1 :]


def is_utf8(raw: bytes) -> bool:
    """Return whether the bytes are UTF-8; the caller handles the common case of ASCII."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def mask_frame(frame: Frame, write: Callable[[Any], bytes]) -> bytes:
    """Return the frame unchanged, unless a text in its data must be masked: then `write` rewrites
    it.

    Returns b"" if it cannot be checked; the relay then writes the error itself.
    """
    try:
        value = msgspec.json.decode(frame.data or b"")
        masked = mask_members(value)
    except NOT_JSON:
        return b""
    return frame.raw if masked == value else write(masked)


def write_data(value: Any) -> bytes:
    """Return a frame with this value and without a name."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"
