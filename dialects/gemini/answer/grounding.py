"""Read and write the sources of an answer in the metadata of the gemini dialect.

    groundingMetadata.webSearchQueries      the search queries
    groundingMetadata.groundingChunks[]     the sources: web, retrievedContext or maps
    groundingMetadata.groundingSupports[]   the sources of each piece of the text
    citationMetadata.citationSources[]      recited texts

Positions of pieces count bytes of UTF-8 in the answer's text, while Source counts characters.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from dialects.chat.events import Source
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import as_text, dicts, members_of, object_of

_GENERATION = re.compile(r"gemini-([0-9]+)")
# From this generation on each query is billed; before it, the answer as a whole.
_BY_QUERY = 3
_KINDS = ("web", "retrievedContext", "maps")


class _Queries(msgspec.Struct, rename="camel"):
    web_search_queries: list[str] | None = None


_queries = msgspec.json.Decoder(_Queries)


def read_queries(raw: msgspec.Raw) -> list[str]:
    """Return the search queries, without empty ones."""
    try:
        queries = _queries.decode(raw).web_search_queries
    except NOT_JSON:
        return []
    return [query for query in queries or [] if query]


def count_searches(queries: int, model_version: str) -> int:
    """Return how many searches the model bills for that many queries."""
    generation = _GENERATION.search(model_version)
    by_query = generation is not None and int(generation[1]) >= _BY_QUERY
    return queries if by_query else min(queries, 1)


def read_sources(grounding: msgspec.Raw, citation: msgspec.Raw, text: str) -> list[Source]:
    """Return all sources of an answer whose text up to now is `text`. Those without a position come
    last."""
    metadata, raw_text = members_of(grounding), text.encode()
    chunks = [_read_chunk(chunk) for chunk in dicts(metadata.get("groundingChunks"))]
    sources: list[Source] = []
    indices_used: set[int] = set()
    for support in dicts(metadata.get("groundingSupports")):
        start, end = _place(object_of(support.get("segment")), raw_text)
        indices = support.get("groundingChunkIndices")
        for at in indices if isinstance(indices, list) else []:
            if isinstance(at, int) and 0 <= at < len(chunks):
                indices_used.add(at)
                sources.append(msgspec.structs.replace(chunks[at], start=start, end=end))
    sources += [chunk for at, chunk in enumerate(chunks) if at not in indices_used]
    recited = members_of(citation)
    for place in dicts(recited.get("citationSources")) or dicts(recited.get("citations")):
        start, end = _place(place, raw_text)
        sources.append(Source(as_text(place.get("uri")), as_text(place.get("title")), start, end))
    return [source for source in sources if source.url]


def _read_chunk(chunk: dict[str, Any]) -> Source:
    own = next((inner for kind in _KINDS if (inner := object_of(chunk.get(kind)))), {})
    return Source(
        as_text(own.get("uri")), as_text(own.get("title")), quote=as_text(own.get("text"))
    )


def _place(segment: dict[str, Any], text: bytes) -> tuple[int, int] | tuple[None, None]:
    """Return the position of a segment in characters. The segment's text takes precedence over
    wrong numbers."""
    start, end = segment.get("startIndex", 0), segment.get("endIndex")
    words = as_text(segment.get("text")).encode()
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(text):
        start, end = 0, 0
    if words and text[start:end] != words:
        start = max(text.find(words), 0)
        end = start + len(words) if text.startswith(words, start) else start
    if start == end:
        return None, None
    return _characters(text[:start]), _characters(text[:end])


def _characters(raw: bytes) -> int:
    return len(raw.decode(errors="ignore"))


def write_grounding(citations: Iterable[Source], text: str) -> dict[str, Any]:
    """Return the `groundingMetadata` of an answer whose text is `text`; {} without citations."""
    places: dict[str, int] = {}
    chunks: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    for source in citations:
        if source.url not in places:
            places[source.url] = len(chunks)
            chunks.append({"web": {"uri": source.url, "title": source.title}})
        start, end = source.start, source.end
        if start is not None and end is not None and start < end <= len(text):
            words = text[start:end]
            at = len(text[:start].encode())
            segment = {"startIndex": at, "endIndex": at + len(words.encode()), "text": words}
            supports.append({"segment": segment, "groundingChunkIndices": [places[source.url]]})
    if not chunks:
        return {}
    return {"groundingChunks": chunks} | ({"groundingSupports": supports} if supports else {})
