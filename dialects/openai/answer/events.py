"""Read the parts of an openai answer that only a translation needs.

A forwarded stream is read only for its text, its end and its usage. A translated one is read in
full: id and model, seals, ends of tool calls, citations, likelihoods, sound, pictures, counts. This
module parses the same bytes a second time and completes the events.

    seals       those attached to tool calls: Google's own; in a whole answer also the others that
                message_decode knows (a stream sends its reasoning before the call)

    citations   message.annotations (OpenAI), citations (Grok: addresses), web_search (GLM),
                search_info.search_results (Qwen)
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from dialects.chat import events as neutral
from dialects.chat.chat import Base64
from dialects.chat.media import read_url
from dialects.chat.open_calls import OpenCalls
from dialects.chat.turns import derive_id
from dialects.errors.errors import RequestFault
from dialects.json.members import Members
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import as_text, byte_values, dicts, number, object_of
from dialects.openai.answer.wire import Answer, FullChunk
from dialects.openai.message_decode import Sealed, read_seals, read_source, split_reasoning
from dialects.openai.usage import quantities
from dialects.usage.usage import Counts

_INTEGER_MAX = 2**53
_PLAIN: Final = frozenset({neutral.TextDelta, neutral.Finish, neutral.Usage})


class Translation:
    """Completes the events of one answer, chunk after chunk; a whole answer is a single chunk.

    `audio_type` is the media type of the requested sound, which answers do not state. Calls without
    an id get one derived from `request_id` or, without it, from the answer's own id.
    """

    def __init__(self, audio_type: str, *, whole: bool, request_id: str = "") -> None:
        self._audio_type = audio_type
        self._request_id = request_id
        self._whole = whole
        self._id: str | None = None
        self._open: dict[int, OpenCalls] = {}
        self._citations: set[tuple[int, neutral.Source]] = set()

    def complete(
        self, events: list[neutral.Event], data: bytes, answer: Answer | None = None
    ) -> list[neutral.Event]:
        """Return the events of a chunk, completed from its bytes; `answer` is what was read."""
        if (
            isinstance(answer, FullChunk)
            and _PLAIN.issuperset(map(type, events))
            and answer.is_plain
        ):
            return self._complete_plain(events, answer)
        top = _decode(data)
        completed: list[neutral.Event] = [self._start(top)] if self._id is None else []
        choices = _choices(top)
        groups: dict[int, list[neutral.Event]] = {index: [] for index in choices}
        usages: list[neutral.Event] = []
        for event in events:
            if isinstance(event, neutral.Usage):
                usages.append(read_usage(event))
            else:
                groups.setdefault(event.choice, []).append(event)  # type: ignore[attr-defined]
        for index, group in groups.items():
            completed += self._complete_choice(index, group, choices.get(index, {}))
        return [*completed, *usages, *self._cite(0, _sources(top))]

    def _complete_plain(self, events: list[neutral.Event], chunk: FullChunk) -> list[neutral.Event]:
        """Return the events of a chunk with nothing to complete but its start and its usage, as
        nearly every one."""
        completed: list[neutral.Event] = []
        if self._id is None:
            completed.append(self._start(msgspec.structs.asdict(chunk)))
        for event in events:
            if isinstance(event, neutral.Finish):
                completed += self._close_calls(event)
            completed.append(read_usage(event) if isinstance(event, neutral.Usage) else event)
        return completed

    def finish(self, choices: list[int]) -> list[neutral.Event]:
        """Return the finish of choices whose answer is complete without a reason."""
        events: list[neutral.Event] = []
        for index in choices:
            finish = neutral.Finish(index, self._open.get(index, OpenCalls()).reason)
            events += [*self._close_calls(finish), finish]
        return events

    def _start(self, top: dict[str, Any]) -> neutral.Start:
        self._id = as_text(top.get("id"))
        return neutral.Start(
            self._id,
            as_text(top.get("model")),
            _integer(top.get("created")),
            as_text(top.get("service_tier")),
            as_text(top.get("system_fingerprint")),
        )

    def _complete_choice(
        self, index: int, events: list[neutral.Event], choice: dict[str, Any]
    ) -> list[neutral.Event]:
        """Return the events of a choice with reasoning before the text of the same chunk, whatever
        the order of the members."""
        delta = _delta(choice)
        raw_calls = dicts(delta.get("tool_calls"))
        thought = [event for event in events if isinstance(event, neutral.ReasoningDelta)]
        text = "".join(event.text for event in thought)
        sealed = [self._seals(call) for call in raw_calls]
        head, *before = split_reasoning(text, sealed)
        completed = [event for part in head for event in _reason(index, part.text, part.seal)]
        last: list[neutral.Event] = []
        place = 0
        for event in events:
            match event:
                case neutral.ReasoningDelta():
                    pass
                case neutral.ToolCallStart():
                    at = _place(event, raw_calls, place)
                    for part in before[at] if at is not None else ():
                        completed += _reason(index, part.text, part.seal)
                    place = place if at is None else at + 1
                    completed.append(self._open_call(event))
                case neutral.ToolArgumentsDelta(index=at, text=piece):
                    self._open[index].add(at, piece)
                    completed.append(event)
                case neutral.OpaqueDelta():
                    completed += self._read_audio(event)
                case neutral.Finish():
                    last = [*self._close_calls(event), event]
                case _:
                    completed.append(event)
        completed += _images(index, delta)
        completed += _logprobs(index, choice)
        completed += self._cite(index, _annotations(delta))
        return completed + last

    def _seals(self, call: dict[str, Any]) -> Sealed:
        return [seal for seal in read_seals(Members(call)) if self._whole or _is_gemini(seal[1])]

    def _open_call(self, event: neutral.ToolCallStart) -> neutral.ToolCallStart:
        """Open a call, with a derived id if it has none."""
        self._open.setdefault(event.choice, OpenCalls(event.choice)).open(event.index)
        if event.id:
            return event
        from_id = self._request_id or self._id or ""
        derived = derive_id("call_", from_id, event.choice, event.index)
        return neutral.ToolCallStart(event.choice, event.index, derived, event.name)

    def _close_calls(self, event: neutral.Finish) -> list[neutral.Event]:
        calls = self._open.get(event.choice)
        return [] if calls is None else calls.close_all(event.reason)

    def _read_audio(self, event: neutral.OpaqueDelta) -> Iterator[neutral.Event]:
        audio = _decode(event.raw)
        yield neutral.AudioDelta(
            event.choice,
            self._audio_type,
            as_text(audio.get("data")),
            as_text(audio.get("transcript")),
            as_text(audio.get("id")),
            _integer(audio.get("expires_at")),
        )

    def _cite(self, index: int, sources: list[neutral.Source]) -> Iterator[neutral.Event]:
        """Return the citations that were not reported yet, because some providers repeat all of
        them in every chunk."""
        for source in sources:
            if (index, source) not in self._citations:
                self._citations.add((index, source))
                yield neutral.Citation(index, source)


def _is_gemini(seal: neutral.Seal | None) -> bool:
    return seal is not None and seal.owner == "gemini"


def _reason(index: int, text: str, seal: neutral.Seal | None) -> Iterator[neutral.Event]:
    if text:
        yield neutral.ReasoningDelta(index, text)
    if seal is not None:
        yield neutral.ReasoningSeal(index, seal)


def read_usage(event: neutral.Usage) -> neutral.Usage:
    """Return a usage object together with its neutral counts."""
    meters = quantities(event.raw).meters
    return neutral.Usage(event.raw, Counts.of(meters) if meters else None)


def _place(event: neutral.ToolCallStart, calls: list[dict[str, Any]], first: int) -> int | None:
    """Return the position of the chunk's call that opened, from `first` on; None for the old form,
    which is not in the list."""
    for at, call in enumerate(calls[first:], first):
        function = object_of(call.get("function")) or object_of(call.get("custom"))
        if (as_text(call.get("id")), as_text(function.get("name"))) == (event.id, event.name):
            return at
    return None


def _images(index: int, delta: dict[str, Any]) -> Iterator[neutral.Event]:
    for image in dicts(delta.get("images")):
        url = as_text(object_of(image.get("image_url")).get("url"))
        try:
            source = read_url(url, "images")
        except RequestFault:
            continue
        if isinstance(source, Base64):
            yield neutral.ImageOutput(index, source.media_type, source.data)
        elif url:
            yield neutral.ImageOutput(index, "", "", url)


def _logprobs(index: int, choice: dict[str, Any]) -> Iterator[neutral.Event]:
    logprobs = object_of(choice.get("logprobs"))
    for name, refusal in (("content", False), ("refusal", True)):
        tokens = tuple(_token(token) for token in dicts(logprobs.get(name)))
        if tokens:
            yield neutral.LogprobsDelta(index, tokens, refusal)


def _token(token: dict[str, Any]) -> neutral.TokenLogprob:
    top = tuple(
        neutral.TopLogprob(
            as_text(alternative.get("token")),
            number(alternative.get("logprob")),
            byte_values(alternative.get("bytes")),
        )
        for alternative in dicts(token.get("top_logprobs"))
    )
    text, logprob = as_text(token.get("token")), number(token.get("logprob"))
    return neutral.TokenLogprob(text, logprob, byte_values(token.get("bytes")), top)


def _annotations(delta: dict[str, Any]) -> list[neutral.Source]:
    url_citations = [
        object_of(annotation.get("url_citation")) for annotation in dicts(delta.get("annotations"))
    ]
    return [read_source(annotation) for annotation in url_citations if annotation]


def _sources(top: dict[str, Any]) -> list[neutral.Source]:
    citations = top.get("citations")
    urls = citations if isinstance(citations, list) else []
    sources = [neutral.Source(url) for url in urls if isinstance(url, str)]
    searched = dicts(object_of(top.get("search_info")).get("search_results"))
    sources += [
        neutral.Source(as_text(result.get("url")), as_text(result.get("title")))
        for result in searched
    ]
    for result in dicts(top.get("web_search")):
        quote = as_text(result.get("content"))
        sources.append(
            neutral.Source(as_text(result.get("link")), as_text(result.get("title")), quote=quote)
        )
    return [source for source in sources if source.url]


def _decode(data: bytes) -> dict[str, Any]:
    """Return a JSON object. Anything that is not one, or has numbers out of range, becomes {}."""
    try:
        return object_of(msgspec.json.decode(data))
    except NOT_JSON:
        return {}


def _choices(top: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {_integer(choice.get("index")): choice for choice in dicts(top.get("choices"))}


def _delta(choice: dict[str, Any]) -> dict[str, Any]:
    return object_of(choice.get("delta")) or object_of(choice.get("message"))


def _integer(value: Any) -> int:
    known = isinstance(value, int) and not isinstance(value, bool)
    return value if known and 0 <= value < _INTEGER_MAX else 0
