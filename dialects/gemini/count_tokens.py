"""countTokens: how many tokens a request would have.

{"contents": [...]}   or   {"generateContentRequest": {"model", "contents", "tools", ...}}
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from dialects.chat.media import MediaKind
from dialects.errors.errors import RequestFault
from dialects.gemini.names import spelling
from dialects.gemini.request.read import read
from dialects.json.body import Body, read_body
from dialects.json.members import check_model
from dialects.json.not_json import NOT_JSON
from dialects.usage.impossible_counts import COUNT_MAX

INNER = "generateContentRequest"


@dataclass(frozen=True, slots=True)
class CountFacts:
    """The facts about a request to count tokens, before it is sent or estimated: see ChatFacts."""

    body: Body
    model: str
    text_bytes: int
    media: Mapping[MediaKind, int]


def read_request(raw: bytes, *, model: str) -> CountFacts:
    """Read a body whose path names `model`. Raises RequestFault."""
    body = read_body(raw)
    check_model(model)
    inner = _inner(body)
    facts = read(raw if inner is None else inner, model=model, stream=False)
    return CountFacts(body, model, facts.text_bytes, facts.media)


def edit(facts: CountFacts, upstream_model: str) -> bytes:
    """Return the body for the upstream. A generateContentRequest inside it names the upstream's
    model."""
    inner = _inner(facts.body)
    if inner is None or upstream_model == facts.model:
        return facts.body.raw
    named = read_body(inner).splice({"model": msgspec.json.encode(f"models/{upstream_model}")})
    return facts.body.splice({spelling(facts.body, INNER): named})


def read_answer(raw: bytes) -> int | None:
    """Return the number of tokens; None if the answer has none."""
    try:
        count = msgspec.json.decode(raw, type=_Answer).totalTokens
    except NOT_JSON:
        return None
    return count if 0 <= count <= COUNT_MAX else None


class _Answer(msgspec.Struct):
    # 0 is left out on the wire.
    totalTokens: int = 0


def write_answer(tokens: int) -> bytes:
    """Return the answer to a client."""
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return msgspec.json.encode({"totalTokens": tokens, "promptTokensDetails": details})


def _inner(body: Body) -> bytes | None:
    raw = body.value(spelling(body, INNER))
    if raw is not None and not raw.startswith(b"{"):
        raise RequestFault("invalid_type", INNER, f"{INNER} must be an object")
    return raw
