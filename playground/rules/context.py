"""How much of a model's context a turn takes, about, and what is left out where it is too much.

The oldest messages may go as a summary instead: it stands in the parts of the last one of them.

All is estimated as `gateway.rules.bound` estimates, so that a turn near the edge may still be
refused by its provider, or would have fitted.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

from gateway.rules.bound import estimate_tokens
from playground.rules.files import Known, estimated_tokens

_ANSWER_MAX: Final = 4_096
"""Room that is kept for an answer without a cap of its own, at most an eighth of the context."""


class Part(Protocol):
    """A message of the path that is sent (`rules.request.Said`)."""

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


def text_tokens(said: Part) -> int:
    """Of a message without its files."""
    rest = [said.parts[name] for name in ("calls", "results") if name in said.parts]
    return estimate_tokens(len((said.content + (json.dumps(rest) if rest else "")).encode()))


def file_tokens(said: Part) -> int:
    """Of the files beside a message."""
    return sum(
        estimated_tokens(Known(one["kind"], one["media_type"], one.get("facts", {})), one["size"])
        for one in said.parts.get("files", ())
    )


def summarised(path: Sequence[Part]) -> tuple[int, str]:
    """How many of the first messages go as a summary, and what it says; (0, "") for none."""
    for place in range(len(path), 0, -1):
        if found := path[place - 1].parts.get("summary"):
            return place, str(found[0]["text"])
    return 0, ""


def context_of(path: Sequence[Part], fixed: int, left_out: int = 0) -> Context:
    """What a path takes whose first `left_out` messages do not go; `fixed` goes with every turn."""
    sent = path[left_out:]
    history = sum(text_tokens(said) + file_tokens(said) for said in sent[:-1])
    last = sent[-1:]
    as_summary = summarised(path)[0]
    told = sum(said.role == "user" for said in path[:as_summary])
    left = sum(said.role == "user" for said in path[as_summary:left_out])
    files, message = sum(map(file_tokens, last)), sum(map(text_tokens, last))
    return Context(fixed, history, files, message, left, told)


def messages_left_out(
    path: Sequence[Part], fixed: int, context_max: int, answer_max: int | None
) -> int:
    """How many of the first messages must go so that the rest fits: whole turns, never the last."""
    room = context_max - min(answer_max or _ANSWER_MAX, context_max // 8) - fixed
    sizes = [text_tokens(said) + file_tokens(said) for said in path]
    begins = [place for place, said in enumerate(path) if said.role == "user"]
    left = sum(sizes)
    for place, following in pairwise(begins):
        if left <= room:
            return place
        left -= sum(sizes[place:following])
    return begins[-1] if begins else 0
