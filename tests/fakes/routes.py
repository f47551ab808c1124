"""Which dialect answers under which path."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import unquote

from tests.fakes.chat import Chat, Completions
from tests.fakes.converse_talk import Converse
from tests.fakes.gemini import CountTokens as GeminiCount
from tests.fakes.gemini import Embed, Generate
from tests.fakes.interactions import Interactions
from tests.fakes.media import Images, QwenImages, Speech, Transcriptions
from tests.fakes.messages import CountTokens as MessagesCount
from tests.fakes.messages import Messages
from tests.fakes.openai_talk import OpenAITalk
from tests.fakes.responses import Compact, InputTokens, Responses
from tests.fakes.story import Talk
from tests.fakes.vectors import Embeddings, Moderations, Rerank

_ACTION = re.compile(r".*/models/(?P<model>[^:]+):(?P<action>\w+)")
_CONVERSE = re.compile(r".*/model/(?P<model>[^/]+)/converse(?P<stream>-stream)?")
_DEPLOYMENT = re.compile(r"/openai/deployments/(?P<name>[^/]+)/.+")

_OPENAI: dict[str, Callable[..., OpenAITalk]] = {
    "/chat/completions": Chat,
    "/completions": Completions,
    "/responses/input_tokens": InputTokens,
    "/responses/compact": Compact,
    "/responses": Responses,
    "/embeddings": Embeddings,
    "/moderations": Moderations,
    "/images/generations": partial(Images, "generations"),
    "/images/edits": partial(Images, "edits"),
    "/images/variations": partial(Images, "variations"),
    "/multimodal-generation/generation": QwenImages,
    "/audio/speech": Speech,
    "/audio/transcriptions": partial(Transcriptions, "transcriptions"),
    "/audio/translations": partial(Transcriptions, "translations"),
}
_GEMINI: dict[str, Callable[[str, Mapping[str, str]], Talk]] = {
    "generateContent": lambda model, query: Generate(model, query, stream=False),
    "streamGenerateContent": lambda model, query: Generate(model, query, stream=True),
    "countTokens": GeminiCount,
    "embedContent": lambda model, query: Embed(model, query, batch=False),
    "batchEmbedContents": lambda model, query: Embed(model, query, batch=True),
}


def talk_of(path: str, query: Mapping[str, str]) -> Talk | None:
    """The dialect of a path, ready to read one request; None for a path that nobody serves."""
    if path == "/v1/chat/completions":
        return Chat()  # the way of the load
    if result := _ACTION.fullmatch(path):
        make = _GEMINI.get(result["action"])
        return make(result["model"], query) if make else None
    if result := _CONVERSE.fullmatch(path):
        return Converse(unquote(result["model"]), stream=result["stream"] is not None)
    for ending, kind in _OPENAI.items():
        if path.endswith(ending):
            return _on_azure(path, query, kind) if path.startswith("/openai/") else kind()
    if path.endswith("/interactions"):
        return Interactions()
    if path.endswith("/messages"):
        return Messages()
    if path.endswith("/messages/count_tokens"):
        return MessagesCount()
    if path.endswith("/rerank"):
        return Rerank(cohere="/v2/" in path)
    return None


def _on_azure(path: str, query: Mapping[str, str], kind: Callable[..., OpenAITalk]) -> OpenAITalk:
    if path.startswith("/openai/v1/"):
        return kind(azure=True)
    result = _DEPLOYMENT.fullmatch(path)
    deployment = result["name"] if result else None
    return kind(azure=True, deployment=deployment, versioned="api-version" in query)
