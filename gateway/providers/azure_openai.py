"""OpenAI's models at Microsoft Azure, in both forms of its addresses.

https://NAME.openai.azure.com[/openai/v1]
    the v1 form (generally available since 2025-08): the model is in the body
https://NAME.openai.azure.com[/openai]?api-version=2024-10-21
    the older form: the customer's name for a model is in the path, and the version of the API
    in the query. Operations without such a path use the v1 form, which the same host supports.
"""

from collections.abc import Mapping

from dialects.chat.operation import Operation
from gateway.providers.openai import CHAT_TEMPLATE, HOSTED_TOOLS
from gateway.providers.provider import Auth, Provider, Spoken, paths_below

_VERSION = "api-version"
_BY_MODEL: frozenset[Operation] = frozenset(
    {
        "chat_completions",
        "completions",
        "embeddings",
        "image_generations",
        "image_edits",
        "speech",
        "transcriptions",
        "translations",
    }
)
_AUTH = Auth("api-key")


def _shape(paths: Mapping[Operation, str], path: str, query: str) -> Mapping[Operation, str]:
    root = path.removesuffix("/v1").removesuffix("/openai") + "/openai"
    urls = dict(paths_below(paths, f"{root}/v1", ""))
    if path.endswith("/v1"):
        return {operation: _with_query(url, query) for operation, url in urls.items()}
    if query:
        urls |= {
            operation: f"{root}/deployments/{{model}}{end}?{query}"
            for operation, end in paths.items()
            if operation in _BY_MODEL
        }
        # Realtime connections name the model in the query (learn.microsoft.com, "Use the GPT
        # Realtime API via WebSockets", 2026-09).
        urls["realtime"] = f"{root}/realtime?{query}&deployment={{model}}"
    return urls


def _with_query(url: str, query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


PROVIDER = Provider(
    name="azure_openai",
    label="Azure OpenAI",
    base_url="",
    default_path="/openai",
    shape=_shape,
    query_names=frozenset({_VERSION}),
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                # Images and audio: learn.microsoft.com, "Azure OpenAI in Microsoft Foundry Models
                # v1 REST API reference" (2026-11).
                "image_generations": "/images/generations",
                "image_edits": "/images/edits",
                "speech": "/audio/speech",
                "transcriptions": "/audio/transcriptions",
                "translations": "/audio/translations",
                "realtime": "/realtime?model={model}",
                "models": "/models",
            },
            auth=_AUTH,
            passed_headers=("openai-beta",),
        ),
        "responses": Spoken(paths={"responses": "/responses"}, auth=_AUTH),
    },
    hosted_tools=HOSTED_TOOLS,
    chat_template=CHAT_TEMPLATE,
)
