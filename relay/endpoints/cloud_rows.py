"""The rows of clients that speak to a cloud: Amazon Bedrock and Google's Vertex AI.

    /model/{model}/…
    {v}/publishers/…    {v}  /v1, /v1beta1 or nothing, then
                             /projects/{project}/locations/{location} or nothing

The project and the location decide nothing here: the model does.
"""

import re
from dataclasses import replace
from typing import Final

from dialects.anthropic.cloud_clients import (
    BedrockClientCodec,
    VertexClientCodec,
    VertexCountCodec,
)
from dialects.chat.chat import Dialect
from dialects.endpoints.bedrock_count import BedrockCountCodec
from relay.endpoints.generation import count_tokens, generate
from relay.front.request import Endpoint
from relay.requests.body import BODY_BYTES_MAX

BEDROCK: Final = "/model/"
# The relay answers all paths below these, with 404 if there is no row.
CLOUDS: Final = (BEDROCK, "/v1beta1/", "/projects/", "/publishers/")
_VERTEX_BEGINS: Final = ("/v1/projects/", "/v1/publishers/", *CLOUDS[1:])
_VERTEX: Final = "(?:/v1(?:beta1)?)?(?:/projects/[^/]+/locations/[^/]+)?/publishers/"
_GOOGLES_MODEL: Final = re.compile(f"{_VERTEX}google/models/(.+)")
_LISTED: Final = "/v1/projects/{project}/locations/{location}/publishers/"

_MESSAGES: Final = Endpoint(
    generate, ("POST",), "anthropic", "messages", BODY_BYTES_MAX, path_names="model"
)
_COUNT: Final = Endpoint(count_tokens, ("POST",), "anthropic", "count_tokens", BODY_BYTES_MAX)
_ON_VERTEX: Final = replace(_MESSAGES, codec=VertexClientCodec())
_ON_BEDROCK: Final = replace(_MESSAGES, codec=BedrockClientCodec())
# The first match wins.
_ANTHROPIC_ON_VERTEX: Final[dict[str, Endpoint]] = {
    "anthropic/models/count-tokens:rawPredict": replace(_COUNT, codec=VertexCountCodec()),
    "anthropic/models/{model}:rawPredict": _ON_VERTEX,
    "anthropic/models/{model}:streamRawPredict": replace(_ON_VERTEX, stream=True),
}
_CONVERSE: Final = Endpoint(
    generate, ("POST",), "converse", "converse", BODY_BYTES_MAX, path_names="model"
)
_BELOW_MODEL: Final[dict[str, Endpoint]] = {
    "/model/{model}/converse": _CONVERSE,
    "/model/{model}/converse-stream": replace(_CONVERSE, operation="converse_stream", stream=True),
    "/model/{model}/invoke": _ON_BEDROCK,
    "/model/{model}/invoke-with-response-stream": replace(_ON_BEDROCK, stream=True),
    "/model/{model}/count-tokens": replace(_COUNT, codec=BedrockCountCodec(), path_names="model"),
}

PATTERNS: Final[dict[str, Endpoint]] = _BELOW_MODEL | {
    _VERTEX + path: row for path, row in _ANTHROPIC_ON_VERTEX.items()
}
"""Rows by the pattern of their path; `{model}` is a name."""

LISTED: Final[dict[str, Endpoint]] = _BELOW_MODEL | {
    _LISTED + path: row for path, row in _ANTHROPIC_ON_VERTEX.items()
}
"""Rows by their path as documented, without those of Gemini."""

# Before the action of a row of Gemini.
GEMINI_LISTED: Final = _LISTED + "google/models/{model}:"


def googles_call(path: str) -> str | None:
    """Return `{model}:{action}` of a path that calls a model of Google's on Vertex AI."""
    match = _GOOGLES_MODEL.fullmatch(path) if "/publishers/" in path else None
    return None if match is None else match[1]


def dialect_of_cloud(path: str) -> Dialect | None:
    """Return the dialect of errors for a path of a cloud without a row; None for other paths."""
    if path.startswith(_VERTEX_BEGINS):
        return "anthropic" if "/publishers/anthropic/" in path else "gemini"
    return "converse" if path.startswith(BEDROCK) else None
