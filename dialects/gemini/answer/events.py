"""Convert the candidates of an answer to neutral events, for whole and streamed answers.

    thought text          reasoning; its seal closes it
    text                  text; an empty one may carry a seal or nothing
    functionCall          a whole tool call, after the seal attached to it
    inlineData, fileData  picture or sound
    executableCode, codeExecutionResult
                          the provider's own: content for a client of the same dialect only

A finish reason other than an end, a length or a filter is a plain stop if the answer has content;
otherwise the upstream has failed.
"""

import msgspec

from dialects.chat import events as neutral
from dialects.chat.google_seals import read_signature
from dialects.chat.turns import derive_id
from dialects.errors.errors import message_of
from dialects.errors.masking import clean_upstream
from dialects.gemini.answer.finish_reasons import FINISH_REASONS
from dialects.gemini.answer.grounding import count_searches, read_queries, read_sources
from dialects.gemini.answer.wire import Answer, Candidate, FunctionCall, Part
from dialects.json.raw_json import ABSENT, as_text, dicts, members_of, size, value_bytes


class _Choice:
    """The state of one candidate between frames."""

    __slots__ = ("calls", "cited", "texts")

    def __init__(self) -> None:
        self.calls = 0
        self.cited: set[neutral.Source] = set()
        self.texts: list[str] = []


class CandidateReader:
    """Converts frames to events, one after the other. With `translate`, the events include
    everything that an encoder needs. Calls without an id get one derived from `request_id` or,
    without it, from the answer's own id. After each call `text_bytes` and `reasoning_bytes` count
    the UTF-8 bytes up to now, `searches` the searches, and `seen` the candidates that have
    started."""

    def __init__(self, *, translate: bool, request_id: str = "") -> None:
        self._translate = translate
        self._request_id = request_id
        self._choices: dict[int, _Choice] = {}
        self._finished: set[int] = set()
        self._queries: set[tuple[int, str]] = set()
        self._has_content = False
        self._blocked = False
        self._id = ""
        self.text_bytes = 0
        self.reasoning_bytes = 0
        self.searches = 0

    @property
    def seen(self) -> int:
        """Return how many candidates have started; a blocked prompt counts as one."""
        return len(self._choices)

    def all_finished(self, choices: int) -> bool:
        """Return whether every requested candidate, and every one received, has a finish reason."""
        return self._blocked or len(self._finished) >= max(choices, len(self._choices))

    def read(self, answer: Answer, events: list[neutral.Event]) -> neutral.UpstreamError | None:
        """Append the events of a frame. Return an error that the frame reports instead of a
        finish."""
        self._id = self._id or answer.response_id or ""
        for candidate in answer.candidates or ():
            error = self._read(candidate, answer.model_version or "", events)
            if error is not None:
                return error
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not self._choices:
            self._choices[0] = _Choice()
            self._finished.add(0)
            self._blocked = True
            events.append(neutral.Finish(0, "content_filter"))
        return None

    def unfinished(self, choices: int = 0) -> list[int]:
        """Return the candidates that have started, and the first `choices`, without those that have
        a finish reason."""
        return sorted({*range(choices), *self._choices} - self._finished)

    def finish(self) -> list[neutral.Event]:
        """Return the finish of candidates whose answer is complete without a reason."""
        return [
            neutral.Finish(index, "tool_calls" if self._choices[index].calls else "stop")
            for index in self.unfinished()
        ]

    def _read(
        self, candidate: Candidate, model_version: str, events: list[neutral.Event]
    ) -> neutral.UpstreamError | None:
        index = candidate.index or 0
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice()
        finished = index in self._finished
        if candidate.content is not None and not finished:
            for part in candidate.content.parts or ():
                self._read_part(index, choice, part, events)
        if candidate.grounding_metadata is not ABSENT:
            self._queries.update(
                (index, query) for query in read_queries(candidate.grounding_metadata)
            )
            self.searches = count_searches(len(self._queries), model_version)
        if self._translate:
            if candidate.logprobs_result is not ABSENT and not finished:
                _add_logprobs(index, candidate.logprobs_result, events)
            _add_citations(index, choice, candidate, events)
        if candidate.finish_reason and not finished:
            return self._finish(index, choice, candidate, events)
        return None

    def _finish(
        self, index: int, choice: _Choice, candidate: Candidate, events: list[neutral.Event]
    ) -> neutral.UpstreamError | None:
        word = candidate.finish_reason or ""
        reason = FINISH_REASONS.get(word)
        if reason is None and not self._has_content:
            what = clean_upstream(candidate.finish_message or word)
            return neutral.UpstreamError("upstream_error", message_of("upstream_error", what), None)
        if reason in (None, "stop"):
            reason = "tool_calls" if choice.calls else "stop"
        self._finished.add(index)
        events.append(neutral.Finish(index, reason or "stop"))
        return None

    def _read_part(
        self, index: int, choice: _Choice, part: Part, events: list[neutral.Event]
    ) -> None:
        if part.text and part.thought:
            events.append(neutral.ReasoningDelta(index, part.text))
            self.reasoning_bytes += size(part.text)
        if part.thought_signature and self._translate:
            events.append(neutral.ReasoningSeal(index, read_signature(part.thought_signature)))
        if part.text and not part.thought:
            self._has_content = True
            events.append(neutral.TextDelta(index, part.text))
            self.text_bytes += size(part.text)
            if self._translate:
                choice.texts.append(part.text)
        if part.function_call is not None:
            self._read_call(index, choice, part.function_call, events)
        for raw in (part.inline_data, part.file_data):
            if raw is not ABSENT:
                self._read_media(index, part, raw, events)
        for raw in (part.executable_code, part.code_execution_result):
            if raw is not ABSENT and value_bytes(raw) is not None:
                self._has_content = True
                events.append(neutral.OpaqueDelta(index, bytes(raw)))

    def _read_call(
        self, index: int, choice: _Choice, call: FunctionCall, events: list[neutral.Event]
    ) -> None:
        at, choice.calls, self._has_content = choice.calls, choice.calls + 1, True
        name, id_ = call.name or "", call.id or ""
        if self._translate and not id_:
            id_ = derive_id("call_", self._request_id or self._id, index, at)
        events.append(neutral.ToolCallStart(index, at, id_, name))
        args = value_bytes(call.args) or b"{}"
        # The args were parsed before, so this cannot fail.
        arguments = msgspec.json.format(args, indent=-1).decode()
        events.append(neutral.ToolArgumentsDelta(index, at, arguments))
        self.text_bytes += size(name) + size(arguments)
        if self._translate:
            events.append(neutral.ToolCallEnd(index, at))

    def _read_media(
        self, index: int, part: Part, raw: msgspec.Raw, events: list[neutral.Event]
    ) -> None:
        if value_bytes(raw) is None or part.thought:
            # Drafts of a picture are thoughts, and not part of the answer.
            return
        self._has_content = True
        if not self._translate:
            events.append(neutral.OpaqueDelta(index, bytes(raw)))
            return
        media = members_of(raw)
        media_type, data = as_text(media.get("mimeType")), as_text(media.get("data"))
        if data and media_type.startswith("audio/"):
            events.append(neutral.AudioDelta(index, media_type, data))
        elif data:
            events.append(neutral.ImageOutput(index, media_type, data))
        elif url := as_text(media.get("fileUri")):
            events.append(neutral.ImageOutput(index, "", "", url))


def _add_citations(
    index: int, choice: _Choice, candidate: Candidate, events: list[neutral.Event]
) -> None:
    """Add the sources that were not reported yet, because frames may repeat them."""
    grounding, citation = candidate.grounding_metadata, candidate.citation_metadata
    if grounding is ABSENT and citation is ABSENT:
        return
    for source in read_sources(grounding, citation, "".join(choice.texts)):
        if source not in choice.cited:
            choice.cited.add(source)
            events.append(neutral.Citation(index, source))


def _add_logprobs(index: int, raw: msgspec.Raw, events: list[neutral.Event]) -> None:
    tokens = tuple(_read_logprobs(raw))
    if tokens:
        events.append(neutral.LogprobsDelta(index, tokens))


def _read_logprobs(raw: msgspec.Raw) -> list[neutral.TokenLogprob]:
    result = members_of(raw)
    tops = [
        tuple(
            neutral.TopLogprob(*_token(candidate)) for candidate in dicts(place.get("candidates"))
        )
        for place in dicts(result.get("topCandidates"))
    ]
    chosen = dicts(result.get("chosenCandidates"))
    tops += [()] * (len(chosen) - len(tops))
    return [
        neutral.TokenLogprob(*_token(candidate), top=top)
        for candidate, top in zip(chosen, tops, strict=False)
    ]


def _token(candidate: dict[str, object]) -> tuple[str, float]:
    value = candidate.get("logProbability")
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return as_text(candidate.get("token")), float(value) if known else 0.0  # type: ignore[arg-type]
