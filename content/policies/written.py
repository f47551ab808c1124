"""What a policy does to a text, as each dialect writes it."""

import json
from typing import Final, NamedTuple

from content.policies.rules import Tried
from dialects.chat.chat import Dialect
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import KINDS, message_of
from dialects.translation import translate

# Proper names, which are not translated.
DIALECTS: Final[dict[Dialect, str]] = {
    "openai": "OpenAI Chat Completions",
    "responses": "OpenAI Responses",
    "anthropic": "Anthropic Messages",
    "gemini": "Gemini generateContent",
    "interactions": "Gemini Interactions",
    "converse": "Amazon Converse",
}
_MODEL: Final = "model"


class Written(NamedTuple):
    """A body in a dialect: of the request that goes on, or of the client's error. `status` is that
    of the error."""

    dialect: Dialect
    status: int | None
    body: str


def write_tried(tried: Tried) -> list[Written]:
    """Return the client's error in each dialect if the text is refused, else, for the text of a
    request, the request that goes on. Nothing for other texts that pass, and if a guard failed."""
    if tried.refused_by:
        return [_error(dialect, tried) for dialect in DIALECTS]
    if tried.place == "request" and not tried.failure:
        return [_request(dialect, tried.text) for dialect in DIALECTS]
    return []


def _request(dialect: Dialect, text: str) -> Written:
    chat = {"model": _MODEL, "messages": [{"role": "user", "content": text}]}
    raw = json.dumps(chat).encode()
    return Written(dialect, None, _format(translate(raw, "openai", dialect, _MODEL).body))


def _error(dialect: Dialect, tried: Tried) -> Written:
    codec = CODECS[dialect]
    raw = codec.render(
        "guard_refused",
        message_of("guard_refused", tried.message),
        param=None,
        code=tried.refused_by,
        request_id="",
        wait_ms=None,
        target=Target(),
    )
    status = codec.status("guard_refused", KINDS["guard_refused"].status)
    return Written(dialect, status, _format(raw))


def _format(raw: bytes) -> str:
    return json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
