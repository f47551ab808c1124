"""Estimate the share of a model's context that a turn uses, and what to leave out if it is too
large.

The oldest messages may be replaced by a summary, which is stored in the parts of the last of them.
All values are estimated as in `relay.counting.estimates`, so a turn near the limit may be refused
by its provider, or left-out messages might have fitted.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

from playground.attachments.rules import FileInfo, estimated_tokens
from relay.counting.estimates import estimate_tokens

_ANSWER_MAX: Final = 4_096
"""Tokens reserved for an answer without a limit of its own, at most an eighth of the context."""


class PathMessage(Protocol):
    """A message of the path that is sent (`turns.request.ChatMessage`)."""

    @property
    def role(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def parts(self) -> Mapping[str, Any]: ...


class Context(NamedTuple):
    """Estimated tokens of a turn: the fixed part, the earlier turns, and the files and text of the
    last message. The first `turns_left_out` are not sent; the `turns_summarised` before them are
    sent as a summary, which is part of `system`."""

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
    """Estimate the tokens of a message without its files."""
    tool_parts = [message.parts[name] for name in ("calls", "results") if name in message.parts]
    return estimate_tokens(
        len((message.content + (json.dumps(tool_parts) if tool_parts else "")).encode())
    )


def file_tokens(message: PathMessage) -> int:
    """Estimate the tokens of a message's files."""
    return sum(
        estimated_tokens(
            FileInfo(file["kind"], file["media_type"], file.get("facts", {})), file["size"]
        )
        for file in message.parts.get("files", ())
    )


def apply_summary(path: Sequence[PathMessage]) -> tuple[int, str]:
    """Return how many of the first messages a summary replaces, and the summary; (0, "") without
    one."""
    for place in range(len(path), 0, -1):
        if summary := path[place - 1].parts.get("summary"):
            return place, str(summary[0]["text"])
    return 0, ""


def context_of(path: Sequence[PathMessage], fixed: int, left_out: int = 0) -> Context:
    """Estimate a path without its first `left_out` messages. `fixed` is sent with every turn."""
    remaining = path[left_out:]
    history = sum(text_tokens(message) + file_tokens(message) for message in remaining[:-1])
    last = remaining[-1:]
    as_summary = apply_summary(path)[0]
    turns_summarised = sum(message.role == "user" for message in path[:as_summary])
    turns_left_out = sum(message.role == "user" for message in path[as_summary:left_out])
    files, text = sum(map(file_tokens, last)), sum(map(text_tokens, last))
    return Context(fixed, history, files, text, turns_left_out, turns_summarised)


def messages_left_out(
    path: Sequence[PathMessage], fixed: int, context_max: int, answer_max: int | None
) -> int:
    """Return how many of the first messages to leave out so that the rest fits. Only whole turns
    are left out, never the last one."""
    answer_room = _ANSWER_MAX if answer_max is None else answer_max
    room = context_max - min(answer_room, context_max // 8) - fixed
    sizes = [text_tokens(message) + file_tokens(message) for message in path]
    begins = [place for place, message in enumerate(path) if message.role == "user"]
    total = sum(sizes)
    for place, following in pairwise(begins):
        if total <= room:
            return place
        total -= sum(sizes[place:following])
    return begins[-1] if begins else 0
