"""What a moderation model of one's own channels finds in texts: one request for all texts of a
place. A model that recognises prompt injection has the same API.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from content.detectors.call import PASS, CallFailed, CallSettings, Question, Reach, Verdict
from content.detectors.detector import Match

_KIND: Final = "CONTENT"


class ModerationSettings(CallSettings):
    """No `categories`: what the model flags. Otherwise a text is one of them whose score is at
    least `threshold`.
    """

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    categories: Annotated[list[str], msgspec.Meta(max_length=100)] = []
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class _Result(msgspec.Struct):
    flagged: bool
    category_scores: dict[str, float] = {}


class _Answer(msgspec.Struct):
    results: list[_Result]


_answer = msgspec.json.Decoder(_Answer)


async def call_moderation(
    settings: ModerationSettings, question: Question, reach: Reach
) -> Verdict:
    """Return which texts the model flags, each as a whole. Raises CallFailed."""
    body = msgspec.json.encode({"model": settings.model, "input": list(question.texts)})
    try:
        results = _answer.decode(await reach.ask_model("moderations", body)).results
    except (msgspec.DecodeError, ValueError) as error:
        raise CallFailed("answer", "the answer is no moderation") from error
    if len(results) != len(question.texts):
        raise CallFailed("answer", "the number of results differs")
    matches = [
        [Match(0, len(text), _KIND)] if _is_flagged(settings, one) else []
        for text, one in zip(question.texts, results, strict=True)
    ]
    return PASS._replace(matches=matches)


def _is_flagged(settings: ModerationSettings, result: _Result) -> bool:
    if not settings.categories:
        return result.flagged
    scores: Mapping[str, float] = result.category_scores
    unknown = [one for one in settings.categories if one not in scores]
    if unknown:
        raise CallFailed("answer", f"the model has no category {unknown[0][:40]}")
    return any(scores[one] >= settings.threshold for one in settings.categories)
