"""Extracts reasoning that a server leaves in the text: `<think> ... </think>` at its beginning, as
open models write it (QwQ, distilled R1, MiniMax) if the server does not remove it, or in a list of
chunks, as Mistral's models do (`answer/content_chunks.py`).

For models with this flag the chunks are rewritten before they are read, with that text as
`reasoning_content`, so that every client and the books see the same. White space around the tags is
removed. Once every choice has passed its tags, bytes are forwarded unchanged, unless there were
chunks.

    START --<think>--> THINKING --</think>--> BEHIND --text--> TEXT      START --text--> TEXT
"""

from typing import Any, Final, Literal

import msgspec

from dialects.chat.events import Step
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import as_text, dicts, object_of
from dialects.openai.answer.content_chunks import read_chunks
from dialects.streams.sse import Frame, FrameSplitter
from dialects.streams.stream import StepDecoder, write_data

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"


class ThinkTags:
    """Separates reasoning and text of one choice, piece by piece."""

    def __init__(self) -> None:
        self.at: Literal["start", "thinking", "behind", "text"] = "start"
        self._held = ""
        self._thought = False

    def feed(self, text: str, *, last: bool = False) -> tuple[str, str]:
        """Return the reasoning and text that are certain so far. What may be a tag, or white space
        before one, is held back until the `last` piece."""
        text, self._held, thought = self._held + text, "", ""
        if self.at == "start":
            text = self._open(text, last=last)
        if self.at == "thinking":
            thought, text = self._think(text, last=last)
        if self.at == "behind":
            text = text.lstrip()
            self.at = "text" if text else "behind"
        return thought, text

    def _open(self, text: str, *, last: bool) -> str:
        bare = text.lstrip()
        if bare.startswith(_OPEN):
            self.at = "thinking"
            return bare.removeprefix(_OPEN)
        if _OPEN.startswith(bare) and not last:
            self._held = text
            return ""
        self.at = "text"
        return text

    def _think(self, text: str, *, last: bool) -> tuple[str, str]:
        if not self._thought:
            text = text.lstrip()
            self._thought = bool(text)
        thought, tag, rest = text.partition(_CLOSE)
        if tag:
            self.at = "behind"
            return thought.rstrip(), rest
        if last:
            return text.rstrip(), ""
        sizes = range(len(_CLOSE) - 1, 0, -1)
        cut = next((size for size in sizes if text.endswith(_CLOSE[:size])), 0)
        sure = text[: len(text) - cut].rstrip()
        self._held = text[len(sure) :]
        return sure, ""


class TagsDecoder:
    """A decoder that gets chunks without tags; `choices` is the requested number of choices."""

    def __init__(self, decoder: StepDecoder, choices: int) -> None:
        self._decoder = decoder
        self._choices = choices
        self._splitter: FrameSplitter | None = FrameSplitter()
        self._tags: dict[int, ThinkTags] = {}
        self._has_chunks = False

    def feed(self, chunk: bytes) -> list[Step]:
        """Return the steps that this chunk completes."""
        if self._splitter is None:
            return self._decoder.feed(chunk)
        untagged = b"".join(self._untag(frame) for frame in self._splitter.feed(chunk))
        tags = self._tags.values()
        if self._splitter.too_large or (
            not self._has_chunks
            and len(tags) >= self._choices
            and all(state.at == "text" for state in tags)
        ):
            last_frame, self._splitter = self._splitter.end(), None
            untagged += b"" if last_frame is None else last_frame.raw
        return self._decoder.feed(untagged) if untagged else []

    def end(self) -> list[Step]:
        """Finish after the upstream has closed the connection."""
        last_frame = None if self._splitter is None else self._splitter.end()
        steps = [] if last_frame is None else self._decoder.feed(last_frame.raw)
        return steps + self._decoder.end()

    def _untag(self, frame: Frame) -> bytes:
        top = _read(frame.data or b"")
        changed = [self._move_reasoning(choice) for choice in dicts(top.get("choices"))]
        return write_data(top) if any(changed) else frame.raw

    def _move_reasoning(self, choice: dict[str, Any]) -> bool:
        index = choice.get("index")
        tags = self._tags.setdefault(index if isinstance(index, int) else 0, ThinkTags())
        delta = object_of(choice.get("delta"))
        last = bool(choice.get("finish_reason")) or bool(delta.get("tool_calls"))
        choice["delta"] = delta
        joined = _join_chunks(delta)
        self._has_chunks |= joined
        if tags.at == "text" or (not last and not delta.get("content")):
            return joined
        return _move_reasoning(delta, tags, last=last) or joined


def untag_answer(raw: bytes) -> bytes:
    """Return a whole answer with the text in tags as `reasoning_content`."""
    top = _read(raw)
    choices_changed = [
        _untag_message(object_of(choice.get("message"))) for choice in dicts(top.get("choices"))
    ]
    return msgspec.json.encode(top) if any(choices_changed) else raw


def _untag_message(message: dict[str, Any]) -> bool:
    joined = _join_chunks(message)
    return _move_reasoning(message, ThinkTags(), last=True) or joined


def _join_chunks(message: dict[str, Any]) -> bool:
    """Replace a list of chunks by its text and reasoning; return whether there was one."""
    joined = read_chunks(message.get("content"))
    if joined is None:
        return False
    thought, message["content"] = joined
    if thought:
        message["reasoning_content"] = as_text(message.get("reasoning_content")) + thought
    return True


def _move_reasoning(message: dict[str, Any], tags: ThinkTags, *, last: bool) -> bool:
    """Move reasoning out of a message's text; return whether anything changed."""
    content = as_text(message.get("content"))
    thought, text = tags.feed(content, last=last)
    if not thought and text == content:
        return False
    if thought:
        message["reasoning_content"] = as_text(message.get("reasoning_content")) + thought
    message["content"] = text
    return True


def _read(raw: bytes) -> dict[str, Any]:
    try:
        return object_of(msgspec.json.decode(raw))
    except NOT_JSON:
        return {}
