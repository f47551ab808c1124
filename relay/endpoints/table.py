"""The paths that the relay serves; all others belong to Django.

    {p}  /v1, /api/v1              {g}  /v1beta, /v1, /api/v1beta

A trailing slash is accepted, and `/v1/v1/…` is read as `/v1/…` (a base URL with `/v1` typed twice).
A path inside the query is ignored: a client library makes `/v1/responses?api-version=…/responses`
of a base URL with a query, which is matched by its path alone. `cloud_rows.py` has the paths of
clouds. Unknown paths under `/v1`, `/v1beta`, `/anthropic` and those of clouds and task services get
errors from the relay, in their clients' form; unknown paths under `/api/v1/` belong to the
management API.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl

from accounts.secrets.key_format import AUTH_TOKEN_PREFIX, CLIENT_SECRET_PREFIX
from dialects.chat.chat import Dialect
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS, MEDIA_CODECS, TEXT_CODECS
from dialects.errors.errors import RequestFault
from dialects.errors.masking import quote_value
from dialects.errors.task_errors import Family
from dialects.gemini.model_name import read_target
from dialects.gemini.vertex import VertexCountClientCodec
from dialects.media import veo
from gateway.channels.passthrough.rules import METHODS, ROOT
from lib.extensions.installed import extend
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import ErrorResponse, error_response
from relay.endpoints import cloud_rows
from relay.endpoints.balance import show_balance
from relay.endpoints.feedback import FEEDBACK_BYTES_MAX, give_feedback
from relay.endpoints.generation import (
    count_tokens,
    estimate,
    generate,
    refuse_not_implemented,
    remix_video,
)
from relay.endpoints.models import form_of, list_models, show_model
from relay.endpoints.passthrough.endpoint import pass_through
from relay.endpoints.passthrough.incoming_body import BODY_BYTES_MAX as PASSED_BYTES_MAX
from relay.endpoints.responses_socket.connection import open_responses
from relay.endpoints.service_rows import QUESTION_BYTES_MAX
from relay.endpoints.stored_responses import (
    cancel_interaction,
    cancel_response,
    list_input_items,
    show_interaction,
    show_response,
)
from relay.endpoints.task_services import SERVICE_ROWS
from relay.front.request import Endpoint, Request
from relay.media.linked_picture import stream_linked_picture
from relay.media.task_answers import (
    list_videos,
    show_generation,
    show_veo_operation,
    show_video,
)
from relay.media.task_content import stream_content
from relay.media.task_events import stream_events
from relay.operations.image_operations import IMAGE_EDITS, IMAGE_GENERATIONS, IMAGE_VARIATIONS
from relay.operations.media_operation import MediaOperation
from relay.operations.sound_operations import SPEECH, TRANSCRIPTIONS, TRANSLATIONS
from relay.operations.unary import (
    BATCH_EMBED_CONTENTS,
    EMBED_CONTENT,
    EMBEDDINGS,
    MODERATIONS,
    RERANK_COHERE,
    RERANK_JINA,
)
from relay.operations.veo_operation import PREDICT_LONG_RUNNING
from relay.operations.video_operations import VIDEO_GENERATIONS, VIDEOS
from relay.realtime.gemini_live.new_auth_token import create_auth_token
from relay.realtime.gemini_live.open_connection import open_live_connection
from relay.realtime.live.open_live import open_live
from relay.realtime.live.refusals import refuse_live
from relay.realtime.new_client_secret import create_client_secret
from relay.realtime.open_connection import open_connection
from relay.requests.body import BODY_BYTES_MAX as _BODY
from relay.requests.invocation import Invocation


async def _estimate(request: Request) -> None:
    """Answer what a request to the endpoint in the query would hold."""
    path = request.query.get("endpoint", _DEFAULT_ESTIMATED)
    endpoint = find_endpoint(path)
    if endpoint is None or endpoint.handler is not generate:
        raise RequestFault("invalid_value", "endpoint", _NOT_ESTIMATED.format(quote_value(path)))
    await estimate(
        request, endpoint, read_invocation(endpoint, path, request.scope["headers"], b"")
    )


_DEFAULT_ESTIMATED: Final = "/v1/chat/completions"
_NOT_ESTIMATED: Final = (
    "endpoint must be the path of a generating POST, such as /v1/messages, not {}"
)

_CHAT: Final = Endpoint(generate, ("POST",), "openai", "chat_completions", _BODY)
_RESPONSES: Final = Endpoint(
    generate, ("POST",), "responses", "responses", _BODY, socket=open_responses
)
_INPUT_TOKENS: Final = Endpoint(
    count_tokens, ("POST",), "responses", "responses_input_tokens", _BODY
)
_MESSAGES: Final = Endpoint(generate, ("POST",), "anthropic", "messages", _BODY)
_COUNT: Final = Endpoint(count_tokens, ("POST",), "anthropic", "count_tokens", _BODY)
_ESTIMATE: Final = Endpoint(_estimate, ("POST",), operation="estimate", body_bytes_max=_BODY,
                            shows="estimate")  # fmt: skip
_COMPLETIONS: Final = Endpoint(generate, ("POST",), "openai", "completions", _BODY)
_EDITS: Final = Endpoint(generate, ("POST",), "openai", "edits", _BODY)
_MODELS: Final = Endpoint(list_models, ("GET",), shows="models", key_in_query=True)
_MODEL: Final = Endpoint(show_model, ("GET",), shows="model", path_names="model", key_in_query=True)
_EMBEDDINGS: Final = Endpoint(generate, ("POST",), "openai", "embeddings", _BODY, unary=EMBEDDINGS)
_ENGINE: Final = replace(_EMBEDDINGS, path_names="model", key_in_query=True)
_MODERATIONS: Final = Endpoint(
    generate, ("POST",), "openai", "moderations", _BODY, unary=MODERATIONS
)
_RERANK: Final = Endpoint(generate, ("POST",), "openai", "rerank", _BODY, unary=RERANK_JINA)
_RERANK_2: Final = replace(_RERANK, unary=RERANK_COHERE)
_MEDIA: Final[dict[str, Endpoint]] = {
    path: Endpoint(
        generate,
        ("POST",),
        "openai",
        operation,
        _BODY,
        unary=unary,
        takes_form=isinstance(unary, MediaOperation),
    )
    for path, operation, unary in (
        ("images/generations", "image_generations", IMAGE_GENERATIONS),
        ("images/edits", "image_edits", IMAGE_EDITS),
        ("images/variations", "image_variations", IMAGE_VARIATIONS),
        ("audio/speech", "speech", SPEECH),
        ("audio/transcriptions", "transcriptions", TRANSCRIPTIONS),
        ("audio/translations", "translations", TRANSLATIONS),
    )
}
_LINKED_PICTURE: Final = Endpoint(
    stream_linked_picture, ("GET",), operation="image_generations", shows="image_content",
    path_names="link", is_sealed_link=True,
)  # fmt: skip
_RESPONSE: Final = Endpoint(
    show_response, ("GET", "DELETE"), "responses", "responses", shows="response",
    path_names="response",
)  # fmt: skip
_RESPONSE_ITEMS: Final = Endpoint(
    list_input_items, ("GET",), "responses", "responses", shows="response_items",
    path_names="response",
)  # fmt: skip
_RESPONSE_CANCEL: Final = Endpoint(
    cancel_response, ("POST",), "responses", "responses", shows="response_cancel",
    path_names="response",
)  # fmt: skip
_INTERACTIONS: Final = Endpoint(
    generate, ("POST",), "interactions", "interactions", _BODY, key_in_query=True
)
# {g}/… about one interaction.
_OF_INTERACTION: Final[dict[str, Endpoint]] = {
    "interactions/{id}": Endpoint(
        show_interaction, ("GET", "DELETE"), "interactions", "interactions", shows="interaction",
        path_names="response", key_in_query=True,
    ),
    "interactions/{id}/cancel": Endpoint(
        cancel_interaction, ("POST",), "interactions", "interactions", shows="interaction_cancel",
        path_names="response", key_in_query=True,
    ),
}  # fmt: skip
_INTERACTION_PATHS: Final = (
    "/v1beta/interactions/", "/v1/interactions/", "/api/v1beta/interactions/",
)  # fmt: skip
_FEEDBACK: Final = Endpoint(
    give_feedback, ("POST",), operation="feedback", body_bytes_max=FEEDBACK_BYTES_MAX,
    shows="feedback", path_names="request",
)  # fmt: skip
_COMPACT: Final = Endpoint(generate, ("POST",), "responses", "responses_compact", _BODY)
_VIDEO_LIST: Final = Endpoint(list_videos, ("GET",), operation="videos", shows="videos")
_VIDEOS: Final = Endpoint(
    generate, ("POST", "GET"), "openai", "videos", _BODY, unary=VIDEOS, takes_form=True,
    reading=_VIDEO_LIST,
)  # fmt: skip
_GENERATIONS: Final = Endpoint(
    generate, ("POST",), "openai", "video_generations", _BODY, unary=VIDEO_GENERATIONS
)
# {p}/… about one task.
_OF_VIDEO: Final[dict[str, Endpoint]] = {
    "videos/{id}": Endpoint(
        show_video, ("GET", "DELETE"), operation="videos", shows="video", path_names="task"
    ),
    "videos/{id}/content": Endpoint(
        stream_content,
        ("GET",),
        operation="videos",
        shows="video_content",
        path_names="task",
        opens_by_link=True,
    ),
    "videos/{id}/events": Endpoint(
        stream_events, ("GET",), operation="videos", shows="video_events", path_names="task"
    ),
    "videos/{id}/remix": Endpoint(
        remix_video, ("POST",), "openai", "videos", _BODY, path_names="task", takes_form=True
    ),
    "video/generations/{id}": Endpoint(
        show_generation,
        ("GET",),
        operation="video_generations",
        shows="video_generation",
        path_names="task",
    ),
}
_REALTIME: Final = Endpoint(
    open_connection, ("GET",), operation="realtime", socket=open_connection,
    secret_prefix=CLIENT_SECRET_PREFIX,
)  # fmt: skip
# Google's form of it.
_LIVE: Final = Endpoint(
    open_live_connection, ("GET",), "gemini", "realtime", shows="live_session", key_in_query=True,
    socket=open_live_connection,
)  # fmt: skip
_LIVE_PATH: Final = "/ws/google.ai.generativelanguage.{}.GenerativeService.BidiGenerateContent"
# The method that Google's clients call with an ephemeral token.
_CONSTRAINED: Final = replace(_LIVE, secret_prefix=AUTH_TOKEN_PREFIX)
# Keys may call these that may open sessions.
_AUTH_TOKENS: Final = Endpoint(
    create_auth_token, ("POST",), "gemini", "realtime", body_bytes_max=QUESTION_BYTES_MAX,
    shows="auth_token", key_in_query=True,
)  # fmt: skip
_CLIENT_SECRETS: Final = Endpoint(
    create_client_secret, ("POST",), operation="realtime", body_bytes_max=QUESTION_BYTES_MAX,
    shows="client_secret",
)  # fmt: skip
_GPT_LIVE: Final = Endpoint(
    open_live, ("GET", "POST"), operation="live_sessions", socket=open_live,
    reading=Endpoint(refuse_live, ("POST",), operation="live_calls"),
)  # fmt: skip
_SERVICES: Final[dict[str, Endpoint]] = {
    path: row for rows in SERVICE_ROWS.values() for path, row in rows.exact.items()
}
# {g}/… of a video in Veo's form; the file name of its bytes is not an id.
_VEO_OPERATION: Final = Endpoint(
    show_veo_operation,
    ("GET",),
    "gemini",
    "predict_long_running",
    shows="veo_operation",
    path_names="task",
    key_in_query=True,
)
_VEO_FILE: Final = "files/{id}:download"
_OF_VEO: Final[dict[str, Endpoint]] = {
    "models/{model}/operations/{id}": _VEO_OPERATION,
    "operations/{id}": _VEO_OPERATION,
    _VEO_FILE: Endpoint(
        stream_content,
        ("GET",),
        "gemini",
        "predict_long_running",
        shows="video_content",
        path_names="file",
        key_in_query=True,
        opens_by_link=True,
    ),
}
# Every path below it; what may be called is up to the rules of its channel.
_PASS_THROUGH: Final = Endpoint(
    pass_through, METHODS, operation="passthrough", body_bytes_max=PASSED_BYTES_MAX
)
_OWN_CODECS: Final = {**TEXT_CODECS, **MEDIA_CODECS}

ENDPOINTS: Final[dict[str, Endpoint]] = (
    {
        "/v1/chat/completions": _CHAT,
        "/api/v1/chat/completions": _CHAT,
        "/chat/completions": _CHAT,
        "/v1/responses": _RESPONSES,
        "/api/v1/responses": _RESPONSES,
        "/v1/responses/responses": _RESPONSES,
        "/responses": _RESPONSES,
        "/v1/responses/compact": _COMPACT,
        "/api/v1/responses/compact": _COMPACT,
        "/v1/responses/input_tokens": _INPUT_TOKENS,
        "/api/v1/responses/input_tokens": _INPUT_TOKENS,
        "/v1/messages": _MESSAGES,
        "/api/v1/messages": _MESSAGES,
        "/anthropic/v1/messages": _MESSAGES,
        "/v1/messages/count_tokens": _COUNT,
        "/api/v1/messages/count_tokens": _COUNT,
        "/anthropic/v1/messages/count_tokens": _COUNT,
        "/v1/estimate": _ESTIMATE,
        "/v1/models": _MODELS,
        "/api/v1/models": _MODELS,
        "/v1beta/interactions": _INTERACTIONS,
        "/v1/interactions": _INTERACTIONS,
        "/api/v1beta/interactions": _INTERACTIONS,
        "/v1beta/models": _MODELS,
        "/api/v1beta/models": _MODELS,
        "/v1/completions": _COMPLETIONS,
        "/api/v1/completions": _COMPLETIONS,
        "/completions": _COMPLETIONS,
        "/v1/edits": _EDITS,
        "/api/v1/edits": _EDITS,
        "/edits": _EDITS,
        "/v1/embeddings": _EMBEDDINGS,
        "/api/v1/embeddings": _EMBEDDINGS,
        "/v1/moderations": _MODERATIONS,
        "/api/v1/moderations": _MODERATIONS,
        "/v1/rerank": _RERANK,
        "/api/v1/rerank": _RERANK,
        "/rerank": _RERANK,
        "/v2/rerank": _RERANK_2,
        "/v1/videos": _VIDEOS,
        "/api/v1/videos": _VIDEOS,
        "/v1/video/generations": _GENERATIONS,
        "/api/v1/video/generations": _GENERATIONS,
        "/v1/realtime": _REALTIME,
        "/api/v1/realtime": _REALTIME,
        "/v1/live/sessions": _GPT_LIVE,
        "/api/v1/live/sessions": _GPT_LIVE,
        "/v1/realtime/client_secrets": _CLIENT_SECRETS,
        "/api/v1/realtime/client_secrets": _CLIENT_SECRETS,
        "/v1alpha/auth_tokens": _AUTH_TOKENS,
        "/v1beta/auth_tokens": _AUTH_TOKENS,
    }
    | {
        _LIVE_PATH.format(version) + method: row
        for version in ("v1", "v1beta", "v1alpha")
        for method, row in {"": _LIVE, "Constrained": _CONSTRAINED}.items()
    }
    | {
        f"{root}/dashboard/billing/{name}": Endpoint(
            show_balance, ("GET",), operation=f"billing_{name}"
        )
        for root in ("", "/v1", "/api/v1")
        for name in ("subscription", "usage", "credit_grants")
    }
    | {f"{root}/{path}": row for path, row in _MEDIA.items() for root in ("/v1", "/api/v1")}
    | _SERVICES
)

# {g}/models/{model}:{action}
_GEMINI: Final[dict[str, Endpoint]] = {
    action: Endpoint(
        handler,
        ("POST",),
        "gemini",
        operation,
        _BODY,
        key_in_query=True,
        stream=action.startswith("stream"),
        unary=unary,
    )
    for action, handler, operation, unary in (
        ("generateContent", generate, "generate_content", None),
        ("streamGenerateContent", generate, "stream_generate_content", None),
        ("countTokens", count_tokens, "gemini_count_tokens", None),
        ("embedContent", generate, "embed_content", EMBED_CONTENT),
        ("batchEmbedContents", generate, "batch_embed_contents", BATCH_EMBED_CONTENTS),
        ("predictLongRunning", generate, "predict_long_running", PREDICT_LONG_RUNNING),
    )
}
# Those that Vertex AI has as well, in the same form.
_GEMINI_ON_VERTEX: Final[dict[str, Endpoint]] = {
    "generateContent": _GEMINI["generateContent"],
    "streamGenerateContent": _GEMINI["streamGenerateContent"],
    "countTokens": replace(_GEMINI["countTokens"], codec=VertexCountClientCodec()),
}
_GEMINI_ROOTS: Final = ("/v1beta/models/", "/v1/models/", "/api/v1beta/models/")


def _missing(operation: str, methods: tuple[str, ...]) -> Endpoint:
    return Endpoint(refuse_not_implemented, methods, operation=operation)


# {p}/… paths that answer 501: the words of the path, None for an id.
_Words = tuple[str | None, ...]
# Live sessions whose sound goes past Weir, and those that a provider stores.
_LIVE_CALLS: Final[dict[_Words, Endpoint]] = {
    ("live", "sessions", None, action): Endpoint(refuse_live, methods, operation="live_calls")
    for action, methods in (
        ("accept", ("POST",)),
        ("hangup", ("POST",)),
        ("refer", ("POST",)),
        ("reject", ("POST",)),
        ("content", ("GET",)),
        ("attach", ("GET",)),
        # Over HTTP, and over a WebSocket.
        ("fork", ("POST", "GET")),
    )
}
_NOT_IMPLEMENTED: Final[dict[_Words, Endpoint]] = (
    _LIVE_CALLS
    | {
        ("files",): _missing("files", ("GET", "POST")),
        ("files", None): _missing("files", ("GET", "DELETE")),
        ("files", None, "content"): _missing("files", ("GET",)),
        # Sessions of the beta that are opened without a key, and those without a WebSocket.
        ("realtime", "sessions"): Endpoint(
            refuse_not_implemented, ("POST",), operation="realtime_sessions"
        ),
        ("realtime", "transcription_sessions"): _missing("realtime_sessions", ("POST",)),
        ("realtime", "calls"): Endpoint(
            refuse_not_implemented, ("POST",), operation="realtime_sessions"
        ),
    }
    | {
        (*start, *rest): _missing("fine_tunes", methods)
        for start in (("fine-tunes",), ("fine_tuning", "jobs"))
        for rest, methods in (
            ((), ("GET", "POST")),
            ((None,), ("GET",)),
            ((None, "cancel"), ("POST",)),
            ((None, "events"), ("GET",)),
        )
    }
)
# Every path below these words: OpenAI's stored objects and the jobs on them.
_NOT_MADE_BELOW: Final[dict[str, Endpoint]] = {
    name: _missing(name, ("GET", "POST", "DELETE"))
    for name in ("batches", "assistants", "threads", "vector_stores")
}
_OPENAI_ROOTS: Final = ("/api/v1/", "/v1/")
_GEMINI_ROOT: Final = "(?:/v1beta|/v1|/api/v1beta)/"
_OPENAI_ROOT: Final = "(?:/api)?/v1/"
# A name that is asked for is captured.
_NAME_OF: Final = {"model": "(.+)"}
# Rows whose path contains a name; the first match wins.
_NAMING: Final = {
    re.compile(
        path.replace("{model}", _NAME_OF.get(endpoint.path_names, ".+")).replace("{id}", "([^/]+)")
    ): endpoint
    for path, endpoint in (
        *((f"{_GEMINI_ROOT}{path}", endpoint) for path, endpoint in _OF_VEO.items()),
        # Without TLS, clients request some files with the whole address as their name.
        (f"{_GEMINI_ROOT}files/https?://.+/{_VEO_FILE}", _OF_VEO[_VEO_FILE]),
        *(row for rows in SERVICE_ROWS.values() for row in rows.naming.items()),
        *((f"{_OPENAI_ROOT}{path}", endpoint) for path, endpoint in _OF_VIDEO.items()),
        (f"{_OPENAI_ROOT}images/{{id}}/content", _LINKED_PICTURE),
        *cloud_rows.PATTERNS.items(),
        (f"{_OPENAI_ROOT}engines/(.+)/embeddings", _ENGINE),
        ("(?:/api)?/v1(?:beta)?/models/(.+)", _MODEL),
        *((f"{_GEMINI_ROOT}{path}", endpoint) for path, endpoint in _OF_INTERACTION.items()),
        (f"{_OPENAI_ROOT}requests/{{id}}/feedback", _FEEDBACK),
        (f"{_OPENAI_ROOT}responses/{{id}}", _RESPONSE),
        (f"{_OPENAI_ROOT}responses/{{id}}/input_items", _RESPONSE_ITEMS),
        (f"{_OPENAI_ROOT}responses/{{id}}/cancel", _RESPONSE_CANCEL),
    )
}


def _exact(added: Mapping[str, Endpoint]) -> dict[str, Endpoint]:
    return {path: row for path, row in added.items() if "{" not in path}


def _naming(added: Mapping[str, Endpoint]) -> dict[str, Endpoint]:
    return {path: row for path, row in added.items() if "{" in path}


def _naming_patterns(added: Mapping[str, Endpoint]) -> dict[re.Pattern[str], Endpoint]:
    rows = _naming(added).items()
    return {re.compile(path.replace("{id}", "([^/]+)")): row for path, row in rows}


_ADDED: Final[dict[str, Endpoint]] = {}
extend(ENDPOINTS, "endpoints", Endpoint, _exact)
extend(_ADDED, "endpoints", Endpoint, _naming)
extend(_NAMING, "endpoints", Endpoint, _naming_patterns)

# The relay answers all paths below these, with 404 if there is no row.
_OWN: Final = ("/v1/", "/v1beta/", "/api/v1beta/", "/anthropic/", *cloud_rows.CLOUDS)
# Likewise the paths of the task services, which answer in the form of their clients.
_FAMILIES: Final = tuple(
    (re.compile(rows.service.paths, re.DOTALL), rows.service.family)
    for rows in SERVICE_ROWS.values()
)
# Compared first, because every request is checked and hardly any matches.
_FAMILY_BEGINS: Final = tuple(rows.service.begins for rows in SERVICE_ROWS.values())
_NO_TARGET: Final = Target()
_OWN_ROOTS: Final = frozenset(root.removesuffix("/") for root in _OWN)


def find_endpoint(path: str) -> Endpoint | None:
    """Return the row of a path, including aliases."""
    endpoint = ENDPOINTS.get(path)
    if endpoint is not None:
        return endpoint
    if path.startswith(ROOT):
        return _PASS_THROUGH
    canonical = _canonical(path)
    return (
        ENDPOINTS.get(canonical)
        or _find_gemini(canonical)
        or _find_naming(canonical)
        or _find_not_implemented(canonical)
    )


def listed_rows() -> dict[str, Endpoint]:
    """Return every row as documented: the names of its path in braces."""
    rows = {path: row for path, row in ENDPOINTS.items() if path not in _SERVICES} | _ADDED
    for service in SERVICE_ROWS.values():
        rows |= service.documented
    for root in _GEMINI_ROOTS:
        rows |= {f"{root}{{model}}:{action}": row for action, row in _GEMINI.items()}
        rows[f"{root}{{model}}"] = _MODEL
        below = (_OF_VEO | _OF_INTERACTION).items()
        rows |= {f"{root.removesuffix('models/')}{path}": row for path, row in below}
    rows["/api/v1/models/{model}"] = _MODEL
    rows |= cloud_rows.LISTED
    rows |= {cloud_rows.GEMINI_LISTED + action: row for action, row in _GEMINI_ON_VERTEX.items()}
    rows[f"{ROOT}{{channel}}/{{path}}"] = _PASS_THROUGH
    for root in reversed(_OPENAI_ROOTS):
        rows[f"{root}engines/{{model}}/embeddings"] = _ENGINE
        rows[f"{root}requests/{{id}}/feedback"] = _FEEDBACK
        rows[f"{root}responses/{{id}}"] = _RESPONSE
        rows[f"{root}responses/{{id}}/input_items"] = _RESPONSE_ITEMS
        rows[f"{root}responses/{{id}}/cancel"] = _RESPONSE_CANCEL
        rows |= {f"{root}{path}": row for path, row in _OF_VIDEO.items()}
        rows[f"{root}images/{{id}}/content"] = _LINKED_PICTURE
        for words, row in _NOT_IMPLEMENTED.items():
            rows[root + "/".join(word or "{id}" for word in words)] = row
        for word, row in _NOT_MADE_BELOW.items():
            rows |= {f"{root}{word}": row, f"{root}{word}/{{id}}": row}
    return rows


def is_claimed(path: str) -> bool:
    """Return whether the relay answers this path, with 404 if there is no row."""
    return (
        path in ENDPOINTS
        or path.startswith(_OWN)
        or path in _OWN_ROOTS
        or family_of(path) is not None
        or find_endpoint(path) is not None
    )


def dialect_of(path: str) -> Dialect:
    """Return the dialect in which errors are written for a path without a row."""
    path = _canonical(path)
    if path.startswith(_INTERACTION_PATHS):
        return "interactions"
    if (of_cloud := cloud_rows.dialect_of_cloud(path)) is not None:
        return of_cloud
    if path.startswith(("/v1beta", "/api/v1beta")) or _model_call(path) is not None:
        return "gemini"
    return "anthropic" if path.startswith(("/anthropic", "/v1/messages/")) else "openai"


def family_of(path: str) -> Family | None:
    """Return the task service in whose form errors are written for a path without a row."""
    if not path.startswith(_FAMILY_BEGINS):
        return None
    return next((family for paths, family in _FAMILIES if paths.fullmatch(path)), None)


def _target_of(endpoint: Endpoint, path: str, query: bytes) -> Target:
    """Return what the path of a request says in addition to its body, of a row whose paths say
    anything."""
    if endpoint.path_names:
        named = _name_in(_canonical(path))
        if endpoint.path_names in ("model", "response"):
            return Target(named, endpoint.stream)
        return Target(task=veo.id_of_file(named) if endpoint.path_names == "file" else named)
    called = read_target(_model_call(_canonical(path)) or "")
    model = "" if called is None else called[0]
    words = parse_qsl(query.decode("latin-1"))
    return Target(model, endpoint.stream, endpoint.stream and ("alt", "sse") not in words)


def _find_gemini(path: str) -> Endpoint | None:
    called = read_target(_model_call(path) or "")
    if called is None:
        return None
    rows = _GEMINI if cloud_rows.googles_call(path) is None else _GEMINI_ON_VERTEX
    return rows.get(called[1])


def _model_call(path: str) -> str | None:
    """Split `{model}:{action}` of a path that calls a model."""
    for root in _GEMINI_ROOTS:
        if path.startswith(root) and ":" in path:
            return path.removeprefix(root)
    return cloud_rows.googles_call(path)


def _find_naming(path: str) -> Endpoint | None:
    rows = (endpoint for pattern, endpoint in _NAMING.items() if pattern.fullmatch(path))
    return next(rows, None)


def _name_in(path: str) -> str:
    """Return the name in a path."""
    matches = (pattern.fullmatch(path) for pattern in _NAMING)
    return next((match[1] for match in matches if match is not None), "")


def _find_not_implemented(path: str) -> Endpoint | None:
    for root in _OPENAI_ROOTS:
        if path.startswith(root):
            words = path.removeprefix(root).split("/")
            if words[0] in _NOT_MADE_BELOW:
                return _NOT_MADE_BELOW[words[0]]
            for row, endpoint in _NOT_IMPLEMENTED.items():
                if len(row) == len(words) and all(map(_is_offered, row, words)):
                    return endpoint
    return None


def _is_offered(wanted: str | None, word: str) -> bool:
    return bool(word) if wanted is None else word == wanted


def _canonical(path: str) -> str:
    path = path.removesuffix("/")
    # Google's client for JavaScript puts a second slash behind a base URL of its user's.
    if path.startswith("//ws/"):
        path = path[1:]
    while path.startswith(("/v1/v1/", "/api/v1/v1/")):
        path = path.replace("/v1/v1/", "/v1/", 1)
    return path


def read_invocation(
    endpoint: Endpoint | None, path: str, headers: Sequence[tuple[bytes, bytes]], query: bytes
) -> Invocation:
    """Return the invocation for a path. Without a row (None), the invocation only sets the form of
    the error."""
    if endpoint is None:
        return Invocation(CODECS[dialect_of(path)], "", family=family_of(path))
    codec = endpoint.codec or _OWN_CODECS.get(endpoint.operation) or CODECS[endpoint.dialect]
    if endpoint.shows in ("models", "model"):
        codec = CODECS[form_of(path, headers, query)]
    named = endpoint.path_names or endpoint.dialect == "gemini"
    target = _target_of(endpoint, path, query) if named else _NO_TARGET
    return Invocation(codec, endpoint.operation, target, headers, endpoint.unary, endpoint.family)


def response_at(path: str, error: ErrorAnswer, request_id: str) -> ErrorResponse:
    """Return the error response to a request of which at most the path is known."""
    invocation = read_invocation(find_endpoint(path), path, (), b"")
    return error_response(error, invocation, request_id)
