"""Convert the items of a responses answer to neutral events.

A stream sends each item in pieces and then whole, in output_item.done; a server may omit the
pieces. An item is therefore read from its pieces, and completed from the whole one. If a stream has
no items at all, the final response is read, like an answer that is not streamed.

    item       output_index, else item_id, else the last one
    reasoning  its summary or its raw text, whichever comes first; never both
    citations  positions count from the beginning of all text, ours as well
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from dialects.chat import events as neutral
from dialects.chat.open_calls import OpenCalls
from dialects.chat.turns import derive_id
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import (
    ABSENT,
    byte_values,
    dicts,
    members_of,
    number,
    size,
    value_bytes,
)
from dialects.responses.answer.finish_reasons import read_reason
from dialects.responses.answer.wire import Response, StreamEvent, items_of, text_of
from dialects.responses.items_decode import image_type, read_annotation, read_mark
from dialects.responses.usage import quantities
from dialects.usage.usage import Counts

_BETWEEN_SUMMARIES: Final = "\n\n"
_SUMMARY: Final = "response.reasoning_summary_text.delta"
_THOUGHTS: Final = frozenset(
    {_SUMMARY, "response.reasoning_text.delta", "response.reasoning.delta"}
)


class _Item:
    """An output item that is still being received."""

    __slots__ = ("call", "citations", "places", "streamed", "summary", "thought")

    def __init__(self) -> None:
        self.streamed = False
        self.thought = ""
        self.summary = 0
        self.call: int | None = None
        self.places: dict[int, int] = {}
        self.citations: set[neutral.Source] = set()


class AnswerReader:
    """Reads the events of one answer, or a whole one; with `translate` the events are complete.
    Calls without an id get one derived from `request_id` or, without it, from the answer's own id.
    `text_bytes` and `reasoning_bytes` count UTF-8 bytes, `searches` the web searches.
    """

    def __init__(self, *, translate: bool, request_id: str = "") -> None:
        self.text_bytes = 0
        self.reasoning_bytes = 0
        self.searches = 0
        self._translate = translate
        self._request_id = request_id
        self._started = False
        self._id = ""
        self._items: dict[int, _Item] = {}
        self._ids: dict[str, int] = {}
        self._calls = 0
        self._open_calls = OpenCalls()
        self._characters = 0

    @property
    def seen(self) -> bool:
        """Return whether any item has been received."""
        return bool(self._items)

    def begin(self, response: Response) -> list[neutral.Event]:
        """Return the Start event, once."""
        if self._started or not self._translate:
            return []
        self._started = True
        self._id = response.id
        tier = response.service_tier or ""
        return [neutral.Start(response.id, response.model, response.created_at, tier)]

    def read(self, event: StreamEvent, data: bytes) -> list[neutral.Event]:
        """Return the events of a stream event other than the last."""
        kind = event.type
        if kind == "response.output_text.delta":
            events = self._read_text(event)
        elif kind in _THOUGHTS:
            events = self._read_reasoning(event)
        elif kind == "response.function_call_arguments.delta":
            events = self._add_arguments(self._item(event), event.delta or "")
        else:
            events = self._read_rest(event, data)
        if events and self._translate and not self._started:
            return [*self.begin(Response()), *events]
        return events

    def finish(self, response: Response) -> list[neutral.Event]:
        """Return the remaining events of a complete response: unreported items, reason and
        usage."""
        events = self.begin(response)
        streamed = bool(self._items)
        for at, raw in enumerate(items_of(response.output) or ()):
            if not streamed:
                events += self._complete(at, raw)
            elif self._translate and b'"url_citation"' in bytes(raw):
                # Some sources are known only at the end.
                content = dicts(members_of(raw).get("content"))
                events += self._cite_all(self._items.get(at, _Item()), content)
        reason = read_reason(response, called=self._calls > 0)
        if self._translate:
            events += self._open_calls.close_all(reason)
        if reason is not None:
            events.append(neutral.Finish(0, reason))
        if (usage := value_bytes(response.usage)) is not None:
            events.append(self._usage(usage))
        return events

    def _usage(self, raw: bytes) -> neutral.Usage:
        if not self._translate:
            return neutral.Usage(raw)
        meters = quantities(raw, searches=self.searches).meters
        return neutral.Usage(raw, Counts.of(meters) if meters else None)

    def _item(self, event: StreamEvent) -> _Item:
        at = event.output_index
        if at is None:
            last = max(self._items, default=0)
            at = self._ids.get(event.item_id or "", last)
        item = self._items.get(at)
        if item is None:
            item = self._items[at] = _Item()
        return item

    # ---- pieces

    def _read_text(self, event: StreamEvent) -> list[neutral.Event]:
        text = event.delta
        item = self._item(event)
        events = self._add_text(item, event.content_index or 0, text) if text else []
        if self._translate and event.logprobs is not ABSENT:
            events += _logprobs(_decode(event.logprobs))
        return events

    def _add_text(self, item: _Item, place: int, text: str) -> list[neutral.Event]:
        item.streamed = True
        self.text_bytes += size(text)
        if self._translate:
            item.places.setdefault(place, self._characters)
            self._characters += len(text)
        return [neutral.TextDelta(0, text)]

    def _read_reasoning(self, event: StreamEvent) -> list[neutral.Event]:
        text = event.delta
        item = self._item(event)
        form = "summary" if event.type == _SUMMARY else "text"
        if not text or item.thought not in ("", form):
            return []
        if self._translate and item.thought and (event.summary_index or 0) > item.summary:
            text = _BETWEEN_SUMMARIES + text
        item.thought, item.summary = form, event.summary_index or 0
        return self._add_reasoning(item, text)

    def _add_reasoning(self, item: _Item, text: str) -> list[neutral.Event]:
        item.streamed = True
        self.reasoning_bytes += size(text)
        return [neutral.ReasoningDelta(0, text)]

    def _add_refusal(self, item: _Item, text: str) -> list[neutral.Event]:
        item.streamed = True
        self.text_bytes += size(text)
        return [neutral.RefusalDelta(0, text)]

    def _add_arguments(self, item: _Item, text: str) -> list[neutral.Event]:
        """Read a piece of arguments; a call that was never announced is ignored, because it has no
        name."""
        if not text or item.call is None:
            return []
        item.streamed = True
        self.text_bytes += size(text)
        self._open_calls.add(item.call, text)
        return [neutral.ToolArgumentsDelta(0, item.call, text)]

    def _read_rest(self, event: StreamEvent, data: bytes) -> list[neutral.Event]:
        match event.type:
            case "response.output_item.added":
                return self._announce(event)
            case "response.output_item.done":
                return self._complete(self._place(event), event.item)
            case "response.refusal.delta":
                return self._add_refusal(self._item(event), event.delta) if event.delta else []
            case "response.function_call_arguments.done":
                item = self._item(event)
                return [] if item.streamed else self._add_arguments(item, event.arguments or "")
            case "response.output_text.annotation.added":
                return self._read_citation(self._item(event), event)
            case kind if kind.endswith((".delta", ".partial_image")) and not self._translate:
                # Code, sound and pictures: content without a text form.
                self.text_bytes += size(event.delta or "")
                return [neutral.OpaqueDelta(0, data)]
            case _:
                return []

    def _place(self, event: StreamEvent) -> int:
        """Return the position of an item that is sent whole."""
        if event.output_index is not None:
            return event.output_index
        known = self._ids.get(text_of(members_of(event.item), "id"))
        return len(self._items) if known is None else known

    def _announce(self, event: StreamEvent) -> list[neutral.Event]:
        members = members_of(event.item)
        at = self._place(event)
        events = self._begin_item(at)
        if id_ := text_of(members, "id"):
            self._ids[id_] = at
        if text_of(members, "type") == "function_call":
            events += self._open_call(self._items[at], members)
        return events

    def _begin_item(self, at: int) -> list[neutral.Event]:
        """Know an item from now on. Calls that were not certainly whole end before a new one."""
        if at in self._items:
            return []
        self._items[at] = _Item()
        return self._open_calls.go_on() if self._translate else []

    def _open_call(self, item: _Item, members: dict[str, Any]) -> list[neutral.Event]:
        if item.call is not None:
            return []
        item.call = self._calls
        if self._translate:
            self._open_calls.open(self._calls)
        self._calls += 1
        name = text_of(members, "name")
        self.text_bytes += size(name)
        id_ = text_of(members, "call_id")
        if not id_ and self._translate:
            id_ = derive_id("call_", self._request_id or self._id, item.call)
        return [neutral.ToolCallStart(0, item.call, id_, name)]

    def _read_citation(self, item: _Item, event: StreamEvent) -> list[neutral.Event]:
        if not self._translate:
            return []
        base = item.places.get(event.content_index or 0, self._characters)
        return list(self._cite_source(item, members_of(event.annotation), base))

    def _cite_source(
        self, item: _Item, annotation: dict[str, Any], base: int
    ) -> Iterator[neutral.Citation]:
        source = read_annotation(annotation, base)
        if source is not None and source not in item.citations:
            item.citations.add(source)
            yield neutral.Citation(0, source)

    def _cite_found(self, item: _Item, result: dict[str, Any]) -> Iterator[neutral.Citation]:
        found = {"type": "url_citation", "url": result.get("url"), "title": result.get("title")}
        yield from self._cite_source(item, found, 0)

    def _cite_all(
        self, item: _Item, content: Sequence[dict[str, Any]]
    ) -> Iterator[neutral.Citation]:
        for place, part in enumerate(content):
            base = item.places.get(place, self._characters)
            for annotation in dicts(part.get("annotations")) if self._translate else ():
                yield from self._cite_source(item, annotation, base)

    # ---- whole items

    def _complete(self, at: int, raw: msgspec.Raw) -> list[neutral.Event]:
        """Return the events of a whole item that its pieces did not contain."""
        return [*self._begin_item(at), *self._complete_known(self._items[at], raw)]

    def _complete_known(self, item: _Item, raw: msgspec.Raw) -> list[neutral.Event]:
        members = members_of(raw)
        match text_of(members, "type"):
            case "message":
                return self._complete_message(item, dicts(members.get("content")))
            case "reasoning":
                return self._complete_reasoning(item, members)
            case "function_call":
                return self._complete_call(item, members)
            case "web_search_call":
                self.searches += text_of(members, "status") != "failed"
                return []
            case "search_results" if self._translate:
                # Perplexity's own item, with what it found in its search.
                results = dicts(members.get("results"))
                return [found for result in results for found in self._cite_found(item, result)]
            case "image_generation_call":
                result = text_of(members, "result")
                if self._translate and result:
                    return [neutral.ImageOutput(0, image_type(members), result)]
                return [] if self._translate else [neutral.OpaqueDelta(0, bytes(raw))]
            case "compaction" if not self._translate:
                self.text_bytes += size(text_of(members, "encrypted_content"))
                return [neutral.OpaqueDelta(0, bytes(raw))]
            case _:
                return []

    def _complete_message(
        self, item: _Item, content: Sequence[dict[str, Any]]
    ) -> list[neutral.Event]:
        events: list[neutral.Event] = []
        streamed = item.streamed
        for place, part in enumerate(content):
            text, refusal = text_of(part, "text"), text_of(part, "refusal")
            if text and not streamed:
                events += self._add_text(item, place, text)
                events += _logprobs(part.get("logprobs")) if self._translate else ()
            if refusal and not streamed:
                events += self._add_refusal(item, refusal)
        return [*events, *self._cite_all(item, content)]

    def _complete_reasoning(self, item: _Item, members: dict[str, Any]) -> list[neutral.Event]:
        events: list[neutral.Event] = []
        if not item.streamed and (text := _thought_of(members)):
            events += self._add_reasoning(item, text)
        sealed = text_of(members, "encrypted_content")
        if sealed and self._translate:
            events.append(neutral.ReasoningSeal(0, read_mark(sealed, text_of(members, "id"))))
        return events

    def _complete_call(self, item: _Item, members: dict[str, Any]) -> list[neutral.Event]:
        events = self._open_call(item, members)
        if not item.streamed:
            events += self._add_arguments(item, text_of(members, "arguments"))
        if self._translate and item.call is not None:
            events += self._open_calls.close(item.call)
        return events


def _thought_of(members: dict[str, Any]) -> str:
    summary = [text_of(part, "text") for part in dicts(members.get("summary"))]
    raw = "".join(text_of(part, "text") for part in dicts(members.get("content")))
    return _BETWEEN_SUMMARIES.join(filter(None, summary)) or raw


def _logprobs(rows: Any) -> list[neutral.Event]:
    tokens = tuple(
        neutral.TokenLogprob(
            text_of(token, "token"),
            number(token.get("logprob")),
            byte_values(token.get("bytes")),
            tuple(
                neutral.TopLogprob(
                    text_of(top, "token"), number(top.get("logprob")), byte_values(top.get("bytes"))
                )
                for top in dicts(token.get("top_logprobs"))
            ),
        )
        for token in dicts(rows)
    )
    return [neutral.LogprobsDelta(0, tokens)] if tokens else []


def _decode(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except NOT_JSON:
        return None
