"""What a model's flags change in a forwarded request. Single members are removed, and reported as
dropped; the encoder makes the same changes to a translated request.
"""

from typing import Any, Final

import msgspec

from dialects.chat.chat import Effort, Flag
from dialects.chat.reasoning import EFFORTS, nearest
from dialects.json.body import Body, Quirks
from dialects.json.raw_json import members_of, value_of

_FLAGS: Final[frozenset[Flag]] = frozenset(
    {"no_sampling", "no_parallel_tools", "no_reasoning_effort"}
)
_SAMPLING: Final = ("temperature", "top_p", "top_logprobs")
_LOGPROBS_WORD: Final = "message.output_text.logprobs"


def needs_fit(flags: frozenset[Flag]) -> bool:
    """Return whether `fit` could change anything."""
    return not flags.isdisjoint(_FLAGS)


def quirks_for(body: Body, flags: frozenset[Flag], efforts: tuple[Effort, ...]) -> Quirks:
    """Return the edits for a model with these flags."""
    edits: dict[str, bytes | None] = {}
    names: list[str] = []
    if "no_sampling" in flags and _effort(body, efforts) != "none":
        names += _SAMPLING
        include = _include(body)
        if _LOGPROBS_WORD in include:
            remaining = [word for word in include if word != _LOGPROBS_WORD]
            edits["include"] = msgspec.json.encode(remaining)
    if "no_parallel_tools" in flags:
        names.append("parallel_tool_calls")
    if "no_reasoning_effort" in flags:
        names.append("reasoning")
    dropped = tuple(name for name in names if body.value(name) is not None)
    return Quirks(edits | dict.fromkeys(dropped), dropped)


def _effort(body: Body, efforts: tuple[Effort, ...]) -> Effort | None:
    word = members_of(body.value("reasoning")).get("effort")
    effort = next((level for level in EFFORTS if level == word), None)
    return None if effort is None else nearest(effort, efforts)


def _include(body: Body) -> list[Any]:
    raw = body.value("include")
    value = value_of(raw)
    return value if isinstance(value, list) else []
