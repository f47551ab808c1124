"""Keeps what is said on a realtime connection: an entry for each response, as Responses has it.

    what the client says     messages and results of tools, its sound counted, and its transcript
    the provider's answer    words, transcripts and calls of tools, its sound counted
    the response is settled  what is new since the response before, and the answer, are an entry

The transcript of a sound may come after the response to it. The entry waits for it until the next
response ends.
"""

from collections.abc import Callable, Iterable
from io import StringIO
from typing import Final

import msgspec

from content.log.kept import Kept, Pieces
from content.rules.rules import first_rule, keeps
from dialects.chat.turns import derive_id
from dialects.json.raw_json import as_text, dicts, members_of
from lib.id_types import RequestId
from lib.ids import id_text
from relay.catalogue.snapshot import Snapshot
from relay.content_log.content_log import ContentLog, caller_of
from relay.content_log.entry import NewEntry
from relay.content_log.recorded_answer import BYTES_MAX
from relay.content_log.talk import Item, Sound, message
from relay.content_log.voice import Voice, VoicePart
from relay.context.context import RequestContext
from relay.requests.outcome import Outcome

_JSON: Final = "application/json"
_DIALECT: Final = "responses"
_OPERATION: Final = "realtime"
_UNWRITTEN_MAX: Final = 64


class _Answer:
    """A response from its beginning on, and what it answers."""

    def __init__(
        self,
        id: str,
        request: Item,
        asked: list[Item | msgspec.Raw],
        size: int,
        parts: list[VoicePart],
    ) -> None:
        self.id = id
        self.request = request
        self.asked = asked
        # What was said to it in texts that were cut, and its own texts that broke off.
        self._parts = parts
        self._broken_off: list[Pieces] = []
        # The words of each item, and the items that are complete, as JSON: a value takes many times
        # its size.
        self.words: dict[str, StringIO] = {}
        self.items: list[msgspec.Raw] = []
        self.sound = Sound()
        self.size = self.size_asked = size

    def break_off(self) -> None:
        """Record that more text could have followed."""
        texts = [one.getvalue() for one in self.words.values()]
        if not texts and self.items:
            last = members_of(self.items[-1])
            texts = [as_text(part.get("text")) for part in dicts(last.get("content"))]
            texts.append(as_text(last.get("arguments")))
        self._broken_off = [Pieces((text,)) for text in texts]

    def keep(self) -> list[Pieces]:
        """Record that it is kept, and return its texts that were cut."""
        return [part.keep() for part in self._parts if part.texts] + self._broken_off

    def output(self) -> list[Item | msgspec.Raw]:
        turns = (message("assistant", one.getvalue()) for one in self.words.values())
        items: list[Item | msgspec.Raw] = [*self.items, *turns]
        if self.sound.size:
            items.append(self.sound.answer())
        return items


class RecordedTalk:
    """What is said on one connection, by keys of its responses. `transcribes` says whether the
    provider sends transcripts of what it hears."""

    def __init__(
        self,
        context: RequestContext,
        log: ContentLog,
        newest: Callable[[], Snapshot],
        *,
        stores: bool,
    ) -> None:
        """`stores` is False if a header asks that the connection is left out."""
        self._context = context
        self._log = log
        self._newest = newest
        self._stores = stores
        self.instructions = ""
        self.transcribes = False
        # What no response has answered yet, as JSON unless it waits for its transcript, its size,
        # and the sound and transcript of what comes next.
        self._asked: list[Item | msgspec.Raw] = []
        self._size = 0
        self._sound, self._written = Sound(), ""
        # The transcripts that come in pieces. A response may begin between two pieces.
        self._voice = Voice()
        self._parts: list[VoicePart] = []
        # The contents of sounds that have no transcript yet, by their id.
        self._unwritten: dict[str, list[Item]] = {}
        self._answers: dict[str, _Answer] = {}
        self._last_id = ""
        # An entry that waits for a transcript.
        self._waiting: Callable[[], None] | None = None

    def beside(self) -> "RecordedTalk":
        """Return the record of another conversation on the same connection."""
        return RecordedTalk(self._context, self._log, self._newest, stores=self._stores)

    # ---- the client

    def ask(self, item: Item | msgspec.Raw) -> None:
        """Record an item of the client."""
        raw = msgspec.json.encode(item)
        self._ask(msgspec.Raw(raw), len(raw))

    def _ask(self, item: Item | msgspec.Raw, size: int) -> None:
        self._size += size
        if self._size <= BYTES_MAX:
            self._asked.append(item)

    def hear(self, data: bytes | str) -> None:
        """Count sound of the client, base64."""
        self._sound.add(data)

    def forget_sound(self) -> None:
        """Drop the sound that the client takes back."""
        self._sound = Sound()

    def put_sound(self, id: str = "") -> None:
        """Record that the sound since the last one is a message, with the transcript of it."""
        content = [self._sound.part()] if self._sound.size else []
        if self._written:
            content.append({"type": "input_text", "text": self._written})
            self._voice.add(self._written)
            self.cut(self._voice.take_part((self._written,)))
        elif content and id:
            self._unwritten[id] = content
            if len(self._unwritten) > _UNWRITTEN_MAX:
                del self._unwritten[next(iter(self._unwritten))]
        self._sound, self._written = Sound(), ""
        if content:
            item = {"type": "message", "role": "user", "content": content}
            self._ask(item, len(msgspec.json.encode(item)))

    def write_down(self, text: str, id: str = "") -> None:
        """Record the transcript of a sound, of the next one if there is none of this id."""
        if (content := self._unwritten.pop(id, None)) is not None:
            content.append({"type": "input_text", "text": text})
            self._flush()
        elif len(self._written) <= BYTES_MAX:
            self._written += text

    def cut(self, part: VoicePart) -> None:
        """Record which texts of the next response, and of what it answers, are one text."""
        self._parts.append(part)

    def drop(self) -> None:
        """Record that what no response has answered yet is too large to be kept."""
        self._size = BYTES_MAX + 1

    def take_back(self) -> list[Item | msgspec.Raw]:
        """Return what no response has answered, and forget it."""
        if self._size > BYTES_MAX:
            self._log.count_dropped(1)
            self._asked = []
        asked, self._asked, self._size = self._asked, [], 0
        return asked

    # ---- the provider

    def begin(self, key: str, request_id: RequestId) -> None:
        """Begin a response to what was said until now."""
        id = derive_id("resp_", id_text(request_id))
        request: Item = {"instructions": self.instructions} if self.instructions else {}
        if self._last_id:
            request["previous_response_id"] = self._last_id
        size = self._size + len(self.instructions)
        self._answers[key] = _Answer(id, request, self._asked, size, self._parts)
        self._asked, self._size, self._parts, self._last_id = [], 0, [], id

    def say(self, key: str, item: str, text: str) -> None:
        """Record words of a response."""
        if (answer := self._answers.get(key)) is not None:
            answer.size += len(text)
            if answer.size <= BYTES_MAX:
                answer.words.setdefault(item, StringIO()).write(text)

    def sound(self, key: str, data: bytes | str) -> None:
        """Count sound of a response, base64."""
        if (answer := self._answers.get(key)) is not None:
            answer.sound.add(data)

    def complete(self, key: str, item: str, whole: Item | msgspec.Raw) -> None:
        """Record an item of a response in place of its words."""
        if (answer := self._answers.get(key)) is not None:
            answer.words.pop(item, None)
            raw = msgspec.json.encode(whole)
            answer.size += len(raw)
            if answer.size <= BYTES_MAX:
                answer.items.append(msgspec.Raw(raw))

    def replace(self, key: str, items: Iterable[Item]) -> None:
        """Record the items of a response in place of all that was recorded of it."""
        if (answer := self._answers.get(key)) is not None:
            answer.words = {}
            answer.items = [msgspec.Raw(msgspec.json.encode(item)) for item in items]
            answer.size = answer.size_asked + sum(len(bytes(item)) for item in answer.items)

    def end(self, key: str, model: str, outcome: Outcome, *, broken: bool = False) -> None:
        """Hand over a response that was settled."""
        self._flush()
        answer, principal = self._answers.pop(key, None), self._context.principal
        rule = first_rule(principal.log_rules, model, self._newest().now())
        failed, drawn = outcome.status >= 400, outcome.request_id.int % 100
        if answer is None:
            return
        opted_out = not self._stores
        if rule is None or not keeps(rule, failed=failed, opted_out=opted_out, drawn=drawn):
            return
        if answer.size > BYTES_MAX:
            self._log.count_dropped(1)
            return
        if broken or failed:
            answer.break_off()
        snapshot, session, cut = self._newest(), self._context.session, answer.keep()

        def write() -> None:
            self._log.add(
                NewEntry(
                    request_id=outcome.request_id,
                    caller=caller_of(principal),
                    session_id=None if session is None else session.id,
                    model=model,
                    dialect=_DIALECT,
                    operation=_OPERATION,
                    status=outcome.status,
                    at=snapshot.now(),
                    epoch=snapshot.epoch,
                    retention_hours=rule.retention_hours,
                    redact=rule.redact,
                    masked={},
                    kept=_kept(answer, model, outcome, broken=broken),
                    cut=cut,
                )
            )

        self._waiting = write
        if not (self.transcribes and self._unwritten):
            self._flush()

    def close(self) -> None:
        """Hand over what waits, because the connection has ended."""
        self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()


def _kept(answer: _Answer, model: str, outcome: Outcome, *, broken: bool) -> Kept:
    # A chat without any item could not be read as one.
    request = {"model": model, **answer.request, "input": answer.asked or ""}
    failed = outcome.status >= 400
    response = {
        "id": answer.id,
        "object": "response",
        "status": "incomplete" if failed else "completed",
        "model": model,
        "output": answer.output(),
    }
    return Kept(
        msgspec.json.encode(request),
        msgspec.json.encode(response),
        _JSON,
        error=outcome.message if failed else "",
        broken=broken,
    )
