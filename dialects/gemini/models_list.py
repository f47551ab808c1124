"""The list of models, and a single model, in the form of the gemini dialect."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final

import msgspec

PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 1_000


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the key may use; limits are in tokens, None unknown, texts "" unknown."""

    name: str
    display_name: str = ""
    description: str = ""
    version: str = ""
    input_limit: int | None = None
    output_limit: int | None = None
    methods: tuple[str, ...] = ("generateContent", "countTokens")


def render(
    models: Iterable[ListedModel], *, page_size: int = PAGE_SIZE, page_token: str = ""
) -> bytes:
    """Return a page of the list, sorted by name. A page's token is the last name before it, so that
    a list that changes between two pages neither repeats nor skips unchanged models.
    """
    listed = sorted(models, key=lambda model: model.name)
    start = bisect_right(listed, page_token, key=lambda model: model.name)
    end = start + min(max(page_size, 1), PAGE_SIZE_MAX)
    body: dict[str, Any] = {"models": [_write(model) for model in listed[start:end]]}
    if end < len(listed):
        body["nextPageToken"] = listed[end - 1].name
    return msgspec.json.encode(body)


def render_model(model: ListedModel) -> bytes:
    """Return the JSON of one model."""
    return msgspec.json.encode(_write(model))


def _write(model: ListedModel) -> dict[str, Any]:
    members = {
        "name": f"models/{model.name}",
        "version": model.version,
        "displayName": model.display_name or model.name,
        "description": model.description,
        "inputTokenLimit": model.input_limit,
        "outputTokenLimit": model.output_limit,
        "supportedGenerationMethods": model.methods,
    }
    return {name: value for name, value in members.items() if value is not None}
