"""The list of models, and a single model, in the three forms that clients read.

    openai      {"object": "list", "data": [{"id", "object", "created", "owned_by", ...}]}
                    of a page also "first_id", "last_id", "has_more"   limit, after
    anthropic   {"data": [...], "has_more", "first_id", "last_id"}   limit, after_id, before_id
    gemini      {"models": [...], "nextPageToken"?}                  pageSize, pageToken

The form is chosen by the version header of Anthropic's clients, the key header of Google's, and the
path. Unknown properties of a model are omitted.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from dialects.anthropic import models_list as anthropic
from dialects.errors.errors import RequestFault
from dialects.gemini import models_list as gemini

ListForm = Literal["openai", "anthropic", "gemini"]

# The page sizes in the dialect's documentation (docs.anthropic.com, "List Models").
LIMIT: Final = 20
LIMIT_MAX: Final = 1_000
_DIGITS_MAX: Final = 9
_GEMINI_PATHS: Final = ("/v1beta/", "/api/v1beta/")


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the key may use. `created` is Unix seconds; `context` and `output_max` are
    tokens, None unknown; `pricing` holds decimal strings of USD by meter; `parameters` are those of
    a request in the openai dialect that it supports; `shutdown_date` is when its provider retires
    it, YYYY-MM-DD; `methods` are Gemini's names of its operations.
    """

    id: str
    created: int
    owned_by: str
    context: int | None = None
    output_max: int | None = None
    modalities: tuple[str, ...] = ()
    pricing: Mapping[str, str] = {}
    parameters: tuple[str, ...] = ()
    shutdown_date: str | None = None
    display_name: str = ""
    description: str = ""
    version: str = ""
    methods: tuple[str, ...] = ("generateContent", "countTokens")


def form_of(path: str, headers: Collection[str], query: Collection[str]) -> ListForm:
    """Return the form of list that a request wants, by its path, the lower-case names of its
    headers, and the names in its query."""
    if "anthropic-version" in headers:
        return "anthropic"
    if "x-goog-api-key" in headers or "key" in query or path.startswith(_GEMINI_PATHS):
        return "gemini"
    return "openai"


def encode(rows: Iterable[ModelRow], form: ListForm, query: Mapping[str, str]) -> bytes:
    """Return a page of the list, sorted by id. Without a query, the openai form has the whole list.
    Raises RequestFault `invalid_type` and `invalid_value` for an invalid page."""
    listed = sorted(rows, key=lambda row: row.id)
    if form == "anthropic":
        return anthropic.write_models(
            [_anthropic(row) for row in listed],
            limit=_read_size(query, "limit", 1, LIMIT_MAX) or LIMIT,
            after_id=query.get("after_id", ""),
            before_id=query.get("before_id", ""),
        )
    if form == "gemini":
        # Larger pages are reduced to the largest; 0 is the default size.
        size = _read_size(query, "pageSize", 0, 10**_DIGITS_MAX)
        return gemini.render(
            map(_gemini, listed),
            page_size=size or gemini.PAGE_SIZE,
            page_token=query.get("pageToken", ""),
        )
    return msgspec.json.encode(_openai_page(listed, query))


def _openai_page(listed: Sequence[ModelRow], query: Mapping[str, str]) -> dict[str, Any]:
    """Return a page like the dialect's other lists. Without `limit` and `after` the list is
    complete."""
    limit = _read_size(query, "limit", 1, LIMIT_MAX)
    after = query.get("after", "")
    following = [row for row in listed if row.id > after]
    page = following[:limit]
    body: dict[str, Any] = {"object": "list", "data": [_openai(row) for row in page]}
    if limit is None and not after:
        return body
    ends = (page[0].id, page[-1].id) if page else (None, None)
    return body | {
        "first_id": ends[0],
        "last_id": ends[1],
        "has_more": len(page) < len(following),
    }


def encode_model(row: ModelRow, form: ListForm) -> bytes:
    """Return the JSON of one model."""
    if form == "anthropic":
        return anthropic.write_model(_anthropic(row))
    if form == "gemini":
        return gemini.render_model(_gemini(row))
    return msgspec.json.encode(_openai(row))


def _read_size(query: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit():
        raise RequestFault("invalid_type", name, f"{name} must be an integer")
    size = int(text) if len(digits) <= _DIGITS_MAX else high + 1
    if not low <= size <= high:
        raise RequestFault("invalid_value", name, f"{name} must be between {low} and {high}")
    return size


def _openai(row: ModelRow) -> dict[str, Any]:
    members: dict[str, Any] = {
        "id": row.id,
        "object": "model",
        "created": row.created,
        "owned_by": row.owned_by,
        "context_length": row.context,
        "max_output_tokens": row.output_max,
        "modalities": row.modalities or None,
        "pricing": row.pricing or None,
        "supported_parameters": row.parameters or None,
        "shutdown_date": row.shutdown_date,
    }
    return {name: value for name, value in members.items() if value is not None}


def _anthropic(row: ModelRow) -> anthropic.ListedModel:
    return anthropic.ListedModel(row.id, row.display_name or row.id, row.created)


def _gemini(row: ModelRow) -> gemini.ListedModel:
    return gemini.ListedModel(
        name=row.id,
        display_name=row.display_name,
        description=row.description,
        version=row.version,
        input_limit=row.context,
        output_limit=row.output_max,
        methods=row.methods,
    )
