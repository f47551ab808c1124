"""The operations that our own pages ask of the relay."""

from collections.abc import Mapping
from typing import Final, Literal

PageOperation = Literal[
    "chat_completions",
    "embeddings",
    "image_generations",
    "image_edits",
    "speech",
    "transcriptions",
    "translations",
    "videos",
    "suno_music",
    "suno_lyrics",
    "midjourney_imagine",
    "midjourney_describe",
    "midjourney_blend",
    "midjourney_shorten",
    "midjourney_action",
    "midjourney_modal",
]
"""The kind of requests from our own pages."""

PAGE_PATHS: Final[Mapping[PageOperation, str]] = {
    "chat_completions": "/v1/chat/completions",
    "embeddings": "/v1/embeddings",
    "image_generations": "/v1/images/generations",
    "image_edits": "/v1/images/edits",
    "speech": "/v1/audio/speech",
    "transcriptions": "/v1/audio/transcriptions",
    "translations": "/v1/audio/translations",
    "videos": "/v1/videos",
    "suno_music": "/suno/submit/music",
    "suno_lyrics": "/suno/submit/lyrics",
    "midjourney_imagine": "/mj/submit/imagine",
    "midjourney_describe": "/mj/submit/describe",
    "midjourney_blend": "/mj/submit/blend",
    "midjourney_shorten": "/mj/submit/shorten",
    "midjourney_action": "/mj/submit/action",
    "midjourney_modal": "/mj/submit/modal",
}
"""The path of each operation that pages of the playground call."""
