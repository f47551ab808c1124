"""Parse the model's name in a path, and the suffixes that set its thinking.

    models/{name}:{action}
    name    = base [ "-nothinking" | "-thinking" [ "-" ( budget | "low" | "high" ) ] ]
    base    = a model that starts with "gemini-", or nano-banana-pro
    budget  = "-"? digits          -1 lets the model decide

A name that is itself a model is never split. `-thinking-` with anything else does not change the
name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from dialects.chat.chat import Effort, ReasoningSettings
from dialects.chat.cloud_names import bare_names
from dialects.chat.reasoning import DYNAMIC

Action = Literal[
    "generateContent",
    "streamGenerateContent",
    "countTokens",
    "embedContent",
    "batchEmbedContents",
    "predictLongRunning",
]

_ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
_LEVELS: Final[dict[str, Literal["low", "high"]]] = {"low": "low", "high": "high"}
_SUFFIX = re.compile(r"(?P<base>.+?)-(?P<off>no)?thinking(?:-(?P<how>-?[0-9]{1,9}|low|high))?")
_BASE = re.compile(r"gemini-.*|nano-banana-pro")


@dataclass(frozen=True, slots=True)
class Suffix:
    """The settings of a model name's suffix: on, off, low or high, or a budget in tokens."""

    setting: Literal["on", "off", "low", "high"] | int


def read_target(path: str) -> tuple[str, Action] | None:
    """Return the model and action after `models/` in a path; None if it is not a call of a
    model.
    """
    model, _, name = path.rpartition(":")
    for action in _ACTIONS:
        if model and name == action:
            return model, action
    return None


def split_name(name: str, known: Callable[[str], bool]) -> tuple[str, Suffix | None]:
    """Return a model's name without its suffix, and the suffix. `known` tells whether a name is a
    model."""
    suffix = _SUFFIX.fullmatch(name)
    if known(name) or suffix is None or (suffix["off"] and suffix["how"]):
        return name, None
    base, how = suffix["base"], suffix["how"]
    if not any(map(_BASE.fullmatch, bare_names(base))) or not known(base):
        return name, None
    if suffix["off"]:
        return base, Suffix("off")
    if how is None:
        return base, Suffix("on")
    return base, Suffix(_LEVELS[how] if how in _LEVELS else int(how))


def settings_of(suffix: Suffix, efforts: tuple[Effort, ...] = ()) -> ReasoningSettings:
    """Return the reasoning settings that a suffix stands for; they replace the client's settings.
    Budget models use its budget, level models its effort; `efforts` are the levels that the model
    has."""
    match suffix.setting:
        case "off":
            return ReasoningSettings(switch="off", shown=False)
        case "on":
            return ReasoningSettings("high", DYNAMIC, shown=True)
        case "low" | "high" as effort:
            return ReasoningSettings(effort, shown=True)
        case budget:
            # With a budget of 0 the provider refuses to return thoughts.
            return ReasoningSettings(_level(budget, efforts), budget, shown=budget != 0)


def _level(budget: int, efforts: tuple[Effort, ...]) -> Effort:
    if budget == DYNAMIC or budget > 12_288:
        return "high"
    if budget <= 4_096:
        return "low"
    return "medium" if not efforts or "medium" in efforts else "high"
