"""The list of models, and a single model, in the form of the anthropic dialect."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from dialects.errors.errors import RequestFault


class ListedModel(NamedTuple):
    """A model as a list shows it; `created_at` is Unix seconds."""

    id: str
    display_name: str
    created_at: int


def write_model(model: ListedModel) -> bytes:
    """Return the JSON of one model."""
    return msgspec.json.encode(_entry(model))


def write_models(
    models: Sequence[ListedModel],
    *,
    limit: int | None = None,
    after_id: str = "",
    before_id: str = "",
) -> bytes:
    """Return a page of the models in order: at most `limit` (None: all) after or before an id.
    Raises RequestFault `invalid_value` for an id that is not in the list.
    """
    ids = [model.id for model in models]
    start = _place(ids, "after_id", after_id) + 1 if after_id else 0
    end = _place(ids, "before_id", before_id) if before_id else len(models)
    page = models[start:end]
    if limit is not None and len(page) > limit:
        # If a page ends before an id, keep the entries nearest to that id.
        page = page[-limit:] if before_id and not after_id else page[:limit]
    return msgspec.json.encode(
        {
            "data": [_entry(model) for model in page],
            "has_more": len(page) < len(models[start:end]),
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
    )


def _place(ids: list[str], name: str, id_: str) -> int:
    if id_ not in ids:
        raise RequestFault("invalid_value", name, f"{name} must be the id of a listed model")
    return ids.index(id_)


def _entry(model: ListedModel) -> dict[str, Any]:
    created = datetime.fromtimestamp(model.created_at, UTC)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
