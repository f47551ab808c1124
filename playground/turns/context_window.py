"""How much of a model's context a turn takes, about, and what is left out where it is too much.

The oldest messages may go as a summary instead: it stands in the parts of the last one of them.

All is estimated as `relay.holds.rules` estimates, so that a turn near the edge may still be
refused by its provider, or would have fitted.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

from playground.attachments.rules import FileInfo, estimated_tokens
from relay.holds.rules import estimate_tokens

_ANSWER_MAX: Final = 4_096
"""Room that is kept for an answer without a cap of its own, at most an eighth of the context."""


class PathMessage(Protocol):
    """A message of the path that is sent (`rules.request.ChatMessage`)."""

    @property
    def role(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def parts(self) -> Mapping[str, Any]: ...


class Context(NamedTuple):
    """Tokens of a turn, about: what goes with every turn, the turns before, the files and the text
    of the last message. `turns_left_out` do not go, the `turns_summarised` before them as a summary
    alone, which is in `system`."""

    system: int
    history: int
    files: int
    message: int
    turns_left_out: int = 0
    turns_summarised: int = 0

    @property
    def used(self) -> int:
        return self.system + self.history + self.files + self.message


def text_tokens(message: PathMessage) -> int:
    """Of a message without its files."""
    tool_parts = [message.parts[name] for name in ("calls", "results") if name in message.parts]
    return estimate_tokens(
        len((message.content + (json.dumps(tool_parts) if tool_parts else "")).encode())
    )


def file_tokens(message: PathMessage) -> int:
    """Of the files beside a message."""
    return sum(
        estimated_tokens(
            FileInfo(file["kind"], file["media_type"], file.get("facts", {})), file["size"]
        )
        for file in message.parts.get("files", ())
    )


def summarised(path: Sequence[PathMessage]) -> tuple[int, str]:
    """How many of the first messages go as a summary, and what it says; (0, "") for none."""
    for place in range(len(path), 0, -1):
        if summary := path[place - 1].parts.get("summary"):
            return place, str(summary[0]["text"])
    return 0, ""


def context_of(path: Sequence[PathMessage], fixed: int, left_out: int = 0) -> Context:
    """What a path takes whose first `left_out` messages do not go; `fixed` goes with every turn."""
    remaining = path[left_out:]
    history = sum(text_tokens(message) + file_tokens(message) for message in remaining[:-1])
    last = remaining[-1:]
    as_summary = summarised(path)[0]
    turns_summarised = sum(message.role == "user" for message in path[:as_summary])
    turns_left_out = sum(message.role == "user" for message in path[as_summary:left_out])
    files, text = sum(map(file_tokens, last)), sum(map(text_tokens, last))
    return Context(fixed, history, files, text, turns_left_out, turns_summarised)


def messages_left_out(
    path: Sequence[PathMessage], fixed: int, context_max: int, answer_max: int | None
) -> int:
    """How many of the first messages must go so that the rest fits: whole turns, never the last."""
    room = context_max - min(answer_max or _ANSWER_MAX, context_max // 8) - fixed
    sizes = [text_tokens(message) + file_tokens(message) for message in path]
    begins = [place for place, message in enumerate(path) if message.role == "user"]
    total = sum(sizes)
    for place, following in pairwise(begins):
        if total <= room:
            return place
        total -= sum(sizes[place:following])
    return begins[-1] if begins else 0
