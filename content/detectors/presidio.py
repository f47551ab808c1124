"""Personal data that Presidio's analyzer finds, by its HTTP API: one call for each text."""

import re
from typing import Annotated, Final

import msgspec

from content.detectors.call import CallFailed, CallSettings, Question, Reach, Verdict
from content.detectors.detector import Match

_ENTITY: Final = r"^[A-Z][A-Z_]{0,38}$"
# Another name of an entity cannot stand in a placeholder.
_KIND: Final = re.compile(_ENTITY)


class PresidioSettings(CallSettings):
    """`url` is that of the analyzer, without a path. No `entities`: all that it knows."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s@?#]+$", max_length=500)]
    language: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}$")] = "en"
    entities: Annotated[
        list[Annotated[str, msgspec.Meta(pattern=_ENTITY)]], msgspec.Meta(max_length=100)
    ] = []
    score_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5


class _Finding(msgspec.Struct):
    """`start` and `end` are in characters; other members explain the score."""

    start: int
    end: int
    entity_type: str
    score: float


_findings = msgspec.json.Decoder(list[_Finding])


async def call_presidio(settings: PresidioSettings, question: Question, reach: Reach) -> Verdict:
    """Return what the analyzer finds in the one text of a question. Raises CallFailed."""
    (text,) = question.texts
    body: dict[str, object] = {
        "text": text,
        "language": settings.language,
        "score_threshold": settings.score_threshold,
        "correlation_id": question.request_id,
    }
    if settings.entities:
        body["entities"] = settings.entities
    url, headers = settings.url.rstrip("/") + "/analyze", {"content-type": "application/json"}
    raw = await reach.post(url, headers, msgspec.json.encode(body))
    return Verdict("pass", matches=[read_findings(raw, text)])


def read_findings(raw: bytes, text: str) -> list[Match]:
    """Return the analyzer's findings in a text, in order, without overlaps: of those that overlap,
    all that they cover together. Raises CallFailed."""
    try:
        findings = _findings.decode(raw)
    except (msgspec.DecodeError, ValueError) as error:
        raise CallFailed("answer", "the answer is no list of findings") from error
    matches: list[Match] = []
    for one in sorted(findings, key=lambda one: (one.start, -one.end)):
        if not 0 <= one.start < one.end <= len(text):
            raise CallFailed("answer", "a finding is outside of the text")
        kind = one.entity_type if _KIND.match(one.entity_type) else "FINDING"
        if matches and one.start < matches[-1].end:
            last = matches[-1]
            matches[-1] = last._replace(end=max(last.end, one.end))
        else:
            matches.append(Match(one.start, one.end, kind))
    return matches
