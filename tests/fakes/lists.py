"""The models, listed in the form of the dialect that asks."""

import re
from collections.abc import Mapping
from typing import Any

from tests.fakes import gemini
from tests.fakes.answer import compact
from tests.fakes.chat import Chat
from tests.fakes.gemini import Generate
from tests.fakes.messages import Messages
from tests.fakes.question import Problem
from tests.fakes.story import CREATED, Talk
from tests.fakes.wire import Answer, whole

_PATH = re.compile(r".*/models(?:/(?P<name>[^/:]+))?/?")


def list_talk(path: str, headers: Mapping[str, str], query: Mapping[str, str]) -> Talk | None:
    """Who asks for models, by the path and the credentials; None for another path."""
    if not _PATH.fullmatch(path):
        return None
    if path.startswith("/v1beta/models") or "x-goog-api-key" in headers or "key" in query:
        return Generate("", query, stream=False)
    if "anthropic-version" in headers or "x-api-key" in headers:
        return Messages()
    return Chat(azure=path.startswith("/openai/"))


def list_of(talk: Talk, path: str, names: tuple[str, ...], owner: str) -> Answer:
    """The list, or the one model that the path names."""
    result = _PATH.fullmatch(path)
    one = result["name"] if result else None
    if one is not None and one not in names:
        return talk.refusal(Problem(404, f"model: {one}", code="model_not_found"))
    if isinstance(talk, Generate):
        return gemini.listing(gemini.model(one) if one else gemini.models(names))
    if isinstance(talk, Messages):
        data = [_anthropic(name) for name in names]
        ends = {"has_more": False, "first_id": names[0], "last_id": names[-1]}
        return whole(200, compact(_anthropic(one) if one else {"data": data} | ends))
    results = [_openai(name, owner) for name in names]
    return whole(200, compact(_openai(one, owner) if one else {"object": "list", "data": results}))


def _anthropic(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name.title(),
        "created_at": "2026-01-01T00:00:00Z",
    }


def _openai(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": owner}
