"""The reasoning setting in the suffix of a model's name.

    gemini-2.5-flash-thinking-8192    Gemini's; its codec knows how to encode it
    o3-mini-high                      an effort that the model supports

The suffix is removed before a model is routed, priced and logged, and replaces the reasoning
settings in the body.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from dialects.chat.chat import Effort, ReasoningSettings
from dialects.gemini.model_name import settings_of, split_name
from gateway.providers.capabilities import UNKNOWN
from gateway.providers.models import find_row, is_listed
from lib.id_types import ModelName

_EFFORTS: Final[tuple[Effort, ...]] = ("minimal", "low", "medium", "high", "xhigh")
_EFFORT_ENDINGS: Final = tuple(f"-{effort}" for effort in _EFFORTS)
# The efforts of models whose own are unknown.
_USUAL: Final[tuple[Effort, ...]] = ("minimal", "low", "medium", "high")


class RequestedModel(msgspec.Struct, frozen=True):
    """A model's plain name, and the reasoning setting of the name's suffix, None without one.
    `alias` is the requested name if it is an alias, else ""."""

    name: ModelName
    reasoning: ReasoningSettings | None = None
    alias: str = ""


def has_ending(name: str) -> bool:
    """Return whether `read_requested_model` may find a suffix. Most names have none."""
    return "thinking" in name or name.endswith(_EFFORT_ENDINGS)


def read_requested_model(name: str, known: Callable[[str], bool] = is_listed) -> RequestedModel:
    """Parse a client's model name. `known` tells whether a model of exactly that name exists. A
    known name is never split, and another is split only if the rest is known. The caller refuses an
    unknown name with model_not_found."""
    base, suffix = split_name(name, known)
    if suffix is None:
        return _read_effort(name, known)
    return RequestedModel(ModelName(base), settings_of(suffix, (find_row(base) or UNKNOWN).efforts))


def _read_effort(name: str, known: Callable[[str], bool]) -> RequestedModel:
    base, _, ending = name.rpartition("-")
    effort = next((known_effort for known_effort in _EFFORTS if known_effort == ending), None)
    row = find_row(base)
    if effort is None or row is None or known(name) or not known(base):
        return RequestedModel(ModelName(name))
    has = row.thinking == "effort" and effort in (row.efforts or _USUAL)
    if not has:
        return RequestedModel(ModelName(name))
    return RequestedModel(ModelName(base), ReasoningSettings(effort))


def apply_suffix(
    suffix: ReasoningSettings | None, own: ReasoningSettings | None
) -> ReasoningSettings | None:
    """Return the body's reasoning settings, replaced by those in the model's name. If the name does
    not say whether reasoning is shown, the body decides."""
    if suffix is None or own is None:
        return own if suffix is None else suffix
    ending = own.shown if suffix.shown is None else suffix.shown
    return msgspec.structs.replace(suffix, summary=own.summary, shown=ending)
