"""The exact rows that the relay answers; everything else is Django's, or nobody's.

    {p}  /v1, /api/v1              {g}  /v1beta, /v1, /api/v1beta

A trailing slash is accepted, and `/v1/v1/…` is read as `/v1/…` (a base URL with `/v1` typed
twice). What a query says beside the path is not looked at:
`/v1/responses?api-version=…/responses`, which a client library makes of a base URL with a query, is
the row of its path. Unknown paths under `/v1`, `/v1beta`, `/anthropic` and those of the services of
tasks are answered here, in the form of their clients; `/api/v1/…` that is no row belongs to the
management API.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, cast
from urllib.parse import parse_qsl

from dialects.chat.chat import Dialect
from dialects.codec import Target
from dialects.codecs import CODECS, MEDIA_CODECS, TEXT_CODECS
from dialects.errors.task_errors import Family
from dialects.gemini.model_name import read_target
from dialects.media import jimeng, veo
from dialects.media.midjourney import Submitted
from dialects.media.suno import MODEL_OF
from relay.answers import models_list
from relay.answers.unary import (
    BATCH_EMBED_CONTENTS,
    EMBED_CONTENT,
    EMBEDDINGS,
    MODERATIONS,
    RERANK_COHERE,
    RERANK_JINA,
    UnaryOperation,
)
from relay.config import BODY_BYTES_MAX as _BODY
from relay.media.image_operations import IMAGE_EDITS, IMAGE_GENERATIONS, IMAGE_VARIATIONS
from relay.media.kling_operations import (
    IMAGE_TO_VIDEO,
    JIMENG_VIDEOS,
    PREDICT_LONG_RUNNING,
    TEXT_TO_VIDEO,
)
from relay.media.media_operation import MediaOperation
from relay.media.sound_operations import SPEECH, TRANSCRIPTIONS, TRANSLATIONS
from relay.media.task_operations import submit_picture, submit_song
from relay.media.video_operations import VIDEO_GENERATIONS, VIDEOS
from relay.requests.context import Invocation

Handler = Literal[
    "chat",
    "unary",
    "models",
    "model",
    "count_tokens",
    "response",
    "response_items",
    "billing",
    "not_implemented",
    "videos",
    "video",
    "video_generation",
    "video_content",
    "video_events",
    "remix",
    "realtime",
    "midjourney_task",
    "midjourney_tasks",
    "midjourney_seed",
    "midjourney_image",
    "suno_task",
    "suno_tasks",
    "kling_video",
    "jimeng_result",
    "veo_operation",
]


# What is shown of what is there.
_SHOWING: Final = (
    "response", "response_items", "videos", "video", "video_generation", "video_content",
    "midjourney_task", "midjourney_tasks", "midjourney_seed", "midjourney_image", "suno_task",
    "suno_tasks",
    "video_events", "kling_video", "jimeng_result", "veo_operation",
)  # fmt: skip
# The body of a question for one task.
_QUESTION: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: its methods, whose dialect it speaks, what its records call it, and how large
    a body may be (0 = none is read). `stream` is what a path says, where the body does not.
    `takes_form`: the body may be a form with files, which has a bound of its own. `reading` is
    another operation at the same path, by some of the methods; `asking` one by an `Action` in its
    query. `family` is the service of tasks in whose form it refuses."""

    handler: Handler
    methods: tuple[str, ...]
    dialect: Dialect = "openai"
    operation: str = ""
    body_bytes_max: int = 0
    key_in_query: bool = False
    stream: bool = False
    unary: UnaryOperation | None = None
    takes_form: bool = False
    reading: "Endpoint | None" = None
    asking: "Endpoint | None" = None
    family: Family | None = None

    @property
    def restricted(self) -> bool:
        """Whether a key may be kept from it; everybody may see the models."""
        return self.body_bytes_max > 0 or self.handler in (*_SHOWING, "realtime")

    @property
    def reference_name(self) -> str:
        """What the reference calls it: its operation, or what it shows of what is there."""
        shows = self.handler in ("models", "model", *_SHOWING)
        return self.handler if shows else self.operation

    @property
    def allow(self) -> str:
        """The value of `Allow`."""
        return ", ".join((*self.methods, "OPTIONS"))

    def by_method(self, method: str) -> "Endpoint":
        """The operation of a method at this path."""
        reading = self.reading
        return self if reading is None or method not in reading.methods else reading

    def by_action(self, query: bytes) -> "Endpoint":
        """The operation of an action at this path. Raises RequestFault."""
        if self.asking is None:
            return self
        words = dict(parse_qsl(query.decode("latin-1")))
        jimeng.check_query(words)
        return self.asking if words["Action"] == jimeng.RESULT else self


_CHAT: Final = Endpoint("chat", ("POST",), "openai", "chat_completions", _BODY)
_RESPONSES: Final = Endpoint("chat", ("POST",), "responses", "responses", _BODY)
_INPUT_TOKENS: Final = Endpoint(
    "count_tokens", ("POST",), "responses", "responses_input_tokens", _BODY
)
_MESSAGES: Final = Endpoint("chat", ("POST",), "anthropic", "messages", _BODY)
_COUNT: Final = Endpoint("count_tokens", ("POST",), "anthropic", "count_tokens", _BODY)
_COMPLETIONS: Final = Endpoint("chat", ("POST",), "openai", "completions", _BODY)
_EDITS: Final = Endpoint("chat", ("POST",), "openai", "edits", _BODY)
_MODELS: Final = Endpoint("models", ("GET",), key_in_query=True)
_MODEL: Final = Endpoint("model", ("GET",), key_in_query=True)
_EMBEDDINGS: Final = Endpoint("unary", ("POST",), "openai", "embeddings", _BODY, unary=EMBEDDINGS)
_ENGINE: Final = replace(_EMBEDDINGS, key_in_query=True)
_MODERATIONS: Final = Endpoint(
    "unary", ("POST",), "openai", "moderations", _BODY, unary=MODERATIONS
)
_RERANK: Final = Endpoint("unary", ("POST",), "openai", "rerank", _BODY, unary=RERANK_JINA)
_RERANK_2: Final = replace(_RERANK, unary=RERANK_COHERE)
_MEDIA: Final[dict[str, Endpoint]] = {
    path: Endpoint(
        "unary",
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
_RESPONSE: Final = Endpoint("response", ("GET", "DELETE"), "responses", "responses")
_RESPONSE_ITEMS: Final = Endpoint("response_items", ("GET",), "responses", "responses")
_COMPACT: Final = Endpoint("chat", ("POST",), "responses", "responses_compact", _BODY)
_VIDEO_LIST: Final = Endpoint("videos", ("GET",), operation="videos")
_VIDEOS: Final = Endpoint(
    "unary", ("POST", "GET"), "openai", "videos", _BODY, unary=VIDEOS, takes_form=True,
    reading=_VIDEO_LIST,
)  # fmt: skip
_GENERATIONS: Final = Endpoint(
    "unary", ("POST",), "openai", "video_generations", _BODY, unary=VIDEO_GENERATIONS
)
# {p}/… about one task.
_OF_VIDEO: Final[dict[str, Endpoint]] = {
    "videos/{id}": Endpoint("video", ("GET", "DELETE"), operation="videos"),
    "videos/{id}/content": Endpoint("video_content", ("GET",), operation="videos"),
    "videos/{id}/events": Endpoint("video_events", ("GET",), operation="videos"),
    "videos/{id}/remix": Endpoint("remix", ("POST",), "openai", "videos", _BODY, takes_form=True),
    "video/generations/{id}": Endpoint("video_generation", ("GET",), operation="video_generations"),
}
_REALTIME: Final = Endpoint("realtime", ("GET",), operation="realtime")
# The addresses of Midjourney's tasks, by how fast the picture shall be made.
_MIDJOURNEY_ROOTS: Final[dict[str, str]] = {
    "": "/mj", "fast": "/mj-fast/mj", "relax": "/mj-relax/mj", "turbo": "/mj-turbo/mj",
}  # fmt: skip
_SUBMITTED: Final[dict[Submitted, str]] = {
    "imagine": "midjourney_imagine",
    "change": "midjourney_change",
    "simple-change": "midjourney_simple_change",
    "describe": "midjourney_describe",
    "blend": "midjourney_blend",
    "action": "midjourney_action",
    "modal": "midjourney_modal",
    "shorten": "midjourney_shorten",
}
_LIST_BODY: Final = 64 * 1024
_MIDJOURNEY_LIST: Final = Endpoint(
    "midjourney_tasks", ("POST",), operation="midjourney_tasks", body_bytes_max=_LIST_BODY
)
_SUNO_LIST: Final = Endpoint(
    "suno_tasks", ("POST",), operation="suno_tasks", body_bytes_max=_LIST_BODY
)
_TASK_SERVICES: Final[dict[str, Endpoint]] = (
    {
        f"{root}/submit/{path}": Endpoint(
            "unary", ("POST",), "openai", operation, _BODY, unary=submit_picture(path, mode)
        )
        for path, operation in _SUBMITTED.items()
        for mode, root in _MIDJOURNEY_ROOTS.items()
    }
    | {f"{root}/task/list-by-condition": _MIDJOURNEY_LIST for root in _MIDJOURNEY_ROOTS.values()}
    | {
        f"/suno/submit/{action}": Endpoint(
            "unary", ("POST",), "openai", model, _BODY, unary=submit_song(action)
        )
        for action, model in MODEL_OF.items()
    }
    | {"/suno/fetch": _SUNO_LIST}
)
_MIDJOURNEY_IMAGE: Final = Endpoint("midjourney_image", ("GET",), operation="midjourney_tasks")
_OF_TASK: Final[dict[str, Endpoint]] = {
    f"{root}/{path}": endpoint
    for path, endpoint in (
        ("task/{id}/fetch", Endpoint("midjourney_task", ("GET",), operation="midjourney_tasks")),
        (
            "task/{id}/image-seed",
            Endpoint("midjourney_seed", ("GET",), operation="midjourney_tasks"),
        ),
        ("image/{id}", _MIDJOURNEY_IMAGE),
    )
    for root in _MIDJOURNEY_ROOTS.values()
} | {"/suno/fetch/{id}": Endpoint("suno_task", ("GET",), operation="suno_tasks")}
_TEXT_TO_VIDEO: Final = Endpoint(
    "unary", ("POST",), "openai", "kling_text2video", _BODY, unary=TEXT_TO_VIDEO, family="kling"
)
_IMAGE_TO_VIDEO: Final = replace(
    _TEXT_TO_VIDEO, operation="kling_image2video", unary=IMAGE_TO_VIDEO
)
_OF_KLING: Final[dict[str, Endpoint]] = {
    f"videos/{kind}/{{id}}": Endpoint("kling_video", ("GET",), operation=operation, family="kling")
    for kind, operation in (
        ("text2video", "kling_text2video"),
        ("image2video", "kling_image2video"),
    )
}
_JIMENG: Final = Endpoint(
    "unary", ("POST",), "openai", "jimeng_videos", _BODY, unary=JIMENG_VIDEOS, family="jimeng",
    asking=Endpoint(
        "jimeng_result", ("POST",), "openai", "jimeng_videos", _QUESTION, family="jimeng"
    ),
)  # fmt: skip
# {g}/… of a video in Veo's form; what its bytes are called is no id.
_VEO_OPERATION: Final = Endpoint(
    "veo_operation", ("GET",), "gemini", "predict_long_running", key_in_query=True
)
_VEO_FILE: Final = "files/{id}:download"
_OF_VEO: Final[dict[str, Endpoint]] = {
    "models/{model}/operations/{id}": _VEO_OPERATION,
    "operations/{id}": _VEO_OPERATION,
    _VEO_FILE: Endpoint(
        "video_content", ("GET",), "gemini", "predict_long_running", key_in_query=True
    ),
}
_ABOUT_TASKS: Final = frozenset(
    endpoint.handler
    for endpoint in (
        *_OF_VIDEO.values(), *_OF_KLING.values(), *_OF_TASK.values(), *_OF_VEO.values()
    )
)  # fmt: skip
_NOT_MADE: Final = "not_implemented"
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
        "/v1/models": _MODELS,
        "/api/v1/models": _MODELS,
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
        "/kling/v1/videos/text2video": _TEXT_TO_VIDEO,
        "/v1/videos/text2video": _TEXT_TO_VIDEO,
        "/kling/v1/videos/image2video": _IMAGE_TO_VIDEO,
        "/v1/videos/image2video": _IMAGE_TO_VIDEO,
        "/jimeng": _JIMENG,
    }
    | {
        f"{root}/dashboard/billing/{name}": Endpoint(
            "billing", ("GET",), operation=f"billing_{name}"
        )
        for root in ("", "/v1", "/api/v1")
        for name in ("subscription", "usage", "credit_grants")
    }
    | {f"{root}/{path}": row for path, row in _MEDIA.items() for root in ("/v1", "/api/v1")}
    | _TASK_SERVICES
)

# {g}/models/{model}:{action}
_GEMINI: Final[dict[str, Endpoint]] = {
    "generateContent": Endpoint(
        "chat", ("POST",), "gemini", "generate_content", _BODY, key_in_query=True
    ),
    "streamGenerateContent": Endpoint(
        "chat", ("POST",), "gemini", "stream_generate_content", _BODY, True, stream=True
    ),
    "countTokens": Endpoint(
        "count_tokens", ("POST",), "gemini", "gemini_count_tokens", _BODY, key_in_query=True
    ),
    "embedContent": Endpoint(
        "unary", ("POST",), "gemini", "embed_content", _BODY, True, unary=EMBED_CONTENT
    ),
    "batchEmbedContents": Endpoint(
        "unary",
        ("POST",),
        "gemini",
        "batch_embed_contents",
        _BODY,
        True,
        unary=BATCH_EMBED_CONTENTS,
    ),
    "predictLongRunning": Endpoint(
        "unary",
        ("POST",),
        "gemini",
        "predict_long_running",
        _BODY,
        True,
        unary=PREDICT_LONG_RUNNING,
    ),
}
_GEMINI_ROOTS: Final = ("/v1beta/models/", "/v1/models/", "/api/v1beta/models/")

# {p}/… that answers 501: the words of its path, None for an id.
_Words = tuple[str | None, ...]
_NOT_IMPLEMENTED: Final[dict[_Words, Endpoint]] = {
    ("files",): Endpoint(_NOT_MADE, ("GET", "POST"), operation="files"),
    ("files", None): Endpoint(_NOT_MADE, ("GET", "DELETE"), operation="files"),
    ("files", None, "content"): Endpoint(_NOT_MADE, ("GET",), operation="files"),
    # Sessions that are opened by something else than a key, or carried by something else than a
    # WebSocket.
    ("realtime", "client_secrets"): Endpoint(_NOT_MADE, ("POST",), operation="realtime_sessions"),
    ("realtime", "sessions"): Endpoint(_NOT_MADE, ("POST",), operation="realtime_sessions"),
    ("realtime", "transcription_sessions"): Endpoint(
        _NOT_MADE, ("POST",), operation="realtime_sessions"
    ),
    ("realtime", "calls"): Endpoint(_NOT_MADE, ("POST",), operation="realtime_sessions"),
} | {
    (*start, *rest): Endpoint(_NOT_MADE, methods, operation="fine_tunes")
    for start in (("fine-tunes",), ("fine_tuning", "jobs"))
    for rest, methods in (
        ((), ("GET", "POST")),
        ((None,), ("GET",)),
        ((None, "cancel"), ("POST",)),
        ((None, "events"), ("GET",)),
    )
}
# The same of everything below a word: OpenAI's stored objects and the work that is done on them.
_NOT_MADE_BELOW: Final[dict[str, Endpoint]] = {
    name: Endpoint(_NOT_MADE, ("GET", "POST", "DELETE"), operation=name)
    for name in ("batches", "assistants", "threads", "vector_stores")
}
_OPENAI_ROOTS: Final = ("/api/v1/", "/v1/")
_ENGINE_PATH: Final = re.compile(r"(?:/api)?/v1/engines/(.+)/embeddings")
_GEMINI_ROOT: Final = "(?:/v1beta|/v1|/api/v1beta)/"
_MODEL_PATH: Final = re.compile(r"(?:/api)?/v1(?:beta)?/models/(.+)")
_RESPONSE_PATH: Final = re.compile(r"(?:/api)?/v1/responses/([^/]+)")
_RESPONSE_ITEMS_PATH: Final = re.compile(r"(?:/api)?/v1/responses/([^/]+)/input_items")
_TASK_PATHS: Final = {
    re.compile(path.replace("{model}", ".+").replace("{id}", "([^/]+)")): endpoint
    for path, endpoint in (
        *((f"{_GEMINI_ROOT}{path}", endpoint) for path, endpoint in _OF_VEO.items()),
        # Clients of an address without TLS ask for the whole address of some bytes as their name.
        (f"{_GEMINI_ROOT}files/https?://.+/{_VEO_FILE}", _OF_VEO[_VEO_FILE]),
        *((f"(?:/kling)?/v1/{path}", endpoint) for path, endpoint in _OF_KLING.items()),
        *((f"(?:/api)?/v1/{path}", endpoint) for path, endpoint in _OF_VIDEO.items()),
        *_OF_TASK.items(),
    )
}
_NAMED_IN_PATH: Final = {
    "unary": _ENGINE_PATH,
    "model": _MODEL_PATH,
    "response": _RESPONSE_PATH,
    "response_items": _RESPONSE_ITEMS_PATH,
}
# Below these everything is answered here, be it with 404.
_OWN: Final = ("/v1/", "/v1beta/", "/api/v1beta/", "/anthropic/")
# Services of tasks: below these as well, in the form that their clients read.
_FAMILY: Final = re.compile(
    r"/(?:mj-(?:fast|relax|turbo)/)?(mj|suno|kling|jimeng)(?:/.*)?", re.DOTALL
)
# Each request is looked at, and hardly one is for them.
_FAMILY_BEGINS: Final = ("/mj", "/suno", "/kling", "/jimeng")
_NO_TARGET: Final = Target()
_OWN_ROOTS: Final = frozenset(root.removesuffix("/") for root in _OWN)


def find_endpoint(path: str) -> Endpoint | None:
    """The row of a path, aliases included."""
    endpoint = ENDPOINTS.get(path)
    if endpoint is not None:
        return endpoint
    canonical = _canonical(path)
    return (
        ENDPOINTS.get(canonical)
        or _find_gemini(canonical)
        or _find_of_task(canonical)
        or (_ENGINE if _ENGINE_PATH.fullmatch(canonical) else None)
        or (_MODEL if _MODEL_PATH.fullmatch(canonical) else None)
        or (_RESPONSE if _RESPONSE_PATH.fullmatch(canonical) else None)
        or (_RESPONSE_ITEMS if _RESPONSE_ITEMS_PATH.fullmatch(canonical) else None)
        or _find_not_implemented(canonical)
    )


def listed_rows() -> dict[str, Endpoint]:
    """Every row as people read it, with what a path names in braces, and so the mode of one."""
    rows = ENDPOINTS | _OF_TASK
    modes = [path for path in rows if path.startswith("/mj-")]
    one_mode = _MIDJOURNEY_ROOTS["fast"]
    for path in modes:
        row = rows.pop(path)
        if path.startswith(one_mode):
            rows[path.replace(one_mode, "/mj-{mode}/mj")] = row
    for root in _GEMINI_ROOTS:
        rows |= {f"{root}{{model}}:{action}": row for action, row in _GEMINI.items()}
        rows[f"{root}{{model}}"] = _MODEL
        rows |= {f"{root.removesuffix('models/')}{path}": row for path, row in _OF_VEO.items()}
    rows["/api/v1/models/{model}"] = _MODEL
    for root in ("/kling/v1/", "/v1/"):
        rows |= {f"{root}{path}": row for path, row in _OF_KLING.items()}
    for root in reversed(_OPENAI_ROOTS):
        rows[f"{root}engines/{{model}}/embeddings"] = _ENGINE
        rows[f"{root}responses/{{id}}"] = _RESPONSE
        rows[f"{root}responses/{{id}}/input_items"] = _RESPONSE_ITEMS
        rows |= {f"{root}{path}": row for path, row in _OF_VIDEO.items()}
        for words, row in _NOT_IMPLEMENTED.items():
            rows[root + "/".join(word or "{id}" for word in words)] = row
        for word, row in _NOT_MADE_BELOW.items():
            rows |= {f"{root}{word}": row, f"{root}{word}/{{id}}": row}
    return rows


def claimed(path: str) -> bool:
    """Return whether the relay answers this path, be it with 404."""
    return (
        path in ENDPOINTS
        or path.startswith(_OWN)
        or path in _OWN_ROOTS
        or family_of(path) is not None
        or find_endpoint(path) is not None
    )


def dialect_of(path: str) -> Dialect:
    """In which dialect a path is answered that is no row."""
    path = _canonical(path)
    if path.startswith(("/v1beta", "/api/v1beta")) or _model_call(path) is not None:
        return "gemini"
    return "anthropic" if path.startswith(("/anthropic", "/v1/messages/")) else "openai"


def family_of(path: str) -> Family | None:
    """The service of tasks in whose form a path is answered that is no row."""
    if not path.startswith(_FAMILY_BEGINS):
        return None
    match = _FAMILY.fullmatch(path)
    return None if match is None else cast(Family, match[1])


def target_of(endpoint: Endpoint, path: str, query: bytes) -> Target:
    """What the path of a request says beside its body."""
    if endpoint.handler in _ABOUT_TASKS:
        named = _task_named(_canonical(path))
        in_file = endpoint.handler == "video_content" and endpoint.dialect == "gemini"
        return Target(task=veo.id_of_file(named) if in_file else named)
    names = _NAMED_IN_PATH.get(endpoint.handler)
    match = None if names is None else names.fullmatch(_canonical(path))
    if match is not None:
        return Target(match[1])
    if endpoint.dialect != "gemini":
        return _NO_TARGET
    called = read_target(_model_call(_canonical(path)) or "")
    model = "" if called is None else called[0]
    words = parse_qsl(query.decode("latin-1"))
    return Target(model, endpoint.stream, endpoint.stream and ("alt", "sse") not in words)


def _find_gemini(path: str) -> Endpoint | None:
    called = read_target(_model_call(path) or "")
    return None if called is None else _GEMINI.get(called[1])


def _model_call(path: str) -> str | None:
    """`{model}:{action}` of a path that calls a model."""
    for root in _GEMINI_ROOTS:
        if path.startswith(root) and ":" in path:
            return path.removeprefix(root)
    return None


def _find_of_task(path: str) -> Endpoint | None:
    found = (endpoint for form, endpoint in _TASK_PATHS.items() if form.fullmatch(path))
    return next(found, None)


def _task_named(path: str) -> str:
    matches = (form.fullmatch(path) for form in _TASK_PATHS)
    return next((match[1] for match in matches if match is not None), "")


def _find_not_implemented(path: str) -> Endpoint | None:
    for root in _OPENAI_ROOTS:
        if path.startswith(root):
            words = path.removeprefix(root).split("/")
            if words[0] in _NOT_MADE_BELOW:
                return _NOT_MADE_BELOW[words[0]]
            for row, endpoint in _NOT_IMPLEMENTED.items():
                if len(row) == len(words) and all(map(_fits, row, words)):
                    return endpoint
    return None


def _fits(wanted: str | None, word: str) -> bool:
    return bool(word) if wanted is None else word == wanted


def _canonical(path: str) -> str:
    path = path.removesuffix("/")
    while path.startswith(("/v1/v1/", "/api/v1/v1/")):
        path = path.replace("/v1/v1/", "/v1/", 1)
    return path


def read_invocation(
    endpoint: Endpoint | None, path: str, headers: Sequence[tuple[bytes, bytes]], query: bytes
) -> Invocation:
    """Of a path that is no row (None): in which form it is refused."""
    if endpoint is None:
        return Invocation(CODECS[dialect_of(path)], "", family=family_of(path))
    codec = _OWN_CODECS.get(endpoint.operation) or CODECS[endpoint.dialect]
    if endpoint.handler in ("models", "model"):
        codec = CODECS[models_list.form_of(path, headers, query)]
    target = target_of(endpoint, path, query)
    family = endpoint.family or family_of(path)
    return Invocation(codec, endpoint.operation, target, headers, endpoint.unary, family)
