"""Code examples on pages, in the requested language, highlighted."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest

from gateway.code_examples.example_models import (
    EMBEDDING_MODEL,
    GEMINI_LIVE_PATH,
    IMAGE_MODEL,
    MODEL,
    MODERATION_MODEL,
    RERANK_MODEL,
    SPEECH_MODEL,
    TRANSCRIPTION_MODEL,
    VEO_MODEL,
    VIDEO_MODEL,
)
from gateway.code_examples.highlighting import highlight_code
from gateway.code_examples.snippets import (
    KEY_NAME,
    LANGUAGES,
    Form,
    Language,
    SnippetRequest,
    convert_to_form,
    snippet,
)
from gateway.listed_models.shown_models import ListedModel
from gateway.providers.task_services import OWN_PRODUCTS, TASK_SERVICES

LANGUAGE_NAMES: Final[Mapping[Language, str]] = {
    "curl": "curl",
    "python": "Python",
    "javascript": "JavaScript",
}
FORM_NAMES: Final[Mapping[Form, str]] = {
    "chat_completions": "Chat Completions",
    "responses": "Responses",
    "messages": "Messages",
}
_LEXERS: Final[Mapping[Language, str]] = {
    "curl": "bash",
    "python": "python",
    "javascript": "javascript",
}
# Where code reads the key from. In the shell it is inside quotes.
_KEY_PLACES: Final[Mapping[Language, str]] = {
    "curl": f"${KEY_NAME}",
    "python": f'os.environ["{KEY_NAME}"]',
    "javascript": f"process.env.{KEY_NAME}",
}


def snippet_language(request: HttpRequest) -> Language:
    """Return the language in `?lang=`, or else curl."""
    name = request.GET.get("lang", "")
    return next((language for language in LANGUAGES if language == name), "curl")


def code_context(request: SnippetRequest, language: Language) -> dict[str, Any]:
    """Build the context of `gateway/code_examples/_code.html`."""
    return {
        "code": highlight_code(snippet(request, language, settings.PUBLIC_URL), _LEXERS[language]),
        "code_language": language,
        "languages": LANGUAGE_NAMES,
    }


def codes_with_key(request: SnippetRequest, key: str) -> list[dict[str, Any]]:
    """Return the code in every language. If the text of a key is known, it replaces the
    placeholder."""
    codes = []
    for language, name in LANGUAGE_NAMES.items():
        code = snippet(request, language, settings.PUBLIC_URL)
        if key:
            code = code.replace(
                _KEY_PLACES[language], key if language == "curl" else f'"{key}"'
            ).removeprefix("import os\n\n")
        html = highlight_code(code, _LEXERS[language])
        codes.append({"language": language, "name": name, "html": html})
    return codes


def example_models(models: Sequence[ListedModel]) -> dict[str, str]:
    """Choose a model for each example: of `models`, the cheapest text model, preferably with a
    price; the cheapest embedding model; and for other kinds a model whose name tells what it does.
    Without a match the example keeps its own model."""
    chats = [
        (model.output_rate is None, model.output_rate or 0, model.name)
        for model in models
        if is_text_model(model)
    ]
    embeddings = [
        (model.input_rate or 0, model.name)
        for model in models
        if model.embeds and not any(word in model.name.lower() for word in ("rerank", "moderation"))
    ]
    return {
        MODEL: min(chats)[-1] if chats else MODEL,
        EMBEDDING_MODEL: min(embeddings)[-1] if embeddings else EMBEDDING_MODEL,
        MODERATION_MODEL: _find_called("moderation", models) or MODERATION_MODEL,
        RERANK_MODEL: _find_called("rerank", models) or RERANK_MODEL,
        IMAGE_MODEL: _find_called("image", models) or IMAGE_MODEL,
        SPEECH_MODEL: _find_called("tts", models) or SPEECH_MODEL,
        TRANSCRIPTION_MODEL: _find_called("whisper", models)
        or _find_called("transcribe", models)
        or TRANSCRIPTION_MODEL,
        VIDEO_MODEL: _find_called("sora", models) or _find_called("video", models) or VIDEO_MODEL,
        **{
            service.example_model: _find_called(service.provider.name, models)
            or service.example_model
            for service in TASK_SERVICES.values()
            if service.example_model
        },
        VEO_MODEL: _find_called("veo", models) or VEO_MODEL,
    }


def is_text_model(model: ListedModel) -> bool:
    """Return whether the model answers chats in text; without a price, according to the
    catalogue."""
    priced = model.output_rate is not None
    return model.chats and (priced or (model.entry is None and "text" in model.can.outputs))


def _find_called(word: str, models: Sequence[ListedModel]) -> str | None:
    return next((model.name for model in models if word in model.name.lower()), None)


def first_call(model: str, form: Form = "chat_completions") -> SnippetRequest:
    """Return a first streamed chat with a model."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Tell me about rivers."}],
        "max_tokens": 200,
        "stream": True,
    }
    return convert_to_form(form, body).request


def call_of(model: ListedModel, form: Form = "chat_completions") -> SnippetRequest:
    """Return a first request for a model, by its kind."""
    if model.embeds:
        return embedding_call(model.name)
    body: dict[str, Any] = {"model": model.name}
    match model.can.endpoint:
        case "moderations":
            body["input"] = "Rivers meander."
            return SnippetRequest("moderations", "/v1/moderations", body)
        case "rerank":
            body |= {"query": "river", "documents": ["Rivers meander", "Hills stand still"]}
            return SnippetRequest("rerank", "/v1/rerank", body)
        case "images":
            body["prompt"] = "A paper boat on a river"
            return SnippetRequest("image_generations", "/v1/images/generations", body)
        case "speech":
            body |= {"input": "Rivers meander because bends grow.", "voice": "alloy"}
            return SnippetRequest("speech", "/v1/audio/speech", body)
        case "transcriptions":
            files = {"file": "speech.mp3"}
            path = "/v1/audio/transcriptions"
            return SnippetRequest("transcriptions", path, body, files=files)
        case "realtime" if model.can.dialects == ("gemini",):
            return SnippetRequest("live_session", GEMINI_LIVE_PATH, None, "GET", model.name)
        case "realtime":
            path = f"/v1/realtime?model={quote(model.name, safe='')}"
            return SnippetRequest("realtime", path, None, "GET", model.name)
        case "live":
            return SnippetRequest("live_sessions", "/v1/live/sessions", None, "GET", model.name)
        case "videos":
            body |= {"prompt": "A river at dawn", "size": "1280x720"}
            return SnippetRequest("video_generations", "/v1/video/generations", body)
    service = OWN_PRODUCTS.get(model.can.endpoint)
    if service is not None and service.example is not None:
        return SnippetRequest(*service.example(model.name))
    return first_call(model.name, form)


def embedding_call(model: str) -> SnippetRequest:
    """Return a first embedding request."""
    body = {"model": model, "input": "Rivers meander", "encoding_format": "float"}
    return SnippetRequest("embeddings", "/v1/embeddings", body)
