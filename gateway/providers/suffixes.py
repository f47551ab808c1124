"""The thinking that a Gemini model's name may ask for by its ending (models.md, section 4).

The ending is cut off before a model is routed, priced and logged, and takes the place of what the
body says about thinking. How an ending is written is the gemini codec's to know.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.codecs.chat import ReasoningSettings
from gateway.codecs.gemini.model_name import settings_of, split_name
from gateway.providers.models import UNKNOWN, find_row, is_listed


@dataclass(frozen=True, slots=True)
class AskedModel:
    """A model's plain name, and the thinking that its ending asked for, None without one."""

    name: str
    reasoning: ReasoningSettings | None = None


def read_asked(name: str, known: Callable[[str], bool] = is_listed) -> AskedModel:
    """What a client's model name asks for.

    `known` says whether there is a model of exactly this name: it is never split, and a name is
    split only where that leaves a known one. What is left whole and is not known is for the caller
    to refuse with model_not_found and the whole name.
    """
    base, suffix = split_name(name, known)
    if suffix is None:
        return AskedModel(name)
    return AskedModel(base, settings_of(suffix, (find_row(base) or UNKNOWN).efforts))
