"""Convert the usage of a live session's turn (`usageMetadata` of BidiGenerateContent) to meters.

    input    promptTokenCount, the whole context of the turn, plus toolUsePromptTokenCount
    output   responseTokenCount; thoughtsTokenCount beside it
    total    the sum, with thoughts or without them: models differ

Counts are by modality in lists of details. Video is input like pictures. Tokens that no detail
names are text (discuss.ai.google.dev/t/188765, 2026-11).
"""

from typing import Final

from dialects.gemini.usage import MODALITIES, input_meters, read_tier
from dialects.usage.modalities import output_meters
from dialects.usage.usage import Quantities, UsageMembers, read_members

_SEARCHES: Final = "webSearchCount"
_ANSWER: Final = "responseTokensDetails"
_INPUT: Final = MODALITIES._replace(images={"IMAGE", "VIDEO"})
_FILM: Final = MODALITIES._replace(images={"VIDEO"}, others={*MODALITIES.others, "IMAGE"})


def quantities(raw: bytes | None) -> Quantities:
    """Read a raw usage object. Never raises."""
    usage = read_members(raw, "gemini_live")
    return usage if isinstance(usage, Quantities) else _meters(usage)


def _meters(usage: UsageMembers) -> Quantities:
    read_tier(usage)
    prompt, answer = usage.count("promptTokenCount"), usage.count("responseTokenCount")
    tools = usage.count("toolUsePromptTokenCount") or 0
    thoughts = usage.count("thoughtsTokenCount") or 0
    total = usage.count("totalTokenCount")
    if prompt is None:
        # An object without any count tells nothing.
        return usage.missing() if answer is None and total is None else _unreadable(usage)
    answer = answer or 0
    known = prompt + tools + answer
    if total is not None and total not in (known, known + thoughts):
        usage.flags.add("usage_mismatch")
    meters = input_meters(usage, prompt, tools, _INPUT)
    if _FILM.parts(usage, answer, _ANSWER).image:
        # Film has a price of its own, which no meter has.
        usage.note_unknown(f"{_ANSWER}.modality=VIDEO")
    meters |= output_meters(usage, MODALITIES.parts(usage, answer, _ANSWER), thoughts)
    if searches := usage.count(_SEARCHES):
        meters["searches"] = searches
    return usage.result(meters)


def _unreadable(usage: UsageMembers) -> Quantities:
    usage.flags.add("usage_unreadable")
    return usage.result({})
