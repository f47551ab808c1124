"""The list of models in the forms of the dialects, read page by page.

    openai     {"data": [{"id"}]}, or the bare list        one page
    anthropic  {"data": [{"id"}], "has_more", "last_id"}   the next by `after_id`
    gemini     {"models": [{"name": "models/…"}], "nextPageToken"}   the next by `pageToken`
               {"publisherModels": [{"name": "publishers/google/models/…"}]}   likewise
    converse   {"inferenceProfileSummaries": [{"inferenceProfileId"}], "nextToken"}   by `nextToken`

Together AI sends the bare list (odysseus-dev/odysseus, issue 2202, 2026-06). OpenAI's OpenAPI
description 2.3.0; platform.claude.com/docs/en/api/models-list and ai.google.dev/api/models
(2026-10); ListInferenceProfiles (docs.aws.amazon.com, 2026-08); publishers.models.list of Vertex
(docs.cloud.google.com, 2026-11), which lists models of Google and Anthropic by their bare names,
and others with the publisher in front.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from dialects.chat.chat import Dialect

_FIRST: Final[Mapping[Dialect, Mapping[str, str]]] = {
    "anthropic": {"limit": "1000"},
    "gemini": {"pageSize": "1000"},
    "interactions": {"pageSize": "1000"},
    "converse": {"maxResults": "1000"},
}
_LISTS: Final[Mapping[Dialect, str]] = {
    "gemini": "models",
    "interactions": "models",
    "converse": "inferenceProfileSummaries",
}
_GOOGLE: Final[frozenset[Dialect]] = frozenset({"gemini", "interactions"})
# Generation methods that the hub supports. Models with others create images or films by calls that
# it does not relay.
_METHODS: Final = frozenset({"generateContent", "embedContent", "batchEmbedContents"})


_PUBLISHED: Final = re.compile(r"publishers/([^/]+)/models/(.+)")
# The models in Vertex's list that answer without a deployment, in a form that is spoken here.
_SERVED: Final = re.compile(
    r"publishers/(?:google/models/(?:gemini-|imagen-|text-(?:multilingual-)?embedding-)"
    r"|anthropic/models/|xai/models/|[^/]+/models/.*-maas$)"
)


class NotAList(ValueError):
    """The answer is not a list of models."""


class ListedPage(NamedTuple):
    """The names on one page, and the query of the next page; "" after the last."""

    names: list[str]
    next_query: str


def first_query(dialect: Dialect) -> str:
    """Return the query of the first page."""
    return urlencode(_FIRST.get(dialect, {}))


def read_page(dialect: Dialect, body: Any) -> ListedPage:
    """Parse one page of a list from JSON. Raises NotAList."""
    if dialect == "openai" and isinstance(body, list) and body:
        body = {"data": body}
    rows = body.get(_LISTS.get(dialect, "data")) if isinstance(body, dict) else None
    if rows is None and dialect in _GOOGLE and isinstance(body, dict):
        rows = body.get("publisherModels")
    if dialect in _GOOGLE and isinstance(body, dict) and body == {}:
        rows = []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise NotAList
    names = [_name(dialect, row) for row in rows if _is_useful(row)]
    if not all(isinstance(name, str) and name for name in names):
        raise NotAList
    return ListedPage([_bare(name) for name in names], _next_page(dialect, body))


def _name(dialect: Dialect, row: Mapping[str, Any]) -> Any:
    if dialect == "converse":
        # A customer's own profile is called by its ARN.
        own = row.get("type") == "APPLICATION"
        return row.get("inferenceProfileArn" if own else "inferenceProfileId")
    return row.get("name" if dialect in _GOOGLE else "id")


def _bare(name: str) -> str:
    match = _PUBLISHED.fullmatch(name)
    if match is None:
        return name.removeprefix("models/")
    return match[2] if match[1] in ("google", "anthropic") else f"{match[1]}/{match[2]}"


def _is_useful(row: Mapping[str, Any]) -> bool:
    name = row.get("name")
    if isinstance(name, str) and name.startswith("publishers/"):
        return _SERVED.match(name) is not None
    methods = row.get("supportedGenerationMethods")
    return not isinstance(methods, list) or not _METHODS.isdisjoint(map(str, methods))


def _next_page(dialect: Dialect, body: Mapping[str, Any]) -> str:
    more: dict[str, str] = {}
    if dialect == "anthropic" and body.get("has_more") and body.get("last_id"):
        more = {"after_id": str(body["last_id"])}
    elif dialect in _GOOGLE and body.get("nextPageToken"):
        more = {"pageToken": str(body["nextPageToken"])}
    elif dialect == "converse" and body.get("nextToken"):
        more = {"nextToken": str(body["nextToken"])}
    return urlencode({**_FIRST.get(dialect, {}), **more}) if more else ""
