"""Convert between whole answers and events."""

from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from dialects.chat import events as neutral
from dialects.chat.chat import (
    Audio,
    Base64,
    ChatAnswer,
    Choice,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Url,
)
from dialects.chat.open_calls import is_whole
from dialects.errors.errors import DialectError


class AnswerFault(DialectError):
    """The answer reports a failure of the upstream (F23), or cannot be read."""

    def __init__(self, event: neutral.UpstreamError | neutral.Broken) -> None:
        self.event = event
        super().__init__(repr(event))


def fold(events: Iterable[neutral.Event]) -> ChatAnswer:
    """Build the answer from its events. Raises AnswerFault for UpstreamError and Broken."""
    folder = _AnswerFolder()
    for event in events:
        folder.add(event)
    return folder.answer()


def unfold(answer: ChatAnswer) -> Iterator[neutral.Event]:
    """Yield the events of an answer; `fold` is the inverse."""
    yield neutral.Start(
        answer.id, answer.model, answer.created, answer.service_tier, answer.fingerprint
    )
    for choice in answer.choices:
        at, calls = choice.index, 0
        cut = None if choice.shows_cut else cut_call(choice)
        for part in choice.parts:
            yield from _unfold_part(at, calls, part)
            if isinstance(part, ToolCall) and part is not cut:
                yield neutral.ToolCallEnd(at, calls)
            calls += isinstance(part, ToolCall)
        yield from (neutral.Citation(at, source) for source in choice.citations)
        if choice.logprobs:
            yield neutral.LogprobsDelta(at, choice.logprobs)
        if choice.refusal_logprobs:
            yield neutral.LogprobsDelta(at, choice.refusal_logprobs, refusal=True)
        if choice.finish is not None:
            yield neutral.Finish(at, choice.finish, choice.stop_sequence)
    if answer.usage is not None:
        yield neutral.Usage(answer.usage, answer.counts)


def finished_parts(choice: Choice) -> tuple[Part, ...]:
    """Return the parts of a choice as a dialect writes them whose whole answers have no mark for a
    call that is cut: without it (F38)."""
    cut = None if choice.shows_cut else cut_call(choice)
    return tuple(part for part in choice.parts if part is not cut)


def with_cut_calls(answer: ChatAnswer) -> ChatAnswer:
    """Return an answer of which every dialect shows the calls that are cut."""
    choices = [replace(choice, shows_cut=True) for choice in answer.choices]
    return replace(answer, choices=tuple(choices))


def cut_call(choice: Choice) -> ToolCall | None:
    """Return the call that the length limit has cut, and that therefore does not end (F38)."""
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    cut = choice.finish == "length" and calls and not is_whole(calls[-1].arguments)
    return calls[-1] if cut else None


def _unfold_part(at: int, calls: int, part: Part) -> Iterator[neutral.Event]:
    match part:
        case Text(text=text):
            yield neutral.TextDelta(at, text)
        case Refusal(text=text):
            yield neutral.RefusalDelta(at, text)
        case Reasoning(text=text, seal=seal):
            if text:
                yield neutral.ReasoningDelta(at, text)
            if seal is not None:
                yield neutral.ReasoningSeal(at, seal)
        case ToolCall(id=id_, name=name, arguments=arguments):
            yield neutral.ToolCallStart(at, calls, id_, name)
            if arguments:
                yield neutral.ToolArgumentsDelta(at, calls, arguments)
        case Image(source=Base64(data=data, media_type=media_type)):
            yield neutral.ImageOutput(at, media_type, data)
        case Image(source=Url(url=url)):
            yield neutral.ImageOutput(at, "", "", url)
        case Audio(source=Base64(data=data, media_type=media_type)):
            yield neutral.AudioDelta(
                at, media_type, data, part.transcript, part.id, part.expires_at
            )


class _Call:
    def __init__(self, start: neutral.ToolCallStart) -> None:
        self.id, self.name = start.id, start.name
        self.arguments: list[str] = []

    def part(self) -> ToolCall:
        return ToolCall(self.id, self.name, "".join(self.arguments))


class _Sound:
    def __init__(self) -> None:
        self.media_type, self.id, self.expires_at = "", "", 0
        self.data: list[str] = []
        self.transcript: list[str] = []

    def add(self, event: neutral.AudioDelta) -> None:
        self.media_type = self.media_type or event.media_type
        self.id = self.id or event.id
        self.expires_at = event.expires_at or self.expires_at
        self.data.append(event.data)
        self.transcript.append(event.transcript)

    def part(self) -> Audio:
        source = Base64(join_base64(self.data), self.media_type)
        return Audio(source, "".join(self.transcript), self.id, self.expires_at)


class _Words:
    """A text, refusal or reasoning that is still arriving."""

    def __init__(
        self, kind: type[neutral.TextDelta | neutral.RefusalDelta | neutral.ReasoningDelta]
    ) -> None:
        self.kind = kind
        self.pieces: list[str] = []
        self.seal: neutral.Seal | None = None

    def part(self) -> Part:
        text = "".join(self.pieces)
        if self.kind is neutral.ReasoningDelta:
            return Reasoning(text, self.seal)
        return Refusal(text) if self.kind is neutral.RefusalDelta else Text(text)


class _ChoiceFolder:
    def __init__(self) -> None:
        self.parts: list[_Words | _Call | _Sound | Image] = []
        self.calls: dict[int, _Call] = {}
        self.sound: _Sound | None = None
        self.finish: neutral.FinishReason | None = None
        self.stop_sequence = ""
        self.citations: list[neutral.Source] = []
        self.logprobs: list[neutral.TokenLogprob] = []
        self.refusal_logprobs: list[neutral.TokenLogprob] = []

    def words(
        self, kind: type[neutral.TextDelta | neutral.RefusalDelta | neutral.ReasoningDelta]
    ) -> _Words:
        last = self.parts[-1] if self.parts else None
        if isinstance(last, _Words) and last.kind is kind and last.seal is None:
            return last
        self.parts.append(words := _Words(kind))
        return words

    def open(self, event: neutral.ToolCallStart) -> None:
        self.calls[event.index] = call = _Call(event)
        self.parts.append(call)

    def add_audio(self, event: neutral.AudioDelta) -> None:
        if self.sound is None:
            self.sound = _Sound()
            self.parts.append(self.sound)
        self.sound.add(event)

    def choice(self, index: int) -> Choice:
        parts = [part if isinstance(part, Image) else part.part() for part in self.parts]
        return Choice(
            index=index,
            parts=tuple(parts),
            finish=self.finish,
            stop_sequence=self.stop_sequence,
            citations=tuple(self.citations),
            logprobs=tuple(self.logprobs),
            refusal_logprobs=tuple(self.refusal_logprobs),
        )


class _AnswerFolder:
    def __init__(self) -> None:
        self._start = neutral.Start("", "")
        self._usage: neutral.Usage | None = None
        self._choices: dict[int, _ChoiceFolder] = {}

    def add(self, event: neutral.Event) -> None:
        match event:
            case neutral.Start():
                self._start = event
            case neutral.Usage():
                self._usage = event
            case neutral.UpstreamError() | neutral.Broken():
                raise AnswerFault(event)
            case neutral.TextDelta() | neutral.RefusalDelta() | neutral.ReasoningDelta():
                self._choice(event.choice).words(type(event)).pieces.append(event.text)
            case neutral.ReasoningSeal():
                self._choice(event.choice).words(neutral.ReasoningDelta).seal = event.seal
            case neutral.ToolCallStart():
                self._choice(event.choice).open(event)
            case neutral.ToolArgumentsDelta():
                self._choice(event.choice).calls[event.index].arguments.append(event.text)
            case neutral.ImageOutput(choice=at, url=url) if url:
                self._choice(at).parts.append(Image(Url(url)))
            case neutral.ImageOutput(choice=at):
                self._choice(at).parts.append(Image(Base64(event.data, event.media_type)))
            case neutral.AudioDelta():
                self._choice(event.choice).add_audio(event)
            case _:
                self._add_rest(event)

    def _add_rest(self, event: neutral.Event) -> None:
        match event:
            case neutral.Citation():
                self._choice(event.choice).citations.append(event.source)
            case neutral.LogprobsDelta():
                choice = self._choice(event.choice)
                logprobs = choice.refusal_logprobs if event.refusal else choice.logprobs
                logprobs.extend(event.tokens)
            case neutral.Finish():
                choice = self._choice(event.choice)
                choice.finish, choice.stop_sequence = event.reason, event.stop_sequence

    def _choice(self, index: int) -> _ChoiceFolder:
        return self._choices.setdefault(index, _ChoiceFolder())

    def answer(self) -> ChatAnswer:
        start, usage = self._start, self._usage
        return ChatAnswer(
            id=start.id,
            model=start.model,
            created=start.created,
            choices=tuple(self._choices[at].choice(at) for at in sorted(self._choices)),
            counts=None if usage is None else usage.counts,
            usage=None if usage is None else usage.raw,
            service_tier=start.service_tier,
            fingerprint=start.fingerprint,
        )


def join_base64(pieces: list[str]) -> str:
    """Join pieces that are separate base64 texts into one. Decoding is needed only if a piece ends
    with padding; invalid base64 is left unchanged."""
    whole = "".join(pieces)
    padded = whole.rstrip("=").count("=")
    if not padded and len(whole) % 4 == 0:
        return whole
    try:
        return b64encode(b"".join(b64decode(piece) for piece in pieces)).decode()
    except BinasciiError:
        return whole
