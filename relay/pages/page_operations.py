"""The operations that our own pages ask of the relay."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from relay.endpoints.task_services import SERVICE_ROWS

PAGE_PATHS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "chat_completions": "/v1/chat/completions",
        "embeddings": "/v1/embeddings",
        "image_generations": "/v1/images/generations",
        "image_edits": "/v1/images/edits",
        "speech": "/v1/audio/speech",
        "transcriptions": "/v1/audio/transcriptions",
        "translations": "/v1/audio/translations",
        "videos": "/v1/videos",
        **{name: path for rows in SERVICE_ROWS.values() for name, path in rows.page_paths.items()},
    }
)
"""The path of each operation that our pages call, by its name in the records."""
