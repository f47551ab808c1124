"""Google's Vertex AI: Gemini by generateContent, Claude by rawPredict in its own form, all other
models by the OpenAI-compatible endpoint (docs.cloud.google.com, 2026-11; the official clients
`google-genai` 3.3 and `anthropic` 2.10).

    https://LOCATION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/LOCATION
    https://aiplatform.googleapis.com/v1/projects/PROJECT/locations/global
    https://aiplatform.eu.rep.googleapis.com/v1/projects/PROJECT/locations/eu    (and us)
    https://aiplatform.googleapis.com/v1    with an API key, whose project Google knows
"""

from collections.abc import Mapping

from dialects.anthropic.hosted import BETA_HEADER
from dialects.anthropic.vertex import SEARCH_BETA, VertexMessagesCodec
from dialects.chat.operation import Operation
from dialects.gemini.vertex import VertexGenerateContentCodec
from gateway.providers.anthropic import HOSTED_TOOLS as ANTHROPIC
from gateway.providers.cloud_credentials.google import read_google_key
from gateway.providers.cloud_places import GOOGLE
from gateway.providers.gemini import HOSTED_TOOLS as GEMINI
from gateway.providers.hosted_tools import HostedToolData
from gateway.providers.provider import Auth, Provider, Spoken, paths_below

_AUTH = Auth("x-goog-api-key")
# The list of models does not depend on a project.
_MODELS = "/v1beta1/publishers/*/models"


def _shape(paths: Mapping[Operation, str], path: str, query: str) -> Mapping[Operation, str]:
    urls = dict(paths_below(paths, path, query))
    if "models" in urls:
        urls["models"] = path.partition("/v1")[0] + _MODELS
    return urls


PROVIDER = Provider(
    name="vertex",
    label="Google Vertex AI",
    base_url="https://aiplatform.googleapis.com/v1",
    needs_secret=True,
    shape=_shape,
    dialects={
        "gemini": Spoken(
            paths={
                "generate_content": "/publishers/google/models/{model}:generateContent",
                "stream_generate_content": (
                    "/publishers/google/models/{model}:streamGenerateContent?alt=sse"
                ),
                "gemini_count_tokens": "/publishers/google/models/{model}:countTokens",
                # Embeddings, and Imagen's images.
                "predict": "/publishers/google/models/{model}:predict",
                "vertex_embed_content": "/publishers/google/models/{model}:embedContent",
                "models": _MODELS,
            },
            auth=_AUTH,
            codec=VertexGenerateContentCodec(),
            owner="google",
        ),
        "anthropic": Spoken(
            paths={
                "raw_predict": "/publishers/anthropic/models/{model}:rawPredict",
                "stream_raw_predict": "/publishers/anthropic/models/{model}:streamRawPredict",
                "count_tokens": "/publishers/anthropic/models/count-tokens:rawPredict",
            },
            auth=_AUTH,
            headers={BETA_HEADER: SEARCH_BETA},
            passed_headers=(BETA_HEADER,),
            codec=VertexMessagesCodec(),
            owner="anthropic",
        ),
        "openai": Spoken(
            paths={"chat_completions": "/endpoints/openapi/chat/completions"},
            auth=_AUTH,
            not_owners=frozenset({"google", "anthropic"}),
        ),
    },
    credential_source=read_google_key,
    place=GOOGLE,
    # Claude's searches find more than Gemini's.
    hosted_tools=HostedToolData({**GEMINI.results, **ANTHROPIC.results}),
    # Upper limits for a hold, like Gemini's.
    media_tokens_max={"image": 50_000, "audio": 115_200, "file": 258_000, "video": 1_080_000},
    note="The key is the JSON of a service account or of workload identity, or an API key. "
    "The project is that of the JSON unless you enter another one.",
)
